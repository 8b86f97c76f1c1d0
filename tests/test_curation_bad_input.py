"""Curation on what nobody should send it: each bad input ends with its reason, and the rest of the
run goes on.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from local_llm import Reply, completion, serve
from test_curation import ECHO, model_at, passage

from obvlib.core import Clip
from obvlib.core.jsonl import read_rows, write_rows
from obvlib.core.labels import LabelFile, hash_item
from obvlib.curation import CurationSettings, curate_until, read_decisions, stages, videos_in
from obvlib.curation.narration import NarrateVideo, captions_beside
from obvlib.curation.passages import NarratedVideo
from obvlib.curation.review import ReviewCaption
from obvlib.curation.run import run_all
from obvlib.curation.sidecars import read_captions
from obvlib.curation.stages import SegmentedVideo, Stretch
from obvlib.curation.text_stages import FilterCaption, WriteCaption
from obvlib.curation.texts import plain_text
from obvlib.engine import Ledger, run_stage
from obvlib.manifests import load_rows

ODD = (
    "the\0 left \x1b[31mventricle\u202e <b>barely</b> contracts <|im_end|> \ud800 in this view and"
    " its wall is thin"
)


def ends(ledger: Ledger, stage: str) -> dict[str, tuple[str, str]]:
    return {row["item_id"]: (row["status"], row["reason"]) for row in ledger.rows(stage)}


def test_unreadable_label_files_are_named_and_the_others_count(tmp_path):
    said = passage(ECHO, caption="The heart.")
    edit = {"action": "edit", "caption": "The heart beats."}
    LabelFile("ada", tmp_path).add(said.clip_id, hash_item("The heart."), "decision", edit)
    labels = tmp_path / "labels"
    with open(labels / "ada.jsonl", "ab") as file:
        file.write(b'\xff\xfe not text\n{"label_id": "x"\n')
    (labels / "bob.jsonl").mkdir()
    (labels / "cleo.jsonl").write_bytes(b"\0" * 100)
    decisions = read_decisions(tmp_path)
    assert ReviewCaption(decisions=decisions)(said).caption == "The heart beats."
    assert [name for name, _ in decisions.files] == ["ada", "cleo"]
    named = "\n".join(decisions.problems)
    assert all(name in named for name in ("ada.jsonl, line 2", "line 3", "bob.jsonl", "cleo.jsonl"))


@pytest.mark.parametrize(
    "value", ["reject", 3, {"action": "edit"}, {"action": "edit", "caption": 3}]
)
def test_a_decision_of_another_shape_changes_nothing(tmp_path, value):
    said = passage(ECHO, caption="The heart.")
    LabelFile("ada", tmp_path).add(said.clip_id, hash_item("The heart."), "decision", value)
    assert ReviewCaption(decisions=read_decisions(tmp_path))(said) == said


GARBAGE = {
    "HTML": Reply(b"<html><body>It works!</body></html>"),
    "half a JSON": Reply(completion('{"observable": true, "reas')),
    "half a reply": Reply(completion('{"observable": true, "reason": "x"}')[:-20]),
    "bytes": Reply(bytes(range(256))),
    "nothing": Reply(b""),
    "another schema": Reply(completion('{"relevant": "yes"}')),
    "a list": Reply(b"[]"),
}


def test_a_server_that_answers_garbage_fails_these_items_and_no_other(tmp_path):
    records = {name: passage(f"{ECHO} {name}", start_s=10.0 + i) for i, name in enumerate(GARBAGE)}
    records["good"] = passage(f"{ECHO} good", start_s=9.0)

    def answer(request):
        transcript = json.loads(request["messages"][1]["content"])["transcript"]
        name = transcript.removeprefix(ECHO).strip()
        return GARBAGE.get(name) or Reply(completion('{"observable": true, "reason": "heart"}'))

    with serve(answer) as server, Ledger(tmp_path / "ledger.sqlite") as ledger:
        stage = FilterCaption(model=model_at(server.url, tmp_path))
        run = run_stage(list(records.values()), stage, ledger, show_progress=False)
        found = ends(ledger, "filter_caption")
    assert [kept.clip_id for kept in run.kept] == [records["good"].clip_id]
    for name in GARBAGE:
        status, reason = found[records[name].clip_id]
        assert status == "failed" and reason, name


def narrated(folder: Path, captions: str | None, ledger: Ledger) -> NarratedVideo | None:
    stretch = Stretch(
        video_id="v", path=str(folder / "v.mp4"), start_s=0, end_s=30, score=1, change=1, flat=0
    )
    (folder / "v.mp4").write_bytes(b"x")
    (folder / "v.en.vtt").write_text(captions, encoding="utf-8", errors="surrogatepass")
    video = SegmentedVideo(video_id="v", stretches=(stretch,))
    kept = run_stage([video], NarrateVideo(), ledger, show_progress=False).kept
    return kept[0] if kept else None


def test_an_empty_transcript_is_left_out_with_its_reason(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert narrated(tmp_path, "WEBVTT\n", ledger) is None
        status, reason = ends(ledger, "narrate")["v"]
        assert status == "failed" and "v.en.vtt holds no cue" in reason
        music = narrated(tmp_path, "WEBVTT\n\n00:01.000 --> 00:02.000\n[Music]\n", ledger)
        assert music.words == ()
        empty, said = music.passages[0], passage(ECHO)
        run = run_stage([empty, said], FilterCaption(), ledger, show_progress=False)
        assert run.kept == [said]
        assert ends(ledger, "filter_caption")[empty.clip_id] == (
            "dropped", "fewer than 10 words are said over it"
        )  # fmt: skip


def test_captions_with_control_characters_and_markup_become_plain_text(tmp_path):
    cue = "WEBVTT\n\n00:00.000 --> 00:09.000\n" + ODD + "\n"
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        video = narrated(tmp_path, cue, ledger)
        chain = stages(CurationSettings())[5:8]
        steps = run_all(list(video.passages), chain, ledger, show_progress=False)
        (made,) = steps["label_caption"].run.kept
    assert made.caption == "The left ventricle barely contracts in this view and its wall is thin."
    clip = Clip(video_id="v", start_s=0, end_s=30, caption=made.caption, transcript=made.raw)
    write_rows(tmp_path / "rows.jsonl", [{"caption": clip.caption, "heard": clip.transcript}])
    [(_, row)] = list(read_rows(tmp_path / "rows.jsonl"))
    assert row["caption"] == made.caption


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("The left ventricle\0 <script>shows</script> <b>barely</b>\x1b contracts.", "done"),
        ("The left ventricle \ud800 contracts.", "failed"),  # no JSON holds half a pair
        ("<script>alert(1)</script>\0", "dropped"),
    ],
)
def test_a_reply_with_control_characters_or_markup_never_becomes_a_caption(tmp_path, text, end):
    reply = Reply(completion(json.dumps({"caption": text})))
    with serve(lambda _: reply) as server, Ledger(tmp_path / "ledger.sqlite") as ledger:
        stage = WriteCaption(model=model_at(server.url, tmp_path))
        run = run_stage([passage(ECHO)], stage, ledger, show_progress=False)
        [(status, reason)] = ends(ledger, "write_caption").values()
    assert status == end and bool(reason) == (end != "done")
    assert {kept.caption for kept in run.kept} <= {"The left ventricle barely contracts."}


def test_rows_of_mixed_schema_are_read_and_the_others_named(tmp_path):
    good = {"video_id": "v", "video": "v_0_4000.mp4", "timestamp": [0, 4], "caption": "The heart."}
    rows = [
        good,
        [1, 2],
        "text",
        None,
        good | {"timestamp": "0:04"},
        good | {"timestamp": [4, 0]},
        good | {"video_id": {"a": 1}},
        good | {"qa_pairs": "none"},
        good | {"video_id": "w", "video": "w_0_4000.mp4", "more": {"deep": [None]}},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"cut": ')
    clips, problems = load_rows(path)
    assert {clip.video_id for clip in clips} >= {"v", "w"}
    assert len(problems) >= 7 and all(problem.reason for problem in problems)


def test_a_video_without_a_frame_leaves_the_others(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.mp4").write_bytes(b"")
    (tmp_path / "in/b.mp4").write_bytes(b"<html>not found</html>")
    runs = curate_until("find_segments", videos_in(tmp_path / "in"), tmp_path / "out",
                        show_progress=False)  # fmt: skip
    assert runs["score_frames"].num_failed == 2 and runs["find_segments"].kept == []


def test_only_a_file_of_bounded_size_is_read_as_captions(tmp_path, monkeypatch):
    """A pipe is never written to, and a device never ends."""
    os.mkfifo(tmp_path / "v.en.vtt")
    (tmp_path / "v.fr.vtt").symlink_to("/dev/zero")
    (tmp_path / "v.it.vtt").mkdir()
    assert captions_beside(str(tmp_path / "v.mp4")) == ""
    (tmp_path / "v.nl.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:04.000\ntwee woorden\n")
    path = captions_beside(str(tmp_path / "v.mp4"))
    assert path.endswith("v.nl.vtt") and len(read_captions(path)) == 2
    monkeypatch.setattr("obvlib.curation.sidecars.MAX_BYTES", 20)
    with pytest.raises(ValueError, match="more than 20 bytes"):
        read_captions(path)


@pytest.mark.parametrize("opening", ["<", "[", "(", "{\\", "<!--", "<script "])
def test_openings_that_nothing_closes_take_no_time(tmp_path, opening):
    text = opening * 200_000
    (tmp_path / "v.vtt").write_text(f"WEBVTT\n\n00:00.000 --> 00:04.000\n{text}\n")
    started = time.monotonic()
    words = read_captions(tmp_path / "v.vtt")
    assert words and time.monotonic() - started < 5
    plain_text(opening * 20_000)
    assert time.monotonic() - started < 5
