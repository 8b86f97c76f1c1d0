"""Just enough of the syntax of H.264 and HEVC to know where a decoder can start afresh, whatever
the container says, and to join two H.264 streams in one track: parameter sets and their ids.
"""

from __future__ import annotations

from collections.abc import Iterator

CODECS = ("h264", "hevc")
SLICE_IDR, SPS, PPS = 5, 7, 8
SEI, SEI_HEVC, DISPLAY_ORIENTATION = 6, 39, 47
HEVC_ANEW = range(16, 21)  # broken-link and IDR pictures


def split_annex_b(data: bytes) -> Iterator[bytes]:
    """Return the NAL units between start codes (00 00 01)."""
    starts = []
    at = data.find(b"\0\0\1")
    while at >= 0:
        starts.append(at)
        at = data.find(b"\0\0\1", at + 3)
    for start, stop in zip(starts, [*starts[1:], len(data)], strict=True):
        if unit := data[start + 3 : stop].rstrip(b"\0"):
            yield unit


def prefix_size(codec: str, extradata: bytes) -> int:
    """Return how many bytes the length takes before each NAL unit of a stream in MP4 or Matroska;
    0 for Annex B.
    """
    at = 21 if codec == "hevc" else 4
    return (extradata[at] & 3) + 1 if extradata[:1] == b"\1" and len(extradata) > at + 1 else 0


def units(codec: str, extradata: bytes, packet: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (type, NAL unit) of a packet, in whichever of the two forms the stream uses."""
    size = prefix_size(codec, extradata)
    for unit in _split_prefixed(packet, size) if size else split_annex_b(packet):
        if unit:
            yield unit[0] >> 1 & 63 if codec == "hevc" else unit[0] & 31, unit


def _split_prefixed(data: bytes, size: int) -> Iterator[bytes]:
    at = 0
    while at + size < len(data):
        length, at = int.from_bytes(data[at : at + size], "big"), at + size
        yield data[at : at + length] if at + length <= len(data) else b""
        at += length


def starts_afresh(codec: str, extradata: bytes, packet: bytes) -> bool:
    """Tell whether a decoder can go on with this key frame's packet although what came before it
    was left out.

    In H.264 and HEVC not every key frame ends the order that frames are counted in; in other codecs
    a true one does, and the decoder says which is (`decode`).
    """
    if codec not in CODECS:
        return True
    anew = HEVC_ANEW if codec == "hevc" else (SLICE_IDR,)
    return any(kind in anew for kind, _ in units(codec, extradata, packet))


def is_turned(codec: str, extradata: bytes, packet: bytes) -> bool:
    """Tell whether a picture of H.264 or HEVC comes with a message that says how it is turned or
    mirrored. Messages are rows of types and sizes, each in bytes of 255 and a last one that is
    less.
    """
    skipped, sei = (2, SEI_HEVC) if codec == "hevc" else (1, SEI)
    for kind, unit in units(codec, extradata, packet) if codec in CODECS else ():
        body = unit[skipped:].replace(b"\0\0\3", b"\0\0") if kind == sei else b""
        while len(body) > 2:
            message, body = _long_number(body)
            size, body = _long_number(body)
            if message == DISPLAY_ORIENTATION:
                return True
            body = body[size:]
    return False


def _long_number(data: bytes) -> tuple[int, bytes]:
    """Return a number and what follows it."""
    rest = data.lstrip(b"\xff")
    return 255 * (len(data) - len(rest)) + sum(rest[:1]), rest[1:]


def _golomb(data: bytes, count: int) -> list[int]:
    """Return the first `count` Exp-Golomb numbers of some bytes."""
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
    """Return the sequence and picture parameter sets, in order, of an avcC record or of Annex B
    extradata.
    """
    if not prefix_size("h264", extradata):
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
    """Return the id of a parameter set: the first Exp-Golomb number of a PPS, of an SPS the one
    after profile and level.
    """
    body = unit[1:9] if unit[0] & 31 == PPS else unit[4:12]
    return _golomb(body, 1)[0]


def avcc(header: bytes, sets: list[bytes]) -> bytes:
    """Return an avcC record with these sets; profile, level and prefix size are `header`'s (the
    first five bytes of another record).
    """
    groups = [[s for s in sets if s[0] & 31 == kind] for kind in (SPS, PPS)]
    out = header[:5] + bytes([0xE0 | len(groups[0])])
    for number, group in enumerate(groups):
        out += bytes([len(group)]) if number else b""
        for unit in group:
            out += len(unit).to_bytes(2, "big") + unit
    return out
