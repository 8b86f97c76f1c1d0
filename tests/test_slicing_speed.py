"""Promises about work that hold on any machine: how much is decoded, read and kept in memory, not
how long it takes.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import video_samples as samples

from obvlib import media
from obvlib.core.frame_policy import FramePolicy
from obvlib.media import decode


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """40 s at 25 fps, a key frame every 5 s, B-frames in between."""
    path = tmp_path_factory.mktemp("speed") / "source.mp4"
    return samples.make(path, num_frames=1000, options={"g": "125", "sc_threshold": "0"})


@pytest.fixture
def decoded(monkeypatch):
    """Counts the packets that go into a decoder."""
    count = [0]
    original = decode._decode_packet

    def counted(source, packet):
        count[0] += packet is not None
        return original(source, packet)

    monkeypatch.setattr(decode, "_decode_packet", counted)
    return count


def test_copy_decodes_only_to_check_and_once(video, tmp_path, decoded):
    media.slice_clip(video, tmp_path / "clip.mp4", 11.0, 39.0, mode="copy")
    assert 0 < decoded[0] <= 29 * 25 + 10  # from the key frame at 10 s


def test_smart_decodes_one_group_of_pictures_and_its_check(video, tmp_path, decoded):
    media.slice_clip(video, tmp_path / "clip.mp4", 11.0, 39.0, mode="smart")
    assert 0 < decoded[0] <= 125 + 28 * 25 + 20


def test_ten_overlapping_clips_cost_one_read(video, tmp_path, decoded):
    list(media.prepare_clips(video, [(tmp_path / "all.mp4", 0, 40)], FramePolicy.mini()))
    once = decoded[0]
    clips = [(tmp_path / f"{i}.mp4", 2 * i, 2 * i + 20) for i in range(10)]
    decoded[0] = 0
    assert len(list(media.prepare_clips(video, clips, FramePolicy(max_visual_tokens=512)))) == 10
    assert once < decoded[0] <= 1000


def test_what_is_between_far_frames_is_not_decoded(video, decoded):
    media.frames_at(video, [0.0, 20.0])
    assert decoded[0] <= 10


MEMORY = """
import json, sys
from obvlib import media
from obvlib.core import FramePolicy
for mode in media.MODES:
    media.slice_clip(sys.argv[1], sys.argv[2], 0.5, 3.5, mode=mode)
media.prepare_clip(sys.argv[1], sys.argv[2], 0.5, 3.5, FramePolicy())
# Not ru_maxrss: Linux hands the parent's peak down to a child, and the parent is a whole test suite.
(line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps(int(line.split()[1]) / 1024))
"""  # noqa: E501


def test_memory_at_1080p(tmp_path):
    samples.make(
        tmp_path / "large.mp4",
        num_frames=100,
        height=1080,
        width=1920,
        preset="ultrafast",
        options={"g": "50", "bf": "3"},
    )
    out = subprocess.check_output(
        [sys.executable, "-c", MEMORY, tmp_path / "large.mp4", tmp_path / "clip.mp4"], text=True
    )
    assert json.loads(out) < 400  # MB
