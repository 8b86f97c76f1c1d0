"""How to fine-tune: every setting with its unit and why its default is what it is."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obvlib.core.locations import local_dir

OPTIMIZERS = ("adamw", "muon")
TRACKERS = ("tensorboard", "trackio", "wandb", "none")
# What may change while a run is stopped: none of it touches a weight.
FREE = (
    "output_dir",
    "save_steps",
    "log_steps",
    "num_workers",
    "tracker",
    "max_skipped_share",
    "max_memory_gb",
)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one run. The defaults are the paper's (section 4 and its training script); `mini`
    changes what it must.
    """

    output_dir: Path
    # of one packed row: a clip at the visual cap of 16,384 and 1,024 tokens for its words; a longer
    # sample is refused by name
    capacity_tokens: int = 17_408
    rows_per_step: int = 8  # packed rows per optimizer step and device (gradient accumulation)
    num_epochs: int = 1
    optimizer: str = "adamw"  # "muon": a small model from scratch, see obvlib.training.optimizers
    learning_rate: float = 1e-5  # peak, after warm-up; cosine to zero
    warmup_fraction: float = 0.1  # of all steps
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    # samples shuffled together before they are packed, so that long ones don't all meet in the
    # first steps; 1 fills rows in shuffled order
    pack_window: int = 2_048
    seed: int = 0
    attention: str = "auto"  # for packed rows, see obvlib.models.attention
    bf16: bool = True  # products in bf16; weights that the optimizer changes are kept in fp32
    # the pass of obvlib.models.packed_forward; None: wherever it can run
    packed_pass: bool | None = None
    gradient_checkpointing: bool = True  # False keeps everything that the backward pass needs
    # of GPU memory, 10^9 bytes: the packed pass keeps as much for the backward pass as fits; None:
    # 0.95 of the card
    max_memory_gb: float | None = None
    # fused linear cross-entropy: no (tokens, vocabulary) logits in memory; needs liger-kernel >=
    # 0.8 and CUDA
    liger: bool = False
    trains_vision: bool = True  # False freezes the vision tower and its merger
    lora_rank: int = 0  # 0 trains every weight; else low-rank adapters in the text layers
    lora_alpha: int = 32  # adapters are scaled by lora_alpha / lora_rank
    save_steps: int | None = None  # None: twenty checkpoints a run, at most 200 steps apart
    log_steps: int = 10
    num_workers: int | None = None  # processes that read clips ahead; None: by the cores here
    max_skipped_share: float = 0.1  # of samples that cannot be read, before the run stops
    tracker: str = "tensorboard"  # or "trackio", "wandb", "none"

    def __post_init__(self) -> None:
        object.__setattr__(self, "output_dir", local_dir(self.output_dir))
        for one in dataclasses.fields(self):
            _check_kind(one.name, str(one.type), getattr(self, one.name))
        at_least_one = (
            "capacity_tokens", "rows_per_step", "num_epochs", "pack_window", "log_steps",
        )  # fmt: skip
        for name in (*at_least_one, *(("save_steps",) if self.save_steps is not None else ())):
            _check(name, getattr(self, name), getattr(self, name) >= 1, "it must be at least 1")
        for name, known in (("optimizer", OPTIMIZERS), ("tracker", TRACKERS)):
            value = getattr(self, name)
            if value not in known:
                raise ValueError(f"{name} is {value!r}; use one of {', '.join(known)}")
        _check("learning_rate", self.learning_rate, self.learning_rate > 0, "it must be above 0")
        if self.max_memory_gb is not None:
            _check(
                "max_memory_gb", self.max_memory_gb, self.max_memory_gb > 0, "it must be above 0"
            )
        _check("lora_rank", self.lora_rank, self.lora_rank >= 0, "it must be 0 or more")
        for name in ("warmup_fraction", "max_skipped_share"):
            value = getattr(self, name)
            _check(name, value, 0 <= value < 1, "it is a share, from 0 up to 1")

    @classmethod
    def mini(cls, output_dir: Path, **changes: Any) -> TrainConfig:
        """Return the settings for a two-million-parameter model from scratch on a CPU: small rows,
        a large learning rate, float32.
        """
        settings: dict[str, Any] = {
            "capacity_tokens": 4_096,
            "rows_per_step": 1,
            "pack_window": 1,
            "optimizer": "muon",
            "learning_rate": 2e-3,
            "warmup_fraction": 0.05,
            "weight_decay": 0.01,
            "bf16": False,
            "gradient_checkpointing": False,
            "log_steps": 25,
        }
        return cls(output_dir=output_dir, **(settings | changes))

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain JSON."""
        return dataclasses.asdict(self) | {"output_dir": str(self.output_dir)}

    def decisive(self) -> dict[str, Any]:
        """Return the settings that decide the weights: a run is named by these."""
        return {name: value for name, value in self.to_dict().items() if name not in FREE}

    def steps_between_saves(self, num_steps: int) -> int:
        """Return how many optimizer steps lie between the checkpoints of a run of `num_steps`."""
        return self.save_steps or max(1, min(200, num_steps // 20))


def unknown_key(name: str, known: Iterable[str], where: str) -> ValueError:
    """Return the error for a setting that does not exist, with the nearest one that does."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(known)}"
    return ValueError(f"{where} has no setting {name!r}: {hint}")


KINDS = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,), "Path": (Path,)}
WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a word"}


def _check_kind(name: str, kind: str, value: Any) -> None:
    kind, _, optional = kind.partition(" | ")
    right = isinstance(value, KINDS[kind]) and (isinstance(value, bool) == (kind == "bool"))
    if not right and not (optional and value is None):
        raise ValueError(f"{name} is {value!r}; it must be {WORDS.get(kind, 'a path')}")


def _check(name: str, value: Any, holds: bool, remedy: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value}; {remedy}")
