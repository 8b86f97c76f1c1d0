"""Video that is not well behaved: each kind, generated small, shows the right frames in every way
of reading, or says what is wrong.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import video_samples as samples

from obvlib import media
from obvlib.core import FramePolicy

AT_S = np.arange(1.02, 2.0, 0.04)  # in the middle of frames 25 to 49


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OBV_DATA", str(tmp_path / "data"))


def set_matrix(path: Path, a: int, b: int, c: int, d: int) -> None:
    data, units = bytearray(path.read_bytes()), [1 << 16, 1 << 16, 1 << 30]
    at = data.find(b"tkhd") + 44
    data[at : at + 36] = b"".join(
        (value * units[i % 3]).to_bytes(4, "big", signed=True)
        for i, value in enumerate([a, b, 0, c, d, 0, 0, 0, 1])
    )
    path.write_bytes(data)


def blank(path: Path, start_s: float, end_s: float) -> None:
    """Write zeros over the packets of a stretch."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as file:
        for packet in file.demux(video=0):
            if packet.size and start_s <= packet.pts * packet.time_base < end_s:
                data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path.write_bytes(data)


def repeat_a_time(path: Path) -> None:
    """Give frame 60 the time of frame 59."""
    whole = path.with_name("whole.mkv")
    path.rename(whole)
    with av.open(str(whole)) as file, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(file.streams.video[0])
        for packet in file.demux(video=0):
            if packet.dts is not None:
                shift = 40 if round(packet.pts * packet.time_base * 25) == 60 else 0
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = stream
                out.mux(packet)


