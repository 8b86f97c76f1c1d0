"""`obv judge`: label pairs, measure a judge on them, judge the open answers of a run, and read the
closed ones that no rule could read.
"""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from obvlib.cli.app import app, leave, show
from obvlib.cli.options import Endpoint

if TYPE_CHECKING:
    from obvlib.evaluation.judge import Judge

judge_app = typer.Typer(
    help="A language model as judge of open answers, measured before it is believed.",
    no_args_is_help=True,
)
app.add_typer(judge_app, name="judge")

ModelName = Annotated[str, typer.Option(help="The name that the server knows the model by.")]
Key = Annotated[str, typer.Option(help="Name of the environment variable that holds the key.")]
Remote = Annotated[
    bool,
    typer.Option(
        "--allow-credentialed",
        help="The data's terms permit sending credentialed answers to this server.",
    ),
]
Pairs = Annotated[str, typer.Option(help="CSV of pairs; default: the author labels.")]


@judge_app.command()
def measure(
    endpoint: Endpoint,
    model: ModelName,
    pairs: Pairs = "",
    half: Annotated[str, typer.Option(help="tuning or held_back; default: both.")] = "",
    api_key_variable: Key = "",
) -> None:
    """Measure a judge on labelled pairs: agreement with intervals, errors, and three probes."""
    from obvlib.evaluation import judge

    labelled = judge.read_pairs(pairs or None, half)
    show(asdict(judge.measure(labelled, _judge(endpoint, model, api_key_variable))))


@judge_app.command()
def run(
    folder: Annotated[Path, typer.Argument(help="The folder of an evaluation.")],
    endpoint: Endpoint,
    model: ModelName,
    second: Annotated[str, typer.Option(help="A second judge, as URL,MODEL.")] = "",
    api_key_variable: Key = "",
    allow_credentialed: Remote = False,
) -> None:
    """Judge a run's open answers; exact match, F1 and judge are three columns.

    The exit status is 3 where some answers got no verdict; judged.jsonl says why.
    """
    from obvlib.evaluation.judging import columns, judge_run

    other_url, _, other_model = second.partition(",")
    other = _judge(other_url, other_model, api_key_variable, allow_credentialed) if second else None
    first = _judge(endpoint, model, api_key_variable, allow_credentialed)
    rows = judge_run(folder, first, other)
    show(columns(rows))
    leave(sum(row.judge is not None for row in rows), len(rows))


@judge_app.command()
def read(
    folder: Annotated[Path, typer.Argument(help="The folder of an evaluation.")],
    endpoint: Endpoint,
    model: ModelName,
    api_key_variable: Key = "",
    allow_credentialed: Remote = False,
) -> None:
    """Let a model read the closed answers that no rule could read; counted apart from the score."""
    from obvlib.evaluation.reading import read_unread, reading_counts

    rows = read_unread(folder, _judge(endpoint, model, api_key_variable, allow_credentialed))
    show(reading_counts(folder, rows))


@judge_app.command()
def label(
    pairs: Annotated[Path, typer.Argument(help="CSV with pair, question, reference, response.")],
    output: Annotated[Path, typer.Option(help="CSV that gets the labels; continued if there.")],
) -> None:
    """Label pairs as right (1) or wrong (0) by data_manifests/judging/rule.md; q stops."""
    from obvlib.evaluation import judge

    columns = ["pair", "half", "question", "reference", "response", "label"]
    known = {p.pair_id for p in judge.read_pairs(output)} if output.exists() else set()
    is_new = not output.exists()
    with open(output, "a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            writer.writerow(columns)
        for pair in judge.read_pairs(pairs):
            if pair.pair_id in known:
                continue
            print(f"\n{pair.question}\n  reference: {pair.reference}\n  response:  {pair.response}")
            said = ""
            while said not in ("0", "1", "q"):
                said = typer.prompt("right (1), wrong (0) or stop (q)").strip()
            if said == "q":
                return
            writer.writerow(
                [pair.pair_id, pair.half, pair.question, pair.reference, pair.response, said]
            )
            file.flush()


def _judge(url: str, model: str, api_key_variable: str, allow_credentialed: bool = False) -> Judge:
    from obvlib.core import data_root
    from obvlib.evaluation.judge import Judge
    from obvlib.llm import Cache
    from obvlib.llm import Endpoint as Server

    server = Server(
        url=url,
        model=model,
        api_key_variable=api_key_variable,
        allow_credentialed=allow_credentialed,
        max_tokens=256,
    )
    return Judge(endpoint=server, cache=Cache(data_root() / "llm" / "cache.sqlite"))
