"""`obv build` and `obv train`: from clips to a training set and a fine-tuned model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from obvlib.cli.app import app, fail, leave
from obvlib.cli.options import ClipsDir, Dataset, NumWorkers, OutputDir, Seed, Verify


@app.command()
def build(
    input_dir: ClipsDir,
    output_dir: OutputDir,
    dataset: Dataset = "mini",
    model: Annotated[
        str, typer.Option(help="Whose tokens are counted: tiny, a card, or a directory.")
    ] = "tiny",
    max_tokens: Annotated[int, typer.Option(help="Longer samples are left out.")] = 16_384,
    seed: Seed = 0,
    num_workers: NumWorkers = 1,
    against: Annotated[
        str, typer.Option(help="Benchmarks whose source videos must not occur.")
    ] = "",
    allow_unchecked: Annotated[
        bool, typer.Option(help="Go on where a benchmark's rows cannot be read.")
    ] = False,
    verify: Verify = False,
    push: Annotated[str, typer.Option(help="Upload to this private hub dataset, owner/name.")] = "",
) -> None:
    """Write a training set: turns, frame policy, token counts and lineage of each clip.

    The exit status is 0 when every clip is in it or was left out by a rule, 3 when some are
    missing, 1 when none could be used. Clips of a validation or test split are never in it.
    """
    from obvlib.core import FramePolicy, profile
    from obvlib.manifests import load_rows
    from obvlib.training.dataset import VIDEO_BENCHMARKS, BuildStage, tested_on
    from obvlib.training.dataset import build as build_set
    from obvlib.training.dataset_files import push as push_set

    out = Path(output_dir)
    names = (
        against.split(",")
        if against
        else ["mini"]
        if profile() == "mini"
        else list(VIDEO_BENCHMARKS)
    )
    benchmarks, unchecked = tested_on(names)
    if unchecked and not allow_unchecked:
        name, reason = next(iter(unchecked.items()))
        raise typer.BadParameter(
            f"{name} cannot be checked for shared source videos: {reason}. Or --allow-unchecked"
        )
    found, problems = load_rows(dataset)
    records = [clip for clip in found if clip.is_for_training]
    if tested := [clip for clip in found if clip.split == "test"]:
        benchmarks["the test split of its own rows"] = tested
    if not records:
        leave(0, len(found) + len(problems))
    policy = FramePolicy.mini() if model == "tiny" else FramePolicy()
    stage = BuildStage(
        clips_dir=input_dir, policy=policy, model=model, max_tokens=max_tokens, seed=seed
    )
    run = build_set(
        records,
        out,
        stage,
        benchmarks=benchmarks,
        unchecked=unchecked,
        num_workers=num_workers,
        verify=verify,
    )
    print(f"{len(run)} samples in {out}: {run}; card: {out / 'README.md'}")
    if held_out := len(found) - len(records):
        print(f"{held_out} clips of a validation or test split are not in it")
    for reason, count in run.reasons.most_common():
        print(f"  {count} {reason}")
    if problems:
        print(f"{len(problems)} rows could not be read; the first: {problems[0].reason}")
    if push:
        print(push_set(out, push))
    num_asked = len(records) - run.num_dropped + len(problems)
    leave(len(run), num_asked)


@app.command()
def train(
    config: Annotated[
        str, typer.Argument(help="mini, gpu, full, or a YAML file; default: the profile's.")
    ] = "",
    changes: Annotated[
        list[str] | None, typer.Argument(help="Settings to change, such as learning_rate=2e-5.")
    ] = None,
    seed: Seed = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print tokens, rows, steps, memory, time, disk.")
    ] = False,
    gpu: Annotated[
        str, typer.Option(help="The GPU that --dry-run plans for; default: this machine's.")
    ] = "",
    show: Annotated[
        bool, typer.Option("--show", help="Only print the configuration, to start a file from.")
    ] = False,
) -> None:
    """Fine-tune a model on the clips that `obv slice` has cut. A stopped run resumes from its last
    checkpoint; another configuration gets a folder of its own.
    """
    from obvlib.cli import train_run

    if "=" in config:
        config, changes = "", [config, *(changes or [])]
    try:
        train_run.run(config, changes or [], seed=seed, dry_run=dry_run, gpu=gpu, show=show)
    except (RuntimeError, MemoryError) as error:  # no GPU, too little memory, a loss of NaN
        fail(error)
