"""Whatever a video site delivers: each kind of file, generated small, read and cut in every mode to
the exact frame.
"""

from __future__ import annotations

import av
import numpy as np
import pytest
import video_samples as samples

from obvlib import media
from obvlib.core.frame_policy import FramePolicy

# 10.2 s, frames of 20 to 300 ms
VARIABLE = list(np.cumsum([0.0] + [0.04, 0.02, 0.11, 0.04, 0.3] * 20))
INTERLACED = {"flags": "+ilme+ildct", "x264-params": "tff=1:keyint=25"}
KINDS = {
    "h264 in mp4": ("a.mp4", "libx264", {"sound": "aac", "options": {"g": "25"}}),
    "h264 with open groups in mkv": (
        "a.mkv",
        "libx264",
        {"sound": "aac", "options": {"g": "25", "x264-params": "open-gop=1:bframes=3"}},
    ),
    "h264 with short open groups": (
        "a.mp4",
        "libx264",
        {
            "num_frames": 177,
            "sound": "aac",
            "options": {
                "g": "13",
                "x264-params": "open-gop=1:bframes=3:scenecut=0:b-pyramid=normal",
            },
        },
    ),
    "h264 in transport stream": ("a.ts", "libx264", {"sound": "aac", "options": {"g": "25"}}),
    "hevc in mp4": (
        "a.mp4",
        "libx265",
        {"sound": "aac", "options": {"g": "25", "x265-params": "log-level=none"}},
    ),
    "vp9 and opus in webm": (
        "a.webm",
        "libvpx-vp9",
        {"sound": "libopus", "options": {"g": "25", "deadline": "realtime", "cpu-used": "8"}},
    ),
    "av1 in mkv": (
        "a.mkv",
        "libsvtav1",
        {"sound": "libopus", "options": {"g": "25", "preset": "12", "svtav1-params": "lp=1"}},
    ),
    "h264 in avi": ("a.avi", "libx264", {"options": {"g": "25", "bf": "0"}}),
    "mpeg4 in mkv": ("a.mkv", "mpeg4", {"sound": "mp3", "options": {"g": "25", "b": "2M"}}),
    "mpeg2 in transport stream": (
        "a.ts",
        "mpeg2video",
        {"sound": "mp2", "options": {"g": "12", "b": "2M"}},
    ),
    "ffv1 and pcm in mkv": ("a.mkv", "ffv1", {"sound": "pcm_s16le"}),
    "variable rate in mp4": (
        "a.mp4",
        "libx264",
        {"sound": "aac", "times_s": VARIABLE, "options": {"g": "25"}},
    ),
    "variable rate in webm": (
        "a.webm",
        "libvpx-vp9",
        {"times_s": VARIABLE, "options": {"g": "25", "deadline": "realtime", "cpu-used": "8"}},
    ),
    "odd size in webm": (
        "a.webm",
        "libvpx-vp9",
        {"size": (121, 161), "options": {"g": "25", "deadline": "realtime", "cpu-used": "8"}},
    ),
    "odd size in mp4": (
        "a.mp4",
        "libx264",
        {"size": (121, 161), "pix_fmt": "yuv444p", "options": {"g": "25"}},
    ),
    "10 bit hevc": (
        "a.mp4",
        "libx265",
        {"pix_fmt": "yuv420p10le", "options": {"g": "25", "x265-params": "log-level=none"}},
    ),
    "full range": ("a.mp4", "libx264", {"pix_fmt": "yuvj420p", "options": {"g": "25"}}),
    "no sound": ("a.mp4", "libx264", {"options": {"g": "25"}}),
    "several sounds": (
        "a.mkv",
        "libx264",
        {"sound": "aac", "num_sounds": 3, "options": {"g": "25"}},
    ),
    "start at 5 s": ("a.mkv", "libx264", {"sound": "aac", "start_s": 5.0, "options": {"g": "25"}}),
    "start before 0": (
        "a.mp4",
        "libx264",
        {
            "sound": "aac",
            "start_s": -0.4,
            "options": {"g": "25"},
            "mux": {"avoid_negative_ts": "disabled"},
        },
    ),
    "interlaced": ("a.ts", "libx264", {"sound": "aac", "options": INTERLACED}),
    "no key frame but the first": (
        "a.mp4",
        "libx264",
        {"sound": "aac", "options": {"g": "1000", "sc_threshold": "0"}},
    ),
}


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.replace(" ", "-"))
def sample(request, tmp_path_factory):
    """(path, times of its frames from the first one shown, number of the first one shown,
    settings).
    """
    name, codec, settings = KINDS[request.param]
    path = tmp_path_factory.mktemp("inputs") / name
    times_s = samples.encode(path, codec, **settings)
    first = 10 if request.param == "start before 0" else 0  # an edit list hides what comes before 0
    return path, [t - times_s[first] for t in times_s], first, settings


