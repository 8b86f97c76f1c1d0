"""The shipped lecture videos: whole, labelled by what they show, drawn again to the same, and
separate from what trains.
"""

import ctypes.util
import hashlib
import itertools
import re
from collections import Counter

import numpy as np
import pytest
from lectures import clips_of, part_scene, plan_sources, shown_times
from make_mini import build_video, differences, frames_of, speak_source

from obvlib import manifests, mini
from obvlib.core.frame_policy import FramePolicy
from obvlib.manifests.benchmarks import load_examples
from obvlib.manifests.cards import counts_of
from obvlib.media import audio, probe
from obvlib.mini.clips import spread_times
from obvlib.mini.echo import contraction

SOURCES = mini.sources()


def test_shipped_files_are_the_ones_that_were_built():
    lines = (mini.corpus_dir() / "SHA256SUMS").read_text().splitlines()
    listed = dict(reversed(line.split("  ")) for line in lines)
    present = {
        str(p.relative_to(mini.corpus_dir()))
        for p in mini.corpus_dir().rglob("*")
        if p.suffix in (".mp4", ".jsonl")
    }
    assert set(listed) == present
    for name, digest in listed.items():
        assert hashlib.sha256((mini.corpus_dir() / name).read_bytes()).hexdigest() == digest, name


def test_the_corpus_stays_small():
    assert sum(path.stat().st_size for path in mini.videos_dir().iterdir()) < 8_000_000


def test_card_states_the_counts_of_the_rows():
    card = manifests.load_card("mini")
    clips, problems = manifests.load_rows("mini")
    assert problems == [] and clips == mini.rows()
    assert {
        name: card.counts[name] for name in ("clips", "videos", "hours", "qa_pairs")
    } == counts_of(clips)
    size = sum(path.stat().st_size for path in mini.videos_dir().iterdir())
    assert card.counts["megabytes"] == pytest.approx(size / 1e6, abs=0.05)
    assert card.counts["seconds_of_video"] == pytest.approx(
        sum(s.duration_s for s in SOURCES), abs=0.5
    )


def test_every_beat_can_be_seen_in_the_frames_that_a_file_has():
    """At 10 or 12.5 frames a second the frame on screen is up to a tenth of a second old, which is
    most of a fast heart's ejection.
    """
    for source in SOURCES:
        for part in source.parts:
            if part.scene == "echo":
                heart = part_scene(part, source.fps)[0].picture
                beats = shown_times(part, source.fps) * heart.heart_rate_bpm / 60 + heart.phase
                seen = contraction(beats)
                assert seen.max() > 0.93 and seen.min() < 0.08 and (seen > 0.75).sum() >= 2, (
                    source.video_id,
                    seen,
                )


def test_splits_are_by_source_and_balanced():
    train, test = mini.rows("train"), mini.rows("test")
    manifests.check_contamination(train, test)
    assert (len({c.video_id for c in train}), len({c.video_id for c in test})) == (16, 8)
    assert len(test) >= 24
    for clips in (train, test):
        answers = Counter((p.family, p.answer_text) for clip in clips for p in clip.qa_pairs)
        classes = [
            answers["ejection_fraction", c]
            for c in ("normal", "mildly reduced", "severely reduced")
        ]
        assert min(classes) == max(classes) >= 4
        for family in ("lesion", "division", "polyp"):
            assert answers[family, "yes"] == answers[family, "no"] >= 2
    with pytest.raises(ValueError, match="split 'dev'"):
        mini.rows("dev")


def test_rows_follow_from_the_sources_and_sources_from_the_plan():
    assert [clip for source in SOURCES for clip in clips_of(source)] == mini.rows()
    for source, plan in zip(SOURCES, plan_sources(), strict=True):
        assert (source.video_id, source.title, source.split) == (
            plan.video_id,
            plan.title,
            plan.split,
        )
        assert [(p.text, p.seed, p.finding) for p in source.parts] == [
            (p.text, p.seed, p.finding) for p in plan.parts
        ]


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.video_id)
def test_a_lecture_is_title_speaker_imaging_speaker(source):
    kinds = [part.kind for part in source.parts]
    assert kinds[:3] == ["title", "speaker", "imaging"] and kinds[-1] == "speaker"
    assert 2 <= kinds.count("imaging") <= 4 and 25 <= source.duration_s <= 60
    assert all(a.end_s == b.start_s for a, b in zip(source.parts, source.parts[1:], strict=False))
    info = probe(mini.videos_dir() / f"{source.video_id}.mp4")
    assert (info.height, info.width, info.fps) == (240, 320, source.fps)
    assert info.duration_s == pytest.approx(source.duration_s, abs=0.1)
    assert info.audio_codec == "aac" and info.sample_rate == 16_000


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.video_id)
def test_words_are_in_order_inside_their_part_and_spell_its_text(source):
    for part in source.parts:
        words = [w for w in source.words if part.start_s <= w.start_s < part.end_s]
        assert " ".join(w.text for w in words) == part.text
        assert all(
            a.start_s < a.end_s <= b.start_s + 0.03 for a, b in zip(words, words[1:], strict=False)
        )
        assert words[-1].end_s <= part.end_s


