"""The `obv` command. Every subcommand is a few lines around the library, whose heavy parts are
imported only when it runs.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from typing import Annotated

import typer
import typer.core

from obvlib.manifests import HubUnavailable


class OneLineErrors(typer.core.TyperGroup):
    """What a user can mend is one line and exit status 1; `OBV_DEBUG=1` shows the traceback."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except (HubUnavailable, OSError, ValueError, sqlite3.DatabaseError) as error:
            if os.environ.get("OBV_DEBUG"):
                raise
            _fail(error)


app = typer.Typer(
    help="From educational biomedical videos to a fine-tuned vision-language model.",
    no_args_is_help=True,
    cls=OneLineErrors,
)


@app.callback()
def main() -> None:
    """From educational biomedical videos to a fine-tuned vision-language model and scores that can
    be believed.
    """
    from obvlib.core import settings

    settings.profile()
    settings.data_root()


@app.command()
def doctor(
    profile: Annotated[
        str, typer.Option(help="Profile that must be able to run: mini, gpu or full.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what this machine can run, what is missing, and what to do about it."""
    import json

    from obvlib.cli import doctor
    from obvlib.core import settings

    chosen = profile or settings.profile()
    if chosen not in settings.PROFILES:
        raise typer.BadParameter(
            f"{chosen!r} is not one of {', '.join(settings.PROFILES)}", param_hint="--profile"
        )
    report = doctor.examine()
    print(
        json.dumps(report.to_dict() | {"profile": chosen}, indent=1)
        if as_json
        else doctor.render(report, chosen)
    )
    raise typer.Exit(0 if report.can_run(chosen) else 1)


@app.command()
def pin(
    cards: Annotated[
        list[str] | None, typer.Argument(help="Names of cards; default: every one from the hub.")
    ] = None,
) -> None:
    """Record the newest hub revision of datasets and models in their cards, so that results can
    name what they were made from.
    """
    from obvlib import manifests
    from obvlib.manifests import cards

    for name in cards or [
        name for name in manifests.card_names() if manifests.load_card(name).hub_id
    ]:
        before, now = cards.pin(name)
        print(
            f"{name}: {now}"
            + (" as before" if before == now else f" instead of {before}" if before else "")
        )


@app.command()
def build(
    clips: Annotated[
        Path, typer.Option(help="Directory of the prepared clips or slices, named as the rows say.")
    ],
    out: Annotated[Path, typer.Option(help="Where the training set goes.")],
    rows: Annotated[
        str, typer.Option(help="A dataset's card, or a JSON lines file of clips.")
    ] = "mini",
    model: Annotated[
        str, typer.Option(help="Whose tokens are counted: tiny, a card, or a directory.")
    ] = "tiny",
    max_tokens: Annotated[int, typer.Option(help="Longer samples are left out.")] = 16_384,
    seed: Annotated[int, typer.Option(help="Chooses the describe prompts.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    against: Annotated[
        str, typer.Option(help="Benchmarks whose source videos must not occur.")
    ] = "",
    allow_unchecked: Annotated[
        bool, typer.Option(help="Go on where a benchmark's rows cannot be read.")
    ] = False,
    push: Annotated[str, typer.Option(help="Upload to this private hub dataset, owner/name.")] = "",
) -> None:
    """Write a training set: turns, frame policy, token counts and lineage of each clip, with its
    data card.
    """
    from obvlib.core import FramePolicy, profile
    from obvlib.manifests import load_rows
    from obvlib.training import dataset

    names = (
        against.split(",")
        if against
        else ["mini"]
        if profile() == "mini"
        else list(dataset.VIDEO_BENCHMARKS)
    )
    benchmarks, unchecked = dataset.tested_on(names)
    if unchecked and not allow_unchecked:
        name, reason = next(iter(unchecked.items()))
        raise typer.BadParameter(
            f"{name} cannot be checked for shared source videos: {reason}. Or --allow-unchecked"
        )
    found, problems = load_rows(rows)
    records = [clip for clip in found if clip.split != "test"]
    policy = FramePolicy.mini() if model == "tiny" else FramePolicy()
    stage = dataset.BuildStage(
        clips_dir=str(clips), policy=policy, model=model, max_tokens=max_tokens, seed=seed
    )
    try:
        run = dataset.build(
            records, out, stage, benchmarks=benchmarks, unchecked=unchecked, num_workers=workers
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    print(
        f"{len(run)} samples in {out}; {run.num_skipped} from before, {run.num_dropped} dropped,"
        f" {run.num_failed} failed"
    )
    print(f"{len(problems)} rows could not be read" if problems else f"card: {out / 'README.md'}")
    if push:
        print(dataset.push(out, push))


@app.command("slice")
def slice_clips(
    dataset: Annotated[
        str, typer.Option(help="OpenBiomedVid, SurgeryVideoQA, MIMICEchoQA, mini, or a ROWS.jsonl.")
    ],
    input_dir: Annotated[
        str, typer.Option(help="Where the source videos are: a directory, s3:// or https://.")
    ],
    output_dir: Annotated[str, typer.Option(help="Where the clips go: a directory or s3://.")],
    mode: Annotated[
        str, typer.Option(help="smart, exact (re-encode everything) or copy (re-encode nothing).")
    ] = "smart",
    num_workers: Annotated[int, typer.Option(help="Worker processes, or CPUs of a local Ray.")] = 1,
    engine: Annotated[
        str, typer.Option(help="local, or ray: the cluster in RAY_ADDRESS.")
    ] = "local",
    split: Annotated[str, typer.Option(help="Only this split.")] = "",
    plan: Annotated[bool, typer.Option("--plan", help="Only say what there is to do.")] = False,
) -> None:
    """Cut the clips that a dataset's rows name out of their source videos, and report what became
    of each.
    """
    from obvlib import slicing
    from obvlib.manifests import coverage, load_rows

    clips, problems, whole = _rows(load_rows, dataset, split)
    if plan:
        return _show(coverage.summarize(clips) | {"bad_rows": len(problems)})
    _finish(
        slicing.slice_dataset,
        clips,
        problems,
        input_dir,
        output_dir,
        mode=mode,
        num_workers=num_workers,
        engine=engine,
        whole_videos=whole,
    )


@app.command()
def prepare(
    dataset: Annotated[
        str, typer.Option(help="OpenBiomedVid, SurgeryVideoQA, MIMICEchoQA, mini, or a ROWS.jsonl.")
    ],
    input_dir: Annotated[
        str, typer.Option(help="Where the source videos are: a directory, s3:// or https://.")
    ],
    output_dir: Annotated[
        str, typer.Option(help="Where the prepared clips go: a directory or s3://.")
    ],
    max_visual_tokens: Annotated[
        int, typer.Option(help="Token budget of a clip; 0: the profile's.")
    ] = 0,
    num_workers: Annotated[int, typer.Option(help="Worker processes, or CPUs of a local Ray.")] = 1,
    engine: Annotated[
        str, typer.Option(help="local, or ray: the cluster in RAY_ADDRESS.")
    ] = "local",
    split: Annotated[str, typer.Option(help="Only this split.")] = "",
) -> None:
    """Write what a model is shown of each clip (1 frame per second, within the token budget),
    straight from the sources.
    """
    from obvlib import slicing
    from obvlib.core import FramePolicy, settings
    from obvlib.manifests import load_rows

    clips, problems, whole = _rows(load_rows, dataset, split)
    policy = (
        FramePolicy(max_visual_tokens=max_visual_tokens) if max_visual_tokens else FramePolicy()
    )
    if settings.profile() == "mini" and not max_visual_tokens:
        policy = FramePolicy.mini()
    _finish(
        slicing.prepare_dataset,
        clips,
        problems,
        input_dir,
        output_dir,
        policy=policy,
        whole_videos=whole,
        num_workers=num_workers,
        engine=engine,
    )


@app.command()
def probe(
    location: Annotated[str, typer.Argument(help="A video file, s3:// or https://.")],
) -> None:
    """Say what a video file is, as JSON."""
    import dataclasses

    from obvlib import media

    _show(dataclasses.asdict(media.probe(location)))


@app.command()
def train(
    seed: Annotated[int, typer.Option(help="Of weights, generated clips and their order.")] = 0,
) -> None:
    """Fine-tune the profile's model on its dataset's clips, which `obv slice` has cut; a stopped
    run goes on.
    """
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
        _fail(error)
    print(f"{result.num_steps} steps in {result.seconds:.0f} s: {recipe.run_dir / 'model'}")


@app.command()
def evaluate(
    benchmark: Annotated[
        str,
        typer.Option(
            help="mini, real_small, SurgeryVideoQA, MIMICEchoQA …; default: the profile's first."
        ),
    ] = "",
    model: Annotated[
        str,
        typer.Option(
            help="A checkpoint directory or a card's model; default: the profile's fine-tuned one."
        ),
    ] = "",
    output_dir: Annotated[
        str, typer.Option(help="Where predictions go; default: in the profile's run.")
    ] = "",
) -> None:
    """Answer a benchmark's questions and print the scores by question family."""
    from obvlib import models, recipes, report, scoring
    from obvlib.evaluation import predictions
    from obvlib.manifests import load_examples

    recipe = recipes.recipe()
    name = benchmark or recipe.benchmarks[0]
    if not model and not (recipe.run_dir / "model").is_dir():
        _fail(
            f"no fine-tuned model in {recipe.run_dir}: run `obv train` first, or name one with"
            " --model"
        )
    out = Path(output_dir or recipe.run_dir / "evaluate" / name.lower()) / "predictions.jsonl"
    try:
        examples = load_examples(name)
        bundle = models.load(model or str(recipe.run_dir / "model"))
        answered = predictions.predict(
            bundle, examples, out, recipe.evaluation, on_progress=_progress
        )
    except RuntimeError as error:  # no GPU, or several without accelerate
        _fail(error)
    verdicts = scoring.score_all(examples, answered)
    for family, asked in scoring.by_family(verdicts).items():
        print(
            f"{family or 'all':<20} {report.percent(scoring.accuracy(asked))}  ({len(asked)}"
            " questions)"
        )
    print(out)


def _progress(done: int, total: int) -> None:
    print(
        f"\r{done}/{total} questions",
        end="\n" if done == total else "",
        file=sys.stderr,
        flush=True,
    )


def _rows(load_rows, dataset: str, split: str):
    """Clips, rows that are none, and videos that are clips as they are: MIMICEchoQA's rows name
    whole loops.
    """
    from obvlib.manifests import load_examples

    if dataset.lower() == "mimicechoqa":
        problems = []
        examples = load_examples("MIMICEchoQA", media="", problems=problems)
        return [], problems, [path for example in examples for path in example.media]
    clips, problems = load_rows(dataset, split=split)
    if split and not clips and not problems:
        _fail(f"{dataset} has no rows of split {split!r}")
    return clips, problems, []


def _finish(run, *args, **options) -> None:
    """Run a stage over a dataset and print its report; 1 as exit status where it stopped or nothing
    could be made.
    """
    from obvlib.engine import StageStopped
    from obvlib.manifests import coverage

    try:
        report = run(*args, **options)
    except StageStopped as error:
        _fail(error)
    print(coverage.render(report))
    made = report["clips"]["done"] + report["clips"]["skipped"]
    raise typer.Exit(0 if made or not report["num_clips"] + report["bad_rows"] else 1)


def _show(value: dict) -> None:
    import json

    print(json.dumps(value, indent=1, ensure_ascii=False))


def _fail(error: Exception | str) -> None:
    print(f"error: {error}", file=sys.stderr)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