def on_screen(times_s: list[float], at_s: np.ndarray) -> list[int]:
    return [int(np.searchsorted(np.array(times_s), t + 0.0015, side="right")) - 1 for t in at_s]


def away_from_cuts(at_s: np.ndarray, times_s: list[float]) -> np.ndarray:
    """Those times that are not within 2.5 ms of a change of frame: containers round to
    milliseconds.
    """
    distance = np.abs(at_s[:, None] - np.array(times_s)[None, :]).min(axis=1)
    return at_s[distance > 0.0025]


def test_probe(sample):
    path, times_s, _, settings = sample
    info = media.probe(path)
    height, width = settings.get("size", (120, 160))
    assert (info.height, info.width) == (height, width)
    assert info.duration_s == pytest.approx(times_s[-1], abs=0.35)
    assert info.num_audio_streams == (settings.get("num_sounds", 1) if settings.get("sound") else 0)


def test_frames_are_those_on_screen(sample):
    path, times_s, first, _ = sample
    at_s = away_from_cuts(np.random.default_rng(0).uniform(0, times_s[-1], 40), times_s)
    frames, _ = media.frames_at(path, at_s)
    assert samples.numbers(frames) == on_screen(times_s, at_s)


@pytest.mark.parametrize("mode", media.MODES)
def test_slices_show_what_the_source_shows(sample, tmp_path, mode):
    path, times_s, first, settings = sample
    for start_s, end_s in [(0.0, 1.5), (0.9, 2.7), (1.234, 3.1)]:
        made = media.slice_clip(path, tmp_path / "clip.mp4", start_s, end_s, mode=mode)
        at_s = away_from_cuts(
            np.arange(start_s + 0.005, end_s - 0.003, 0.013), [*times_s, start_s, end_s]
        )
        frames, _ = media.frames_at(made.path, at_s - start_s)
        assert samples.numbers(frames) == on_screen(times_s, at_s)
        info = media.probe(made.path)
        assert info.duration_s == pytest.approx(end_s - start_s, abs=0.0015) and info.start_s == 0.0
        if settings.get("sound"):
            shift = first / 25
            beeps_s = [
                b - shift - start_s for b in range(12) if start_s + 0.01 < b - shift < end_s - 0.06
            ]
            heard = [b for b in samples.beep_times(media.audio(made.path)) if b > 0.01]
            assert heard[: len(beeps_s)] == pytest.approx(beeps_s, abs=0.008)


def test_prepared_from_the_source_equals_prepared_from_an_exact_slice(sample, tmp_path):
    path, *_ = sample
    policy = FramePolicy(min_pixels=28 * 28, max_visual_tokens=256)
    made = media.prepare_clip(path, tmp_path / "prepared.mp4", 0.5, 3.3, policy)
    media.slice_clip(path, tmp_path / "slice.mp4", 0.5, 3.3)
    frames, times_s = media.clip_frames(made.path, policy)
    from_slice, slice_times_s = media.clip_frames(tmp_path / "slice.mp4", policy)
    np.testing.assert_array_equal(times_s, slice_times_s)
    assert frames.shape == from_slice.shape and samples.numbers(frames) == samples.numbers(
        from_slice
    )
    assert np.abs(frames.astype(int) - from_slice).mean() < 5


