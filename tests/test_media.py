"""Reading, cutting and preparing: each frame of the test video carries its number, so that "the
right frame" is exact.
"""

from __future__ import annotations

import inspect
import struct

import av
import numpy as np
import pytest
import video_samples as samples

from obvlib import media, slicing
from obvlib.core import frame_policy


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """10 s at 25 fps with B-frames and a key frame every 2 s."""
    path = tmp_path_factory.mktemp("media") / "source.mp4"
    return samples.make(path, options={"g": "50", "sc_threshold": "0"})


def test_probe_says_what_was_written(video):
    info = media.probe(video)
    assert (info.duration_s, info.height, info.width, info.fps) == (10.0, 120, 160, 25.0)
    assert (info.codec, info.num_audio_streams, info.audio_codec, info.sample_rate) == (
        "h264",
        1,
        "aac",
        16_000,
    )


def test_packets_name_the_key_frames(video):
    stored = media.packets(video)
    assert [p.time_s for p in stored if p.is_key] == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert sorted(round(p.time_s * 25) for p in stored) == list(range(250))


def test_frames_at_gives_the_frame_on_screen(video):
    times = np.random.default_rng(1).uniform(0, 9.99, 60)
    frames, pts_s = media.frames_at(video, times)
    expected = [int((t + 0.001) * 25) for t in times]
    assert samples.numbers(frames) == expected
    np.testing.assert_allclose(pts_s, np.array(expected) / 25, atol=1e-6)


def test_frames_at_far_apart_and_repeated(video):
    frames, _ = media.frames_at(video, [9.9, 0.0, 9.9, 0.05], height=56, width=84)
    assert frames.shape == (4, 56, 84, 3) and frames.dtype == np.uint8
    assert samples.numbers(frames) == [247, 0, 247, 1]


def test_frames_at_refuses_times_outside(video):
    with pytest.raises(media.MediaError, match="10.000 s long"):
        media.frames_at(video, [30.0])
    with pytest.raises(media.MediaError, match="not negative"):
        media.frames_at(video, [-1.0])


def test_audio_is_on_the_same_clock(video):
    assert samples.beep_times(media.audio(video)) == pytest.approx(range(10), abs=0.004)
    part = media.audio(video, start_s=2.5, end_s=4.5)
    assert len(part) == 32_000 and samples.beep_times(part) == pytest.approx([0.5, 1.5], abs=0.004)


def test_stereo_sound_and_odd_sizes_can_be_written(tmp_path):
    frames = np.stack(list(samples.numbered_frames(10, 61, 81)))
    path = media.write_video(
        tmp_path / "odd.mp4", frames, 10, np.zeros((16_000, 2), np.float32), 16_000
    )
    info = media.probe(path)
    assert (info.height, info.width, info.num_audio_streams) == (61, 81, 1)
    assert samples.numbers(media.frames_at(path, np.arange(10) / 10)[0]) == list(range(10))


