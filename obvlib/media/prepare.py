"""From a source video straight to what a model is shown: the frames that a policy picks, at the
size it allows, in a small file.

All clips of a source are made in one pass over it, overlapping ones included, and no intermediate
slice is written. The file carries the policy and the frames' times; reading with another policy is
refused, since it would silently show the model something else.
"""

from __future__ import annotations

import heapq
import json
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from obvlib.core.files import DISK_ERRNOS, replacing
from obvlib.media.clean import check_range, make_clean, open_source, retried
from obvlib.media.decode import frames_on_screen
from obvlib.media.inspect import duration_s
from obvlib.media.mp4 import set_track_ends
from obvlib.media.opening import MediaError
from obvlib.media.read import stacked_frames
from obvlib.media.source import OddVideo, Source
from obvlib.media.verify import verify_clip
from obvlib.media.write import MUX_OPTIONS, TIME_BASE, VideoTrack, video_stream

# holds the policy, the clip's place in its source and the frames' times, as JSON
METADATA_KEY = "obv"
MAX_OPEN_CLIPS = 48
MAX_UNDER_WAY = 4  # frames between decoder and encoder
# few small frames: hardly a loss to see, for little room
ENCODING = {"preset": "ultrafast", "crf": "17"}


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A prepared clip: `num_frames` as the model sees them, and their size in px."""

    path: str
    start_s: float
    end_s: float
    num_frames: int
    height: int
    width: int
    note: str = ""


def prepare_clip(
    source: str | os.PathLike | Source,
    out: str | os.PathLike,
    start_s: float,
    end_s: float | None,
    policy: Any,
) -> Prepared:
    """Write the frames of [start_s, end_s) that `policy` picks to the MP4 file `out`. MediaError
    says what is wrong.
    """
    for _, result in prepare_clips(source, [(out, start_s, end_s)], policy):
        if isinstance(result, MediaError):
            raise result
        return result
    raise MediaError("no clip was asked for", "settings")


def prepare_clips(
    source: str | os.PathLike | Source,
    clips: Sequence[tuple[str | os.PathLike, float, float | None]],
    policy: Any,
    num_threads: int = 0,
) -> Iterator[tuple[int, Prepared | MediaError]]:
    """Prepare all `clips` (out, start_s, end_s) of a source in one sequential read; yield (index,
    result) as each is done.

    A clip that cannot be made gives its MediaError as the result and does not disturb the others.
    """
    with open_source(source, num_threads) as video:
        # clips in order of time, so many at once as may hold a file and an encoder open
        order = sorted(range(len(clips)), key=lambda index: clips[index][1])
        for first in range(0, len(order), MAX_OPEN_CLIPS):
            waiting = {index: clips[index] for index in order[first : first + MAX_OPEN_CLIPS]}
            while waiting:
                try:
                    for index, result in _one_pass(video, waiting, policy):
                        del waiting[index]
                        yield index, result
                except OddVideo as odd:
                    try:
                        make_clean(video, odd)
                    except MediaError as error:
                        yield from ((index, error) for index in waiting)
                        return


def _one_pass(
    video: Source, clips: dict[int, tuple], policy: Any
) -> Iterator[tuple[int, Prepared | MediaError]]:
    # frames are scaled and encoded while the next are decoded; the files close after the last
    with ExitStack() as open_files, ThreadPoolExecutor(1) as encoder:
        jobs: dict[int, _Job] = {}
        for index, (out, start_s, end_s) in list(clips.items()):
            try:
                jobs[index] = _Job(video, Path(out), start_s, end_s, policy)
            except MediaError as error:
                yield index, error
            except ValueError as error:  # the policy's
                yield index, MediaError(str(error), "settings")
        wanted = list(
            heapq.merge(*([(t, index) for t in job.source_times_s] for index, job in jobs.items()))
        )
        under_way: deque[tuple[int, Future]] = deque()
        previous = None
        scaled: dict[Any, Any] = {}
        for at, frame in frames_on_screen(video, [t for t, _ in wanted]):
            index = wanted[at][1]
            if frame is not previous:  # overlapping clips share the work of scaling
                previous, scaled = frame, {}
            if index in jobs:  # else it could not be written
                added = encoder.submit(jobs[index].add, frame, scaled, open_files)
                under_way.append((index, added))
            if len(under_way) > MAX_UNDER_WAY:
                yield from _results(jobs, *under_way.popleft())
        while under_way:
            yield from _results(jobs, *under_way.popleft())


def _results(
    jobs: dict[int, _Job], index: int, added: Future
) -> Iterator[tuple[int, Prepared | MediaError]]:
    """Return the result of a clip whose last frame was added, or that could not be written."""
    if index not in jobs:
        return  # an earlier frame of it could not be written
    result: Prepared | MediaError | None
    try:
        result = added.result()
    except OSError as error:
        if error.errno in DISK_ERRNOS:
            raise
        result = MediaError(f"{jobs[index].out} cannot be written: {error}", "settings")
    if result is not None:
        del jobs[index]
        yield index, result


class _Job:
    """One clip on its way: knows its frames' times, opens its file at the first and finishes it at
    the last.
    """

    def __init__(
        self, video: Source, out: Path, start_s: float, end_s: float | None, policy: Any
    ) -> None:
        self.start_s, self.out, self.video, self.policy = start_s, out, video, policy
        self.end_s, self.note = check_range(video, start_s, end_s)
        length_s = round(self.end_s - start_s, 3)
        self.times_s = [float(t) for t in policy.sample_times(length_s)]
        self.height, self.width = policy.fit_size(*video.size, len(self.times_s))
        self.distinct_s = sorted(set(self.times_s))
        self.source_times_s = [start_s + t for t in self.distinct_s]
        self.ticks = [round(t / TIME_BASE) for t in self.distinct_s]
        self.num_added = 0
        self.container: Any = None

    def add(
        self, frame: Any, scaled: dict[tuple[int, int], Any], open_files: ExitStack
    ) -> Prepared | None:
        """Encode the next frame, which may be `scaled`; return the finished clip after the last."""
        if self.container is None:
            self._open(open_files)
        size = (self.height, self.width)
        if size not in scaled:
            scaled[size] = frame.reformat(
                width=size[1], height=size[0], format=self.stream.pix_fmt, interpolation="BICUBIC"
            )
        self.track.add(scaled[size], self.ticks[self.num_added])
        self.num_added += 1
        return self._finish() if self.num_added == len(self.distinct_s) else None

    def _open(self, open_files: ExitStack) -> None:
        self.files = open_files.enter_context(ExitStack())
        self.partial = self.files.enter_context(replacing(self.out))
        self.container = self.files.enter_context(
            av.open(str(self.partial), "w", format="mp4", options=MUX_OPTIONS)
        )
        self.container.metadata[METADATA_KEY] = json.dumps(
            {
                "policy": self.policy.to_dict(),
                "start_s": self.start_s,
                "end_s": self.end_s,
                "times_s": self.times_s,
                "source": Path(self.video.name).name,
            }
        )
        self.stream = video_stream(
            self.container, "libx264", (self.height, self.width), None, ENCODING, 1, self.video
        )
        self.track = VideoTrack(self.container, self.stream)

    def _finish(self) -> Prepared:
        end = round(max(self.end_s - self.start_s, self.distinct_s[-1] + 0.001) / TIME_BASE)
        self.track.finish(end)
        self.container.close()
        set_track_ends(self.partial, {0: end})
        verify_clip(self.partial, self.ticks, end, [])
        self.files.close()
        return Prepared(
            path=str(self.out), start_s=self.start_s, end_s=self.end_s, note=self.note,
            num_frames=len(self.times_s), height=self.height, width=self.width,
        )  # fmt: skip


def clip_frames(
    path: str | os.PathLike, policy: Any, num_threads: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the frames that `policy` picks of a clip, (T, H, W, 3) uint8, and their times in
    seconds from the clip's start, (T,) float64.

    `path` is a slice or a prepared clip; training and evaluation both read through here. MediaError
    if the clip was prepared with another policy.
    """
    with open_source(path, num_threads) as clip:
        return retried(clip, _picked_frames, policy)


def _picked_frames(clip: Source, policy: Any) -> tuple[np.ndarray, np.ndarray]:
    if text := clip.metadata.get(METADATA_KEY):
        return _prepared_frames(clip, json.loads(text), policy)
    times_s = np.asarray(policy.sample_times(duration_s(clip)), dtype=np.float64)
    size = policy.fit_size(*clip.size, len(times_s))
    return stacked_frames(clip, times_s, size)[0], times_s


def _prepared_frames(
    clip: Source, made: dict[str, Any], policy: Any
) -> tuple[np.ndarray, np.ndarray]:
    if clip.note:
        raise MediaError(f"{clip.name} is damaged ({clip.note}): prepare it again")
    if made["policy"] != policy.to_dict():
        other = {k: v for k, v in made["policy"].items() if policy.to_dict().get(k) != v}
        raise MediaError(
            f"{clip.name} was prepared with another frame policy ({other}): prepare it again with"
            " this one",
            "settings",
        )
    times_s = np.asarray(made["times_s"], dtype=np.float64)
    return stacked_frames(clip, times_s, clip.size)[0], times_s
