"""Just enough of H.264's syntax to join two streams in one track: parameter sets, their ids, and
which pictures stand alone.
"""

from __future__ import annotations

from collections.abc import Iterator

CODECS = ("h264", "hevc")
SLICE, SLICE_IDR, SPS, PPS = 1, 5, 7, 8
INTRA = (2, 4)  # types of slices that refer to no other picture, modulo 5
HEVC_KEYS = range(16, 24)
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
        at += prefix_size
        yield data[at : at + size] if at + size <= len(data) else b""
        at += size


def prefix_size(extradata: bytes) -> int:
    """Bytes of a length prefix that an avcC record says; 0 for Annex B."""
    return (extradata[4] & 3) + 1 if extradata[:1] == b"\1" and len(extradata) > 6 else 0


def units(data: bytes, size: int) -> Iterator[bytes]:
    """NAL units of a packet, in whichever of the two forms the stream uses."""
    return split_prefixed(data, size) if size else split_annex_b(data)


def length_size(codec: str, extradata: bytes) -> int:
    """Bytes of the length before each NAL unit of a stream; 0 for Annex B."""
    if codec == "hevc":
        return (extradata[21] & 3) + 1 if extradata[:1] == b"\1" and len(extradata) > 22 else 0
    return prefix_size(extradata)


def starts_afresh(codec: str, extradata: bytes, packet: bytes) -> bool:
    """Can a decoder go on with this key frame's packet although what came before it was left out?

    In H.264 and HEVC not every key frame ends the order that frames are counted in; in other codecs
    it does.
    """
    if codec not in CODECS:
        return True
    kinds = (_kind(codec, unit) for unit in units(packet, length_size(codec, extradata)) if unit)
    return any(kind in (HEVC_ANEW if codec == "hevc" else (SLICE_IDR,)) for kind in kinds)


def is_true_key(codec: str, extradata: bytes, packet: bytes) -> bool:
    """Is a packet that is marked as a key frame a whole picture? Sources with intra refresh mark
    points from which a picture only builds up.
    """
    if codec not in CODECS:
        return True
    for unit in filter(None, units(packet, length_size(codec, extradata))):
        kind = _kind(codec, unit)
        if codec == "hevc" and kind < 32:
            return kind in HEVC_KEYS
        if codec == "h264" and kind in (SLICE, SLICE_IDR):
            # first macroblock, then the slice's type
            return kind == SLICE_IDR or _golomb(unit[1:12], 2)[1] % 5 in INTRA
    return False


def _kind(codec: str, unit: bytes) -> int:
    return unit[0] >> 1 & 63 if codec == "hevc" else unit[0] & 31


def _golomb(data: bytes, count: int) -> list[int]:
    """The first `count` Exp-Golomb numbers of some bytes."""
    bits, at = "".join(f"{byte:08b}" for byte in data), 0
    found: list[int] = []
    for _ in range(count):
        one = bits.find("1", at)
        if one < 0:
            return [*found, *[0] * (count - len(found))]
        stop = 2 * one - at + 1
        found.append(int(bits[one:stop], 2) - 1)
        at = stop
    return found


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
    return _golomb(body, 1)[0]


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