def test_write_video_names_a_wrong_frame(tmp_path):
    with pytest.raises(media.MediaError, match=r"shape \(4, 4\)"):
        media.write_video(tmp_path / "bad.mp4", [np.zeros((4, 4), np.uint8)], 10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", media.MODES)
@pytest.mark.parametrize(
    ("start_s", "end_s"), [(0, 3), (2, 4), (2.013, 5.5), (7.3, 10), (3.9995, 4.3)]
)
def test_a_slice_shows_what_the_source_shows(video, tmp_path, mode, start_s, end_s):
    made = media.slice_clip(video, tmp_path / "clip.mp4", start_s, end_s, mode=mode)
    times = np.arange(0, end_s - start_s - 0.002, 0.01)
    assert samples.numbers(media.frames_at(made.path, times)[0]) == [
        int((start_s + t + 0.001) * 25 + 1e-6) for t in times
    ]
    assert media.probe(made.path).duration_s == pytest.approx(end_s - start_s, abs=0.001)
    assert media.probe(made.path).start_s == 0.0
    sound, source_sound = media.audio(made.path), media.audio(video, start_s=start_s, end_s=end_s)
    num = min(len(sound), len(source_sound))
    assert (
        num >= (end_s - start_s) * 16_000 - 1100
        and np.abs(sound[:num] - source_sound[:num]).max() < 1e-3
    )


def test_by_default_every_stored_frame_of_a_clip_is_shown(video, tmp_path):
    """Readers that count stored frames (decord, OpenCV) then show what was asked for."""
    made = media.slice_clip(video, tmp_path / "clip.mp4", 4.5, 6.9)  # 4.48 to 6.88 s at 25 fps
    with av.open(made.path) as clip:
        stored = [packet for packet in clip.demux(video=0) if packet.size]
        assert clip.streams.video[0].frames == len(stored) == made.num_frames == 61
        assert not any(packet.is_discard for packet in stored)
    default = inspect.signature(slicing.slice_dataset).parameters["mode"].default
    assert made.mode == default == media.DEFAULT_MODE


def test_smart_copies_all_but_the_head(video, tmp_path):
    made = media.slice_clip(video, tmp_path / "clip.mp4", 2.6, 8, mode="smart")
    assert (made.mode, made.lead_in_s, made.note, made.num_frames) == ("smart", 0.0, "", 135)


def test_smart_needs_no_detour_whatever_the_clock_counts(tmp_path):
    source, mux = tmp_path / "a.mp4", {"video_track_timescale": "12800"}
    samples.encode(source, "libx264", options={"g": "50", "bf": "2"}, mux=mux)
    made = media.slice_clip(source, tmp_path / "clip.mp4", 1.5, 3.5, mode="smart")
    assert (made.mode, made.note) == ("smart", "")


@pytest.mark.parametrize("mode", (*media.MODES, "prepare"))
def test_every_header_says_the_length_of_the_clip(video, tmp_path, mode):
    out = tmp_path / "clip.mp4"
    if mode == "prepare":
        media.prepare_clip(video, out, 1.3, 3.9, frame_policy.FramePolicy())
    else:
        media.slice_clip(video, out, 1.3, 3.9, mode=mode)
    data = out.read_bytes()
    at = data.find(b"mvhd") + 4
    form, start = (">IQ", at + 20) if data[at] else (">II", at + 12)
    scale, length = struct.unpack_from(form, data, start)
    with av.open(str(out)) as file:
        lengths_s = [length / scale, *(float(s.duration * s.time_base) for s in file.streams)]
    assert lengths_s == pytest.approx([2.6] * len(lengths_s), abs=0.002)


def test_the_first_sound_of_a_clip_has_what_its_decoder_needs(tmp_path):
    sound = samples.beeps(3.0)[::2]  # 8 kHz: a packet is longer than what is read back
    source, clip = tmp_path / "a.mp4", tmp_path / "clip.mp4"
    media.write_video(source, samples.numbered_frames(75), 25, sound, 8000)
    media.slice_clip(source, clip, 1.0, 3.0)
    heard = [np.abs(media.audio(path, 8000, at, at + 0.05)).max() for path, at in
             ((source, 1.0), (clip, 0.0))]  # fmt: skip
    assert heard[1] == pytest.approx(heard[0], rel=0.1)


def test_copy_records_its_lead_in(video, tmp_path):
    made = media.slice_clip(video, tmp_path / "clip.mp4", 3.0, 8, mode="copy")
    assert (made.mode, made.lead_in_s) == ("copy", 1.0)


def test_smart_without_a_key_frame_inside_says_what_it_did(video, tmp_path):
    made = media.slice_clip(video, tmp_path / "clip.mp4", 2.2, 3.8, mode="smart")
    assert made.mode == "exact" and "no key frame" in made.note


def test_times_outside_the_source(video, tmp_path):
    out = tmp_path / "clip.mp4"
    for start_s, end_s in [(10, 11), (5, 12), (5, 5), (6, 5), (-1, 2)]:
        with pytest.raises(media.MediaError):
            media.slice_clip(video, out, start_s, end_s)
    assert list(tmp_path.iterdir()) == []
    made = media.slice_clip(video, out, 9, 10.5)
    assert made.end_s == 10.0 and "moved" in made.note


@pytest.mark.parametrize("policy", [frame_policy.FramePolicy(), frame_policy.FramePolicy.mini()])
def test_prepared_in_one_pass_equals_prepared_after_an_exact_slice(video, tmp_path, policy):
    spans = [(1, 7), (2.5, 9.9), (0, 10), (3.3, 3.9), (2.5, 9.9)]
    jobs = [(tmp_path / f"{i}.mp4", *span) for i, span in enumerate(spans)]
    done = dict(media.prepare_clips(video, jobs, policy))
    assert sorted(done) == [0, 1, 2, 3, 4]
    for (path, start_s, end_s), _ in zip(jobs, spans, strict=True):
        frames, times_s = media.clip_frames(path, policy)
        slice_path = media.slice_clip(video, tmp_path / "slice.mp4", start_s, end_s).path
        from_slice, slice_times_s = media.clip_frames(slice_path, policy)
        assert (
            times_s.tolist()
            == slice_times_s.tolist()
            == policy.sample_times(round(end_s - start_s, 3)).tolist()
        )
        assert samples.numbers(frames) == [int((start_s + t + 0.001) * 25 + 1e-6) for t in times_s]
        # of 255: two lossy encodings apart
        assert np.abs(frames.astype(int) - from_slice).mean() < 4
        assert frames.shape == from_slice.shape and frames.shape[1] % 28 == 0


def test_a_prepared_clip_refuses_another_policy(video, tmp_path):
    media.prepare_clip(video, tmp_path / "clip.mp4", 0, 5, frame_policy.FramePolicy())
    with pytest.raises(media.MediaError, match="another frame policy"):
        media.clip_frames(tmp_path / "clip.mp4", frame_policy.FramePolicy.mini())


def test_a_clip_past_the_end_does_not_disturb_the_others(video, tmp_path):
    jobs = [(tmp_path / "a.mp4", 20, 30), (tmp_path / "b.mp4", 0, 2)]
    done = dict(media.prepare_clips(video, jobs, frame_policy.FramePolicy()))
    assert done[0].kind == "past_end" and done[1].num_frames == 8


@pytest.mark.parametrize("content", [None, b"", b"not a video" * 100])
def test_bad_files_say_so(tmp_path, content):
    path = tmp_path / "bad.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(media.MediaError) as caught:
        media.probe(path)
    assert caught.value.kind == ("missing" if content is None else "broken")
