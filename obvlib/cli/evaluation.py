"""`obv evaluate`, `rescore`, `ask` and `report`: answers, scores and what they are worth."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from obvlib.cli.app import app, fail, leave

report_app = typer.Typer(
    help="Tables of an evaluation that is there already.", no_args_is_help=True
)
app.add_typer(report_app, name="report")

Model = Annotated[
    str,
    typer.Option(
        help="A checkpoint directory or a card's model; default: the profile's fine-tuned one."
    ),
]
Run = Annotated[Path, typer.Argument(help="The folder of an evaluation.")]


@app.command()
def evaluate(
    benchmark: Annotated[
        str,
        typer.Option(
            help="mini, real_small, SurgeryVideoQA, MIMICEchoQA …; default: the profile's first."
        ),
    ] = "",
    model: Model = "",
    output_dir: Annotated[
        str, typer.Option(help="Where predictions go; default: in the profile's run.")
    ] = "",
    controls: Annotated[
        str, typer.Option(help="Comma-separated, all or none; see chapter 13.")
    ] = "no_visual",
    dataset: Annotated[
        str, typer.Option(help="The benchmark's published file, in place of the hub's rows.")
    ] = "",
    input_dir: Annotated[str, typer.Option(help="Where its videos or pictures are.")] = "",
    limit: Annotated[int, typer.Option(help="Only the first so many questions; 0: all.")] = 0,
) -> None:
    """Answer a benchmark and its blind control, and print scores with what they are worth.

    The exit status is 0 when every question was answered, 3 when some were (missing videos are
    common), 1 when none was. Over several GPUs: accelerate launch -m obvlib.cli evaluate …, whose
    status is 0 also where some were.
    """
    from obvlib import recipes, report
    from obvlib.core import ranks
    from obvlib.evaluation import control_names
    from obvlib.evaluation import evaluate as run_evaluation
    from obvlib.manifests import RowProblem, load_examples

    recipe = recipes.recipe()
    name = benchmark or recipe.benchmarks[0]
    chosen = control_names(controls)
    home = recipe.run_dir if model else recipe.current_run
    out = Path(output_dir or home / "evaluate" / name.lower())
    problems: list[RowProblem] = []
    try:
        examples = load_examples(
            name,
            rows=dataset or None,
            media=input_dir or None,
            limit=limit or None,
            problems=problems,
        )
        if problems and ranks.is_first():
            print(f"{len(problems)} rows are not questions; the first: {problems[0].reason}")
        bundle = _load(model, recipe)
        run = run_evaluation(
            bundle, examples, out, recipe.evaluation, controls=chosen, on_progress=_progress
        )
    except RuntimeError as error:  # no GPU, or several without accelerate
        fail(error)
    if not ranks.is_first():
        return
    _say_states(run)
    if not run.states["ok"]:
        fail("not one question was answered; nothing to score")
    print(report.to_markdown(report.readable_scores(report.score_rows(run))))
    if run.controls:
        print("\n" + report.to_markdown(report.readable_controls(report.control_rows(run))))
    print(out)
    if ranks.world_size() == 1:  # a launcher takes any other status for a crash
        leave(run.states["ok"], len(run.examples) + len(problems))


@app.command()
def rescore(run: Run) -> None:
    """Read and score kept responses again, without the model, and say what changed."""
    from obvlib import evaluation

    changes = evaluation.rescore(run)
    for change in changes:
        where = f" ({change.control})" if change.control else ""
        old, new = change.before, change.after
        print(
            f"{change.example_id}{where}: {_in_words(old)} → {_in_words(new)}; the response was"
            f" {change.response[:80]!r}"
        )
    print(f"{len(changes)} verdicts changed")


@app.command()
def ask(
    video: Annotated[Path, typer.Argument(help="A video or a picture.")],
    question: Annotated[str, typer.Argument(help="What to ask about it.")],
    model: Model = "",
    max_new_tokens: Annotated[int, typer.Option(help="The longest answer, in tokens.")] = 128,
) -> None:
    """Ask a model one question about one video, and show the answer, the frames and the tokens."""
    from obvlib import recipes
    from obvlib.evaluation.asking import ask_about

    recipe = recipes.recipe()
    answer = ask_about(
        _load(model, recipe), video, question, recipe.policy, max_new_tokens=max_new_tokens
    )
    print(answer.text)
    times = ", ".join(f"{time:.2f}" for time in answer.times_s)
    print(f"frames at {times} s" if times else "one picture", file=sys.stderr)
    print(
        f"{answer.num_prompt_tokens} tokens in, {answer.num_visual_tokens} of them visual;"
        f" {answer.num_new_tokens} out",
        file=sys.stderr,
    )


@report_app.command("evaluation")
def report_evaluation(
    run: Run,
    training_dataset: Annotated[
        str,
        typer.Option(help="Rows that the model was trained on, checked for the test's questions."),
    ] = "",
    training_input_dir: Annotated[
        str, typer.Option(help="Directory of the training clips, whose pictures are compared too.")
    ] = "",
) -> None:
    """Write report.md, report.tex and report.json into an evaluation's folder, and print it."""
    from obvlib import report
    from obvlib.evaluation import load_evaluation
    from obvlib.evaluation.contamination import check_training
    from obvlib.manifests import load_rows

    found = load_evaluation(run)
    if training_dataset:
        clips, _ = load_rows(training_dataset)
        trained = [clip for clip in clips if clip.is_for_training]
        check_training(
            trained, found.examples, Path(training_input_dir) if training_input_dir else None
        )
    elif training_input_dir:
        fail("--training-input-dir needs --training-dataset: the rows name the clips")
    made = report.evaluation_report(found)
    paths = report.write_report(made, run)
    print((run / "report.md").read_text(encoding="utf-8"))
    print(", ".join(str(path) for path in paths))


@report_app.command("compare")
def report_compare(before: Run, after: Run) -> None:
    """Print question by question what two runs of one benchmark differ in."""
    from collections import Counter

    from obvlib import report
    from obvlib.evaluation import load_evaluation

    rows = report.compare(load_evaluation(before), load_evaluation(after))
    if rows:
        print(report.to_markdown(rows))
    counts = Counter(row["change"] for row in rows)
    print(", ".join(f"{counts[k]} {k}" for k in ("gained", "lost", "changed reading")))


def _load(model: str, recipe: Any) -> Any:
    """Return the model to ask, on this process's GPU where there is one. An unfinished run has
    none.
    """
    import torch

    from obvlib import models, recipes

    named = recipes.ready_model(recipe, model)
    device = "cpu"
    if torch.cuda.is_available():
        device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
    return models.load(named, device=device)


def _say_states(run: Any) -> None:
    words = {
        "failed": "failed: their media could not be used; they count as wrong",
        "away": "are away: their media were there before; run again when they are back",
        "not_obtained": "were not obtained: their media never were there; outside the score",
    }
    for state, said in words.items():
        if count := run.states[state]:
            print(f"{count} of {len(run.examples)} questions {said}")
    for reason, count in run.reasons()[:5]:
        print(f"  {count} x {reason}")
    if not run.is_complete:
        print("this run is incomplete")


def _in_words(verdict: Any) -> str:
    if verdict is None:
        return "no verdict"
    right = "right" if verdict.correct else "wrong"
    return f"{verdict.choice or 'unread'}, {right} ({verdict.rule})"


def _progress(done: int, total: int) -> None:
    print(
        f"\r{done}/{total} questions",
        end="\n" if done == total else "",
        file=sys.stderr,
        flush=True,
    )
