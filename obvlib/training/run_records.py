"""What a run is given, what it gives back, and who hears of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obvlib.core import FramePolicy
from obvlib.core.jsonl import read_object
from obvlib.training.sample_costs import Sample

if TYPE_CHECKING:
    from obvlib.inputs import ModelInput


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What a run did: loss by step, how long it took, and where it is."""

    # (optimizer step, mean loss per label token since the last entry)
    losses: tuple[tuple[int, float], ...]
    num_steps: int
    num_rows: int
    seconds: float  # of all sittings, up to the checkpoints that they went on from
    # (sample, reason) of those that could not be read
    skipped: tuple[tuple[int, str], ...] = ()
    folder: Path = field(default=Path(), compare=False)

    @classmethod
    def from_note(cls, folder: Path, note: dict[str, Any]) -> TrainResult:
        """Read back what the `run.json` of a finished run holds."""
        return cls(
            losses=tuple(map(tuple, note["losses"])),
            num_steps=note["num_steps"],
            num_rows=note["num_rows"],
            seconds=note["seconds"],
            skipped=tuple(map(tuple, note["skipped"])),
            folder=folder,
        )

    @classmethod
    def from_json(cls, path: Path) -> TrainResult:
        """Read back a `run.json`."""
        return cls.from_note(path.parent, read_object(path))


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What a run learns from: `load(i)` gives sample i of `lengths[i]` tokens.

    `costs` (tokens and grids of each sample) are for the MFU; `policy` goes into the saved
    processor; `facts` are what the run's note and model card say of the data.
    """

    load: Callable[[int], ModelInput]
    lengths: Sequence[int]
    costs: Sequence[Sample] = ()
    policy: FramePolicy | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Watchers:
    """Who hears of a run: `on_log(step, loss)`, `on_progress(entry)` with speed and time left, and
    `say(sentence)`.
    """

    on_log: Callable[[int, float], None] | None = None
    on_progress: Callable[[dict[str, float]], None] | None = None
    say: Callable[[str], None] = logging.getLogger("obvlib.training").info
