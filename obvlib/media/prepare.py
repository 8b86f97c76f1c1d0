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
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from obvlib.core.files import replacing
from obvlib.media.decode import frames_on_screen, to_rgb, upright
from obvlib.media.read import check_range, duration_s, first_frame
from obvlib.media.source import MediaError, Source, as_source, open_source
from obvlib.media.write import MUX_OPTIONS, TIME_BASE, VideoTrack, copy_look, video_stream

# holds the policy, the clip's place in its source and the frames' times, as JSON
METADATA_KEY = "obv"
# few small frames: hardly a loss to see, for little room
ENCODING = {"preset": "ultrafast", "crf": "17"}


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A prepared clip that was written: `num_frames` as the model sees them, and their size in px."""

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
    with as_source(source, num_threads) as video, ExitStack() as open_files:
        jobs: dict[int, _Job] = {}
        picture = first_frame(video)
        for index, (out, start_s, end_s) in enumerate(clips):
            try:
                jobs[index] = _Job(video, picture, Path(out), start_s, end_s, policy)
            except ValueError as error:
                yield (
                    index,
                    error if isinstance(error, MediaError) else MediaError(str(error), "settings"),
                )
        yield from _one_pass(video, jobs, open_files)


def _one_pass(
    video: Source, jobs: dict[int, _Job], open_files: ExitStack
) -> Iterator[tuple[int, Prepared | MediaError]]:
    while jobs:
        left = (
            [(t, index) for t in job.source_times_s[job.num_added :]] for index, job in jobs.items()
        )
        wanted = list(heapq.merge(*left))
        at_fault = wanted[0][1]
        try:
            for at, frame in frames_on_screen(video, [t for t, _ in wanted]):
                at_fault = index = wanted[at][1]
                if result := jobs[index].add(frame, open_files):
                    del jobs[index]
                    yield index, result
                at_fault = wanted[min(at + 1, len(wanted) - 1)][1]
            return
        except MediaError as error:  # fails one clip; the others go on from where they are
            jobs.pop(at_fault).abandon(error)
            yield at_fault, error


class _Job:
    """One clip on its way: knows its frames' times, opens its file at the first and finishes it at
    the last.
    """

    def __init__(
        self,
        video: Source,
        picture: Any,
        out: Path,
        start_s: float,
        end_s: float | None,
        policy: Any,
    ) -> None:
        self.start_s, self.out, self.video, self.policy = start_s, out, video, policy
        self.end_s, self.note = check_range(video, start_s, end_s)
        length_s = round(self.end_s - start_s, 3)
        self.times_s = [float(t) for t in policy.sample_times(length_s)]
        turned = picture.rotation % 180 != 0
        size = (picture.width, picture.height) if turned else (picture.height, picture.width)
        self.height, self.width = policy.fit_size(*size, len(self.times_s))
        self.distinct_s = sorted(set(self.times_s))
        self.source_times_s = [start_s + t for t in self.distinct_s]
        self.num_added, self.container = 0, None

    def add(self, frame: Any, open_files: ExitStack) -> Prepared | None:
        """Encode the next frame; the finished clip after the last."""
        if self.container is None:
            self._open(open_files)
        small = upright(frame).reformat(
            width=self.width,
            height=self.height,
            format=self.stream.pix_fmt,
            interpolation="BICUBIC",
        )
        self.track.add(small, round(self.distinct_s[self.num_added] / TIME_BASE))
        self.num_added += 1
        return self._finish() if self.num_added == len(self.distinct_s) else None

    def abandon(self, error: MediaError) -> None:
        """Leave no trace of a clip that cannot be finished."""
        if self.container is not None:
            with suppress(MediaError):
                self.files.__exit__(type(error), error, error.__traceback__)

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
            self.container, "libx264", self.height, self.width, None, ENCODING
        )
        self.track = VideoTrack(self.container, self.stream)
        self.stream.codec_context.thread_count = 1
        copy_look(self.stream.codec_context, self.video.video.codec_context)

    def _finish(self) -> Prepared:
        self.track.finish(
            round(max(self.end_s - self.start_s, self.distinct_s[-1] + 0.001) / TIME_BASE)
        )
        self.container.close()
        _verify(self.partial, len(self.distinct_s))
        self.files.close()
        return Prepared(
            path=str(self.out), start_s=self.start_s, end_s=self.end_s, num_frames=len(self.times_s), height=self.height,
            width=self.width, note=self.note,
        )  # fmt: skip


def _verify(path: Path, num_frames: int) -> None:
    with open_source(path, num_threads=1) as clip:
        written = sum(1 for packet in clip.container.demux(clip.video) if packet.size)
    if written != num_frames:
        raise MediaError(
            f"the prepared clip holds {written} frames instead of {num_frames}: it was not kept"
        )


def clip_frames(
    path: str | os.PathLike, policy: Any, num_threads: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The frames that `policy` picks of a clip, (T, H, W, 3) uint8, and their times in seconds from
    the clip's start, (T,) float64.

    `path` is a slice or a prepared clip; training and evaluation both read through here. MediaError
    if the clip was prepared with another policy.
    """
    with open_source(path, num_threads) as clip:
        if text := clip.container.metadata.get(METADATA_KEY):
            return _prepared_frames(clip, json.loads(text), policy)
        times_s = np.asarray(policy.sample_times(duration_s(clip)), dtype=np.float64)
        picture = first_frame(clip)
        size = (
            (picture.width, picture.height)
            if picture.rotation % 180
            else (picture.height, picture.width)
        )
        return (
            _stack(
                frames_on_screen(clip, times_s.tolist()),
                len(times_s),
                policy.fit_size(*size, len(times_s)),
            ),
            times_s,
        )


def _prepared_frames(
    clip: Source, made: dict[str, Any], policy: Any
) -> tuple[np.ndarray, np.ndarray]:
    if made["policy"] != policy.to_dict():
        other = {k: v for k, v in made["policy"].items() if policy.to_dict().get(k) != v}
        raise MediaError(
            f"{clip.name} was prepared with another frame policy ({other}): prepare it again with"
            " this one",
            "settings",
        )
    times_s = np.asarray(made["times_s"], dtype=np.float64)
    context = clip.video.codec_context
    return (
        _stack(
            frames_on_screen(clip, times_s.tolist()), len(times_s), (context.height, context.width)
        ),
        times_s,
    )


def _stack(frames: Iterable[tuple[int, Any]], num_frames: int, size: tuple[int, int]) -> np.ndarray:
    stacked = np.empty((num_frames, *size, 3), np.uint8)  # (T, H, W, 3)
    previous = None
    for index, frame in frames:
        stacked[index] = stacked[index - 1] if frame is previous else to_rgb(frame, *size)
        previous = frame
    return stacked
