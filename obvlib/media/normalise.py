"""Decoding a video that is not well behaved, once, from its beginning, in the order in which frames
come out of the decoder, into an MP4 that is.

Simple enough to be right: one pass, no seeking, no packet left out. Times are those of ffmpeg's
best effort; where a transport stream's clock starts again or jumps, it goes on from the last frame.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from obvlib.media.clock import Clock, FrameTimes
from obvlib.media.inspect import INDEXED, MAX_LENGTH_S
from obvlib.media.opening import MediaError, pixel_shape
from obvlib.media.picture import UPRIGHT, as_seen, turn_of, viewer_size
from obvlib.media.sound import Timeline, aac_stream, cut_to, decoded, encode_sound, frame_time_s
from obvlib.media.source import PAST_END_S, Source, open_raw
from obvlib.media.write import MUX_OPTIONS, TIME_BASE, VideoTrack, video_stream

# close to the original, and fast to decode again from anywhere: a key frame every 25 frames
ENCODING = {"preset": "ultrafast", "crf": "15", "g": "25", "bf": "0", "sc_threshold": "0"}

Damage = tuple[float, float, bool]  # start_s, end_s, and whether frames are missing there


def write_clean(name: str, path: Path, num_threads: int) -> list[Damage]:
    """Write the clean intermediate of a video; return the stretches that did not decode."""
    with (
        open_raw(name, num_threads) as source,
        av.open(str(path), "w", format="mp4", options=MUX_OPTIONS) as out,
    ):
        read = _Pass(source)
        events, before = read.run(), []
        for event in events:
            before.append(event)  # sound that comes before the first picture in the file
            if event[0] == "video":
                return _Writer(read, out, event[2]).run(itertools.chain(before, events))
    raise MediaError(f"{name}: not one frame can be decoded; download it again")


class _Pass:
    """One reading of a source: its frames and its sound as they come, and what was expected."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.step_s = 1 / min(
            max(float(source.video.average_rate or source.video.guessed_rate or 25), 0.1), 1000
        )
        self.times = FrameTimes(self.step_s)
        self.expected_s: list[float] = []
        self.end_s, self.num_errors = 0.0, 0

    def run(self) -> Iterator[tuple[str, float, Any]]:
        """Yield ("video" or "audio", seconds, frame), and "part" where the sound's clock steps."""
        source = self.source
        clock, offset_s = Clock(source, self.step_s), 0.0
        for packet in clock.placed(self._packets()):
            self._check_span(packet)
            if packet.stream is source.video:
                self._expect(packet)
                yield from self._decoded(packet)
            else:
                if clock.sound_offset_s != offset_s:
                    offset_s = clock.sound_offset_s
                    yield "part", 0.0, None
                for frame in decoded(source.audio, packet):
                    yield "audio", frame_time_s(source, frame), frame
        yield from self._decoded(None)
        if source.audio is not None:
            for frame in decoded(source.audio, None):
                yield "audio", frame_time_s(source, frame), frame

    def _packets(self) -> Iterator[Any]:
        streams = [s for s in (self.source.video, self.source.audio) if s is not None]
        try:
            for packet in self.source.container.demux(streams):
                if packet.size:
                    yield packet
        except (av.FFmpegError, OSError):
            self.num_errors += 1  # what can be read ends here

    def _check_span(self, packet: Any) -> None:
        time_s = self.source.seconds(packet.pts or 0, packet.stream)
        if time_s > MAX_LENGTH_S:
            raise MediaError(
                f"{self.source.name} has times {time_s / 3600:.0f} hours apart, and at most"
                f" {MAX_LENGTH_S / 3600:.0f} are believed"
            )

    def _expect(self, packet: Any) -> None:
        at = packet.pts if packet.pts is not None else packet.dts
        if at is not None and not packet.is_discard:
            time_s = self.source.seconds(at)
            if not self.expected_s and self.source.container.format.name not in INDEXED:
                self.times.zero_s = time_s  # of reordering, where times are not stored
            time_s = max(0.0, time_s - self.times.zero_s)
            self.expected_s.append(time_s)
            length_s = float((packet.duration or 0) * packet.time_base)
            self.end_s = max(self.end_s, time_s + length_s)

    def _decoded(self, packet: Any) -> Iterator[tuple[str, float, Any]]:
        try:
            frames = self.source.video.codec_context.decode(packet)
        except av.FFmpegError:
            self.num_errors += 1
            return
        for frame in frames:
            pts_s, dts_s = (
                None if at is None else self.source.seconds(at) for at in (frame.pts, frame.dts)
            )
            frame.time_base = TIME_BASE
            yield "video", max(0.0, self.times.time_s(pts_s, dts_s)), frame


