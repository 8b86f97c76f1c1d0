"""The sound of a clip: its packets copied where MP4 can hold them, else encoded anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np

from obvlib.media.decode import packets_from
from obvlib.media.source import Source, clip_clock, exact
from obvlib.media.write import TIME_BASE

COPIED_CODECS = {"aac", "mp3", "mp3float", "opus", "libopus", "ac3", "eac3", "alac"}
# Hz; what AAC can hold and players play
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
# decoders need a little of what came before to start cleanly; the edit list hides it
PREROLL_S = 0.1


@dataclass
class Sound:
    """Packets of one clip, timed from its start, waiting to be muxed between those of the video."""

    template: Any = None
    packets: list[Any] = field(default_factory=list)
    samples: np.ndarray | None = None
    sample_rate: int = 0
    position: int = 0
    stream: Any = None

    def add_to(self, out: Any) -> None:
        """Add the audio stream, after the video's, before anything is muxed."""
        if self.packets:
            self.stream = out.add_stream_from_template(self.template, opaque=True)
            self.stream.time_base = self.packets[0].time_base
        elif self.samples is not None:
            self.stream = out.add_stream("aac", rate=self.sample_rate, layout="mono")
            self.packets = list(self._encoded())

    def mux_until(self, out: Any, time: int | None) -> None:
        """Mux the packets up to a time in ticks of the video; all that are left for None."""
        limit = float("inf") if time is None else time * float(TIME_BASE) * self.sample_rate
        while self.position < len(self.packets):
            packet = self.packets[self.position]
            if packet.pts > limit:
                return
            packet.stream = self.stream
            out.mux(packet)
            self.packets[self.position] = None
            self.position += 1

    def reaches(self, duration_s: float) -> bool:
        """Does the sound go on to the clip's end, so that its track is to be ended there?"""
        return self.end_s >= duration_s

    end_s: float = 0.0

    def _encoded(self) -> Iterator[Any]:
        for start in range(0, len(self.samples), 1024):
            frame = av.AudioFrame.from_ndarray(
                self.samples[None, start : start + 1024], format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts, frame.time_base = (
                self.sample_rate,
                start,
                Fraction(1, self.sample_rate),
            )
            yield from self.stream.encode(frame)
        yield from self.stream.encode(None)


def clip_sound(source: Source, start_s: float, end_s: float, may_copy: bool = True) -> Sound:
    """Read the sound of [start_s, end_s); empty for a video without."""
    if source.audio is None:
        return Sound()
    if not may_copy or source.audio.codec_context.name not in COPIED_CODECS:
        original_rate = source.audio.codec_context.sample_rate
        sample_rate = next((rate for rate in AAC_RATES if rate >= original_rate), AAC_RATES[-1])
        samples = _read_audio(source, sample_rate, start_s, end_s)
        return Sound(samples=samples, sample_rate=sample_rate, end_s=end_s - start_s)
    return _copied(source, start_s, end_s)


def _copied(source: Source, start_s: float, end_s: float) -> Sound:
    stream = source.audio
    clip = Sound(template=stream)
    clip.sample_rate = stream.codec_context.sample_rate
    tick = Fraction(1, clip.sample_rate)
    clock = clip_clock(stream.time_base, source.origin_s + exact(start_s), tick)
    length = clip_clock(stream.time_base, Fraction(0), tick)
    previous = None
    for packet in packets_from(source, source.ticks(start_s - PREROLL_S, stream), stream):
        at_s = source.seconds(packet.pts, stream) if packet.pts is not None else None
        if at_s is None or at_s < start_s - PREROLL_S:
            continue
        if at_s >= end_s:
            break
        packet.pts = packet.dts = clock(packet.pts)
        packet.duration, packet.time_base = length(packet.duration or 0), tick
        if previous is None or packet.pts > previous:
            previous = packet.pts
            clip.packets.append(packet)
            clip.end_s = (packet.pts + packet.duration) / clip.sample_rate
    return clip


def _read_audio(
    source: Source, sample_rate: int, start_s: float, end_s: float | None
) -> np.ndarray:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=sample_rate)
    num_samples = None if end_s is None else round((end_s - start_s) * sample_rate)
    chunks: list[tuple[int, np.ndarray]] = []
    stream, offset = source.audio, None

    def keep(frames: list) -> None:
        nonlocal offset
        for frame in frames:
            samples = frame.to_ndarray().reshape(-1)
            chunks.append((offset, samples))
            offset += len(samples)

    context, time_base = stream.codec_context, stream.time_base
    for packet in [
        *_until(packets_from(source, source.ticks(start_s - 0.2, stream), stream), source, end_s),
        None,
    ]:
        try:
            decoded = context.decode(packet)
        except av.FFmpegError:
            continue
        for frame in decoded:
            if frame.pts is not None:
                at = round(
                    (float(frame.pts * (frame.time_base or time_base) - source.origin_s) - start_s)
                    * sample_rate
                )
                if offset is None or abs(at - offset) > sample_rate // 20:  # a gap, not rounding
                    keep(resampler.resample(None) if offset is not None else [])
                    resampler = av.AudioResampler(format="flt", layout="mono", rate=sample_rate)
                    offset = at
            if offset is not None:
                frame.pts = None
                keep(resampler.resample(frame))
    keep(resampler.resample(None) if offset is not None else [])
    return _joined(chunks, num_samples)


def _until(packets, source: Source, end_s: float | None):
    for packet in packets:
        if (
            end_s is not None
            and packet.pts is not None
            and source.seconds(packet.pts, source.audio) > end_s + 0.2
        ):
            return
        yield packet


def _joined(chunks: list[tuple[int, np.ndarray]], num_samples: int | None) -> np.ndarray:
    if num_samples is None:
        num_samples = max((at + len(samples) for at, samples in chunks), default=0)
    sound = np.zeros(max(0, num_samples), np.float32)
    for at, samples in chunks:
        low, high = max(0, at), min(len(sound), at + len(samples))
        if low < high:
            sound[low:high] = samples[low - at : high - at]
    return sound
