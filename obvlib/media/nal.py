"""Just enough of the syntax of coded pictures to know which of them stand alone, whatever the
container says, and to join two H.264 streams in one track: parameter sets and their ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

CODECS = ("h264", "hevc")
SLICE, SLICE_IDR, SPS, PPS = 1, 5, 7, 8
SEI, SEI_HEVC, DISPLAY_ORIENTATION = 6, 39, 47
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
    """Return how many bytes a length prefix takes, as an avcC record says; 0 for Annex B."""
    return (extradata[4] & 3) + 1 if extradata[:1] == b"\1" and len(extradata) > 6 else 0


def units(data: bytes, size: int) -> Iterator[bytes]:
    """NAL units of a packet, in whichever of the two forms the stream uses."""
    return split_prefixed(data, size) if size else split_annex_b(data)


def length_size(codec: str, extradata: bytes) -> int:
    """Return how many bytes the length takes before each NAL unit of a stream; 0 for Annex B."""
    if codec == "hevc":
        return (extradata[21] & 3) + 1 if extradata[:1] == b"\1" and len(extradata) > 22 else 0
    return prefix_size(extradata)


def can_tell(codec: str) -> bool:
    """Is it known how this codec says which of its pictures stand alone?"""
    return codec in CODECS or codec in INTRA_PACKETS


def starts_afresh(codec: str, extradata: bytes, packet: bytes) -> bool:
    """Can a decoder go on with this key frame's packet although what came before it was left out?

    In H.264 and HEVC not every key frame ends the order that frames are counted in; in other codecs
    a true one does.
    """
    if codec not in CODECS:
        return is_true_key(codec, extradata, packet)
    kinds = (_kind(codec, unit) for unit in units(packet, length_size(codec, extradata)) if unit)
    return any(kind in (HEVC_ANEW if codec == "hevc" else (SLICE_IDR,)) for kind in kinds)


def is_true_key(codec: str, extradata: bytes, packet: bytes) -> bool:
    """Is a packet that is marked as a key frame a whole picture? Sources with intra refresh mark
    points from which a picture only builds up, and some containers mark what is none at all.
    """
    if codec not in CODECS:
        return INTRA_PACKETS[codec](packet) if codec in INTRA_PACKETS else True
    for unit in filter(None, units(packet, length_size(codec, extradata))):
        kind = _kind(codec, unit)
        if codec == "hevc" and kind < 32:
            return kind in HEVC_KEYS
        if codec == "h264" and kind in (SLICE, SLICE_IDR):
            # first macroblock, then the slice's type
            return kind == SLICE_IDR or _golomb(unit[1:12], 2)[1] % 5 in INTRA
    return False


def _mpeg2_intra(packet: bytes) -> bool:
    """A picture's header: start code 00, ten bits of its place, three of its type; 1 is intra."""
    at = packet.find(b"\0\0\1\0")
    return at >= 0 and packet[at + 5 : at + 6] != b"" and packet[at + 5] >> 3 & 7 == 1


def _mpeg4_intra(packet: bytes) -> bool:
    """A picture's header: start code B6, two bits of its type; 0 is intra."""
    at = packet.find(b"\0\0\1\xb6")
    return at >= 0 and packet[at + 4 : at + 5] != b"" and packet[at + 4] >> 6 == 0


def _vp8_intra(packet: bytes) -> bool:
    return packet[:1] != b"" and packet[0] & 1 == 0


def _vp9_intra(packet: bytes) -> bool:
    """Two bits of marker, two of profile, one reserved in profile 3; then whether an earlier frame
    is shown again, and the type, 0 for a key frame.
    """
    if not packet:
        return False
    return packet[0] >> (1 if packet[0] & 0x30 == 0x30 else 2) & 3 == 0


def _av1_intra(packet: bytes) -> bool:
    """Units of a type (four bits) and a size; a frame's (3, 6) begins with whether an earlier one
    is shown again, and two bits of type, 0 for a key frame.
    """
    at = 0
    while at < len(packet):
        head, at = packet[at], at + 1 + (packet[at] >> 2 & 1)
        size = len(packet) - at
        if head & 2:
            size, shift = 0, 0
            while at < len(packet):
                size, shift, at = size | (packet[at] & 127) << shift, shift + 7, at + 1
                if not packet[at - 1] & 128:
                    break
        if head >> 3 & 15 in (3, 6):
            return at < len(packet) and packet[at] >> 5 == 0
        at += size
    return False


INTRA_PACKETS: dict[str, Callable[[bytes], bool]] = {  # by libav's names of decoders
    "mpeg1video": _mpeg2_intra,
    "mpeg2video": _mpeg2_intra,
    "mpeg4": _mpeg4_intra,
    "vp8": _vp8_intra,
    "libvpx": _vp8_intra,
    "vp9": _vp9_intra,
    "libvpx-vp9": _vp9_intra,
    "av1": _av1_intra,
    "libdav1d": _av1_intra,
    "libaom-av1": _av1_intra,
}


def is_turned(codec: str, extradata: bytes, packet: bytes) -> bool:
    """Does a picture of H.264 or HEVC come with a message that says how it is turned or mirrored?
    Messages are rows of types and sizes, each in bytes of 255 and a last one that is less.
    """
    if codec not in CODECS:
        return False
    skipped, kind = (2, SEI_HEVC) if codec == "hevc" else (1, SEI)
    for unit in filter(None, units(packet, length_size(codec, extradata))):
        body = unit[skipped:].replace(b"\0\0\3", b"\0\0") if _kind(codec, unit) == kind else b""
        while len(body) > 2:
            message, at = 0, 0
            numbers: list[int] = []
            while len(numbers) < 2 and at < len(body):
                message, at = message + body[at], at + 1
                if body[at - 1] < 255:
                    numbers, message = [*numbers, message], 0
            if numbers[:1] == [DISPLAY_ORIENTATION]:
                return True
            body = body[at + numbers[1] :] if len(numbers) == 2 else b""
    return False


def _kind(codec: str, unit: bytes) -> int:
    return unit[0] >> 1 & 63 if codec == "hevc" else unit[0] & 31


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
