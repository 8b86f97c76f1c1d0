"""Questions that a language model may write: each kind of fault is named, and good ones pass."""

from pathlib import Path

import pytest

from obvlib import mini
from obvlib.core.jsonl import read_rows
from obvlib.curation.question_checks import RULES, Draft, faults
from obvlib.curation.wording import content_words

GOLDEN = Path(__file__).parent / "golden"
CASES = [row for _, row in read_rows(GOLDEN / "question_checks.jsonl")]


def draft(row):
    return Draft(**{name: value for name, value in row.items() if name != "rule"})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["question"][:40])
def test_each_fault_is_named_by_its_rule_and_good_questions_pass(case):
    named = [found.partition(":")[0] for found in faults(draft(case))]
    assert case["rule"] in named if case["rule"] else named == []


def test_every_rule_has_a_case():
    assert {case["rule"] for case in CASES} == set(RULES) | {""}


def test_of_questions_that_were_written_blind_faulty_ones_are_found_and_good_ones_pass():
    """Author labels; a few of the faults need a look at the meaning, which no rule here has."""
    rows = [row for _, row in read_rows(GOLDEN / "blind_questions.jsonl")]
    found = [bool(faults(Draft(**{n: v for n, v in row.items() if n != "kind"}))) for row in rows]
    assert [
        row["question"] for row, f in zip(rows, found, strict=True) if f > bool(row["kind"])
    ] == []
    faulty = [f for row, f in zip(rows, found, strict=True) if row["kind"]]
    assert len(faulty) == 30 and sum(faulty) >= 25


def test_the_corpus_own_questions_pass():
    """Generated from known truth: with four options, none of them may be called faulty."""
    asked = [
        Draft(question=pair.question, options=pair.options, key=pair.answer, caption=clip.caption)
        for clip in mini.rows()
        for pair in clip.qa_pairs
        if pair.options and len(pair.options) == 4
    ]
    assert len(asked) >= 60
    assert [(item.question, faults(item)) for item in asked if faults(item)] == []


def test_content_words_fold_what_means_the_same():
    assert content_words("an X-ray of the kidneys") == ["xray", "kidney"]
    assert content_words("Computed tomography scan") == ["ct"]
    assert content_words("2.5 cm masses") == ["2.5", "cm", "masse"]
