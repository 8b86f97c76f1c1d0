"""Random cuts of sources with random structure: rates, key frame distances, open groups, B-frames,
containers. Each frame must be the right one.
"""

from __future__ import annotations

import numpy as np
import pytest
import video_samples as samples

from obvlib import media

# of a time looked at from a change of frame: containers round to milliseconds
MIN_DISTANCE_S = 0.0025


def random_source(rng: np.random.Generator, directory) -> tuple:
    """Write a source; return its path and the times of its frames."""
    fps, num_frames = int(rng.choice([5, 10, 24, 25, 30, 50])), int(rng.integers(20, 240))
    steps = rng.choice([1, 2, 5], num_frames - 1) if rng.random() < 0.3 else np.ones(num_frames - 1)
    times_s = [0.0, *np.cumsum(steps / fps)]
    path = directory / f"source.{rng.choice(['mp4', 'mkv', 'ts'])}"
    group, depth = int(rng.choice([1, 2, 7, 13, 25, 60, 300])), int(rng.choice([0, 1, 3, 7]))
    if rng.random() < 0.75:
        params = (
            f"open-gop={rng.integers(0, 2)}:scenecut=0:b-pyramid={rng.choice(['none', 'normal'])}"
        )
        codec, options = "libx264", {"g": str(group), "bf": str(depth), "x264-params": params}
    else:
        params = f"log-level=none:open-gop={rng.integers(0, 2)}:keyint={group}:bframes={min(depth, 4)}:scenecut=0"  # noqa: E501
        codec, options = "libx265", {"preset": "ultrafast", "x265-params": params}
    sound = str(rng.choice(["", "aac"]))
    samples.encode(
        path, codec, times_s=times_s, fps=fps, options=options, sound=sound, size=(64, 96)
    )
    return path, np.array(times_s)


@pytest.mark.parametrize("seed", range(12))
def test_any_cut_of_any_source_shows_the_right_frames(tmp_path, seed):
    rng = np.random.default_rng(seed)
    path, times_s = random_source(rng, tmp_path)
    for _ in range(2):
        start_s = round(float(rng.uniform(0, times_s[-1] - 0.3)), 3)
        end_s = round(float(rng.uniform(start_s + 0.2, times_s[-1])), 3)
        at_s = np.sort(rng.uniform(start_s, end_s - 0.002, 20))
        at_s = at_s[np.abs(at_s[:, None] - times_s[None]).min(axis=1) > MIN_DISTANCE_S]
        on_screen = (np.searchsorted(times_s, at_s + 0.0015, side="right") - 1) % 256
        assert samples.numbers(media.frames_at(path, at_s)[0]) == on_screen.tolist()
        for mode in media.MODES:
            made = media.slice_clip(path, tmp_path / "clip.mp4", start_s, end_s, mode=mode)
            assert (
                samples.numbers(media.frames_at(made.path, at_s - start_s)[0]) == on_screen.tolist()
            ), mode
