"""The mini corpus: what is drawn, asked and shipped."""

from collections import Counter

import numpy as np
import pytest

from obvlib import mini
from obvlib.mini.canvas import Plane
from obvlib.mini.echo import EF_RANGES_PERCENT, EchoScene
from obvlib.mini.questions import FAMILIES
from obvlib.mini.render import draw_scene, render

TIMES_S = np.linspace(0, 6, 8, endpoint=False)


def test_clips_are_the_same_every_time_and_for_any_number():
    first, again = list(mini.training_clips(3, seed=5)), list(mini.training_clips(6, seed=5))[:3]
    for a, b in zip(first, again, strict=True):
        assert (
            np.array_equal(a.frames, b.frames)
            and a.qa_pairs == b.qa_pairs
            and a.truth.finding == b.truth.finding
        )
    assert first[0].frames.shape == (8, 56, 56, 3) and first[0].frames.dtype == np.uint8


def test_held_out_clips_are_other_clips():
    train = {clip.frames.tobytes() for clip in mini.training_clips(18, seed=0)}
    heldout = {clip.frames.tobytes() for clip in mini.heldout_clips(18, seed=0)}
    assert len(train) == len(heldout) == 18 and not train & heldout


def test_findings_are_balanced_in_every_round_of_eighteen():
    clips = list(mini.training_clips(18, seed=2))
    assert Counter((c.truth.kind, c.truth.finding) for c in clips) == {
        ("echo", "normal"): 2,
        ("echo", "mildly reduced"): 2,
        ("echo", "severely reduced"): 2,
        **{
            (kind, finding): 2
            for kind in ("ct", "microscopy", "endoscopy")
            for finding in ("yes", "no")
        },
    }
    assert {pair.family for clip in clips for pair in clip.qa_pairs} == set(FAMILIES)


def test_answers_say_the_truth():
    for clip in mini.training_clips(18, seed=3):
        answers = {pair.family: pair.answer_text for pair in clip.qa_pairs}
        assert answers["region"] == clip.truth.region
        if clip.truth.kind == "echo":
            low, high = EF_RANGES_PERCENT[answers["ejection_fraction"]]
            assert low <= clip.truth.ejection_fraction_percent <= high
            assert answers["heart_rate"] == clip.truth.heart_rate
        else:
            assert (
                answers[
                    {"ct": "lesion", "microscopy": "division", "endoscopy": "polyp"}[
                        clip.truth.kind
                    ]
                ]
                == clip.truth.finding
            )


def test_the_drawn_ventricle_has_the_ejection_fraction_it_claims():
    """Volume goes as area to the power 1.5: measured on the coverage of the cavity, filled and
    emptied.
    """
    rng = np.random.default_rng(0)
    scene = EchoScene.draw(rng, "mildly reduced", "normal", TIMES_S)
    plane = Plane.of(120, 160)
    p, q = plane.turned(scene.center, scene.angle, scene.scale)
    ends = np.array([0.0, 1.0], dtype=np.float32).reshape(2, 1, 1)  # filled, emptied
    cavity = scene._chambers(p, q, ends)[0] * ((p > -0.06) & (q < 0.33))  # the left ventricle alone
    filled, emptied = cavity.sum(axis=(1, 2))
    measured = 100 * (1 - (emptied / filled) ** 1.5)
    assert measured == pytest.approx(scene.ejection_fraction_percent, abs=6)


def test_unknown_kinds_and_findings_are_named():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="kind 'xray'"):
        draw_scene(rng, "xray", "yes", duration_s=5, policy_times_s=TIMES_S)
    with pytest.raises(ValueError, match="finding 'maybe'"):
        draw_scene(rng, "ct", "maybe", duration_s=5, policy_times_s=TIMES_S)


def test_a_scene_looks_alike_at_any_size():
    """Drawn small, or drawn large and averaged down: the same picture up to grain."""
    scene = draw_scene(
        np.random.default_rng(4), "endoscopy", "yes", duration_s=6, policy_times_s=TIMES_S
    )
    small = render(scene, TIMES_S[:1], 60, 80)[0].astype(float)
    large = render(scene, TIMES_S[:1], 240, 320)[0].reshape(60, 4, 80, 4, 3).mean(axis=(1, 3))
    assert np.abs(small - large).mean() < 6
