"""Decoding as little as gives the exact frames: the part of the package that decides how fast it
is.

Presentation times stand in the packets, so which packets hold a wanted frame is known before
anything is decoded. Of the others only those that later frames refer to are decoded, and none after
the last wanted frame of a group of pictures.
"""

from __future__ import annotations

import bisect
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import av
import numpy as np

from obvlib.media import nal
from obvlib.media.source import SNAP_S, OddVideo, Source

SEEK_GAP_S = 8.0  # a wanted time this far ahead is sought rather than read up to
MAX_REORDER = 16  # frames that any codec shows later than it stores them
MAX_HELD_BYTES = 32 << 20  # of packets kept back in the hope that they need not be decoded
# whose decoders can be told so at each packet
SKIPPING_CODECS = {"h264", "hevc", "vp9", "mpeg4", "mpeg2video"}
INTERPOLATION = "BICUBIC"
INTRA = 1  # libav's number of pictures that stand alone


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
        wanted = [source.ticks(max(0.0, t) + SNAP_S) for t in times_s[start:stop]]
        for index, frame in _on_screen(source, wanted):
            yield start + index, frame
        start = stop


def _on_screen(source: Source, wanted: list[int]) -> Iterator[tuple[int, Any]]:
    index, shown = 0, None
    frames = decode(
        source, wanted[0], wanted[-1], lambda pts, after: _any_between(wanted, pts, after)
    )
    for frame in frames:
        while index < len(wanted) and frame.pts > wanted[index] and shown is not None:
            yield index, shown
            index += 1
        shown = frame
    if shown is None:
        raise OddVideo(f"{source.name}: no frame decodes at {source.seconds(wanted[0]):.3f} s")
    yield from ((rest, shown) for rest in range(index, len(wanted)))


def _any_between(wanted: list[int], first: int, after: float) -> bool:
    """Tell whether one of the sorted `wanted` is in [first, after)."""
    index = bisect.bisect_left(wanted, first)
    return index < len(wanted) and wanted[index] < after


def decode(
    source: Source, first: int, last: int, needed: Callable[[int, float], bool]
) -> Iterator[Any]:
    """Decode the frames that are `needed(pts, next frame's pts)` between the ticks `first` and
    `last`, in presentation order.

    Frames that others refer to come along. OddVideo where a needed frame does not decode, or comes
    out as no well-behaved video's would.
    """
    context = source.video.codec_context
    can_skip = context.name in SKIPPING_CODECS
    owed: list[int] = []  # sorted times of needed and key frames that went into the decoder
    keys: dict[int, bool] = {}  # times of the key frames that did, and whether they are hidden
    previous = None
    for packet, is_needed in itertools.chain(
        _to_decode(source, first, last, needed), [(None, False)]
    ):
        if packet is not None and packet.is_keyframe:
            keys[packet.pts] = packet.is_discard
            packet = _decodable(packet) if packet.is_discard else packet
        if packet is not None and can_skip:
            context.skip_frame = "DEFAULT" if is_needed else "NONREF"
        if packet is not None and (is_needed or packet.is_keyframe) and not packet.is_discard:
            bisect.insort(owed, packet.pts)
        for frame in _decode_packet(source, packet):
            _check_frame(source, frame, previous, owed, keys)
            frame.time_base, previous = source.video.time_base, frame.pts
            if not keys.get(frame.pts):
                yield frame
    if owed:
        raise OddVideo(f"{source.name}: {len(owed)} frames do not decode")


def _decodable(packet: Any) -> Any:
    """Return a copy of a packet whose frame comes out although an edit list hides it."""
    copy = av.Packet(bytes(packet))
    copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
    copy.is_keyframe = True
    return copy


def _check_frame(
    source: Source, frame: Any, previous: int | None, owed: list[int], keys: dict[int, bool]
) -> None:
    """Take a frame off the `owed` ones; OddVideo where it is not what its packets promised. Others
    refer to a frame that is not owed, unless it is shown before the first of the `keys`.
    """
    problem = ""
    if frame.pts is None or (previous is not None and frame.pts <= previous):
        problem = "frames come out of order"
    elif owed and owed[0] < frame.pts:
        problem = f"{'key ' * (owed[0] in keys)}frames do not decode"
    elif (frame.height, frame.width) != source.size:
        problem = f"the size of frames changes to {frame.width}x{frame.height} px"
    elif previous is None and frame.side_data.get("DISPLAYMATRIX") is not None:
        # the first alone is asked: PyAV keeps a frame alive that was
        problem = "frames are turned or mirrored"
    elif frame.pts in keys and frame.pict_type != INTRA:
        problem = "key frames are not known to be whole pictures"  # intra refresh, a false index
    elif frame.is_corrupt and (frame.pts >= next(iter(keys)) or frame.pts in owed[:1]):
        problem = "frames are damaged"
    elif owed and owed[0] == frame.pts:
        problem = "frames are interlaced" if frame.interlaced_frame else ""
        owed.pop(0)
    if problem:
        raise OddVideo(f"{source.name}: {problem}")


