"""Scores to segments: the exact rule, against a plain loop, and what the stage adds around it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obvlib.curation import Segment, find_segments
from obvlib.curation.measures import auc, boundary_errors, plain_words, segment_f1, word_edits
from obvlib.curation.segments import (
    SegmentSettings,
    changes_of,
    segments_of_scores,
    smooth_scores,
    snap_to_cuts,
)


def plain_loop(scores, threshold, max_gap, min_length_s, step_s):
    """The rule as one would say it aloud."""
    found, start, last, gap = [], None, None, 0
    for index, score in enumerate(scores):
        if float(score) >= threshold:
            start, last, gap = index if start is None else start, index, 0
        elif start is not None:
            gap += 1
            if gap > max_gap:
                found.append((start * step_s, last * step_s))
                start = None
    if start is not None:
        found.append((start * step_s, last * step_s))
    return [s for s in found if s[1] - s[0] >= min_length_s]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.5, 0.63999, 0.64, 0.7, 1.0]), max_size=60),
    st.integers(0, 12),
    st.sampled_from([0.0, 0.5, 1.0, 2.5]),
    st.sampled_from([0.5, 0.1, 1 / 3]),
)
def test_equals_a_plain_loop(scores, max_gap, min_length_s, step_s):
    found = find_segments(scores, 0.64, max_gap, min_length_s, step_s)
    assert found == plain_loop(scores, 0.64, max_gap, min_length_s, step_s)


def test_worked_example():
    scores = [0.1, 0.9, 0.2, 0.2, 0.7, 0.1, 0.1, 0.1, 0.8]
    assert find_segments(scores, max_gap=2) == [Segment(0.5, 2.0), Segment(4.0, 4.0)]
    assert find_segments(scores, max_gap=3) == [Segment(0.5, 4.0)]
    assert find_segments(scores, max_gap=2, min_length_s=0.5) == [Segment(0.5, 2.0)]
    assert find_segments([]) == []


def test_the_threshold_itself_is_positive_and_was_not_in_the_original():
    assert find_segments([0.64]) == [Segment(0.0, 0.0)]
    assert find_segments([0.64], threshold=np.nextafter(0.64, 2)) == []  # the original's strict >


def test_scores_are_compared_in_double_precision():
    single = np.array([0.64], np.float32)  # 0.63999998...
    assert find_segments(single) == []


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"scores": [0.1, float("nan")]}, r"scores\[1\] is NaN"),
        ({"scores": [[0.1]]}, "shape"),
        ({"scores": [0.1], "max_gap": -1}, "max_gap is -1"),
        ({"scores": [0.1], "step_s": 0}, "step_s is 0"),
        ({"scores": [0.1], "threshold": float("nan")}, "threshold is nan"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(kwargs, message):
    with pytest.raises(ValueError, match=message):
        find_segments(**kwargs)


def test_smoothing_stays_within_a_shot():
    scores = np.array([0.9, 0.9, 0.1, 0.1])
    same = smooth_scores(scores, np.zeros(4), num=1, max_change=0.35)
    cut = smooth_scores(scores, np.array([0, 0, 1.0, 0]), num=1, max_change=0.35)
    assert same[1] < 0.9
    assert cut == pytest.approx(scores)
    assert len(smooth_scores(np.array([0.5]), np.zeros(1), num=5, max_change=1)) == 1


def test_a_segment_becomes_a_clip_by_one_step_and_short_ones_go():
    scores = np.array([0.9] * 3 + [0.0] * 5 + [0.9] * 4)
    changes = np.zeros(12)
    changes[[3, 8]] = 1
    kept = SegmentSettings(smooth=0, max_gap=0)
    assert segments_of_scores(scores, changes, kept) == [Segment(4.0, 6.0)]
    assert changes_of(np.eye(3)) == pytest.approx([0, 1, 1])


def test_edges_move_to_cuts_nearby():
    assert snap_to_cuts(Segment(1.0, 3.0), [0.2, 0.7, 3.4, 3.9], 0.55) == Segment(0.7, 3.4)
    assert snap_to_cuts(Segment(1.0, 3.0), [2.0], 0.55) == Segment(1.0, 3.0)


def test_auc_and_f1():
    assert auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])) == 0.75
    assert auc(np.array([0, 1]), np.array([0.5, 0.5])) == 0.5
    assert segment_f1([(0, 2), (5, 6)], [(0, 3), (8, 9)]) == 0.5
    assert segment_f1([(0, 4), (0, 3)], [(0, 3)]) == pytest.approx(2 / 3)
    assert boundary_errors([(0, 2), (5, 6)], [(0, 3), (8, 9)]) == [0, 1]
    assert boundary_errors([(0, 2)], []) == []


def test_words_are_compared_as_the_field_does():
    said = plain_words("The wall isn't thick, um, about four millimeters.")
    assert said == ["the", "wall", "is", "not", "thick", "about", "4", "millimeters"]
    assert word_edits(said, plain_words("the wall is not sick about 4 meters")) == 2
    assert (word_edits(said, []), word_edits([], said), word_edits(said, said)) == (8, 8, 0)
