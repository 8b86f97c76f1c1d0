"""`obv slice` and `obv prepare` as functions: rows in, files and a coverage report out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from obvlib.core import data_root, files
from obvlib.engine import Ledger, run_stage
from obvlib.manifests import coverage
from obvlib.slicing.jobs import make_jobs, whole_jobs
from obvlib.slicing.stages import ClipFile, PrepareStage, SliceStage

DEFAULT_MODE = "smart"  # accurate to the frame like exact, and nearly as fast as copy
VERSION = 1  # of the files written: a change of encoding counts it up, and clips are made anew


def slice_dataset(
    clips: Iterable[Any],
    problems: Iterable[Any],
    input_dir: str,
    output_dir: str,
    *,
    mode: str = DEFAULT_MODE,
    **options: Any,
) -> dict[str, Any]:
    """Cut every clip out of its source in `input_dir` into `output_dir`; return the coverage
    report, which is also written there.

    `problems` are rows that are no clips; they are counted with their reasons. Options are those of
    `_run`.
    """
    from obvlib import media

    if mode not in media.MODES:
        raise ValueError(f"mode is {mode!r}: use {', '.join(media.MODES)}")
    return _run(
        "slice",
        SliceStage,
        {"mode": mode},
        {"mode": mode},
        clips,
        problems,
        input_dir,
        output_dir,
        **options,
    )


def prepare_dataset(
    clips: Iterable[Any],
    problems: Iterable[Any],
    input_dir: str,
    output_dir: str,
    *,
    policy: Any,
    **options: Any,
) -> dict[str, Any]:
    """Write what `policy` (a FramePolicy) shows a model of every clip, straight from the sources;
    otherwise like `slice_dataset`.
    """
    settings = {"policy": policy.to_dict()}
    return _run(
        "prepare",
        PrepareStage,
        {"policy": policy},
        settings,
        clips,
        problems,
        input_dir,
        output_dir,
        **options,
    )


def _run(
    name: str,
    stage_type: type,
    fields: dict[str, Any],
    settings: dict[str, Any],
    clips: Iterable[Any],
    problems: Iterable[Any],
    input_dir: str,
    output_dir: str,
    *,
    whole_videos: Iterable[str] = (),
    num_workers: int = 1,
    engine: str = "local",
    ledger_path: str | os.PathLike | None = None,
    cache_dir: str | os.PathLike | None = None,
    max_cache_bytes: int = files.MAX_CACHE_BYTES,
    num_threads: int | None = None,
    show_progress: bool = True,
) -> dict[str, Any]:
    """Run one stage. `whole_videos` are paths below `input_dir` that are clips as they are.
    `num_threads` is for each worker's decoder and encoder; the default shares the cores among the
    workers.
    """
    input_dir, output_dir = os.fspath(input_dir), os.fspath(output_dir)
    cache_dir = os.fspath(cache_dir or data_root() / "cache" / "videos")
    _check_places(name, input_dir, output_dir, num_workers)
    _make_ready(output_dir, cache_dir)
    jobs, refused = make_jobs(clips, input_dir)
    jobs += whole_jobs(whole_videos, input_dir)
    stage = stage_type(
        output_dir=output_dir,
        cache_dir=cache_dir,
        num_threads=(
            num_threads if num_threads is not None else max(1, (os.cpu_count() or 1) // num_workers)
        ),
        max_cache_bytes=max_cache_bytes,
        **fields,
    )
    params = settings | {
        "output_dir": output_dir if files.is_remote(output_dir) else os.path.abspath(output_dir),
        "version": VERSION,
    }
    wanted = {job.clip_id: job for job in jobs}
    sizes = files.file_names(output_dir) or {}
    with Ledger(ledger_path or data_root() / "ledger.sqlite") as ledger:
        result = run_stage(
            jobs,
            stage,
            ledger,
            name=name,
            params=params,
            engine=engine,
            num_workers=num_workers,
            group=lambda job: job.video_id,
            weight=lambda job: job.duration_s,
            is_current=lambda row: _is_current(
                row["output"], wanted[row["item_id"]], output_dir, sizes
            ),
            result_type=ClipFile,
            show_progress=show_progress,
        )
        report = coverage.coverage(
            name, jobs, refused, list(problems), result, ledger.rows(name, params)
        )
    _make_ready(
        output_dir, cache_dir
    )  # what a run killed just before this one had in hand may only now be known to be dead
    report |= {"settings": settings, "input_dir": input_dir, "output_dir": output_dir}
    files.write_text(
        files.join(output_dir, f"coverage_{name}.json"),
        json.dumps(report, indent=1, ensure_ascii=False) + "\n",
    )
    return report


def _check_places(name: str, input_dir: str, output_dir: str, num_workers: int) -> None:
    if num_workers < 1:
        raise ValueError(f"num_workers is {num_workers}: give at least 1")
    if os.path.realpath(input_dir) == os.path.realpath(output_dir):
        raise ValueError(
            f"output directory {output_dir} is the input directory, and a clip could overwrite a"
            " source: choose another"
        )
    other = {"slice": "prepare", "prepare": "slice"}.get(name, "")
    if other and files.size_bytes(files.join(output_dir, f"coverage_{other}.json")) >= 0:
        raise ValueError(
            f"output directory {output_dir} holds what `obv {other}` made, under the same names:"
            " choose another"
        )


def _is_current(made: dict[str, Any], job: Any, output_dir: str, sizes: dict[str, int]) -> bool:
    """Is the file of a done clip the one asked for, of the same source, and as it was left?"""
    # not the recorded path: that may be relative to another directory
    path = files.join(output_dir, job.file_name)
    if os.path.basename(made["path"]) != os.path.basename(job.file_name):
        return False
    # a source that is gone leaves its clips alone
    known = min(made.get("source_bytes", -1), job.source_bytes) >= 0
    if known and made["source_bytes"] != job.source_bytes:
        return False
    if not _is_there(made | {"path": path}, output_dir, sizes):
        return False
    return not made.get("mtime_ns") or os.stat(path).st_mtime_ns == made["mtime_ns"]


def _is_there(made: dict[str, Any], output_dir: str, sizes: dict[str, int]) -> bool:
    """Is the file of a done clip still there, as long as it was? `sizes` are those directly in the
    output directory.
    """
    name = made["path"].removeprefix(files.join(output_dir, ""))
    return (files.size_bytes(made["path"]) if "/" in name else sizes.get(name)) == made[
        "size_bytes"
    ]


def _make_ready(output_dir: str, cache_dir: str) -> None:
    files.remove_leftovers(cache_dir)
    if not files.is_remote(output_dir):
        Path(output_dir).mkdir(parents=True, exist_ok=True)
        if not os.access(output_dir, os.W_OK):
            raise ValueError(
                f"output directory {output_dir} cannot be written to: choose another, or change its"
                " permissions"
            )
        files.remove_leftovers(output_dir)
