"""Writing video files: H.264 and AAC in MP4, complete under a temporary name before they get their
own.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from obvlib.core.files import replacing
from obvlib.media.mp4 import set_track_ends
from obvlib.media.opening import MediaError
from obvlib.media.source import Source

# of every track written: divides common frame rates and milliseconds
TIME_BASE = Fraction(1, 90_000)
MUX_OPTIONS = {
    "movflags": "+faststart+use_metadata_tags",
    "movie_timescale": "90000",
    "avoid_negative_ts": "disabled",
    "max_interleave_delta": "0",  # sound waits for the pictures beside it, however long
}


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How frames and sound are compressed. `crf` 0 is lossless but for the colour conversion."""

    codec: str = "libx264"
    crf: float = 18  # of x264 and x265, as is the preset
    preset: str = "veryfast"
    options: Mapping[str, str] = field(default_factory=dict)  # more of the codec's own
    audio_bit_rate: int = 64_000  # AAC, bits a second

    def settings(self) -> dict[str, str]:
        """Return what the codec is told."""
        known = {"crf": str(self.crf), "preset": self.preset}
        return {**(known if self.codec.startswith("libx26") else {}), **self.options}


def write_video(
    path: str | os.PathLike,
    frames: np.ndarray | Iterable[np.ndarray],
    fps: float,
    audio: np.ndarray | None = None,
    sample_rate: int = 16_000,
    *,
    encoding: Encoding = Encoding(),
) -> Path:
    """Write frames (T, H, W, 3) uint8 RGB, or an iterator of (H, W, 3), at a constant rate; return
    the path.

    `audio` is (N,) or (N, 2) float32 in [-1, 1]. Odd sizes are kept (4:4:4 chroma). MediaError
    names what cannot be written.
    """
    rows = iter(frames)
    first = next(rows, None)
    if first is None or not 0 < fps < 1000:
        raise MediaError(
            f"frames for {path} at {fps} fps: give at least one frame, and a rate between 0 and"
            " 1000",
            "settings",
        )
    height, width = _check_frame(first, np.shape(first)[:2]).shape[:2]
    rate = Fraction(fps).limit_denominator(1001)
    with replacing(path) as partial:
        with av.open(str(partial), "w", format="mp4", options=MUX_OPTIONS) as out:
            stream = video_stream(out, encoding.codec, (height, width), rate, encoding.settings())
            sound = _audio_stream(out, audio, sample_rate, encoding.audio_bit_rate)
            track, step, num_frames = VideoTrack(out, stream), 1 / (rate * TIME_BASE), 0
            for row in itertools.chain([first], rows):
                frame = av.VideoFrame.from_ndarray(
                    np.ascontiguousarray(_check_frame(row, (height, width))), format="rgb24"
                )
                track.add(frame, round(num_frames * step))
                num_frames += 1
            track.finish(round(num_frames * step), has_edit_list=False)
            if audio is not None:
                samples = np.asarray(audio, np.float32).reshape(len(audio), -1).T  # (channels, N)
                out.mux([*encode_sound(sound, [(0, samples)]), *sound.encode(None)])
        set_track_ends(partial, {0: round(num_frames * step)})
    return Path(path)


def same_anywhere() -> str:
    """Return what x264 is told so that equal frames give equal bytes, in any process and on any
    processor: its AVX-512 code lets the lookahead depend on where memory lies. Of 1,000 encodings
    of one clip 1 to 50 differed from the others, by settings, and all from those without it.
    """
    processor = Path("/proc/cpuinfo")
    found = processor.is_file() and "avx512" in processor.read_text(encoding="utf-8")
    return ":asm=AVX2" if found else ""


