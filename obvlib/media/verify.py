"""Checking a clip before it gets its name: it opens, shows what was asked, when it was asked, and
its sound fits.
"""

from __future__ import annotations

import os

from obvlib.media.decode import frames_on_screen, packets_from
from obvlib.media.source import OddVideo, Source, open_raw
from obvlib.media.write import TIME_BASE


def verify_clip(
    path: str | os.PathLike,
    times: list[int],
    duration: int,
    decoded: list[int],
    num_threads: int = 1,
) -> None:
    """Raise OddVideo unless the file shows frames at exactly `times` (ticks from its start) and
    lasts `duration` ticks.

    The frames at the times `decoded` are decoded. Presentation times of all others are read from
    the packets, which costs next to nothing.
    """
    with open_raw(path, num_threads) as clip:
        # times and damage are looked at, never pixels: those need no smoothing at block edges
        context = clip.video.codec_context
        context.options = context.options | {"skip_loop_filter": "all"}
        _check_times(clip, times, duration)
        _check_frames(clip, decoded)
        _check_sound(clip, float(duration * TIME_BASE))


def _check_times(clip: Source, times: list[int], duration: int) -> None:
    tick = float(TIME_BASE)
    shown = sorted(
        clip.seconds(p.pts)
        for p in packets_from(clip, clip.ticks(0.0))
        if p.pts is not None and not p.is_discard
    )
    problem = ""
    if len(shown) != len(times):
        problem = f"shows {len(shown)} frames instead of {len(times)}"
    elif late := [
        (a, b * tick) for a, b in zip(shown, times, strict=True) if abs(a - b * tick) > 1.5 * tick
    ]:
        problem = f"shows a frame at {late[0][0]:.4f} s instead of {late[0][1]:.4f} s"
    elif any(b <= a for a, b in zip(shown, shown[1:], strict=False)):
        problem = "has two frames at one time"
    elif abs(lasts_s(clip) - duration * tick) > 0.002:
        problem = f"lasts {lasts_s(clip):.3f} s instead of {duration * tick:.3f} s"
    if problem:
        raise OddVideo(f"the clip written {problem}: it was not kept")


def lasts_s(clip: Source) -> float:
    """Return the video track's presentation length."""
    return float((clip.video.duration or 0) * clip.video.time_base)


def _check_frames(clip: Source, decoded: list[int]) -> None:
    times_s = [float(t * TIME_BASE) for t in sorted(set(decoded))]
    for index, frame in frames_on_screen(clip, times_s):
        if abs(clip.seconds(frame.pts) - times_s[index]) > 0.002:
            raise OddVideo(
                f"the clip written decodes no frame at {times_s[index]:.3f} s: it was not kept"
            )


def _check_sound(clip: Source, duration_s: float) -> None:
    """Check that sound starts within the clip and ends by its end: what is shifted shows here."""
    if clip.audio is None:
        return
    start = clip.audio.start_time or 0
    start_s = clip.seconds(start, clip.audio)
    end_s = clip.seconds(start + (clip.audio.duration or 0), clip.audio)
    if start_s < -0.05 or end_s > duration_s + 0.05:
        raise OddVideo(
            f"the sound of the clip written goes from {start_s:.3f} to {end_s:.3f} s of"
            f" {duration_s:.3f}"
        )
