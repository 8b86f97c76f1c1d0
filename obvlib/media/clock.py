"""The times of a source that is decoded once from its beginning: packets whose clock starts again,
and frames without times that can be believed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from obvlib.media.inspect import INDEXED, jump_limit_s
from obvlib.media.source import Source

BACK_S = 0.1  # a clock that goes back by more starts again
MAX_WAIT_S = 2.0  # of picture in which sound that jumped waits for the picture to jump as well


@dataclass
class Clock:
    """One clock for a container whose own starts again or jumps, as one joined from parts: the
    first picture of a part follows the last one of the part before, and the sound keeps its place
    beside the picture, whichever of them comes first in the file.
    """

    source: Source
    step_s: float  # usual length of a picture
    offset_s: float = 0.0  # of the pictures
    sound_offset_s: float = 0.0
    decoded_s: dict[int, float] = field(default_factory=dict)  # by stream: the last packet's
    picture_end_s: float = 0.0
    end_s: float = 0.0  # of what was shown or heard
    waiting: list[Any] = field(default_factory=list)  # sound of a part that has no picture yet
    waits_to_s: float = 0.0

    def placed(self, packets: Iterator[Any]) -> Iterator[Any]:
        """Yield the packets with their times moved to this clock."""
        for packet in packets:
            if packet.stream is self.source.video:
                if self._jumps(packet):
                    self.offset_s = self.picture_end_s - self.source.seconds(packet.pts)
                    yield from self._released(self.offset_s)
                elif self.waiting and self.picture_end_s > self.waits_to_s:  # the sound's alone
                    yield from self._released()
            elif self.waiting or self._jumps(packet):
                if self.sound_offset_s == self.offset_s:
                    if not self.waiting:
                        self.waits_to_s = self.picture_end_s + MAX_WAIT_S
                    self.waiting.append(packet)
                    continue
                self.sound_offset_s = self.offset_s
            yield self._moved(packet)
        yield from self._released()

    def _released(self, offset_s: float | None = None) -> Iterator[Any]:
        """Yield the sound that waited, from now on at an offset, or following all before it."""
        if self.waiting:
            first = self.waiting[0]
            follows_s = self.end_s - self.source.seconds(first.pts, first.stream)
            self.sound_offset_s = follows_s if offset_s is None else offset_s
        released, self.waiting = self.waiting, []
        yield from map(self._moved, released)

    def _jumps(self, packet: Any) -> bool:
        last_s = self.decoded_s.get(packet.stream.index)
        is_one_film = self.source.container.format.name in INDEXED[:2]
        if is_one_film or last_s is None or None in (packet.pts, packet.dts):
            return False
        step_s = self._seconds(packet, packet.dts) - last_s
        limit_s = max(0.0, self.end_s - last_s) + jump_limit_s(self.source)
        return step_s < -BACK_S or step_s > limit_s

    def _seconds(self, packet: Any, ticks: int) -> float:
        is_picture = packet.stream is self.source.video
        offset_s = self.offset_s if is_picture else self.sound_offset_s
        return self.source.seconds(ticks, packet.stream) + offset_s

    def _moved(self, packet: Any) -> Any:
        if None not in (packet.pts, packet.dts):
            is_picture = packet.stream is self.source.video
            self.decoded_s[packet.stream.index] = self._seconds(packet, packet.dts)
            length_s = float((packet.duration or 0) * packet.time_base)
            end_s = self._seconds(packet, packet.pts) + (length_s or self.step_s * is_picture)
            self.end_s = max(self.end_s, end_s)
            self.picture_end_s = max(self.picture_end_s, end_s if is_picture else 0.0)
            ticks = round((self.offset_s if is_picture else self.sound_offset_s) / packet.time_base)
            packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
        return packet


@dataclass
class FrameTimes:
    """The times of frames as they come out of the decoder: those of presentation, or those of
    decoding where these rise more faithfully, as ffmpeg's best effort.
    """

    step_s: float
    zero_s: float = 0.0  # presentation time of the first packet
    num_faulty: list[int] = field(default_factory=lambda: [0, 0])
    last: list[float] = field(default_factory=lambda: [-1e12, -1e12])
    lag_s: float = 0.0  # of the first frame's decoding time
    last_s: float | None = None

    def time_s(self, pts_s: float | None, dts_s: float | None) -> float:
        """Return seconds from the beginning for the next frame."""
        if self.last_s is None and dts_s is not None:
            self.lag_s = dts_s
        for place, value in enumerate((pts_s, dts_s)):
            if value is not None:
                self.num_faulty[place] += value <= self.last[place]
                self.last[place] = value
        time_s = None if pts_s is None else pts_s - self.zero_s
        if pts_s is None or (dts_s is not None and self.num_faulty[0] > self.num_faulty[1]):
            time_s = None if dts_s is None else dts_s - self.lag_s
        if time_s is None:
            time_s = 0.0 if self.last_s is None else self.last_s + self.step_s
        self.last_s = time_s
        return time_s
