"""Opening the inspector on a dataset, a file of rows, a run or records."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from obvlib import mini
from obvlib.core import Clip, Example, FramePolicy, RecordError, data_root, profile
from obvlib.engine import Ledger
from obvlib.engine.ledger import LedgerError
from obvlib.manifests import media_dir
from obvlib.widgets.details import Shelf
from obvlib.widgets.embedding import embed
from obvlib.widgets.inspector import ClipInspector
from obvlib.widgets.runs import find_runs, judge
from obvlib.widgets.samples import Samples, note_losses, open_samples
from obvlib.widgets.timelines import Timeline, mini_timelines


def inspect(
    source: Any = "mini",
    *,
    runs: str | os.PathLike | Sequence[str | os.PathLike] = (),
    clips_dir: str | os.PathLike | None = None,
    videos_dir: str | os.PathLike | None = None,
    policy: FramePolicy | None = None,
    timelines: Mapping[str, Timeline] | None = None,
    ledger: str | os.PathLike | None = None,
    bundle: Any = None,
    rater: str = "",
    start: str = "",
    embed_mb: float = 0.0,
) -> ClipInspector:
    """Open the inspector on `source`: the name of a dataset or benchmark, a rows file, a run's
    folder, or records. `runs` are folders of predictions; a run's folder brings its own.

    Slices are looked for in `clips_dir`, else the same seconds of the source in `videos_dir`.
    `start` is the first sample's id. With `embed_mb`, samples up to that many megabytes become part
    of the page, which then works without a kernel.
    """
    samples = open_samples(source)
    folders = [runs] if isinstance(runs, (str, os.PathLike)) else list(runs)
    if not folders and isinstance(source, (str, os.PathLike)) and Path(source).is_dir():
        folders = [source] if any(Path(source).rglob("predictions.jsonl")) else []
    book = Path(ledger) if ledger else data_root() / "ledger.sqlite"
    note_losses(samples, _losses(book))
    shelf = Shelf(
        samples=samples,
        policy=policy or (FramePolicy.mini() if profile() == "mini" else FramePolicy()),
        clips_dir=Path(clips_dir) if clips_dir else media_dir(samples.name),
        videos_dir=Path(videos_dir) if videos_dir else _videos_dir(samples.name),
        runs=_judged(folders, samples),
        timelines=timelines if timelines is not None else mini_timelines(),
        ledger=book,
        clips=_clips_by_file(),
    )
    widget = ClipInspector(shelf, bundle=bundle, rater=rater, title=samples.name, start=start)
    if embed_mb:
        widget.embedded = embed(widget, round(embed_mb * 1e6))
    return widget


def _videos_dir(name: str) -> Path:
    return data_root() / "videos" / name.lower() if name != "mini" else mini.videos_dir()


def _judged(folders: Sequence[str | os.PathLike], samples: Samples) -> list[Any]:
    """Return the runs of these folders with a verdict for each answer whose question is known;
    without those that answer other questions only, unless all do.
    """
    runs = [run for folder in folders for run in find_runs(folder)]
    if not runs:
        return []
    records = _readable(samples)
    examples = [record for record in records if isinstance(record, Example)]
    from obvlib.manifests import clip_examples

    clips = [record for record in records if isinstance(record, Clip)]
    examples += clip_examples(clips, samples.name, Path("."))
    judge(runs, examples)
    known = {example.example_id for example in examples}
    return [run for run in runs if known & run.predictions.keys()] or runs


def _clips_by_file() -> dict[str, Clip]:
    """Return the shipped clips by the name of their slice: a run's questions find theirs so."""
    return {clip.file_name: clip for clip in mini.rows()}


def _readable(samples: Samples) -> list[Clip | Example]:
    """Return the records of all rows that hold one; the others say so where they are shown."""
    found: list[Clip | Example] = []
    for index in range(len(samples)):
        with contextlib.suppress(RecordError):
            found.append(samples.record(index))
    return found


def _losses(path: Path) -> dict[str, tuple[str, str, str]]:
    """Return what the ledger says was dropped or failed; a damaged ledger is reported with each
    sample's lineage.
    """
    if not path.is_file():
        return {}
    with contextlib.suppress(LedgerError), Ledger(path) as book:
        return book.losses()
    return {}
