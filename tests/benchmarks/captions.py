"""Relevance, labels and question checks, measured on sets written before the rules were read and on
what a recogniser heard of the mini corpus: python tests/benchmarks/captions.py FILE.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from obvlib.core import Provenance
from obvlib.core.jsonl import read_rows
from obvlib.curation import judge_captions
from obvlib.curation.labels import FIELDS, label_captions
from obvlib.curation.question_checks import Draft, faults
from obvlib.report import save_result

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def rows_of(name: str) -> list[dict[str, Any]]:
    """Return the rows of a set."""
    return [row for _, row in read_rows(GOLDEN / f"{name}.jsonl")]


def told(what: str, hits: list[bool], labels: str) -> dict[str, Any]:
    """Return a row of the result: how many of a set came out as its labels say."""
    return {"what": what, "right": sum(hits), "of": len(hits), "labels": labels}


def kept_right(rows: list[dict[str, Any]], field: str) -> list[bool]:
    """Return whether each caption is kept or dropped as labelled."""
    judged = judge_captions([row[field] for row in rows])
    return [found.keep == row["keep"] for found, row in zip(judged, rows, strict=True)]


def measured() -> list[dict[str, Any]]:
    """Return all figures."""
    captions, heard = rows_of("blind_captions"), rows_of("heard_passages")
    questions = rows_of("blind_questions")
    drafts = [Draft(**{n: v for n, v in row.items() if n != "kind"}) for row in questions]
    found = [bool(faults(draft)) for draft in drafts]
    pairs = list(zip(found, questions, strict=True))
    plain, hostile = ([c for c in captions if c["hostile"] == side] for side in (False, True))
    labelled = [row for row in heard if row["modality"]]
    said = [row["heard"] for row in labelled]
    return [
        told("raw captions kept or dropped", kept_right(plain, "text"), "author"),
        told("hostile captions kept or dropped", kept_right(hostile, "text"), "author"),
        told("faulty questions found", [f for f, row in pairs if row["kind"]], "author"),
        told("good questions passed", [not f for f, row in pairs if not row["kind"]], "author"),
        told("passages as heard, kept or dropped", kept_right(heard, "heard"), "constructed"),
        *(
            told(
                f"{field} of passages as heard",
                [
                    label.name == row[field]
                    for label, row in zip(label_captions(said, field), labelled, strict=True)
                ],
                "constructed",
            )
            for field in FIELDS
        ),
    ]


if __name__ == "__main__":
    save_result(
        Path(sys.argv[1]),
        title="Captions and questions judged by rules and embeddings",
        rows=measured(),
        provenance=Provenance.collect(seed=0),
    )
