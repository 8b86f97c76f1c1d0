"""Result tables and results that are kept: families before and after with intervals, markdown and
CSV, JSON with its provenance.

A table is a list of dicts, one a row, with accuracies as shares (0 to 1); `readable` turns it into
text in %.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obvlib.core import Example, QAPair, Verdict
from obvlib.core.files import replacing
from obvlib.scoring import (
    Majority,
    Score,
    accuracy,
    by_family,
    learnable,
    learned,
    majority,
    paired,
)

if TYPE_CHECKING:
    import pandas as pd

ALL = "all questions"
INTERVAL = re.compile(r"\[[^\[\]<>]*\]")


def family_table(
    examples: Sequence[Example],
    before: Sequence[Verdict],
    after: Sequence[Verdict],
    training: Iterable[Example | QAPair] = (),
) -> list[dict[str, Any]]:
    """Return one row a question family: majority answer, accuracy before and after with 95 %
    intervals, and whether it was learned.

    The verdict is "learned" where the whole interval lies above the majority answer, else "not
    learned", with ": too few videos" where no score could have shown more. The last row takes all
    questions together; its majority is the families' together, and it is called neither learned nor
    not.
    """
    marks = majority(examples, training)
    first, second = by_family(before), by_family(after)
    rows = []
    for family, asked in by_family(examples).items():
        row = _row(
            family or "no family",
            marks[family].accuracy,
            first.get(family, []),
            second.get(family, []),
        )
        verdict = _judge(second[family], marks[family])
        rows.append(
            row
            | {
                "majority_answer": marks[family].answer,
                "verdict": verdict,
                "num_options": _num_options(asked),
            }
        )
    together = sum(mark.accuracy * mark.num for mark in marks.values()) / len(examples)
    return [
        *rows,
        _row(ALL, together, before, after)
        | {"majority_answer": "", "verdict": "", "num_options": ""},
    ]


def _judge(verdicts: Sequence[Verdict], mark: Majority) -> str:
    if learned(accuracy(verdicts), mark):
        return "learned"
    return "not learned" if learnable(verdicts, mark) else "not learned: too few videos"


def _row(
    name: str, mark: float, before: Sequence[Verdict], after: Sequence[Verdict]
) -> dict[str, Any]:
    change = paired(before, after)
    first, second = accuracy(before), accuracy(after)
    return {
        "family": name,
        "num": second.num,
        "num_videos": second.num_clusters,
        "majority": mark,
        "before": first.mean,
        "before_low": first.low,
        "before_high": first.high,
        "after": second.mean,
        "after_low": second.low,
        "after_high": second.high,
        "difference": change.difference,
        "difference_low": change.low,
        "difference_high": change.high,
        "p_value": change.p_value,
        "mcnemar_p": change.mcnemar_p,
    }


def _num_options(examples: Sequence[Example]) -> str:
    return (
        "/".join(
            str(n)
            for n in sorted({len(example.options) for example in examples if example.options})
        )
        or "open"
    )


def rule_counts(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """Return how answers were read: questions and right ones by rule, the most frequent first.
    Unread and failed ones show here.
    """
    counts: dict[str, list[int]] = {}
    for verdict in verdicts:
        num = counts.setdefault(verdict.rule, [0, 0])
        num[0] += 1
        num[1] += verdict.correct
    return [
        {"rule": rule, "num": num, "right": right}
        for rule, (num, right) in sorted(counts.items(), key=lambda item: (-item[1][0], item[0]))
    ]


def family_rows(verdicts: Iterable[Verdict]) -> list[dict[str, str]]:
    """Return one row a question family: questions, sources, and the score with its interval
    in %.
    """
    rows = []
    for family, some in by_family(verdicts).items():
        score = accuracy(some)
        rows.append(
            {
                "family": family.replace("_", " ") or "no family",
                "questions (sources)": f"{score.num} ({score.num_clusters})",
                "score %": percent(score),
            }
        )
    return rows


def percent(score: Score | tuple[float, float, float]) -> str:
    """Return a score as text: "87.5 [71.0, 95.2]", mean and 95 % interval in %."""
    mean, low, high = (score.mean, score.low, score.high) if isinstance(score, Score) else score
    return f"{100 * mean:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def readable(rows: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    """Return a family table as text in %, one column a number with its interval."""
    return [
        {
            "family": row["family"].replace("_", " "),
            "questions (videos)": f"{row['num']} ({row['num_videos']})",
            "majority %": f"{100 * row['majority']:.1f}",
            "before %": percent((row["before"], row["before_low"], row["before_high"])),
            "after %": percent((row["after"], row["after_low"], row["after_high"])),
            "change": (
                f"{100 * row['difference']:+.1f} [{100 * row['difference_low']:+.1f},"
                f" {100 * row['difference_high']:+.1f}]"
            ),
            "verdict": row["verdict"],
        }
        for row in rows
    ]


def to_markdown(rows: Sequence[dict[str, Any]], columns: Sequence[str] = ()) -> str:
    """Return a markdown table. `columns` chooses and orders; pipes and line breaks in cells are
    made harmless.
    """
    columns = list(columns) or _columns(rows)
    lines = [
        columns,
        ["---"] * len(columns),
        *([_cell(row.get(name, "")) for name in columns] for row in rows),
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def to_latex(rows: Sequence[dict[str, Any]], columns: Sequence[str] = ()) -> str:
    """Return a LaTeX tabular with rules by booktabs; characters that LaTeX reads are escaped."""
    return _frame(rows, columns).to_latex(index=False, escape=True)


def _frame(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Return the texts of a table's cells."""
    import pandas as pd

    columns = list(columns) or _columns(rows)
    cells = [[_text(row.get(name, "")) for name in columns] for row in rows]
    return pd.DataFrame(cells, columns=columns, dtype=str)


class Table:
    """Rows as a table in notebooks and in the rendered book (HTML), and as markdown where
    there is only text.
    """

    def __init__(self, rows: Sequence[dict[str, Any]], columns: Sequence[str] = ()):
        self.rows, self.columns = list(rows), list(columns) or _columns(rows)

    def _repr_html_(self) -> str:
        import pandas as pd

        frame = _frame(self.rows, self.columns)
        frame.columns = [name.replace("_", " ") for name in frame.columns]
        with pd.option_context("display.max_colwidth", None):  # whole cells
            html = frame.to_html(index=False, border=0, classes="table", justify="left")
        # an interval such as [2.1, 64.7] stays on one line
        return INTERVAL.sub(r'<span style="white-space: nowrap">\g<0></span>', html)

    def __repr__(self) -> str:
        return to_markdown(self.rows, self.columns)


def to_csv(rows: Sequence[dict[str, Any]], path: str | os.PathLike) -> Path:
    """Write a table as CSV, whole or not at all."""
    with replacing(path) as partial, open(partial, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _columns(rows), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return Path(path)


def _columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _text(value: Any) -> str:
    return f"{round(value, 2):g}" if isinstance(value, float) else str(value)


def _cell(value: Any) -> str:
    return " ".join(_text(value).replace("|", "\\|").split())
