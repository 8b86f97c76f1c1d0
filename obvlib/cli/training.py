"""`obv build` and `obv train`: from clips to a training set and a fine-tuned model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from obvlib.cli.app import app, fail
from obvlib.cli.options import ClipsDir, Dataset, NumWorkers, OutputDir, Seed


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
    push: Annotated[str, typer.Option(help="Upload to this private hub dataset, owner/name.")] = "",
) -> None:
    """Write a training set: turns, frame policy, token counts and lineage of each clip."""
    from obvlib.core import FramePolicy, profile
    from obvlib.manifests import load_rows
    from obvlib.training.dataset import VIDEO_BENCHMARKS, BuildStage, tested_on
    from obvlib.training.dataset import build as build_set
    from obvlib.training.dataset import push as push_set

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
    records = [clip for clip in found if clip.split != "test"]
    policy = FramePolicy.mini() if model == "tiny" else FramePolicy()
    stage = BuildStage(
        clips_dir=input_dir, policy=policy, model=model, max_tokens=max_tokens, seed=seed
    )
    try:
        run = build_set(
            records, out, stage, benchmarks=benchmarks, unchecked=unchecked, num_workers=num_workers
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    print(
        f"{len(run)} samples in {out}; {run.num_skipped} from before, {run.num_dropped} dropped,"
        f" {run.num_failed} failed"
    )
    print(f"{len(problems)} rows could not be read" if problems else f"card: {out / 'README.md'}")
    if push:
        print(push_set(out, push))


@app.command()
def train(seed: Seed = 0) -> None:
    """Fine-tune the profile's model on the clips that `obv slice` has cut, or resume a run."""
    from obvlib import recipes
    from obvlib.manifests import load_examples, load_rows

    recipe = recipes.recipe()
    try:
        clips, _ = load_rows(recipe.dataset)
        training = [clip for clip in clips if clip.split != "test"][: recipe.limit]
        tested = [example for name in recipe.benchmarks for example in load_examples(name)]
        bundle = recipes.load_model(recipe, seed=seed)
        result = recipes.finetune(
            recipe,
            bundle,
            training,
            tested=tested,
            seed=seed,
            on_log=lambda step, loss: print(f"step {step}: loss {loss:.4f}"),
        )
    except RuntimeError as error:  # no GPU, or several without accelerate
        fail(error)
    print(f"{result.num_steps} steps in {result.seconds:.0f} s: {recipe.run_dir / 'model'}")
