"""Decoding as little as gives the exact frames: the part of the package that decides how fast it
is.

Presentation times stand in the packets, so which packets hold a wanted frame is known before
anything is decoded. Of the others only those that later frames refer to are decoded, and none after
the last wanted frame of a group of pictures.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import av
import numpy as np

from obvlib.media import nal
from obvlib.media.source import SNAP_S, MediaError, Source

# headers round: the last frame stays on screen so long after its end, and no longer
PAST_END_S = 1.0
SEEK_GAP_S = 8.0  # a wanted time this far ahead is sought rather than read up to
MAX_REORDER = 16  # frames that any codec shows later than it stores them
MAX_HELD_BYTES = 32 << 20  # of packets kept back in the hope that they need not be decoded
# whose decoders can be told so at each packet
SKIPPING_CODECS = {"h264", "hevc", "vp9", "mpeg4", "mpeg2video"}
INTERPOLATION = "BICUBIC"


def frames_on_screen(source: Source, times_s: list[float]) -> Iterator[tuple[int, Any]]:
    """Yield (index, frame) for sorted `times_s`: the frame on screen at each time, in order,
    several times where it stays on.

    Times before the first frame get the first, times after the last frame the last: callers check
    the length that they expect.
    """
    start = 0
    while start < len(times_s):
        stop = start + 1
        while stop < len(times_s) and times_s[stop] - times_s[stop - 1] <= SEEK_GAP_S:
            stop += 1
        yield from _run_on_screen(source, times_s, start, stop)
        start = stop


def _run_on_screen(
    source: Source, times_s: list[float], start: int, stop: int
) -> Iterator[tuple[int, Any]]:
    wanted = [source.ticks(max(0.0, t) + SNAP_S) for t in times_s[start:stop]]
    index, shown, damaged = 0, None, source.num_damaged
    for frame in decode(
        source, wanted[0], wanted[-1], lambda pts, after: _any_between(wanted, pts, after)
    ):
        while index < len(wanted) and frame.pts > wanted[index] and shown is not None:
            _check_stale(source, shown, wanted[index], damaged)
            yield start + index, shown
            index += 1
        shown = frame
    if (
        shown is None
    ):  # a recording that begins in the middle of a group: its first frame that decodes stands for those before
        shown = next(
            decode(
                source, wanted[0], wanted[-1] + round(10 / source.video.time_base), lambda *_: True
            ),
            None,
        )
    if shown is None:
        raise MediaError(
            f"{source.name}: no frame can be decoded at {times_s[start]:.3f} s; the file is damaged"
            " there"
        )
    for rest in range(index, len(wanted)):
        if wanted[rest] > source.read_until + PAST_END_S / source.video.time_base:
            end_s, asked_s = source.seconds(source.read_until), times_s[start + rest]
            raise MediaError(
                f"{source.name} stops at {end_s:.3f} s, before {asked_s:.3f} s: truncated; download"
                " it again"
            )
        _check_stale(source, shown, wanted[rest], damaged)
        yield start + rest, shown


def _check_stale(source: Source, shown: Any, wanted: int, damaged: int) -> None:
    """Where packets did not decode, an old frame may not stand for what they would have shown."""
    away_s = abs(wanted - shown.pts) * float(source.video.time_base)
    if source.num_damaged > damaged and away_s > PAST_END_S:
        raise MediaError(
            f"{source.name}: no frame can be decoded at {source.seconds(wanted):.3f} s; the file is"
            " damaged there"
        )


def _any_between(wanted: list[int], first: int, after: float) -> bool:
    """Is one of the sorted `wanted` in [first, after)?"""
    index = bisect.bisect_left(wanted, first)
    return index < len(wanted) and wanted[index] < after


def decode(
    source: Source, first: int, last: int, needed: Callable[[int, float], bool]
) -> Iterator[Any]:
    """Decode the frames that are `needed(pts, next frame's pts)` between the ticks `first` and
    `last`, in presentation order.

    Frames that others refer to come along; they have honest timestamps. What is too damaged to
    decode is left out.
    """
    context = source.video.codec_context
    can_skip = context.name in SKIPPING_CODECS
    for packet, is_needed in _to_decode(source, first, last, needed):
        if can_skip:
            context.skip_frame = "DEFAULT" if is_needed else "NONREF"
        yield from _timed(_decode_packet(source, packet), source)
    yield from _timed(_decode_packet(source, None), source)


def _to_decode(
    source: Source, first: int, last: int, needed: Callable
) -> Iterator[tuple[Any, bool]]:
    """Packets in decoding order with whether their frame is needed; packets that no needed frame
    depends on are left out.
    """
    held: list[Any] = []
    held_bytes, fresh_start = 0, None
    codec = source.video.codec_context.name
    extradata = source.video.codec_context.extradata or b""
    for packet, is_needed, leading_needed in _judged(
        source, packets_from(source, first), last, needed
    ):
        if (
            packet.is_keyframe
            and not leading_needed
            and nal.starts_anew(codec, extradata, bytes(packet))
        ):
            held, held_bytes, fresh_start = [], 0, packet.pts
        elif (
            fresh_start is not None
            and not is_needed
            and packet.pts is not None
            and packet.pts < fresh_start
        ):
            continue  # leads a key frame whose predecessors were left out
        held.append((packet, is_needed))
        held_bytes += packet.size
        if is_needed or held_bytes > MAX_HELD_BYTES:
            yield from held
            held, held_bytes = [], 0


def _judged(
    source: Source, packets: Iterator[Any], last: int, needed: Callable
) -> Iterator[tuple[Any, bool, bool]]:
    """Look just far enough ahead to know each packet's successor on screen; stop when nothing
    wanted can follow.
    """
    waiting: deque[Any] = deque()
    shown: list[int] = []  # sorted presentation times of the packets in sight

    def successor(packet: Any) -> float:
        index = bisect.bisect_right(shown, packet.pts)
        return shown[index] if index < len(shown) else float("inf")

    def judge(packet: Any) -> bool:
        return packet.pts is None or (
            not packet.is_discard and needed(packet.pts, successor(packet))
        )

    def settle() -> tuple[Any, bool, bool]:
        packet = waiting.popleft()
        leading = packet.is_keyframe and packet.pts is not None
        leads = leading and any(
            p.pts is not None and p.pts < packet.pts and judge(p) for p in waiting
        )
        if len(shown) > 512:
            del shown[:256]
        return packet, judge(packet), leads

    for packet in packets:
        waiting.append(packet)
        source.read_until = max(source.read_until, (packet.pts or 0) + (packet.duration or 0))
        if packet.pts is not None and not packet.is_discard:
            bisect.insort(shown, packet.pts)
        horizon = all_seen_before(packet, shown)
        while (
            waiting
            and horizon is not None
            and (waiting[0].pts is None or successor(waiting[0]) <= horizon)
        ):
            yield settle()
        if horizon is not None and horizon > last:
            break
    while waiting:
        yield settle()


def all_seen_before(packet: Any, shown: list[int]) -> float | None:
    """The time up to which all that is shown has been read; the sorted `shown` tells where the
    container stores no decoding times.
    """
    if packet.dts is not None:
        return packet.dts
    return shown[-MAX_REORDER - 1] if len(shown) > MAX_REORDER else None


def packets_from(source: Source, first: int, stream: Any = None) -> Iterator[Any]:
    """Packets of a stream from the key frame at or before the tick `first`, to the end of what can
    be read.
    """
    stream = stream or source.video
    # an index may point behind the asked time; None: the very start
    for back_s in (0.0, 1.0, 10.0, 60.0, None):
        start_s = source.seconds(first, stream) - back_s if back_s is not None else -60.0
        source.seek(start_s, stream)
        packets = _demux(source, stream)
        head = next(packets, None)
        if head is None:
            continue
        if (
            head.pts is not None
            and head.pts <= first
            and (head.is_keyframe or stream is not source.video)
        ):
            break
    if head is not None:
        yield head
        yield from packets


def _demux(source: Source, stream: Any) -> Iterator[Any]:
    try:
        for packet in source.container.demux(stream):
            if packet.size:
                yield packet
    except (av.FFmpegError, OSError):
        return  # a truncated file ends here; the caller misses the frames and says so


def _decode_packet(source: Source, packet: Any) -> list[Any]:
    try:
        return source.video.codec_context.decode(packet)
    except av.FFmpegError:
        source.num_damaged += 1
        return []


def _timed(frames: list[Any], source: Source) -> Iterator[Any]:
    for frame in frames:
        frame.time_base = source.video.time_base
        if frame.pts is None:
            frame.pts = frame.dts
        if frame.pts is not None:
            yield frame


def upright(frame: Any) -> Any:
    """The frame as a viewer sees it: turned by its rotation metadata, interlaced lines joined
    within the frame alone.
    """
    turn = {
        90: "transpose=cclock",
        -90: "transpose=clock",
        180: "hflip,vflip",
        -180: "hflip,vflip",
    }.get(frame.rotation)
    steps = (["estdif=mode=frame"] if frame.interlaced_frame else []) + ([turn] if turn else [])
    return filtered(frame, ",".join(steps)) if steps else frame


def filtered(frame: Any, steps: str) -> Any:
    """One frame through a filter chain of its own, its timestamp kept."""
    graph = av.filter.Graph()
    head = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    for step in steps.split(","):
        name, _, args = step.partition("=")
        node = graph.add(name, args)
        head.link_to(node)
        head = node
    head.link_to(graph.add("buffersink"))
    graph.configure()
    pts, time_base = frame.pts, frame.time_base
    graph.push(frame)
    graph.push(None)
    out = graph.pull()
    out.pts, out.time_base = pts, time_base
    return out


def to_rgb(frame: Any, height: int | None, width: int | None) -> np.ndarray:
    """(H, W, 3) uint8 of an upright frame, resized with an antialiased bicubic filter where a size
    is given.
    """
    frame = upright(frame)
    return frame.to_ndarray(
        format="rgb24",
        height=height or frame.height,
        width=width or frame.width,
        interpolation=INTERPOLATION,
    )
