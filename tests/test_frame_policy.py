"""The frame policy: times, sizes and token counts, against worked numbers and against
qwen-vl-utils' own code.
"""

import csv
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest

from obvlib.core.frame_policy import FramePolicy, round_size

SURGERY = Path(__file__).parents[1] / "data_manifests" / "surgeryvideoqa_lengths.csv"


def test_one_frame_a_second_with_an_odd_last_one_repeated():
    times = FramePolicy().sample_times(61.0)
    assert times.dtype == np.float64 and len(times) == 62
    assert times[:61].tolist() == list(range(61)) and times[61] == 60.0


def test_short_clip_gets_eight_frames_spread_evenly():
    assert FramePolicy().sample_times(2.0).tolist() == [0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75]


def test_long_clip_gets_420_frames_spread_evenly():
    times = FramePolicy().sample_times(840.0)
    assert len(times) == 420 and times[1] == 2.0 and times[-1] == 838.0


def test_mini_is_eight_frames_of_sixteen_tokens_for_usual_shapes():
    policy = FramePolicy.mini()
    for duration_s in (0.1, 5.0, 500.0):
        assert len(policy.sample_times(duration_s)) == 8
    for height, width in [(240, 320), (240, 240), (56, 56), (768, 1024), (400, 300)]:
        assert policy.fit_size(height, width, 8) == policy.fit_image_size(height, width) == (56, 56)
    assert policy.fit_size(720, 1280, 8) == (28, 84)
    assert policy.num_visual_tokens(8, 56, 56) == 16


def test_times_stay_inside_the_clip_and_counts_even():
    rng = random.Random(0)
    for _ in range(500):
        duration_s = math.exp(rng.uniform(math.log(0.05), math.log(5000)))
        policy = FramePolicy(fps=rng.choice([0.5, 1.0, 2.0]))
        times = policy.sample_times(duration_s)
        assert len(times) % 2 == 0 and len(times) <= policy.max_frames
        assert times[0] == 0 and times[-1] < duration_s and (np.diff(times) >= 0).all()


def test_sizes_equal_qwen_vl_utils_wherever_its_rule_keeps_the_budget():
    import qwen_vl_utils.vision_process as reference

    rng = random.Random(1)
    policy, agreed = FramePolicy(), 0
    for _ in range(3000):
        height, width = rng.randrange(30, 2200), rng.randrange(30, 2200)
        num_frames = 2 * rng.randrange(4, 211)
        total = policy.max_visual_tokens * 28 * 28
        floor = 128 * 28 * 28
        expected = reference.smart_resize(
            height,
            width,
            28,
            floor,
            max(min(768 * 28 * 28, total / num_frames * 2), int(floor * 1.05)),
        )
        size = policy.fit_size(height, width, num_frames)
        tokens = policy.num_visual_tokens(num_frames, *size)
        assert tokens <= policy.max_visual_tokens and size[0] % 28 == size[1] % 28 == 0
        if 0 < policy.num_visual_tokens(num_frames, *expected) <= policy.max_visual_tokens:
            assert size == expected, (height, width, num_frames)
            agreed += 1
    assert agreed > 1000


def test_image_sizes_equal_qwen_vl_utils():
    import qwen_vl_utils.vision_process as reference

    rng = random.Random(2)
    for _ in range(500):
        height, width = rng.randrange(10, 1500), rng.randrange(10, 1500)
        if max(height, width) / min(height, width) < 60:
            assert FramePolicy().fit_image_size(height, width) == reference.smart_resize(
                height, width, 28
            )


def test_budget_holds_for_every_real_surgeryvideoqa_clip():
    policy, odd = FramePolicy(min_frames=2), 0
    rows = list(csv.DictReader(SURGERY.read_text().splitlines()[2:]))
    assert len(rows) == 470
    for row in rows:
        times = policy.sample_times(float(row["duration_s"]))
        odd += len(times) > 1 and times[-1] == times[-2]
        size = policy.fit_size(int(row["height"]), int(row["width"]), len(times))
        assert 0 < policy.num_visual_tokens(len(times), *size) <= 16_384
    assert odd == 227


def test_thin_pictures_stay_within_the_budget():
    assert round_size(10, 1900, 28, 1, 28 * 28 * 5) == (28, 140)
    policy = FramePolicy()
    size = policy.fit_size(28, 5000, 420)
    assert size[0] == 28 and policy.num_visual_tokens(420, *size) <= 16_384


def test_odd_frame_count_costs_a_whole_temporal_patch():
    policy = FramePolicy()
    assert policy.num_visual_tokens(7, 56, 84) == policy.num_visual_tokens(8, 56, 84) == 4 * 2 * 3


def test_round_trip_and_unknown_setting():
    policy = FramePolicy(fps=2.0, patch_size=16)
    assert FramePolicy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy
    assert policy.factor == 32 and policy.max_pixels == 768 * 32 * 32
    with pytest.raises(ValueError, match="unknown setting 'speed'"):
        FramePolicy.from_dict(policy.to_dict() | {"speed": 3})
    with pytest.raises(ValueError, match="missing setting 'fps'"):
        FramePolicy.from_dict({k: v for k, v in policy.to_dict().items() if k != "fps"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fps": 0}, "fps is 0"),
        ({"max_frames": 7, "min_frames": 2}, "max_frames is 7"),
        ({"max_frames": 4}, "max_frames is 4"),
        ({"max_visual_tokens": 100}, "max_visual_tokens is 100"),
        ({"min_pixels": 10**7}, "min_pixels 10000000"),
        ({"patch_size": 0}, "patch_size is 0"),
        ({"fps": "1"}, "fps is '1': give a number"),
        ({"max_frames": 420.0}, "max_frames is 420.0: give a whole number"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        FramePolicy(**settings)


@pytest.mark.parametrize("duration_s", [0.0, -1.0, math.nan, math.inf])
def test_durations_that_are_none_are_refused(duration_s):
    with pytest.raises(ValueError, match="duration_s is"):
        FramePolicy().sample_times(duration_s)


def test_sizes_that_are_none_are_refused():
    with pytest.raises(ValueError, match="no pixels"):
        FramePolicy().fit_size(0, 10, 8)
    with pytest.raises(ValueError, match="times longer"):
        FramePolicy().fit_size(1, 1000, 8)
    with pytest.raises(ValueError, match="num_frames is 0"):
        FramePolicy().fit_size(100, 100, 0)
