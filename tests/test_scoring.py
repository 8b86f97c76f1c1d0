"""Scoring: verdicts by rule, intervals that cover the truth, the majority answer, and paired
comparison against reference tests.
"""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from obvlib.core.records import Example, Prediction, QAPair, Verdict
from obvlib.scoring.intervals import clustered_wilson, design_effect, t_quantile, wilson
from obvlib.scoring.scores import accuracy, by_family, learned, majority, paired, sign_flip_p
from obvlib.scoring.verdicts import score_all, verdict

CLOSED = Example(
    example_id="c",
    benchmark="mini",
    video_id="v1",
    question="Which modality?",
    answer="B",
    options={"A": "Ultrasound", "B": "CT"},
    family="modality",
    media=("a.mp4",),
)
YES_NO = replace(
    CLOSED, example_id="y", question="Is there a polyp?", answer="Yes", options=None, family="polyp"
)
OPEN = replace(
    CLOSED,
    example_id="o",
    question="What moves?",
    answer="the mitral valve",
    options=None,
    family="open",
)


def said(example, response):
    return verdict(example, Prediction(example_id=example.example_id, response=response))


@pytest.mark.parametrize(
    ("example", "response", "correct", "choice", "rule"),
    [
        (CLOSED, "(B)", True, "B", "choice:letter"),
        (CLOSED, "CT", True, "B", "choice:text"),
        (CLOSED, "A", False, "A", "choice:letter"),
        (CLOSED, "no idea", False, None, "choice:no option"),
        (CLOSED, "", False, None, "choice:empty"),
        (YES_NO, "Yes, a polyp", True, "yes", "yes_no:leading"),
        (YES_NO, "There is no polyp", False, "no", "yes_no:asserted"),
        (YES_NO, "A polyp?", False, None, "yes_no:no answer"),
        (OPEN, "Mitral valve", True, "Mitral valve", "open:exact"),
        (OPEN, "the septum", False, "the septum", "open:missing"),
        (OPEN, "", False, None, "open:empty"),
    ],
)
def test_verdict(example, response, correct, choice, rule):
    row = said(example, response)
    assert (row.correct, row.choice, row.rule) == (correct, choice, rule)
    assert (row.example_id, row.video_id, row.family) == (example.example_id, "v1", example.family)
    assert row.answer == example.answer


def test_a_failed_prediction_is_wrong_and_says_why():
    row = verdict(
        CLOSED, Prediction(example_id="c", response="", status="failed", reason="no frames")
    )
    assert (row.correct, row.choice, row.rule) == (False, None, "failed:no frames")


def test_a_verdict_needs_its_own_prediction():
    with pytest.raises(ValueError, match="'x' is not of example 'c'"):
        verdict(CLOSED, Prediction(example_id="x", response="B"))


def test_score_all_keeps_every_example():
    rows = score_all([CLOSED, OPEN], [Prediction(example_id="o", response="mitral valve")])
    assert [(row.example_id, row.correct, row.rule) for row in rows] == [
        ("c", False, "failed:no prediction"),
        ("o", True, "open:exact"),
    ]


def test_score_all_refuses_what_would_count_twice_or_not_at_all():
    answer = Prediction(example_id="c", response="B")
    with pytest.raises(ValueError, match="Prediction of example 'c' is given twice"):
        score_all([CLOSED], [answer, answer])
    with pytest.raises(ValueError, match="Example of example 'c' is given twice"):
        score_all([CLOSED, CLOSED], [answer])
    with pytest.raises(ValueError, match="1 predictions of unknown examples, the first 'z'"):
        score_all([CLOSED], [replace(answer, example_id="z")])


def rows_of(rights, sizes):
    """Verdicts with so many right answers of so many questions for each source video."""
    return [
        Verdict(
            example_id=f"{source}-{i}",
            benchmark="b",
            video_id=f"v{source}",
            family="f",
            correct=i < right,
            choice=None,
            rule="",
        )
        for source, (right, size) in enumerate(zip(rights, sizes, strict=True))
        for i in range(size)
    ]


# intervals


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 6, 7, 9, 12, 20, 59, 500, 10_000])
def test_t_quantile_against_scipy(degrees):
    assert t_quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), abs=1e-4)