def test_sound_is_loud_where_words_are_and_quiet_between_parts():
    source = SOURCES[0]
    sound = audio(mini.videos_dir() / f"{source.video_id}.mp4")
    loud = [
        np.abs(sound[int(w.start_s * 16_000) : int(w.end_s * 16_000)]).mean() for w in source.words
    ]
    pauses = [
        np.abs(sound[int((p.end_s - 0.25) * 16_000) : int(p.end_s * 16_000)]).mean()
        for p in source.parts[:-1]
    ]
    assert np.median(loud) > 20 * max(pauses)


def test_the_videos_show_what_is_drawn():
    """One lecture of each kind, a frame every four seconds; `make_mini.py --check` compares all."""
    titles = ("Scrolling Through CT", "Cells in Time Lapse", "Inside the Colon", "Bedside Echo")
    chosen = [source for source in SOURCES if source.title in titles]
    assert len(chosen) == 4
    assert differences(mini.videos_dir(), chosen, every_s=4.0) == []


def test_a_lecture_is_built_again_from_what_is_shipped(tmp_path):
    source = SOURCES[0]
    assert build_video(source, tmp_path) == source
    assert differences(tmp_path, [source], every_s=2.0) == []
    again, shipped = audio(tmp_path / "mini01.mp4"), audio(mini.videos_dir() / "mini01.mp4")
    num = min(len(again), len(shipped))
    assert (
        abs(len(again) - len(shipped)) < 3200
        and np.corrcoef(again[:num], shipped[:num])[0, 1] > 0.95
    )


@pytest.mark.skipif(
    not ctypes.util.find_library("espeak-ng"),
    reason="espeak-ng's library is not installed (narration is shipped)",
)
def test_narration_spoken_again_is_the_same():
    plan = plan_sources()[0]
    # rarely (seen once) the library gives a word another time: two of three have to agree
    takes = [speak_source(plan) for _ in range(3)]
    source, _ = takes[0]
    assert any(
        one == other and np.array_equal(sound, same_sound)
        for (one, sound), (other, same_sound) in itertools.combinations(takes, 2)
    )
    assert " ".join(w.text for w in source.words) == " ".join(part.text for part in plan.parts)
    assert source.parts[-1].end_s == pytest.approx(SOURCES[0].duration_s, abs=0.5)


def test_a_wrong_video_is_noticed(tmp_path):
    source = SOURCES[0]
    (tmp_path / f"{source.video_id}.mp4").write_bytes(
        (mini.videos_dir() / f"{SOURCES[1].video_id}.mp4").read_bytes()
    )
    found = differences(tmp_path, [source], every_s=8.0)
    assert len(found) == 1 and re.match(
        r"mini01: the frame at \d+\.\d\d s is \d+\.\d grey levels away", found[0]
    )


def test_drawing_is_the_same_every_time_and_for_any_choice_of_frames():
    source = next(s for s in SOURCES if s.title == "Bedside Echo")
    wanted = np.array([5, 130, 131, 200])
    once = list(frames_of(source, only=wanted))
    again = [frame for number in wanted for frame in frames_of(source, only=np.array([number]))]
    assert len(once) == 4 and all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))


def test_in_memory_clips_are_looked_at_when_the_policy_looks():
    assert np.allclose(spread_times(6.3, 8), FramePolicy.mini().sample_times(6.3))


def test_mini_examples_are_the_held_out_questions(tmp_path):
    examples = load_examples("mini", media=tmp_path)
    clips = mini.rows("test")
    assert (
        len(examples)
        == sum(len(clip.qa_pairs) for clip in clips)
        == len({e.example_id for e in examples})
    )
    assert {e.video_id for e in examples}.isdisjoint(clip.video_id for clip in mini.rows("train"))
    first, pair = examples[0], clips[0].qa_pairs[0]
    assert first.media == (str(tmp_path / f"{clips[0].clip_id}.mp4"),)
    assert (first.question, first.answer, first.options, first.family) == (
        pair.question,
        pair.answer,
        pair.options,
        "modality",
    )


def test_media_lie_under_the_data_root_unless_told_otherwise(monkeypatch, tmp_path):
    monkeypatch.setenv("OBV_DATA", str(tmp_path))
    assert load_examples("MINI", limit=1)[0].media[0].startswith(str(tmp_path / "media" / "mini"))
