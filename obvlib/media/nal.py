"""Just enough of H.264's syntax to join two streams in one track: parameter sets, their ids, and
which pictures stand alone.
"""

from __future__ import annotations

from collections.abc import Iterator

SLICE_IDR, SPS, PPS = 5, 7, 8
HEVC_ANEW = range(16, 21)  # broken-link and IDR pictures


def split_annex_b(data: bytes) -> Iterator[bytes]:
    """NAL units between start codes (00 00 01)."""
    starts = []
    at = data.find(b"\0\0\1")
    while at >= 0:
        starts.append(at)
        at = data.find(b"\0\0\1", at + 3)
    for start, stop in zip(starts, [*starts[1:], len(data)], strict=True):
        if unit := data[start + 3 : stop].rstrip(b"\0"):
            yield unit


def split_prefixed(data: bytes, prefix_size: int) -> Iterator[bytes]:
    """NAL units each behind its length in `prefix_size` bytes, as MP4 and Matroska store them."""
    at = 0
    while at + prefix_size < len(data):
        size = int.from_bytes(data[at : at + prefix_size], "big")
        yield data[at + prefix_size : at + prefix_size + size]
        at += prefix_size + size


def prefix_size(extradata: bytes) -> int:
    """Bytes of a length prefix that an avcC record says; 0 for Annex B."""
    return (extradata[4] & 3) + 1 if extradata[:1] == b"\1" and len(extradata) > 6 else 0


def units(data: bytes, size: int) -> Iterator[bytes]:
    """NAL units of a packet, in whichever of the two forms the stream uses."""
    return split_prefixed(data, size) if size else split_annex_b(data)


def is_idr(data: bytes, size: int) -> bool:
    """Does this H.264 packet start anew, so that nothing after it refers to anything before?"""
    return any(unit and unit[0] & 31 == SLICE_IDR for unit in units(data, size))


def starts_anew(codec: str, extradata: bytes, packet: bytes) -> bool:
    """Can a decoder go on with this key frame's packet although what came before it was left out?

    In H.264 and HEVC not every key frame ends the order that frames are counted in; in other codecs
    it does.
    """
    if codec == "h264":
        return is_idr(packet, prefix_size(extradata))
    if codec == "hevc":
        size = (extradata[21] & 3) + 1 if extradata[:1] == b"\1" and len(extradata) > 22 else 0
        return any(unit and unit[0] >> 1 & 63 in HEVC_ANEW for unit in units(packet, size))
    return True


def parameter_sets(extradata: bytes) -> list[bytes]:
    """Sequence and picture parameter sets, in order, of an avcC record or of Annex B extradata."""
    if not prefix_size(extradata):
        return [unit for unit in split_annex_b(extradata) if unit[0] & 31 in (SPS, PPS)]
    sets, at = [], 5
    for mask in (31, 255):
        count, at = extradata[at] & mask, at + 1
        for _ in range(count):
            size = int.from_bytes(extradata[at : at + 2], "big")
            sets.append(extradata[at + 2 : at + 2 + size])
            at += 2 + size
    return sets


def set_id(unit: bytes) -> int:
    """The id of a parameter set: the first Exp-Golomb number of a PPS, of an SPS the one after
    profile and level.
    """
    body = unit[1:9] if unit[0] & 31 == PPS else unit[4:12]
    bits = "".join(f"{byte:08b}" for byte in body)
    zeros = bits.index("1")
    return int(bits[zeros : 2 * zeros + 1], 2) - 1


def avcc(header: bytes, sets: list[bytes]) -> bytes:
    """An avcC record with these sets; profile, level and prefix size are `header`'s (the first five
    bytes of another record).
    """
    groups = [[s for s in sets if s[0] & 31 == kind] for kind in (SPS, PPS)]
    out = header[:5] + bytes([0xE0 | len(groups[0])])
    for number, group in enumerate(groups):
        out += bytes([len(group)]) if number else b""
        for unit in group:
            out += len(unit).to_bytes(2, "big") + unit
    return out
