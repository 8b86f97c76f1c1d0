"""Windows of frames, the head that scores them, and the stages around it."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
import video_samples as samples

from obvlib import media, mini
from obvlib.curation import SegmentSettings
from obvlib.curation.frames import (
    NUM_WINDOWS,
    WINDOWS,
    FrameHead,
    pooled,
    shipped_head,
    window_features,
    window_shares,
)
from obvlib.curation.stages import (
    FindSegments,
    KeepSegment,
    ScoredVideo,
    ScoreFrames,
    Stretch,
    Video,
    flat_share,
    is_same,
)
from obvlib.encoders import part_path
from obvlib.engine import Drop, Ledger, run_stage
from obvlib.mini.looks import GROUPS, PACKAGE_GROUPS, Looks, source_of
from obvlib.mini.materials import MEDICAL_LOOKS, OTHER_LOOKS
from obvlib.mini.screens import LAYOUTS
from obvlib.mini.tissue import TISSUES, draw_tissue


def test_windows_are_a_whole_nine_halves_and_25_thirds():
    assert NUM_WINDOWS == 35 and WINDOWS[0] == (0.0, 0.0, 1.0)
    mask = np.zeros((40, 60), bool)
    mask[:20, :30] = True
    shares = window_shares(mask)
    assert shares[0] == 0.25 and shares[1] == 1.0 and shares[9] == 0.0
    maps = np.random.default_rng(0).normal(3, 2, (2, 3, 8, 14)).astype(np.float32)
    coarse = maps[:, :1, ::4, ::4]
    found = window_features([maps, coarse])
    assert found.shape == (2, 35, 8)
    for window, (y, x, share) in enumerate(WINDOWS):
        rows = slice(round(y * 8), max(round(y * 8) + 1, round((y + share) * 8)))
        columns = slice(round(x * 14), max(round(x * 14) + 1, round((x + share) * 14)))
        inside = maps[:, :, rows, columns]
        assert found[:, window, :3] == pytest.approx(inside.mean((2, 3)), abs=1e-5)
        assert found[:, window, 3:6] == pytest.approx(inside.std((2, 3)), abs=1e-4)
    assert np.isfinite(found).all() and found[0, 0, 6] == pytest.approx(coarse[0].mean())


def test_pooled_numbers():
    logits = np.arange(35.0)[None]
    assert pooled(logits)[0].tolist() == [0, 9, 34, 32, 29, 22]


def test_a_head_learns_windows_and_survives_a_round_trip(tmp_path):
    from obvlib.curation.head import fit_pool, fit_windows

    rng = np.random.default_rng(0)
    shares = (rng.random((200, 35)) < 0.5).astype(np.float32)
    features = rng.normal(0, 1, (200, 35, 8)).astype(np.float16)
    features[..., 3] += 4 * shares.astype(np.float16)
    head = fit_windows(features, shares, np.ones(200, bool))
    logits = head.window_logits(features)
    assert ((logits > 0) == (shares > 0.5)).mean() > 0.95
    head = fit_pool(head, pooled(logits), shares[:, 0] > 0.5)
    scores = head.scores(features)
    assert (scores[shares[:, 0] > 0.5].mean() - scores[shares[:, 0] < 0.5].mean()) > 0.5
    head.save(tmp_path / "head.safetensors")
    assert FrameHead.load(tmp_path / "head.safetensors").scores(features) == pytest.approx(scores)


def scored(scores, changes=None, flat=0.0):
    return ScoredVideo(
        video_id="v",
        path="v.mp4",
        duration_s=len(scores) / 2,
        step_s=0.5,
        scores=tuple(scores),
        changes=tuple(changes or [0.1] * len(scores)),
        flat=(flat,) * len(scores),
    )


def test_a_video_without_medical_frames_is_dropped_with_a_reason():
    stage = FindSegments(refine=False)
    assert isinstance(stage(scored([0.1] * 20)), Drop)
    (stretch,) = stage(scored([0.0] * 6 + [0.95] * 10 + [0.0] * 6, [1.0] * 22)).stretches
    assert (stretch.start_s, stretch.end_s, stretch.clip_id) == (3.0, 8.0, "v_3000_8000")


@pytest.mark.parametrize(
    ("length_s", "change", "flat", "reason"),
    [
        (1.5, 0.1, 0.0, "shorter than 2 s"),
        (5.0, 0.0, 0.9, "a slide"),
        (31.0, 0.0, 0.1, "nothing moves"),
        (31.0, 0.1, 0.9, ""),
        (5.0, 0.0, 0.1, ""),
    ],
)
def test_stretches_are_dropped_with_a_reason(length_s, change, flat, reason):
    stretch = Stretch(
        video_id="v", path="", start_s=0, end_s=length_s, score=0.9, change=change, flat=flat
    )
    kept = KeepSegment(settings=SegmentSettings())(stretch)
    assert (reason in kept.reason) if reason else kept == stretch


def test_same_and_flat_frames():
    frame = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    assert is_same(frame, frame.copy()) and not is_same(frame, 255 - frame)
    assert flat_share(np.full((64, 64, 3), 200, np.uint8)) == 1.0
    assert flat_share(frame) == 0.0 and flat_share(np.zeros((64, 64, 3), np.uint8)) == 0.0


def test_drawings_are_the_same_for_a_seed_and_say_what_is_medical():
    looks = Looks()
    one, other = (list(looks.drawings(6, seed=3)) for _ in range(2))
    assert all(np.array_equal(a.frame, b.frame) for a, b in zip(one, other, strict=True))
    assert [d.medical.any() for d in one] == [False, True] * 3
    assert {d.layout for d in one} <= set(LAYOUTS)


def test_a_group_leaves_out_its_sources_and_its_layout():
    looks = Looks()
    for drawing in looks.drawings(30, seed=1):
        for group in GROUPS:
            held = [group.holds(source) for source in drawing.sources]
            assert drawing.is_of(group) == (any(held) or drawing.layout == group.layout)
    coffee = next(m for m in looks.materials["photos"] if m.file.endswith("coffee.png"))
    assert source_of("persons", None) == "persons"
    holding = [g.name for g in GROUPS if g.holds(source_of("photos", coffee))]
    assert holding == ["scikit-image", "ultrasound; photographs"]
    tract = "mr/owner/Segmentation-GI-Tract/mini_test/images/1.png"  # a path that holds "ct/"
    assert [g.name for g in GROUPS if g.holds(tract)] == ["MR; space, maps"]
    files = {source_of(m.look, m) for every in looks.materials.values() for m in every}
    for file in files:  # no picture belongs to two groups of packages
        assert sum(group.holds(file) for group in PACKAGE_GROUPS) <= 1, file


def test_a_reel_shows_only_its_group_and_says_where_it_is_medical():
    group = next(g for g in GROUPS if g.name == "scikit-image")
    reel = Looks().reel(group, seed=0, num_segments=2)
    assert len(reel.frames) == len(reel.is_medical) and len(reel.segments) == 1
    start, end = (round(2 * s) for s in reel.segments[0])
    assert reel.is_medical[start:end].all() and reel.is_medical.sum() == end - start


def test_no_repository_is_both_learnt_from_and_tested_on():
    table = json.loads((shipped_head().with_name("repositories.json")).read_text(encoding="utf-8"))
    names, files = {"learnt": set(), "tested": set()}, {"learnt": set(), "tested": set()}
    for row in table:
        assert row["look"] in (*MEDICAL_LOOKS, *OTHER_LOOKS) and len(row["commit"]) == 40
        use = "tested" if row["use"] == "test" else "learnt"
        names[use].add(row["repository"])
        files[use] |= {Path(f).name for f in row["files"] if not Path(f).stem.isdigit()}
    assert len(files["learnt"]) > 800 and len(files["tested"]) > 150
    assert not names["learnt"] & names["tested"]
    assert not files["learnt"] & files["tested"]  # a copy of a set keeps the names


def test_gathered_materials_stand_in_for_the_packages(tmp_path):
    from obvlib.mini import materials as places

    few = places.materials("retina", "faces")
    places.gather(tmp_path, few)
    found = places.gathered(tmp_path)
    assert [(m.look, m.file) for m in found] == [(m.look, m.file) for m in few]
    for one, other in zip(few, found, strict=True):
        pictures = places.read_material(other)
        assert max(pictures.shape[1:3]) <= 512 and len(pictures) <= 8
        assert abs(places.read_material(one)[0].mean() - pictures[0].mean()) < 4
    assert (tmp_path / "sha256").read_text().strip() == places.hash_materials(few)


@pytest.mark.parametrize("kind", TISSUES)
def test_tissue_is_drawn_from_its_seed(kind):
    one, other = (draw_tissue(np.random.default_rng(5), kind, 90, 120) for _ in range(2))
    assert one.shape == (90, 120, 3) and one.dtype == np.uint8 and np.array_equal(one, other)
    assert one.std() > 1
    with pytest.raises(ValueError, match="'bone' is not drawn"):
        draw_tissue(np.random.default_rng(5), "bone", 9, 9)


def test_lectures_are_scored_and_a_video_without_a_frame_fails_by_name(tmp_path):
    try:
        part_path("efficientnet-lite0")
    except ImportError as error:
        pytest.skip(str(error))
    if not shipped_head().exists():
        pytest.skip("no head ships yet")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    media.write_video(tmp_path / "gray.mp4", np.full((20, 64, 96, 3), 90, np.uint8), 10)
    samples.encode(tmp_path / "a.mp4", "libx264", options={"g": "12", "bf": "0"})
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    with av.open(str(tmp_path / "a.mp4")) as file:  # damage that only the decoder finds
        packet = [p for p in file.demux(video=0) if p.size][24]
        data[packet.pos + packet.size // 2] ^= 0x10
    (tmp_path / "a.mp4").write_bytes(data)
    lecture = mini.sources()[0]
    videos = [
        Video(video_id=lecture.video_id, path=str(mini.videos_dir() / f"{lecture.video_id}.mp4")),
        Video(video_id="gray", path=str(tmp_path / "gray.mp4")),
        Video(video_id="broken", path=str(tmp_path / "broken.mp4")),
        Video(video_id="damaged", path=str(tmp_path / "a.mp4")),
    ]
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        run = run_stage(videos, ScoreFrames(), ledger, show_progress=False)
        again = run_stage(videos[:2], ScoreFrames(), ledger, show_progress=False)
    assert (run.num_done, run.num_failed, again.num_skipped) == (3, 1, 2)
    first, gray, damaged = run.kept
    assert len(damaged.scores) == 8
    assert len(first.scores) == len(first.changes) == len(first.flat)
    assert first.scores == again.kept[0].scores
    assert gray.scores == (gray.scores[0],) * 4  # one frame is scored, the rest share it
    imaging = [
        any(p.kind == "imaging" and p.start_s <= i / 2 < p.end_s for p in lecture.parts)
        for i in range(len(first.scores))
    ]
    from obvlib.curation.measures import auc

    assert auc(np.array(imaging), np.array(first.scores)) > 0.9