KINDS = {
    "b-frames in avi": ("a.avi", {"g": "25", "bf": "3", "x264-params": "b-adapt=0"}, None, "index"),
    "b-frames in flv": ("a.flv", {"g": "25", "bf": "2"}, None, "index"),
    "intra refresh": (
        "a.mp4",
        {"g": "30", "x264-params": "intra-refresh=1:bframes=0"},
        None,
        "whole pictures",
    ),
    "mirrored": ("a.mp4", {"g": "25"}, lambda p: set_matrix(p, -1, 0, 0, 1), "mirrored"),
    "two frames at one time": ("a.mkv", {"g": "25", "bf": "0"}, repeat_a_time, "one time"),
    "cut short": (
        "a.mkv",
        {"g": "25"},
        lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size * 4 // 5]),
        "cut short",
    ),
    "fragmented": ("f.mp4", {"g": "25"}, None, "fragments"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_way_of_reading_shows_the_right_frames_and_says_why(tmp_path, kind):
    name, options, change, reason = KINDS[kind]
    path = tmp_path / name
    mux = {"movflags": "frag_keyframe+empty_moov"} if kind == "fragmented" else {}
    samples.encode(path, "libx264", options=options, mux=mux)
    if change:
        change(path)

    def seen(frames):
        return samples.numbers(frames[:, :, ::-1] if kind == "mirrored" else frames)

    numbers = list(range(25, 50))
    assert seen(media.frames_at(path, AT_S)[0]) == numbers
    for mode in media.MODES:
        made = media.slice_clip(path, tmp_path / "clip.mp4", 1.0, 2.5, mode=mode)
        assert seen(media.frames_at(made.path, AT_S - 1.0)[0]) == numbers, mode
        # what only a stretch shows is noted by whoever reads that stretch
        assert reason in made.note or kind in ("two frames at one time", "intra refresh")
    media.prepare_clip(path, tmp_path / "prepared.mp4", 1.0, 2.0, FramePolicy())
    frames, times_s = media.clip_frames(tmp_path / "prepared.mp4", FramePolicy())
    assert seen(frames) == [25 + int(t * 25 + 0.03) for t in times_s]


def test_two_frames_at_one_time_are_said_where_they_are(tmp_path):
    samples.encode(tmp_path / "a.mkv", "libx264", options={"g": "25", "bf": "0"})
    repeat_a_time(tmp_path / "a.mkv")
    for mode in media.MODES:
        made = media.slice_clip(tmp_path / "a.mkv", tmp_path / "c.mp4", 2.0, 3.0, mode=mode)
        assert "two frames have one time" in made.note
        assert samples.numbers(media.frames_at(made.path, [0.38])[0]) == [60]


def test_damage_is_refused_or_noted_alike(tmp_path):
    samples.encode(tmp_path / "a.mp4", "libx264", num_frames=250, options={"g": "25", "bf": "2"})
    blank(tmp_path / "a.mp4", 4.0, 6.5)
    for start_s, end_s, is_made in [(1.0, 3.0, True), (3.5, 7.0, False), (6.2, 9.0, True)]:
        for mode in (*media.MODES, "prepare"):
            out = tmp_path / "clip.mp4"
            try:
                if mode == "prepare":
                    made = media.prepare_clip(
                        tmp_path / "a.mp4", out, start_s, end_s, FramePolicy()
                    )
                else:
                    made = media.slice_clip(tmp_path / "a.mp4", out, start_s, end_s, mode=mode)
            except media.MediaError as error:
                assert not is_made and "damaged there" in str(error), mode
            else:
                assert is_made, mode
                assert start_s < 3 or "damaged in the source" in made.note, mode


def flip_a_bit(path: Path, number: int) -> None:
    """Change a bit of a frame's packet, which keeps its length, its units and its header."""
    with av.open(str(path)) as file:
        frames = {round(p.pts * p.time_base * 25): bytes(p) for p in file.demux(video=0) if p.size}
    data = bytearray(path.read_bytes())
    data[data.find(frames[number]) + len(frames[number]) // 2] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_bits_that_flip_inside_copied_packets_are_noted(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    samples.encode(path, "libx264", options={"g": "12"})
    flip_a_bit(path, 40)
    for mode in ("copy", "smart"):
        made = media.slice_clip(path, tmp_path / "c.mp4", 1.1, 2.6, mode=mode)
        assert "damaged" in made.note, mode
        assert media.slice_clip(path, tmp_path / "c.mp4", 2.5, 3.5, mode=mode).note == "", mode


def test_a_damaged_frame_that_others_refer_to_is_noted_with_them(tmp_path):
    path = tmp_path / "a.mp4"
    samples.encode(path, "libx264", options={"g": "12", "bf": "0"})
    flip_a_bit(path, 40)
    with pytest.warns(UserWarning, match="frames are damaged"):
        media.frames_at(path, [1.78])  # frame 44 of a group that begins at 36
    one = FramePolicy(min_frames=2, max_frames=2)
    assert "damaged" in media.prepare_clip(path, tmp_path / "p.mp4", 1.76, 1.8, one).note


def test_a_time_that_jumps_ahead_does_not_end_the_reading(tmp_path):
    path = tmp_path / "a.ts"
    samples.encode(path, "libx264", options={"g": "100", "bf": "0"})
    data, at = bytearray(path.read_bytes()), -1
    for _ in range(51):  # to the header of frame 50
        at = data.find(b"\0\0\1\xe0", at + 1)
    field = data[at + 9 : at + 14]
    time = (field[0] >> 1 & 7) << 30 | field[1] << 22 | (field[2] >> 1) << 15
    time = (time | field[3] << 7 | field[4] >> 1) + round(0.4 * 90_000)
    data[at + 9 : at + 14] = [
        field[0] & 0xF1 | time >> 29 & 0xE, time >> 22 & 255, time >> 14 & 255 | 1,
        time >> 7 & 255, time << 1 & 255 | 1,
    ]  # fmt: skip
    path.write_bytes(data)
    with pytest.warns(UserWarning, match="times go backwards"):
        media.frames_at(path, np.arange(1.82, 2.38, 0.04))


def test_a_picture_may_stand_still(tmp_path):
    times_s = [i * 0.2 for i in range(11)] + [20 + i * 0.2 for i in range(11)]
    for name in ("a.mp4", "a.mkv", "a.ts"):
        samples.encode(tmp_path / name, "libx264", times_s=times_s, fps=5, sound="aac")
        for mode in media.MODES:
            made = media.slice_clip(tmp_path / name, tmp_path / "c.mp4", 6.0, 15.0, mode=mode)
            assert samples.numbers(media.frames_at(made.path, [0.1, 8.9])[0]) == [10, 10]
        media.prepare_clip(tmp_path / name, tmp_path / "p.mp4", 6.0, 15.0, FramePolicy())


def test_a_clock_that_starts_again_goes_on(tmp_path):
    samples.encode(tmp_path / "a.ts", "libx264", options={"g": "25"}, sound="aac")
    part = (tmp_path / "a.ts").read_bytes()
    (tmp_path / "twice.ts").write_bytes(part + part)
    info = media.probe(tmp_path / "twice.ts")
    assert info.duration_s == pytest.approx(8.0, abs=0.1) and "clock" in info.note
    assert samples.numbers(media.frames_at(tmp_path / "twice.ts", [3.5, 6.5])[0])[0] == 87


@pytest.mark.parametrize("late_s", [-0.7, 0.3, 0.7])
@pytest.mark.parametrize("sound", ["aac", "mp2"])
def test_joined_parts_keep_their_sound_beside_their_picture(tmp_path, late_s, sound):
    path = tmp_path / "a.ts"
    samples.encode(
        path, "libx264", options={"g": "25"}, sound=sound, start_s=1.0, sound_late_s=late_s
    )
    alone = samples.beep_times(media.audio(path))
    path.write_bytes(path.read_bytes() * 2)
    assert media.probe(path).duration_s == pytest.approx(8.0, abs=0.005)
    assert samples.numbers(media.frames_at(path, [3.99, 4.02, 6.54])[0]) == [99, 0, 63]
    heard = samples.beep_times(media.audio(path, end_s=9.0))
    second = [time_s for time_s in heard if time_s > 4 + max(0.0, late_s) - 0.01]
    assert [t - 4 for t in second if t > 4] == pytest.approx(alone, abs=0.002)


def test_fragments_may_begin_a_day_later(tmp_path):
    path = tmp_path / "a.mp4"
    fragments = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    samples.encode(path, "libx264", options={"g": "25"}, sound="aac", mux=fragments)
    data, scales, at = bytearray(path.read_bytes()), [], -1
    while (at := data.find(b"mdhd", at + 1)) >= 0:
        scales.append(int.from_bytes(data[at + 16 : at + 20], "big"))
    while (at := data.find(b"tfdt", at + 1)) >= 0:  # of a fragment's track, which tfhd names
        track = data[data.rfind(b"tfhd", 0, at) + 11]
        time = int.from_bytes(data[at + 8 : at + 16], "big") + 108_000 * scales[track - 1]
        data[at + 8 : at + 16] = time.to_bytes(8, "big")
    path.write_bytes(data)
    made = media.slice_clip(path, tmp_path / "c.mp4", 1.0, 2.5)
    frames, _ = media.frames_at(made.path, AT_S - 1.0)
    assert samples.numbers(frames) == list(range(25, 50)) and "fragments" in made.note
    assert samples.beep_times(media.audio(made.path)) == pytest.approx([0.0, 1.0], abs=0.005)


@pytest.mark.parametrize(
    "text", ["ffconcat version 1.0\nfile a.mp4\n", "#EXTM3U\n#EXTINF:4.0,\na.mp4\n#EXT-X-ENDLIST\n"]
)
def test_scripts_and_playlists_do_not_open(tmp_path, text):
    samples.make(tmp_path / "a.mp4", num_frames=10)
    for name in ("b.mp4", "b.m3u8", "b.ffconcat"):
        (tmp_path / name).write_text(text)
        with pytest.raises(media.MediaError, match="does not open as a video"):
            media.probe(tmp_path / name)


def test_only_regular_files_open(tmp_path):
    with pytest.raises(media.MediaError, match="not a regular file"):
        media.probe(tmp_path)
    with pytest.raises(media.MediaError, match="not a regular file"):
        media.probe("/dev/zero")


def test_names_with_a_colon_open(tmp_path, monkeypatch):
    samples.make(tmp_path / "Lecture: heart.mp4", num_frames=25)
    monkeypatch.chdir(tmp_path)
    assert media.probe("Lecture: heart.mp4").duration_s == 1.0


def test_times_a_hundred_hours_apart_are_refused(tmp_path):
    samples.encode(tmp_path / "a.mkv", "libx264", times_s=[0.0, 360_000.0], fps=5)
    with pytest.raises(media.MediaError, match="hours"):
        media.slice_clip(tmp_path / "a.mkv", tmp_path / "c.mp4", 0.0, 360_000.0)


def test_the_clean_copy_is_made_once(tmp_path):
    samples.encode(tmp_path / "a.avi", "libx264", options={"g": "25", "bf": "2"})
    for _ in range(2):
        media.frames_at(tmp_path / "a.avi", [1.0])
    (kept,) = (tmp_path / "data/cache/clean").glob("*.mp4")
    assert json.loads(kept.with_suffix(".json").read_text())["damage"] == []


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the ffmpeg program")
def test_a_sample_of_the_campaign_has_no_silent_difference(tmp_path):
    """The rest runs with `make campaign`."""
    script = Path(__file__).parent / "faults" / "campaign_media.py"
    command = [sys.executable, str(script), "--count", "12", "--log", str(tmp_path / "log.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]


def test_key_frames_that_are_none_are_not_believed(tmp_path):
    path = tmp_path / "a.mp4"
    samples.encode(path, "mpeg4", options={"g": "50", "bf": "2", "b": "2M"})
    data = bytearray(path.read_bytes())
    at = data.find(b"stss") + 8  # its count, then the numbers of the key frames
    data[at : at + 12] = b"".join(number.to_bytes(4, "big") for number in (2, 1, 20))
    path.write_bytes(data)
    for mode in media.MODES:
        made = media.slice_clip(path, tmp_path / "clip.mp4", 1.0, 2.0, mode=mode)
        frames, _ = media.frames_at(made.path, AT_S - 1.0)
        assert samples.numbers(frames) == list(range(25, 50)), mode
    assert "key frames" in made.note
    media.prepare_clip(path, tmp_path / "prepared.mp4", 1.0, 2.0, FramePolicy())
    frames, times_s = media.clip_frames(tmp_path / "prepared.mp4", FramePolicy())
    assert samples.numbers(frames) == [25 + int(t * 25 + 0.03) for t in times_s]


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_a_stream_may_say_once_how_it_is_turned(tmp_path, kind):
    plain, path = tmp_path / "plain.h264", tmp_path / f"a.{kind}"
    samples.encode(tmp_path / "a.mkv", "libx264", options={"g": "25", "bf": "0"})
    shown, _ = media.frames_at(tmp_path / "a.mkv", [1.5])
    samples.encode(plain, "libx264", options={"g": "25", "bf": "0"})
    # a quarter of a turn against the clock, until another message comes
    message = b"\0\0\1\x06" + bytes([47, 3, 0b00001000, 0, 0b00001001, 128])
    data = plain.read_bytes()
    first = data.find(b"\0\0\1\x65")
    plain.write_bytes(data[:first] + message + data[first:])
    with av.open(str(plain)) as file, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(file.streams.video[0])
        for number, packet in enumerate(p for p in file.demux(video=0) if p.size):
            packet.pts = packet.dts = round(number / 25 / packet.time_base)
            packet.stream = stream
            out.mux(packet)
    made = media.slice_clip(path, tmp_path / "clip.mp4", 1.0, 2.0)
    turned, _ = media.frames_at(made.path, [0.5])
    assert "turned" in made.note and turned.shape == (1, 160, 120, 3)
    assert np.abs(turned[0].astype(int) - np.rot90(shown[0])).mean() < 4