def video_stream(
    out: Any,
    codec: str,
    size: tuple[int, int],
    rate: Fraction | None,
    options: dict[str, str],
    num_threads: int = 0,
    source: Source | None = None,
) -> Any:
    """Add an 8-bit video stream for upright frames of a (height, width); 4:2:0 where both are even.
    Its colours mean what those of the `source` do.
    """
    stream = out.add_stream(codec, rate=rate or 30, options=options)
    stream.height, stream.width = size
    stream.pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
    stream.codec_context.time_base = stream.time_base = TIME_BASE
    stream.codec_context.sample_aspect_ratio = Fraction(1)  # square pixels, and it says so
    # x264 is slower, and its files larger, with a picture cut into slices
    stream.codec_context.thread_type, stream.codec_context.thread_count = "FRAME", num_threads
    if source is not None:
        copy_look(stream.codec_context, source.video.codec_context)
    return stream


class VideoTrack:
    """An encoder of frames into a stream, one packet behind: how long the last one lasts is only
    known at the end.
    """

    def __init__(self, out: Any, stream: Any) -> None:
        self.out, self.stream = out, stream
        self.held: Any = None
        self.first_dts = 0

    def add(self, frame: Any, pts: int) -> None:
        """Encode a frame, converted to the stream's size and format, to be shown from `pts` ticks
        on.
        """
        stream = self.stream
        size = {"height": stream.height, "width": stream.width}
        frame = frame.reformat(format=stream.pix_fmt, interpolation="BICUBIC", **size)
        frame.pts, frame.time_base = pts, TIME_BASE
        frame.pict_type = 0  # the encoder chooses its own key frames
        self._mux(stream.encode(frame))

    def finish(self, end: int, *, has_edit_list: bool = True) -> None:
        """Write what is left; the last frame stays on screen until `end` ticks.

        With an edit list (`set_track_ends`) the track may be longer than what is shown, and reaches
        the end in decoding time. Without one its durations add up to `end`, so that the rate that a
        reader computes from them is the true one.
        """
        self._mux(self.stream.encode(None))
        held, lead = self.held, 0 if has_edit_list else min(0, self.first_dts)
        held.duration = max(1, round(end * TIME_BASE / held.time_base) - held.dts + lead)
        self.out.mux(self.held)

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            if self.held is None:
                self.first_dts = packet.dts
            else:
                self.out.mux(self.held)
            self.held = packet


def _check_frame(frame: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    frame = np.asarray(frame)
    if (
        frame.dtype != np.uint8
        or frame.ndim != 3
        or frame.shape[2] != 3
        or frame.shape[:2] != tuple(size)
    ):
        raise MediaError(
            f"a frame of shape {frame.shape} {frame.dtype}: give (H, W, 3) uint8, all of one size",
            "settings",
        )
    return frame


def _audio_stream(out: Any, audio: np.ndarray | None, sample_rate: int, bit_rate: int) -> Any:
    if audio is None:
        return None
    if np.ndim(audio) not in (1, 2) or (np.ndim(audio) == 2 and np.shape(audio)[1] != 2):
        raise MediaError(
            f"audio of shape {np.shape(audio)}: give (N,) or (N, 2) float32", "settings"
        )
    return out.add_stream(
        "aac",
        rate=sample_rate,
        layout="mono" if np.ndim(audio) == 1 else "stereo",
        bit_rate=bit_rate,
    )


def encode_sound(
    stream: Any, pieces: Iterable[tuple[int, np.ndarray]], position: int = 0
) -> Iterator[Any]:
    """Encode pieces in rising order, with silence between them, from `position` on."""
    context = stream.codec_context
    for at, samples in pieces:
        while position < at:
            silence = np.zeros((samples.shape[0], min(at - position, context.rate)), np.float32)
            yield from _encode_piece(stream, silence, position)
            position += silence.shape[1]
        yield from _encode_piece(stream, samples, position)
        position += samples.shape[1]


def _encode_piece(stream: Any, samples: np.ndarray, position: int) -> Iterator[Any]:
    context = stream.codec_context
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(samples), format="fltp", layout=context.layout.name
    )
    frame.sample_rate, frame.pts = context.rate, position
    frame.time_base = Fraction(1, context.rate)
    yield from stream.encode(frame)


def copy_look(context: Any, original: Any) -> None:
    """Carry over what the colours mean."""
    for name in ("color_range", "color_primaries", "color_trc", "colorspace"):
        setattr(context, name, getattr(original, name))
