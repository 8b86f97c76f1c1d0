"""Is a video well behaved? One look at its structure, before anything is cut.

A well-behaved video has presentation times in the order of showing, true key frames, one edit, one
size of square upright pixels, and a length that its frames really have. What shows only later (two
frames at one time, damage, a size that changes) is found by whoever reads that stretch, as
`OddVideo`.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av

from obvlib.media import mp4, nal
from obvlib.media.opening import MediaError, pixel_shape
from obvlib.media.source import PAST_END_S, Source

# containers that can be sought in and store presentation times; all others are decoded once
INDEXED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "mpegts")
CUT_SHORT = "cut short"
MAX_LENGTH_S = 24 * 3600.0
FIRST_PACKETS = 33  # looked at for the order of frames; no codec delays more than 16
MAX_CLOCK_PROBES, PROBE_BYTES = 256, 1 << 16
TAIL_S = 2.0
SEGMENT_ID = b"\x18\x53\x80\x67"
# steps of the clock that no still picture explains: with sound, and without
JUMP_S, SILENT_JUMP_S = 10.0, 600.0
TRANSPORT_CLOCK, WRAP = 90_000, 1 << 33


def oddity(source: Source) -> str:
    """Say what is not well behaved about an open video, "" where nothing is. MediaError where its
    times span more than a day.
    """
    kind = source.container.format.name
    if source.video is None:
        return ""
    if kind not in INDEXED:
        return f"{kind} has no index of presentation times"
    try:
        reason = _first_packets(source)
        if not reason and kind == INDEXED[0]:
            reason = _mp4_header(source)
        elif not reason:
            reason = _length(source)
            if not reason and kind == "mpegts":
                reason = _clock(source)
    except (av.FFmpegError, OSError, struct.error) as error:
        reason = f"its structure cannot be read ({error})"
    length_s = duration_s(source)
    if not reason and length_s > MAX_LENGTH_S:
        raise MediaError(
            f"{source.name} claims {length_s / 3600:.0f} hours, and its times cannot be believed:"
            f" at most {MAX_LENGTH_S / 3600:.0f} are read"
        )
    return reason


def duration_s(source: Source) -> float:
    """Return the length from the first video frame to the end that the header gives; 0 where it
    gives none.

    Sound that goes on for more than a second after the picture keeps the last frame on screen.
    """
    container, lengths = source.container, [0.0, 0.0]
    for place, stream in enumerate((source.video, source.audio)):
        if stream is not None and stream.duration:
            lengths[place] = source.seconds((stream.start_time or 0) + stream.duration, stream)
    if not lengths[0] and container.duration:
        # Matroska's counts from 0
        start = 0 if "matroska" in container.format.name else container.start_time or 0
        lengths[0] = (container.duration + start) / av.time_base - float(source.origin_s)
    return round(lengths[1] if lengths[1] > lengths[0] + PAST_END_S else lengths[0], 3)


def _first_packets(source: Source) -> str:
    packets = _some_packets(source, FIRST_PACKETS)
    context = source.video.codec_context
    if not packets:
        return "it holds no packets"
    if any(p.pts is None for p in packets):
        return "it has frames without presentation times"
    is_reordered = context.has_b_frames and len(packets) > 1
    if is_reordered and all(p.pts == p.dts for p in packets):
        # MPEG-1 to 4 say that frames may be reordered even where none is
        if context.name in nal.CODECS or not _rise([f.pts for f in _decoded(source)]):
            return "its presentation times are those of decoding"
    if not packets[0].is_keyframe:
        return "it begins in the middle of a group of pictures"
    if nal.is_turned(context.name, context.extradata or b"", bytes(packets[0])):
        return "it is turned or mirrored"
    if getattr(context, "field_order", 0) not in (0, 1):
        return "it is interlaced"
    if pixel_shape(source.video) != 1:
        return "its pixels are not square"
    return ""


def _rise(times: list[Any]) -> bool:
    return None not in times and all(b > a for a, b in itertools.pairwise(times))


def _some_packets(source: Source, most: int) -> list[Any]:
    found: list[Any] = []
    for packet in source.container.demux(source.video):
        if packet.size:
            found.append(packet)
        if len(found) == most:
            break
    source.container.seek(source.video.start_time or 0, stream=source.video)
    return found


def _mp4_header(source: Source) -> str:
    with _bytes_of(source) as file:
        found = mp4.structure(file, source.container.size)
    if found.missing_bytes:
        return f"it is {CUT_SHORT}: {found.missing_bytes} bytes are missing at its end"
    if found.is_fragmented:
        return "it is stored in fragments"
    ids = {stream.id for stream in (source.video, source.audio) if stream is not None}
    for track in found.tracks:
        if track.track_id not in ids:
            continue
        shown = [edit for edit in track.edits if edit[1] != -1]
        if len(shown) > 1 or len(track.edits) > 2 or any(rate != 1 << 16 for *_, rate in shown):
            return "its edit list has several parts"
        if track.num_descriptions != 1:
            return "the format of its samples changes"
        if abs(track.length_s - track.samples_s) > PAST_END_S:
            return f"its header says {track.length_s:.1f} s, its samples {track.samples_s:.1f} s"
        if track.track_id == source.video.id and not track.matrix == found.matrix == mp4.UPRIGHT:
            return "it is turned or mirrored"
    return ""


@contextmanager
def _bytes_of(source: Source) -> Iterator[Any]:
    """Return the bytes of a source; of a remote one libav reads from the same object, and goes on
    where it was.
    """
    at = source.file.tell()
    try:
        yield source.file
    finally:
        source.file.seek(at)


def _decoded(source: Source) -> Iterator[Any]:
    packets = _some_packets(source, FIRST_PACKETS)
    for packet in [*packets, None]:
        yield from source.video.codec_context.decode(packet)


def _length(source: Source) -> str:
    """Compare the length that the header gives with the last packets."""
    claimed_s = duration_s(source)
    if not claimed_s:
        return "its header gives no length"
    if missing := _missing_matroska_bytes(source):
        return f"it is {CUT_SHORT}: {missing} bytes are missing at its end"
    source.seek(max(0.0, claimed_s - TAIL_S))
    last_s = 0.0
    streams = [s for s in (source.video, source.audio) if s is not None]
    for packet in source.container.demux(streams):
        if packet.pts is not None:
            end = packet.pts + (packet.duration or 0)
            last_s = max(last_s, source.seconds(end, packet.stream))
    source.seek(0.0)
    # a picture may stand still to the end, and only the header knows until when
    late = last_s + PAST_END_S < claimed_s and source.container.format.name == "mpegts"
    if late or last_s > claimed_s + PAST_END_S:
        return f"its header says {claimed_s:.1f} s, its packets {last_s:.1f} s"
    return ""


def _missing_matroska_bytes(source: Source) -> int:
    """Return how much shorter a Matroska file is than its segment says."""
    if "matroska" not in source.container.format.name:
        return 0
    with _bytes_of(source) as file:
        file.seek(0)
        head = file.read(4096)
    at = head.find(SEGMENT_ID) + len(SEGMENT_ID)
    if at < len(SEGMENT_ID) or at + 8 > len(head) or not head[at]:
        return 0
    width = 9 - head[at].bit_length()
    size = int.from_bytes(head[at : at + width], "big") & ((1 << 7 * width) - 1)
    is_known = size != (1 << 7 * width) - 1
    return max(0, at + width + size - source.container.size) if is_known else 0


def _clock(source: Source) -> str:
    """Say where a transport stream's times do not rise with its bytes (one joined from parts)."""
    size, steps = source.container.size, []
    previous = None
    with _bytes_of(source) as file:
        for at in range(0, size, max(PROBE_BYTES, size // MAX_CLOCK_PROBES)):
            file.seek(at)
            for time in _transport_times(file.read(PROBE_BYTES)):
                if previous is not None:  # 33 bits that wrap: the shorter way round
                    step = (time - previous + WRAP // 2) % WRAP - WRAP // 2
                    steps.append(step / TRANSPORT_CLOCK)
                previous = time
    usual_s = sorted(steps)[len(steps) * 9 // 10] if steps else 0.0
    limit_s = max(jump_limit_s(source), 10 * usual_s)
    is_odd = any(step < -PAST_END_S or step > limit_s for step in steps)
    return "its clock starts again or jumps" if is_odd else ""


def jump_limit_s(source: Source) -> float:
    """Return how far the times of all streams of a transport stream may step ahead at once."""
    return JUMP_S if source.audio is not None else SILENT_JUMP_S


def _transport_times(data: bytes) -> Iterator[int]:
    """Return the decoding times that stand in the packets of a part of a transport stream, in
    ticks.
    """
    for size in (188, 192):
        first = next((i for i in range(size) if data[i::size][:5] == b"\x47" * 5), None)
        if first is not None:
            break
    else:
        return
    for at in range(first, len(data) - 187, size):
        packet = data[at : at + 188]
        body = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
        pes = packet[body : body + 19]
        if packet[1] & 0x40 and pes[:3] == b"\0\0\1" and len(pes) == 19 and pes[7] & 0x80:
            b = pes[14:19] if pes[7] & 0x40 else pes[9:14]
            yield (b[0] >> 1 & 7) << 30 | b[1] << 22 | b[2] >> 1 << 15 | b[3] << 7 | b[4] >> 1
