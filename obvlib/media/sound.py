"""The sound of a stretch of video: its packets copied where an MP4 can hold them as they are, else
decoded, brought to one rate and layout, and encoded as AAC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np

from obvlib.media.decode import packets_from
from obvlib.media.source import OddVideo, Source, clip_clock, exact
from obvlib.media.write import encode_sound

# described once, in the header: their packets cannot change rate or layout on the way
COPIED_CODECS = {"aac", "opus", "libopus", "alac"}
# Hz; what AAC can hold and players play
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
# decoders need a little of what came before to start cleanly; the edit list hides it
PREROLL_S = 0.1
READ_BACK_S = 0.2
HOLD_S = 0.1  # of sound that what comes later may replace
GAP_S = 0.05  # between what is heard and its time: more than rounding


@dataclass
class Timeline:
    """Decoded sound brought to one rate and layout, and put in its place: `add` gives pieces
    (position in samples, (C, N) float32) that never overlap. Where they would, as where parts are
    joined, the later sound is kept: the end of a part is padding.
    """

    rate: int
    layout: str = "mono"
    position: Any = None  # in samples, of what comes next, once something was heard
    given_to: Any = None  # where what was given ends
    held: list[tuple[int, np.ndarray]] = field(default_factory=list)  # may yet be cut short
    form: tuple = ()
    resampler: Any = None

    def add(self, frame: Any, time_s: float) -> Iterator[tuple[int, np.ndarray]]:
        """Take in a frame that is heard from `time_s` on."""
        form, at = (
            (frame.format.name, frame.layout.name, frame.sample_rate),
            round(time_s * self.rate),
        )
        jumps = self.resampler is None or abs(at - self.position) > GAP_S * self.rate
        if jumps or form != self.form:
            self.end_part()
            self.form, self.position = form, at
            self.resampler = av.AudioResampler(format="fltp", layout=self.layout, rate=self.rate)
        frame.pts = None
        self._place(self.resampler.resample(frame))
        yield from self._given(self.position - HOLD_S * self.rate)

    def finish(self) -> Iterator[tuple[int, np.ndarray]]:
        """Give what is still held."""
        self.end_part()
        yield from self._given(float("inf"))

    def end_part(self) -> None:
        """Let the next frame begin at its own time, however near that is to what was heard last."""
        if self.resampler is not None:
            self._place(self.resampler.resample(None))
            self.resampler = None

    def _place(self, frames: list[Any]) -> None:
        for frame in frames:
            samples, at = frame.to_ndarray(), self.position
            self.position += samples.shape[1]
            self.held = [(a, old[:, : max(0, at - a)]) for a, old in self.held]
            begin = max(0, (self.given_to or at) - at)
            self.held.append((at + begin, samples[:, begin:]))

    def _given(self, end: float) -> Iterator[tuple[int, np.ndarray]]:
        while self.held and self.held[0][0] + self.held[0][1].shape[1] <= end:
            at, samples = self.held.pop(0)
            if samples.shape[1]:
                self.given_to = at + samples.shape[1]
                yield at, samples


def heard(
    source: Source, timeline: Timeline, start_s: float, end_s: float | None
) -> Iterator[tuple[int, np.ndarray]]:
    """Decode [start_s, end_s) into pieces (samples from start_s, (C, N) float32)."""
    stream = source.audio
    first = source.ticks(start_s - READ_BACK_S, stream)
    for packet in packets_from(source, first, stream):
        if packet.pts is not None and end_s is not None:
            if source.seconds(packet.pts, stream) > end_s + READ_BACK_S:
                break
        for frame in decoded(stream, packet):
            yield from timeline.add(frame, frame_time_s(source, frame) - start_s)
    for frame in decoded(stream, None):
        yield from timeline.add(frame, frame_time_s(source, frame) - start_s)
    yield from timeline.finish()


def decoded(stream: Any, packet: Any) -> list[Any]:
    """Return the frames of a sound packet that have times; what is damaged is left out, as players
    do.
    """
    try:
        return [f for f in stream.codec_context.decode(packet) if f.pts is not None]
    except av.FFmpegError:
        return []


def frame_time_s(source: Source, frame: Any) -> float:
    """Return when a frame of sound is heard, in seconds from the first video frame."""
    return float(frame.pts * (frame.time_base or source.audio.time_base) - source.origin_s)


def cut_to(
    pieces: Iterable[tuple[int, np.ndarray]], num_samples: float
) -> Iterator[tuple[int, np.ndarray]]:
    """Return what of the pieces lies in [0, num_samples)."""
    for at, samples in pieces:
        low, high = max(0, -at), min(samples.shape[1], num_samples - at)
        if low < high:
            yield at + low, samples[:, low : int(high)]


def aac_stream(out: Any, source: Source) -> Any:
    """Add an AAC stream of about the source's rate, mono or stereo."""
    original = source.audio.codec_context
    rate = next((r for r in AAC_RATES if r >= original.sample_rate), AAC_RATES[-1])
    layout = "mono" if original.channels == 1 else "stereo"
    return out.add_stream("aac", rate=rate, layout=layout)


@dataclass
class Sound:
    """The sound of one clip, on its way into a file: packets timed from the clip's start."""

    source: Source
    start_s: float
    end_s: float
    packets: list[Any] = field(default_factory=list)
    stream: Any = None
    last_s: float = 0.0  # end of the last packet

    def add_to(self, out: Any) -> None:
        """Read the sound, add its stream after the video's, and mux it all: libav holds each packet
        until the pictures before it have come.
        """
        if self.source.audio is None:
            return
        context = self.source.audio.codec_context
        if context.name in COPIED_CODECS and context.extradata:
            self.packets = list(self._copied())
            if self.packets:
                self.stream = out.add_stream_from_template(self.source.audio, opaque=True)
                self.stream.time_base = self.packets[0].time_base
        else:
            self._encode_to(out)
        for packet in self.packets:
            self.last_s = float((packet.pts + packet.duration) * packet.time_base)
            packet.stream = self.stream
            out.mux(packet)

    def _encode_to(self, out: Any) -> None:
        source = self.source
        self.stream = aac_stream(out, source)
        encoder = self.stream.codec_context
        timeline = Timeline(encoder.rate, encoder.layout.name)
        pieces = heard(source, timeline, self.start_s, self.end_s)
        length = round((self.end_s - self.start_s) * encoder.rate)
        self.packets = [*encode_sound(self.stream, cut_to(pieces, length)), *self.stream.encode()]

    def reaches_end(self) -> bool:
        """Tell whether the sound goes on to the clip's end, so that its track must end there."""
        return self.last_s >= self.end_s - self.start_s

    def _copied(self) -> Iterator[Any]:
        source, stream = self.source, self.source.audio
        tick = Fraction(1, stream.codec_context.sample_rate)
        clock = clip_clock(stream.time_base, source.origin_s + exact(self.start_s), tick)
        length = clip_clock(stream.time_base, Fraction(0), tick)
        previous = None
        for packet in packets_from(source, source.ticks(self.start_s - PREROLL_S, stream), stream):
            if packet.pts is None:
                raise OddVideo(f"{source.name}: its sound has no presentation times")
            at_s = source.seconds(packet.pts, stream)
            heard_s = source.seconds(packet.pts + (packet.duration or 0), stream)
            if at_s >= self.end_s:
                return
            packet.pts = packet.dts = clock(packet.pts)
            packet.duration, packet.time_base = length(packet.duration or 0), tick
            if heard_s >= self.start_s - PREROLL_S and (previous is None or packet.pts > previous):
                previous = packet.pts
                yield packet