def test_colours_survive(sample, tmp_path):
    """The same matrix and range on the way in and out: the light bars stay as light."""
    path, *_ = sample
    source, _ = media.frames_at(path, [1.5])
    for mode in media.MODES:
        media.slice_clip(path, tmp_path / "clip.mp4", 1.0, 2.5, mode=mode)
        clip, _ = media.frames_at(tmp_path / "clip.mp4", [0.5], *source.shape[1:3])
        assert abs(clip.mean() - source.mean()) < 2.5, mode


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("mode", media.MODES)
def test_rotation_is_honoured(tmp_path, degrees, mode):
    path = tmp_path / "phone.mp4"
    samples.encode(path, "libx264", options={"g": "25"})
    samples.rotate_mp4(path, degrees)
    info = media.probe(path)
    assert (info.height, info.width) == ((160, 120) if degrees != 180 else (120, 160))
    unturned = np.rot90(media.frames_at(path, [1.5])[0], degrees // 90, axes=(1, 2))
    assert samples.numbers(unturned) == [37]
    media.slice_clip(path, tmp_path / "clip.mp4", 0.6, 2.0, mode=mode)
    assert samples.numbers(
        np.rot90(media.frames_at(tmp_path / "clip.mp4", [0.9])[0], degrees // 90, axes=(1, 2))
    ) == [37]
    media.prepare_clip(path, tmp_path / "prepared.mp4", 0.0, 4.0, FramePolicy())
    frames, times_s = media.clip_frames(tmp_path / "prepared.mp4", FramePolicy())
    assert samples.numbers(np.rot90(frames, degrees // 90, axes=(1, 2))) == [
        int(t * 25 + 0.03) for t in times_s
    ]


def test_a_clip_with_an_edit_list_is_a_source_like_any_other(tmp_path):
    samples.encode(tmp_path / "a.mp4", "libx264", options={"g": "50"}, sound="aac")
    first = media.slice_clip(tmp_path / "a.mp4", tmp_path / "b.mp4", 1.0, 3.5, mode="copy")
    assert first.lead_in_s == 1.0
    for mode in media.MODES:
        media.slice_clip(tmp_path / "b.mp4", tmp_path / "c.mp4", 0.5, 2.0, mode=mode)
        assert samples.numbers(media.frames_at(tmp_path / "c.mp4", [0.0, 0.5, 1.46])[0]) == [
            37,
            50,
            74,
        ], mode
        assert (
            samples.beep_times(media.audio(tmp_path / "c.mp4")) == pytest.approx([0.5], abs=0.004)
            or mode
        )


def test_a_file_with_sound_only_says_so(tmp_path):
    with av.open(str(tmp_path / "a.m4a"), "w", format="mp4") as out:
        samples._encode_sound(
            out,
            out.add_stream("aac", rate=48_000, layout="mono"),
            np.zeros(48_000, np.float32),
            0.0,
        )
    with pytest.raises(media.MediaError, match="no video stream"):
        media.probe(tmp_path / "a.m4a")
    assert len(media.audio(tmp_path / "a.m4a")) >= 16_000


def test_what_is_no_video_is_said_in_one_sentence(tmp_path):
    (tmp_path / "page.mp4").write_text("<html>Video unavailable</html>")
    sentence = "does not open as a video: truncated or not a video; download it again"
    with pytest.raises(media.MediaError, match=f"page.mp4 {sentence}$"):
        media.probe(tmp_path / "page.mp4")


def test_a_truncated_file_gives_what_it_holds_and_no_more(tmp_path):
    samples.encode(tmp_path / "a.mkv", "libx264", num_frames=250, options={"g": "25"})
    whole = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "b.mkv").write_bytes(whole[: len(whole) // 2])
    for mode in media.MODES:
        assert (
            media.slice_clip(
                tmp_path / "b.mkv", tmp_path / "clip.mp4", 0.5, 2.5, mode=mode
            ).num_frames
            == 51
        )
        with pytest.raises(media.MediaError, match="past the end|truncated"):
            media.slice_clip(tmp_path / "b.mkv", tmp_path / "late.mp4", 6.0, 9.0, mode=mode)
    assert not (tmp_path / "late.mp4").exists()


def test_a_recording_that_begins_in_the_middle(tmp_path):
    """The first frames refer to a key frame that is not there: the first that decodes is shown for
    them.
    """
    samples.encode(
        tmp_path / "whole.ts",
        "libx264",
        num_frames=150,
        options={"g": "50", "bf": "0", "sc_threshold": "0"},
    )
    packets = (tmp_path / "whole.ts").read_bytes()
    (tmp_path / "cut.ts").write_bytes(packets[len(packets) // 5 // 188 * 188 :])
    frames, _ = media.frames_at(tmp_path / "cut.ts", [0.0, 2.0])
    first, later = samples.numbers(frames)
    assert 20 < first <= 50 < later
    for mode in media.MODES:
        made = media.slice_clip(tmp_path / "cut.ts", tmp_path / "clip.mp4", 0.0, 3.0, mode=mode)
        assert media.probe(made.path).duration_s == 3.0
        assert samples.numbers(media.frames_at(made.path, [0.0, 2.0])[0]) == [first, later]


@pytest.mark.parametrize("rate", [6000, 96_000])
def test_sound_that_mp4_cannot_hold_is_encoded_anew(tmp_path, rate):
    samples.encode(tmp_path / "a.mkv", "libx264", options={"g": "25", "bf": "0"})
    with av.open(str(tmp_path / "b.mkv"), "w") as out, av.open(str(tmp_path / "a.mkv")) as silent:
        video = out.add_stream_from_template(silent.streams.video[0])
        sound = out.add_stream("pcm_s16le", rate=rate, layout="stereo")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, rate * 8), np.int16), format="s16", layout="stereo"
        )
        frame.sample_rate, frame.pts = rate, 0
        out.mux(sound.encode(frame))
        for packet in silent.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
    for mode in media.MODES:
        info = media.probe(
            media.slice_clip(tmp_path / "b.mkv", tmp_path / "clip.mp4", 0.5, 2.5, mode=mode).path
        )
        assert (info.duration_s, info.audio_codec) == (2.0, "aac")


def test_a_playlist_in_disguise_does_not_reach_out(tmp_path):
    (tmp_path / "a.mp4").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/never.ts\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(media.MediaError):
        media.frames_at(tmp_path / "a.mp4", [0.0])
