"""`obv slice` and `obv prepare` as functions: rows in, files and a coverage report out."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Unpack

from obvlib import media
from obvlib.core import Clip, FramePolicy, data_root, files
from obvlib.engine import How, Ledger, claimed, run_stage
from obvlib.manifests import RowProblem, coverage
from obvlib.slicing.jobs import make_jobs, own_jobs, whole_jobs
from obvlib.slicing.stages import ClipStage, PrepareStage, SliceStage


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a run is asked for: clips, rows that could not be read as clips, and the paths of whole
    videos below `input_dir` that are clips as they are.
    """

    clips: Iterable[Clip]
    problems: Iterable[RowProblem]
    input_dir: str
    whole_videos: Iterable[str] = ()


def slice_dataset(
    clips: Iterable[Clip],
    problems: Iterable[RowProblem],
    input_dir: str | os.PathLike,
    output_dir: str | os.PathLike,
    *,
    mode: str = media.DEFAULT_MODE,
    whole_videos: Iterable[str] = (),
    ledger_path: str | os.PathLike | None = None,
    **how: Unpack[How],
) -> dict[str, Any]:
    """Cut every clip out of its source in `input_dir` into `output_dir`; return the coverage
    report, which is also written there.

    `problems` are rows that could not be read as clips; they are counted with their reasons.
    `whole_videos` are paths below `input_dir` that are clips as they are. The ledger is the data
    root's unless `ledger_path` names another; `how` are the options of `run_stage`.
    """
    if mode not in media.MODES:
        raise ValueError(f"mode is {mode!r}: use {', '.join(media.MODES)}")
    stage = SliceStage(**_places(output_dir, how), mode=mode)
    asked = Asked(
        clips=clips, problems=problems, input_dir=os.fspath(input_dir), whole_videos=whole_videos
    )
    return _run(stage, asked, ledger_path, how)


def prepare_dataset(
    clips: Iterable[Clip],
    problems: Iterable[RowProblem],
    input_dir: str | os.PathLike,
    output_dir: str | os.PathLike,
    *,
    policy: FramePolicy,
    whole_videos: Iterable[str] = (),
    ledger_path: str | os.PathLike | None = None,
    **how: Unpack[How],
) -> dict[str, Any]:
    """Write what `policy` shows a model of every clip, straight from the sources; otherwise like
    `slice_dataset`.
    """
    stage = PrepareStage(**_places(output_dir, how), policy=policy)
    asked = Asked(
        clips=clips, problems=problems, input_dir=os.fspath(input_dir), whole_videos=whole_videos
    )
    return _run(stage, asked, ledger_path, how)


def _places(output_dir: str | os.PathLike, how: How) -> dict[str, Any]:
    """Return the fields of a stage that say where it works, and with how many threads a worker."""
    return {
        "output_dir": os.fspath(output_dir),
        "cache_dir": str(data_root() / "cache" / "videos"),
        "num_threads": max(1, (os.cpu_count() or 1) // max(1, how.get("num_workers", 0))),
    }


def _run(
    stage: ClipStage, asked: Asked, ledger_path: str | os.PathLike | None, how: How
) -> dict[str, Any]:
    if os.path.realpath(asked.input_dir) == os.path.realpath(stage.output_dir):
        raise ValueError(
            f"output directory {stage.output_dir} is the input directory, and a clip could"
            " overwrite a source: choose another"
        )
    files.remove_leftovers(stage.cache_dir)
    settings = {name: value for name, value in stage.params().items() if name != "output_dir"}
    with claimed(stage.output_dir, f"obv {stage.name}", settings) as claim:
        jobs, refused = make_jobs(asked.clips, asked.input_dir)
        jobs += whole_jobs(asked.whole_videos, asked.input_dir)
        report_name, is_new = f"coverage_{stage.name}.json", not claim.names
        not_ours = claim.take([report_name, *(job.file_name for job in jobs)])
        if report_name in not_ours and is_new:
            raise ValueError(
                f"{files.shown(files.join(stage.output_dir, report_name))} was not made by `obv"
                f" {stage.name}`: choose another output directory, or move it away"
            )
        jobs, foreign = own_jobs(jobs, not_ours)
        stage = dataclasses.replace(stage, made_in=_made_in(stage))
        with Ledger(ledger_path or data_root() / "ledger.sqlite") as ledger:
            result = run_stage(jobs, stage, ledger, **how)
            rows = ledger.rows(stage.name, result.params)
        refused += foreign
        report = coverage.coverage(stage.name, jobs, refused, list(asked.problems), result, rows)
        report |= {
            "settings": settings,
            "input_dir": files.shown(asked.input_dir),
            "output_dir": files.shown(stage.output_dir),
            "made_in": stage.place(),
        }
        files.write_text(_report_of(stage), json.dumps(report, indent=1) + "\n")
    return report


def _report_of(stage: ClipStage) -> str:
    return files.join(stage.output_dir, f"coverage_{stage.name}.json")


def _made_in(stage: ClipStage) -> str:
    """Return where a local output directory was when its clips were made, by the last run's report,
    if nothing is there any more; "" where it has not been moved.
    """
    if files.is_remote(stage.output_dir):
        return ""
    try:
        with open(_report_of(stage), encoding="utf-8") as file:
            before = str(json.load(file)["made_in"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return "" if not before or os.path.lexists(before) else before
