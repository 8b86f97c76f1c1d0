"""Clips with frames enough to see time: what is asked of them is in their frames, and what eight
frames a clip cannot show is in these.
"""

import itertools

import numpy as np
import pytest

from obvlib.mini import timed
from obvlib.mini.clips import DURATION_RANGE_S
from obvlib.mini.echo import RATE_RANGES_BPM
from obvlib.mini.questions import MODALITIES, RATE_CLASSES


@pytest.fixture(scope="module")
def clips():
    return list(timed.timed_clips(48, 3, split="heldout"))


def answers(clip):
    return {pair.family: pair.answer_text for pair in clip.qa_pairs}


def read_rate(clip):
    """The rate class at the peak of a periodogram of the frames' first principal component."""
    pixels = clip.frames.mean(axis=-1).reshape(len(clip.frames), -1)
    beat = np.linalg.svd(pixels - pixels.mean(axis=0), full_matrices=False)[0][:, 0]
    hertz = np.arange(0.6, 2.4, 0.01)
    power = [
        sum(weight * abs(np.exp(-2j * np.pi * k * f * clip.times_s) @ beat) ** 2
            for k, weight in ((1, 1.0), (2, 0.5)))
        for f in hertz
    ]  # fmt: skip
    rate = 60 * hertz[int(np.argmax(power))]
    edges = [(RATE_RANGES_BPM[a][1] + RATE_RANGES_BPM[b][0]) / 2
             for a, b in zip(RATE_CLASSES, RATE_CLASSES[1:], strict=False)]  # fmt: skip
    return RATE_CLASSES[int(np.searchsorted(edges, rate))]


def test_the_rate_of_every_heart_is_in_the_frames(clips):
    hearts = [clip for clip in clips if "heart_rate" in answers(clip)]
    right = [read_rate(clip) == answers(clip)["heart_rate"] for clip in hearts]
    assert len(hearts) >= 8 and np.mean(right) > 0.95


def test_frames_are_denser_than_twice_the_fastest_beat_where_eight_a_clip_are_not():
    fastest, slowest = (RATE_RANGES_BPM[name][i] / 60 for name, i in (("fast", 1), ("slow", 0)))
    assert timed.POLICY.fps > 2 * fastest
    assert 8 / DURATION_RANGE_S[1] < 2 * slowest  # of a long clip not even the slowest heart
    assert 8 / DURATION_RANGE_S[0] < 2 * RATE_RANGES_BPM["normal"][0] / 60


def test_the_clip_begins_with_what_is_said_to_come_first(clips):
    cuts = [clip for clip in clips if "order" in answers(clip)]
    assert len(cuts) == 12
    checked = 0
    for clip in cuts:
        (pair,) = clip.qa_pairs
        assert set(pair.options.values()) < set(MODALITIES.values())
        red = (clip.frames[..., 0].astype(int) - clip.frames[..., 2]).mean(axis=(1, 2))
        if "Endoscopy" in pair.options.values():  # by far the reddest
            checked += 1
            assert (red[0] > red[-1]) == (pair.answer_text == "Endoscopy")
    assert checked >= 3


def test_a_scan_scrolls_and_folds_move_as_is_said(clips):
    said = [answers(clip) for clip in clips]
    assert {a["scroll_direction"] for a in said if "scroll_direction" in a} == {
        "towards the feet", "towards the head"
    }  # fmt: skip
    assert {a["fold_direction"] for a in said if "fold_direction" in a} == {
        "towards the camera", "away from the camera"
    }  # fmt: skip
    for clip, answer in zip(clips, said, strict=True):
        if "scroll_direction" in answer:  # the knob of the scroll bar moves down towards the feet
            bar = clip.frames[:, :, -2:].mean(axis=(2, 3))
            early, late = (bar[part].mean(axis=0) for part in (slice(0, 6), slice(-6, None)))
            moves_down = np.argmax(late - early) > np.argmax(early - late)
            assert moves_down == (answer["scroll_direction"] == "towards the feet")


def test_only_the_kinds_asked_for_are_drawn():
    some = list(timed.timed_clips(4, 3, split="heldout", kinds=("echo", "cut")))
    assert all({"heart_rate", "order"} & set(answers(clip)) for clip in some)
    with pytest.raises(ValueError, match="use some of echo"):
        timed.timed_clips(1, 0, kinds=("mri",))


def test_clips_are_the_same_however_they_are_dealt_and_held_out_ones_are_others():
    whole = list(timed.timed_clips(6, 5))
    odd = list(timed.timed_clips(3, 5, start=1, step=2))
    assert [clip.name for clip in odd] == [clip.name for clip in whole[1::2]]
    for one, other in zip(odd, whole[1::2], strict=True):
        assert np.array_equal(one.frames, other.frames) and one.qa_pairs == other.qa_pairs
        assert one.frames.shape[1:] == (56, 56, 3) and len(one.frames) % 2 == 0
        assert np.array_equal(one.times_s[:2], [0, 1 / 8])
    held = next(timed.timed_clips(1, 5, split="heldout"))
    assert not np.array_equal(held.frames[:8], whole[0].frames[:8])


def test_moments_go_with_the_beats_and_the_folds():
    with_moments = timed.timed_clips(12, 3, kinds=("echo", "endoscopy"), moments=True)
    without = timed.timed_clips(12, 3, kinds=("echo", "endoscopy"))
    for clip, same in zip(with_moments, without, strict=True):
        assert clip.qa_pairs[:-1] == same.qa_pairs
        seen = clip.qa_pairs[-1].answer.split()
        assert len(seen) == len(clip.frames)
        if "heart_rate" in answers(clip):
            beats = sum(pair == ("wide", "narrow") for pair in itertools.pairwise(seen))
            low, high = RATE_RANGES_BPM[answers(clip)["heart_rate"]]
            length_min = len(clip.frames) / timed.POLICY.fps / 60
            assert low * length_min - 1.5 < beats < high * length_min + 1.5
        elif "fold_direction" in answers(clip):
            turns = [(int(b) - int(a) + 1) % 4 - 1 for a, b in itertools.pairwise(seen)]
            comes = answers(clip)["fold_direction"] == "towards the camera"
            assert (sum(turns) > 0) == comes