class _Writer:
    """Puts one pass into a file."""

    def __init__(self, read: _Pass, out: Any, picture: Any) -> None:
        source = read.source
        self.read, self.out, self.pixel_shape = read, out, pixel_shape(source.video)
        self.size = viewer_size(picture, self.pixel_shape)
        rate = Fraction(1 / read.step_s).limit_denominator(1001)
        stream = video_stream(out, "libx264", self.size, rate, ENCODING, source.num_threads, source)
        self.track = VideoTrack(out, stream)
        self.shown: list[int] = []  # ticks
        self.dirty_s: list[float] = []
        self.held: Any = None  # (ticks, frame): another of the same time takes its place
        self.turn = UPRIGHT  # a stream may say once, at its beginning, how it is turned
        self.sound = aac_stream(out, source) if source.audio is not None else None
        self.heard_to = 0
        if self.sound is not None:
            context = self.sound.codec_context
            self.timeline = Timeline(context.rate, context.layout.name)

    def run(self, events: Iterator[tuple[str, float, Any]]) -> list[Damage]:
        """Write everything; return what did not decode."""
        for kind, time_s, frame in events:
            if kind == "audio":
                self._add_sound(self.timeline.add(frame, time_s))
            elif kind == "part":
                self.timeline.end_part()
            else:
                self._add_frame(time_s, frame)
        self._show()
        if self.sound is not None:
            self._add_sound(self.timeline.finish())
            self.out.mux(self.sound.encode(None))
        self.track.finish(round(self._end_s() / TIME_BASE))
        return self._damage()

    def _add_frame(self, time_s: float, frame: Any) -> None:
        ticks = round(time_s / TIME_BASE)
        if frame.is_corrupt:
            self.dirty_s.append(time_s)
        if self.held is not None and ticks < self.held[0]:
            return  # a time that goes back
        if self.held is not None and ticks > self.held[0]:
            self._show()
        self.held = (ticks, frame)

    def _show(self) -> None:
        ticks, frame = self.held
        # what cannot be decoded at the beginning shows the first frame that can
        if frame.key_frame or not self.shown:  # of few: PyAV keeps a frame alive that was asked
            self.turn = turn_of(frame) or self.turn
        seen = as_seen(frame, self.pixel_shape, self.turn, self.size)
        self.track.add(seen, ticks if self.shown else 0)
        self.shown.append(ticks)

    def _add_sound(self, pieces: Iterator) -> None:
        for at, samples in cut_to(pieces, float("inf")):
            self.out.mux(list(encode_sound(self.sound, [(at, samples)], self.heard_to)))
            self.heard_to = at + samples.shape[1]

    def _end_s(self) -> float:
        last_s = float(self.shown[-1] * TIME_BASE)
        end_s = max(self.read.end_s, last_s + float(TIME_BASE))
        if end_s < last_s + self.read.step_s / 2:
            end_s = last_s + self.read.step_s
        heard_s = self.heard_to / self.sound.codec_context.rate if self.sound is not None else 0.0
        return heard_s if heard_s > end_s + PAST_END_S else end_s

    def _damage(self) -> list[Damage]:
        shown_s = np.array(self.shown) * float(TIME_BASE)
        end_s, step_s = self._end_s(), self.read.step_s
        stretches = [(at, at + step_s, False) for at in self.dirty_s]
        for at in sorted(self.read.expected_s):
            after = int(np.searchsorted(shown_s, at - step_s / 2))
            if after == len(shown_s) or shown_s[after] > at + step_s / 2:
                stretches.append((at, float([*shown_s, end_s][after]), True))
        return [
            (round(start, 3), round(end, 3), missing)
            for start, end, missing in _merged(stretches)
            # one picture less may be a decoder's way; where something failed it is damage
            if not missing or self.read.num_errors or end - start > 1.5 * step_s
        ]


def _merged(stretches: list[Damage]) -> list[Damage]:
    merged: list[Damage] = []
    for start, end, missing in sorted(stretches, key=lambda s: (s[2], s[0])):
        if merged and merged[-1][2] == missing and start <= merged[-1][1] + 0.001:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]), missing)
        else:
            merged.append((start, end, missing))
    return merged