@pytest.mark.parametrize(("right", "num"), [(0, 8), (1, 8), (4, 8), (8, 8), (30, 90), (999, 1000)])
def test_wilson_against_scipy(right, num):
    reference = stats.binomtest(right, num).proportion_ci(method="wilson")
    assert wilson(right / num, num, stats.norm.ppf(0.975)) == pytest.approx(
        (reference.low, reference.high), abs=1e-9
    )


def test_one_question_a_source_gives_nearly_the_plain_interval():
    score = accuracy(rows_of([1] * 300 + [0] * 100, [1] * 400))
    reference = stats.binomtest(300, 400).proportion_ci(method="wilson")
    assert (score.mean, score.num, score.num_clusters) == (0.75, 400, 400)
    assert (score.low, score.high) == pytest.approx((reference.low, reference.high), abs=0.001)


def test_copies_of_a_source_s_answer_add_nothing():
    once = clustered_wilson([1] * 30 + [0] * 10, [1] * 40)
    assert clustered_wilson([9] * 30 + [0] * 10, [9] * 40) == pytest.approx(once)


def test_the_robust_variance_is_that_of_the_sandwich():
    """The design effect times the binomial variance is the ratio estimator's variance, here from
    numpy.
    """
    rights, sizes = np.array([3, 9, 1, 6, 0, 5]), np.array([4, 9, 7, 8, 5, 5])
    share = rights.sum() / sizes.sum()
    binomial = share * (1 - share) / sizes.sum()
    expected = 6 / 5 * ((rights - share * sizes) ** 2).sum() / sizes.sum() ** 2
    effect = design_effect(list(rights - share * sizes), list(sizes), share * (1 - share), 0.0)
    assert effect * binomial == pytest.approx(expected)


@given(
    st.lists(st.tuples(st.integers(1, 12), st.floats(0, 1)), min_size=1, max_size=30).map(
        lambda rows: ([round(size * part) for size, part in rows], [size for size, _ in rows])
    )
)
def test_an_interval_is_within_bounds_has_width_and_holds_the_mean(sources):
    score = accuracy(rows_of(*sources))
    assert 0 <= score.low <= score.mean + 1e-12 and score.mean - 1e-12 <= score.high <= 1
    assert score.high - score.low > 0.01


def test_all_right_and_all_wrong_have_mirrored_width():
    right, wrong = accuracy(rows_of([3] * 8, [3] * 8)), accuracy(rows_of([0] * 8, [3] * 8))
    assert (right.low, right.high) == pytest.approx((1 - wrong.high, 1 - wrong.low))
    assert right.high == 1 and 0.6 < right.low < 0.9


def test_a_better_score_never_has_a_much_lower_bound():
    """No jump at 100 %, where nothing can be estimated from the answers."""
    lows = [accuracy(rows_of([12] * 7 + [right], [12] * 8)).low for right in range(9, 13)]
    assert lows == sorted(lows)


def test_one_source_says_nothing_of_others():
    score = accuracy(rows_of([5], [5]))
    assert (score.low, score.mean, score.high, score.num_clusters) == (0.0, 1.0, 1.0, 1)


def test_accuracy_needs_verdicts_and_each_once():
    with pytest.raises(ValueError, match="no verdicts"):
        accuracy([])
    with pytest.raises(ValueError, match="given twice"):
        accuracy(rows_of([1], [1]) * 2)


def draw_sources(rng, num_sources, size, share, correlation):
    """Right answers by source, beta-binomial: the intra-source correlation is `correlation`."""
    sizes = [max(1, round(rng.gauss(size, size / 3))) for _ in range(num_sources)]
    spread = 1 / correlation - 1 if correlation else math.inf
    shares = [
        rng.betavariate(share * spread, (1 - share) * spread) if correlation else share
        for _ in sizes
    ]
    return [
        sum(rng.random() < p for _ in range(n)) for n, p in zip(sizes, shares, strict=True)
    ], sizes


@pytest.mark.parametrize("num_sources", [4, 8, 24, 60])
@pytest.mark.parametrize(
    ("share", "correlation"), [(0.5, 0.0), (0.5, 0.3), (0.9, 0.1), (0.9, 0.3), (0.97, 0.1)]
)
def test_the_interval_covers_the_truth(num_sources, share, correlation):
    rng = random.Random(f"{num_sources} {share} {correlation}")
    covered = 0
    for _ in range(400):
        low, high = clustered_wilson(*draw_sources(rng, num_sources, 6, share, correlation))
        covered += low <= share <= high
    assert covered / 400 >= 0.92  # 95 % less three standard errors of this simulation


