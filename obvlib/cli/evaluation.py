"""`obv evaluate`: a benchmark answered and scored."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from obvlib.cli.app import app, fail


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
        fail(
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
        fail(error)
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
