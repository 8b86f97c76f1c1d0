"""`obv slice`, `obv prepare` and `obv probe`: from rows and source videos to clips."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from obvlib.cli.app import app, fail, leave, show
from obvlib.cli.options import Dataset, Engine, InputDir, NumWorkers, OutputDir, Split, Verify
from obvlib.core import Clip
from obvlib.manifests import RowProblem


@app.command("slice")
def slice_clips(
    dataset: Dataset,
    input_dir: InputDir,
    output_dir: OutputDir,
    mode: Annotated[
        str,
        typer.Option(
            help="exact (the default: re-encode everything, right in any reader), smart (re-encode"
            " up to the first key frame) or copy (re-encode nothing)."
        ),
    ] = "",
    num_workers: NumWorkers = 1,
    engine: Engine = "local",
    split: Split = "",
    verify: Verify = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what there is to do.")] = False,
) -> None:
    """Cut the clips that a dataset's rows name out of their source videos.

    The exit status is 0 when every clip is there, 3 when some are (missing videos are common), 1
    when none is.
    """
    from obvlib import media, slicing
    from obvlib.manifests import coverage

    clips, problems, whole = _rows(dataset, split)
    if plan:
        return show(coverage.summarize(clips) | {"bad_rows": len(problems)})
    report = slicing.slice_dataset(
        clips,
        problems,
        input_dir,
        output_dir,
        mode=mode or media.DEFAULT_MODE,
        whole_videos=whole,
        num_workers=num_workers,
        engine=engine,
        verify=verify,
    )
    _finish(report)


@app.command()
def prepare(
    dataset: Dataset,
    input_dir: InputDir,
    output_dir: OutputDir,
    max_visual_tokens: Annotated[
        int, typer.Option(help="Token budget of a clip; 0: the profile's.")
    ] = 0,
    num_workers: NumWorkers = 1,
    engine: Engine = "local",
    split: Split = "",
    verify: Verify = False,
) -> None:
    """Write the frames that a model is shown of each clip, straight from the sources.

    The exit status is 0 when every clip is there, 3 when some are, 1 when none is.
    """
    from obvlib import slicing
    from obvlib.core import FramePolicy, settings

    clips, problems, whole = _rows(dataset, split)
    policy = (
        FramePolicy(max_visual_tokens=max_visual_tokens) if max_visual_tokens else FramePolicy()
    )
    if settings.profile() == "mini" and not max_visual_tokens:
        policy = FramePolicy.mini()
    report = slicing.prepare_dataset(
        clips,
        problems,
        input_dir,
        output_dir,
        policy=policy,
        whole_videos=whole,
        num_workers=num_workers,
        engine=engine,
        verify=verify,
    )
    _finish(report)


@app.command()
def probe(
    location: Annotated[str, typer.Argument(help="A video file, s3:// or https://.")],
) -> None:
    """Say what a video file is, as JSON."""
    from obvlib import media

    show(dataclasses.asdict(media.probe(location)))


def _rows(dataset: str, split: str) -> tuple[list[Clip], list[RowProblem], list[str]]:
    """Return clips, rows that could not be read, and the whole videos that MIMICEchoQA names."""
    from obvlib.manifests import load_examples, load_rows

    if dataset.lower() == "mimicechoqa":
        problems: list[RowProblem] = []
        examples = load_examples("MIMICEchoQA", media="", problems=problems)
        return [], problems, [path for example in examples for path in example.media]
    clips, problems = load_rows(dataset, split=split)
    if split and not clips and not problems:
        fail(f"{dataset} has no rows of split {split!r}")
    return clips, problems, []


def _finish(report: dict[str, Any]) -> None:
    """Print a report and exit with the status that tells all, some and none of its clips apart."""
    from obvlib.manifests import coverage

    print(coverage.render(report))
    leave(*coverage.num_made(report))