def test_a_plain_bootstrap_would_not_cover_and_agrees_where_sources_are_many():
    rng = random.Random(1)
    covered = 0
    for _ in range(150):
        rights, sizes = map(np.array, draw_sources(rng, 8, 6, 0.97, 0.1))
        drawn = np.random.default_rng(0).integers(0, 8, (300, 8))
        low, high = np.quantile(rights[drawn].sum(1) / sizes[drawn].sum(1), [0.025, 0.975])
        covered += low <= 0.97 <= high
    assert covered / 150 < 0.8
    rights, sizes = map(np.array, draw_sources(rng, 400, 6, 0.6, 0.3))
    drawn = np.random.default_rng(0).integers(0, 400, (2000, 400))
    bootstrap = np.quantile(rights[drawn].sum(1) / sizes[drawn].sum(1), [0.025, 0.975])
    assert clustered_wilson(list(rights), list(sizes)) == pytest.approx(bootstrap, abs=0.01)


# the majority answer


def asked(answers, family="modality", options=None):
    return [
        replace(
            OPEN,
            example_id=f"{family}{i}",
            video_id=f"v{i}",
            answer=answer,
            family=family,
            options=options,
        )
        for i, answer in enumerate(answers)
    ]


def test_majority_is_by_text_where_letters_are_shuffled():
    one, other = {"A": "CT", "B": "MRI", "C": "X-ray"}, {"A": "MRI", "B": "X-ray", "C": "ct."}
    examples = [replace(CLOSED, example_id=str(i), options=one, answer="A") for i in range(2)]
    examples += [replace(CLOSED, example_id=str(i), options=other, answer="C") for i in range(2, 4)]
    examples += [replace(CLOSED, example_id="5", options=other, answer="A")]
    (mark,) = majority(examples).values()
    assert (mark.answer, mark.kind, mark.accuracy, mark.num) == ("ct", "text", 0.8, 5)


def test_majority_comes_from_training_where_there_is_any():
    examples = asked(["echo"] * 6 + ["ct"] * 4) + asked(["yes", "no", "no"], "polyp")
    training = [
        QAPair(question="q", answer=answer, family="modality") for answer in ["ct", "ct", "echo"]
    ]
    marks = majority(examples, training)
    assert (marks["modality"].answer, marks["modality"].accuracy) == ("ct", 0.4)
    assert (marks["polyp"].answer, marks["polyp"].accuracy) == ("no", pytest.approx(2 / 3))


def test_a_tie_in_training_goes_to_the_harder_mark():
    training = [QAPair(question="q", answer=answer, family="modality") for answer in ["ct", "echo"]]
    assert majority(asked(["ct", "echo", "echo"]), training)["modality"].answer == "echo"
    assert majority(asked(["ct", "ct", "echo"]), training)["modality"].answer == "ct"


def test_questions_with_texts_of_their_own_are_measured_against_chance():
    examples = [
        replace(
            CLOSED,
            example_id=str(i),
            options={"A": f"a{i}", "B": f"b{i}", "C": f"c{i}", "D": f"d{i}"},
        )
        for i in range(8)
    ]
    (mark,) = majority(examples).values()
    assert (mark.kind, mark.accuracy) == ("chance", 0.25)


def test_yes_or_no_is_at_least_a_coin():
    training = [QAPair(question="q", answer="No", family="polyp")]
    (mark,) = majority(asked(["Yes", "yes", "no"], "polyp"), training).values()
    assert (mark.kind, mark.accuracy) == ("chance", 0.5)
    (mark,) = majority(asked(["Yes", "no", "no"], "polyp"), training).values()
    assert (mark.kind, mark.answer, mark.accuracy) == ("text", "no", pytest.approx(2 / 3))


def test_a_training_answer_that_never_comes_scores_zero():
    training = [QAPair(question="q", answer="mri", family="modality")]
    assert majority(asked(["ct", "echo"]), training)["modality"].accuracy == 0.0