def _to_decode(
    source: Source, first: int, last: int, needed: Callable
) -> Iterator[tuple[Any, bool]]:
    """Return the packets in decoding order with whether their frame is needed; packets that no
    needed frame depends on are left out.
    """
    held: list[Any] = []
    held_bytes, fresh_start = 0, None
    codec = source.video.codec_context.name
    extradata = source.video.codec_context.extradata or b""
    for packet, is_needed, leading_needed in _judged(source, first, last, needed):
        if (
            packet.is_keyframe
            and not leading_needed
            and nal.starts_afresh(codec, extradata, bytes(packet))
        ):
            held, held_bytes, fresh_start = [], 0, packet.pts
        elif fresh_start is not None and not is_needed and packet.pts < fresh_start:
            continue  # leads a key frame whose predecessors were left out
        held.append((packet, is_needed))
        held_bytes += packet.size
        if is_needed or held_bytes > MAX_HELD_BYTES:
            yield from held
            held, held_bytes = [], 0


def _judged(
    source: Source, first: int, last: int, needed: Callable
) -> Iterator[tuple[Any, bool, bool]]:
    """Look just far enough ahead to know each packet's successor on screen; stop when nothing
    wanted can follow.
    """
    sight = _Sight(needed)
    for packet, horizon in packets_between(source, first, last, sight.shown):
        sight.waiting.append(packet)
        while sight.waiting and sight.successor(sight.waiting[0]) <= horizon:
            yield sight.settle()
    while sight.waiting:
        yield sight.settle()


class _Sight:
    """The packets that wait for their judgement, and the sorted times of all that are in sight."""

    def __init__(self, needed: Callable) -> None:
        self.needed = needed
        self.waiting: deque[Any] = deque()
        self.shown: list[int] = []

    def successor(self, packet: Any) -> float:
        index = bisect.bisect_right(self.shown, packet.pts)
        return self.shown[index] if index < len(self.shown) else float("inf")

    def judge(self, packet: Any) -> bool:
        return not packet.is_discard and self.needed(packet.pts, self.successor(packet))

    def settle(self) -> tuple[Any, bool, bool]:
        """Return the first packet, whether it is needed, and whether what it leads is."""
        packet = self.waiting.popleft()
        leads = packet.is_keyframe and any(
            p.pts < packet.pts and self.judge(p) for p in self.waiting
        )
        if len(self.shown) > 512:
            del self.shown[:256]
        return packet, self.judge(packet), leads


def packets_between(
    source: Source, first: int, last: int, shown: list[int]
) -> Iterator[tuple[Any, float]]:
    """Yield packets from the key frame at or before the tick `first` until nothing shown up to
    `last` can follow, and the time up to which all that is shown was read; add their times to the
    sorted ones of those `shown`.
    """
    packets = packets_from(source, first)
    for packet in packets:
        if packet.pts is None:
            raise OddVideo(f"{source.name}: frames have no presentation times")
        if not packet.is_discard:
            at = bisect.bisect_left(shown, packet.pts)
            if shown[at : at + 1] == [packet.pts]:
                raise OddVideo(f"{source.name}: two frames have one time")
            shown.insert(at, packet.pts)
        horizon = float("-inf")
        if packet.dts is not None:
            horizon = packet.dts
        elif len(shown) > MAX_REORDER:  # the container stores no times of decoding
            horizon = shown[-MAX_REORDER - 1]
        yield packet, horizon
        if horizon > last:
            next(packets, None)  # by which a time that jumped ahead would show
            return


def packets_from(source: Source, first: int, stream: Any = None) -> Iterator[Any]:
    """Return the packets of a stream from the key frame at or before the tick `first`, to the end
    of what can be read.
    """
    stream = stream or source.video
    head = None
    # an index may point behind the asked time, and a transport stream has none; None: the start
    for back_s in (0.0, 1.0, 4.0, 16.0, 64.0, None):
        source.seek(source.seconds(first, stream) - back_s if back_s is not None else -60.0, stream)
        packets = _demux(source, stream)
        head = _key_packet(source, packets, None if back_s is None else first)
        if head is not None:
            break
    if head is None:
        return
    decoded_at = head.dts  # now: whoever copies a packet gives it times of its own
    yield head
    for packet in packets:
        if None not in (packet.dts, decoded_at) and packet.dts < decoded_at:
            raise OddVideo(f"{source.name}: its times go backwards")
        decoded_at = packet.dts
        yield packet


def _key_packet(source: Source, packets: Iterator[Any], first: int | None) -> Any:
    """Read up to a packet to begin with that is shown no later than `first`."""
    for packet in packets:
        is_start = packet.stream is not source.video or packet.is_keyframe
        if is_start and (first is None or (packet.pts is not None and packet.pts <= first)):
            return packet
        if first is not None and packet.pts is not None and packet.pts > first:
            return None
    return None


def _demux(source: Source, stream: Any) -> Iterator[Any]:
    try:
        for packet in source.container.demux(stream):
            if packet.is_corrupt:
                raise OddVideo(f"{source.name}: packets are damaged")
            if packet.size:
                yield packet
    except (av.FFmpegError, OSError) as error:
        raise OddVideo(f"{source.name} cannot be read to its end ({error})") from None


def _decode_packet(source: Source, packet: Any) -> list[Any]:
    try:
        return source.video.codec_context.decode(packet)
    except av.FFmpegError:
        raise OddVideo(f"{source.name}: packets do not decode") from None


def to_rgb(frame: Any, height: int | None = None, width: int | None = None) -> np.ndarray:
    """Return a frame as (H, W, 3) uint8, resized with an antialiased bicubic filter where a size is
    given.
    """
    return frame.to_ndarray(
        format="rgb24",
        height=height or frame.height,
        width=width or frame.width,
        interpolation=INTERPOLATION,
    )
