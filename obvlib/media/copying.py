"""Clips made of the source's own packets: all of them (`copy`), or all but those before the first
key frame (`smart`).

Copying is fast because nothing is encoded; what was copied is still decoded once, by the check of
the finished clip, since a flipped bit leaves a packet's structure whole.

`smart` joins two H.264 streams in one track. Both keep their parameter sets, under different ids,
in the track's header, so any reader can start anywhere in either part.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av

from obvlib.media import nal
from obvlib.media.decode import decode, packets_between, packets_from
from obvlib.media.source import SNAP_S, OddVideo, Source, clip_clock, exact
from obvlib.media.write import TIME_BASE, copy_look

MP4_CODECS = {"h264", "hevc", "vp9", "libvpx-vp9", "av1", "libdav1d", "mpeg4", "mpeg2video"}
HEAD_ENCODING = {"preset": "ultrafast", "crf": "20", "bf": "0"}
TAGS = {"hevc": "hvc1"}  # Apple's players show no HEVC under another name


@dataclass
class Plan:
    """Which packets to copy, and when what they hold is shown: `times` in ticks from the clip's
    start, by source timestamp.
    """

    mode: str = "copy"
    reason: str = ""  # why copying will not do, so that the clip is encoded
    clock: Any = None  # source timestamp → ticks from the clip's start
    duration: int = 0  # ticks
    frame_ticks: int = 1  # usual length of a frame
    first: int = 0  # timestamp of the first packet to copy: a key frame
    last: int = 0  # and of the last, in decoding order
    # by timestamp, rising in the order of the packets
    decode_times: dict[int, int] = field(default_factory=dict)
    opening: Any = None  # timestamp of the frame that is on screen at the cut
    shown: list[int] = field(default_factory=list)  # timestamps of the frames shown
    head: list[int] = field(default_factory=list)  # those of them to encode again
    times: list[int] = field(default_factory=list)
    decoded: list[int] = field(default_factory=list)  # times of frames that the check decodes
    delay: int = 0  # of showing the first copied packet after decoding it
    lead_in_s: float = 0.0


def plan(source: Source, start_s: float, end_s: float, mode: str) -> Plan:
    """Decide how to write a clip: for `smart` and `copy`, from the times of the packets between the
    key frame before the start and the end.
    """
    made = Plan(mode=mode, duration=round((end_s - start_s) / TIME_BASE))
    if mode != "exact":
        _plan_copy(made, source, start_s, end_s)
    if made.reason:
        made = Plan(mode="exact", duration=made.duration, reason=made.reason)
    return made


def _plan_copy(made: Plan, source: Source, start_s: float, end_s: float) -> None:
    video = source.video
    made.clock = clip_clock(video.time_base, source.origin_s + exact(start_s), TIME_BASE)
    made.frame_ticks = max(
        1, round(1 / ((video.average_rate or video.guessed_rate or 25) * TIME_BASE))
    )
    if video.codec_context.name not in MP4_CODECS:
        made.reason = f"{video.codec_context.name} cannot be copied into MP4: encoded again"
        return
    start, end = source.ticks(start_s + SNAP_S), source.ticks(end_s - SNAP_S)
    packets = _packet_times(source, start, end)
    shown = sorted(p.pts for p in packets if p.shown and p.pts <= end)
    before = [pts for pts in shown if pts <= start]
    made.opening = before[-1] if before else shown[0] if shown else None
    made.shown = [pts for pts in shown if made.opening is not None and pts >= made.opening]
    if not made.shown or not packets[0].key:
        made.reason = "no key frame at or before the start: encoded again"
        return
    made.first = packets[0].pts
    made.last = next(p.pts for p in reversed(packets) if p.pts <= end)
    made.times = made.decoded = [_clip_ticks(made, pts) for pts in made.shown]
    made.lead_in_s = max(0.0, float((made.opening - made.first) * video.time_base))
    if made.mode == "smart" and made.opening != made.first:
        _plan_head(made, source, packets)
    made.decode_times, made.delay = _decode_times([p.pts for p in packets], made)


@dataclass(frozen=True)
class _Times:
    pts: int
    key: bool
    alone: bool  # refers to nothing before it
    shown: bool
    end: int


def _packet_times(source: Source, start: int, end: int) -> list[_Times]:
    times: list[_Times] = []
    context = source.video.codec_context
    extradata = context.extradata or b""
    for packet, _ in packets_between(source, start, end, []):
        alone = packet.is_keyframe and nal.starts_afresh(context.name, extradata, bytes(packet))
        last = packet.pts + (packet.duration or 0)
        times.append(_Times(packet.pts, packet.is_keyframe, alone, not packet.is_discard, last))
    return times


def _decode_times(stored: list[int], made: Plan) -> tuple[dict[int, int], int]:
    """Return a decoding time for each packet to copy, from the clip's start, and how far decoding
    runs ahead of showing.

    The i-th packet is decoded at the i-th time anything is shown, moved ahead so that none is shown
    before it is decoded.
    """
    first, last = stored.index(made.first), stored.index(made.last)
    copied = [pts for pts in stored[first : last + 1] if not made.head or pts >= made.first]
    at = {pts: _clip_ticks(made, pts) for pts in copied}
    ordered = sorted(at.values())
    delay = max(early - at[pts] for early, pts in zip(ordered, copied, strict=True))
    return {pts: early - delay for early, pts in zip(ordered, copied, strict=True)}, delay


def _clip_ticks(made: Plan, pts: int) -> int:
    return 0 if pts == made.opening else made.clock(pts)


def _plan_head(made: Plan, source: Source, packets: list[_Times]) -> None:
    """Choose the key frame to copy from; everything shown before it is encoded again."""
    name, context = source.video.codec_context.name, source.video.codec_context
    joint = next((p for p in packets if p.alone and p.pts > made.opening), None)
    if name != "h264" or context.pix_fmt not in ("yuv420p", "yuvj420p"):
        made.reason = (
            f"smart joins 8-bit H.264 only, this is {name} {context.pix_fmt}: encoded again"
        )
    elif joint is None or joint.pts > made.shown[-1]:
        made.reason = "no key frame to copy from inside the clip: encoded again"
    else:
        made.first, made.lead_in_s = joint.pts, 0.0
        made.head = [pts for pts in made.shown if pts < joint.pts]


def write(source: Source, out: Any, audio: Any, made: Plan) -> None:
    """Mux the clip: the head's new packets, then the source's, sound in between."""
    stream = out.add_stream_from_template(source.video, opaque=True)
    stream.time_base = TIME_BASE
    if tag := TAGS.get(source.video.codec_context.name):
        stream.codec_context.codec_tag = tag
    new = []
    if made.head:
        head = _Head(source, made)
        new = head.packets()
        stream.codec_context.extradata = head.joined_extradata()
    audio.add_to(out)
    for packet in itertools.chain(new, _copied(source, made)):
        packet.stream = stream
        out.mux(packet)


def _copied(source: Source, made: Plan) -> Iterator[Any]:
    started, length = False, clip_clock(source.video.time_base, Fraction(0), TIME_BASE)
    for packet in packets_from(source, made.first):
        started = started or packet.pts == made.first
        if not started or (made.head and packet.pts < made.first):
            # before the joint, or leading it on screen and referring to what is not copied
            continue
        shown_at, is_last = packet.pts, packet.pts == made.last
        packet.dts = made.decode_times[shown_at]
        packet.pts = _clip_ticks(made, shown_at)
        packet.duration = length(packet.duration or 0) or made.frame_ticks
        packet.time_base = TIME_BASE
        if is_last:  # reaches the clip's end, whatever the source says of its last packet
            packet.duration = max(packet.duration, made.duration - packet.dts)
        yield packet
        if is_last:
            return


class _Head:
    """The frames before the joint, encoded to fit the source's stream."""

    def __init__(self, source: Source, made: Plan) -> None:
        self.source, self.made = source, made
        self.extradata = source.video.codec_context.extradata or b""
        self.prefix_size = nal.prefix_size("h264", self.extradata)
        self.encoder = self._open()

    def _open(self) -> Any:
        original = self.source.video.codec_context
        used = {nal.set_id(unit) for unit in nal.parameter_sets(self.extradata)}
        free = next(i for i in range(1, 32) if i not in used)
        encoder = av.CodecContext.create("libx264", "w")
        encoder.width, encoder.height = original.width, original.height
        encoder.pix_fmt = original.pix_fmt
        encoder.time_base = TIME_BASE
        encoder.framerate = self.source.video.average_rate or Fraction(30)
        told = {"x264-params": f"sps-id={free}", "flags": "+global_header"}
        encoder.options = HEAD_ENCODING | told
        encoder.thread_count, encoder.thread_type = original.thread_count, "FRAME"
        copy_look(encoder, original)
        encoder.open()
        return encoder

    def packets(self) -> list[Any]:
        """Encode what is shown before the joint; decoding runs as far ahead of showing as in the
        copied part.
        """
        made, out = self.made, []
        wanted = set(made.head)
        frames = decode(self.source, made.head[0], made.head[-1], lambda pts, after: pts in wanted)
        for frame in frames:
            if frame.pts in wanted:
                at = _clip_ticks(made, frame.pts)
                frame.pts, frame.pict_type, frame.time_base = at, 0, TIME_BASE
                out += self.encoder.encode(frame)
        out += self.encoder.encode(None)
        if len(out) != len(made.head):
            raise OddVideo(
                f"{self.source.name}: {len(out)} of {len(made.head)} frames decode before the key"
                " frame: damaged"
            )
        return [self._fitted(packet, made.delay) for packet in out]

    def _fitted(self, packet: Any, delay: int) -> Any:
        fitted = packet
        if self.prefix_size:
            units = nal.split_annex_b(bytes(packet))
            fitted = av.Packet(
                b"".join(len(u).to_bytes(self.prefix_size, "big") + u for u in units)
            )
            fitted.is_keyframe = packet.is_keyframe
        fitted.pts, fitted.dts, fitted.time_base = packet.pts, packet.pts - delay, TIME_BASE
        return fitted

    def joined_extradata(self) -> bytes:
        """Return the source's parameter sets and the encoder's in one header."""
        mine = nal.parameter_sets(self.encoder.extradata)
        if not self.prefix_size:
            return self.extradata + b"".join(b"\0\0\0\1" + unit for unit in mine)
        return nal.avcc(self.extradata, nal.parameter_sets(self.extradata) + mine)