def test_learned_asks_for_the_whole_interval():
    score = accuracy(rows_of([1] * 15 + [0] * 5, [1] * 20))
    assert score.low < 0.6 < score.mean == 0.75
    assert not learned(score, 0.6)
    assert not learned(score, score.low)
    assert learned(score, score.low - 1e-9)
    (mark,) = majority(asked(["ct"] * 1 + ["echo"] * 1)).values()
    assert mark.accuracy == 0.5 < score.low and learned(score, mark)


def test_families_are_in_alphabetical_order():
    assert list(by_family([OPEN, CLOSED, YES_NO])) == ["modality", "open", "polyp"]


# before and after


def both(changes, sizes=None):
    """Verdicts before and after with the given change (−1, 0, 1) of each question, one question a
    source unless `sizes` says otherwise.
    """
    sizes = sizes or [1] * len(changes)
    sources = [source for source, size in enumerate(sizes) for _ in range(size)]
    rows = [
        Verdict(
            example_id=str(i),
            benchmark="b",
            video_id=f"v{source}",
            family="",
            correct=c < 0,
            choice=None,
            rule="",
        )
        for i, (c, source) in enumerate(zip(changes, sources, strict=True))
    ]
    return rows, [replace(row, correct=c > 0) for row, c in zip(rows, changes, strict=True)]


@pytest.mark.parametrize(
    ("better", "worse", "same"), [(10, 2, 8), (3, 3, 4), (0, 0, 9), (1, 0, 0), (30, 10, 60)]
)
def test_mcnemar_against_scipy(better, worse, same):
    result = paired(*both([1] * better + [-1] * worse + [0] * same))
    expected = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert result.mcnemar_p == pytest.approx(expected)
    assert result.p_value == pytest.approx(expected)  # one question a source: the same test
    assert (result.num_better, result.num_worse, result.num) == (
        better,
        worse,
        better + worse + same,
    )
    assert result.difference == pytest.approx((better - worse) / result.num)
    assert result.after - result.before == pytest.approx(result.difference)


def test_sign_flips_against_scipy_permutation():
    changes = [3, -1, 2, 2, 0, 4, -2, 1]
    reference = stats.permutation_test(
        (np.array(changes, float),), np.sum, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_p(changes) == pytest.approx(reference.pvalue)


def test_clusters_count_once():
    changes = [1] * 12 + [0] * 12
    clustered = paired(*both(changes, [6, 6, 6, 6]))
    # two sources changed, both upwards: 2 of 4 sign patterns are as extreme
    assert clustered.p_value == 0.5
    assert clustered.mcnemar_p == pytest.approx(2 / 2**12)
    assert clustered.low < 0 < clustered.high


def test_no_change_is_no_certainty():
    result = paired(*both([0] * 20))
    assert (result.difference, result.p_value) == (0, 1)
    assert result.low < -0.05 and result.high > 0.05


def test_one_source_alone_gives_the_widest_interval():
    assert (paired(*both([1, 1], [2])).low, paired(*both([1, 1], [2])).high) == (-1.0, 1.0)


def test_before_and_after_are_of_the_same_questions():
    before, after = both([1, 0])
    with pytest.raises(ValueError, match="same examples.*2 and 1, differing in"):
        paired(before, after[:1])
    with pytest.raises(ValueError, match="at least one"):
        paired([], [])


@pytest.mark.parametrize(
    ("num_sources", "size", "up", "down"), [(8, 6, 0.5, 0.1), (24, 4, 0.3, 0.3), (60, 1, 0.2, 0.05)]
)
def test_the_interval_of_the_difference_covers_the_truth(num_sources, size, up, down):
    rng = random.Random(num_sources)
    covered = significant = 0
    for _ in range(200):
        changes = []
        for _ in range(num_sources):
            favour = rng.betavariate(up * 5, (1 - up) * 5)
            rest = (1 - favour) * down / (1 - up)
            changes += rng.choices([1, -1, 0], [favour, rest, 1 - favour - rest], k=size)
        result = paired(*both(changes, [size] * num_sources))
        covered += result.low <= up - down <= result.high
        significant += result.p_value < 0.05
    assert covered / 200 >= 0.90
    if up == down:
        assert significant / 200 <= 0.10


def test_many_sources_take_little_time():
    rng = random.Random(0)
    assert 0 <= sign_flip_p([rng.randint(-5, 5) for _ in range(1000)]) <= 1
