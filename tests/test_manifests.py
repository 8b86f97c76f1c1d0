"""Cards, rows and splits: what a bad row becomes, and what a machine without the hub is told."""

import json
import shutil
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from obvlib import manifests
from obvlib.core import manifests_dir
from obvlib.core.jsonl import RecordError
from obvlib.core.records import Clip, QAPair
from obvlib.manifests import cards
from obvlib.manifests.cards import load_card
from obvlib.manifests.hub import HubUnavailable
from obvlib.manifests.pictures import FORMATS, open_rgb
from obvlib.manifests.rows import RowProblem, load_rows

GOOD = {
    "video_id": "abc",
    "video": "abc_1_3.mp4",
    "timestamp": [1, 3.5],
    "caption": "A heart beats.",
}


def write(path, *rows):
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    )
    return path


def test_every_card_opens_and_hub_cards_say_unpinned_or_a_revision():
    cards = [load_card(name) for name in manifests.card_names()]
    assert {
        "openbiomedvid",
        "surgeryvideoqa",
        "mimicechoqa",
        "vqa-rad",
        "pathvqa",
        "slake",
        "medqa",
        "pubmedqa",
    } <= {c.name for c in cards}
    for card in cards:
        if card.access != "package":  # a part of a package names its equivalent on the hub
            assert bool(card.hub_id) == (card.access in ("public", "credentialed"))
        assert card.revision is None or len(card.revision) == 40
    assert load_card("MIMICEchoQA").access == "credentialed"


def test_unknown_card_lists_the_known_ones():
    with pytest.raises(RecordError, match="no card named 'imagenet': there are .*medqa"):
        load_card("imagenet")


def test_a_published_row_becomes_a_clip(tmp_path):
    row = {**GOOD, "video_url": "https://example.org/abc", "video_metadata": {"fps": 30}}
    row["qa_pairs"] = [
        {
            "question": "Which organ?",
            "option_A": "Liver",
            "option_B": "Heart",
            "correct_option": "B",
            "correct_answer": "Heart",
        },
        {"question": "Does it beat?", "option_A": "", "option_B": "", "answer": "Yes"},
        {"question": "What is seen?", "answer": "A beating heart"},
    ]
    clips, problems = load_rows(write(tmp_path / "rows.jsonl", row))
    assert problems == []
    assert clips == [
        Clip(
            video_id="abc",
            start_s=1.0,
            end_s=3.5,
            video="abc_1_3.mp4",
            video_url="https://example.org/abc",
            dataset="rows",
            caption="A heart beats.",
            qa_pairs=(
                QAPair(question="Which organ?", answer="B", options={"A": "Liver", "B": "Heart"}),
                QAPair(question="Does it beat?", answer="yes"),
                QAPair(question="What is seen?", answer="A beating heart"),
            ),
        )
    ]


def test_the_cleaned_caption_wins_over_the_raw_one(tmp_path):
    clips, _ = load_rows(
        write(
            tmp_path / "r.jsonl", {**GOOD, "caption": "um so here", "cleaned_caption": "A heart."}
        )
    )
    assert (clips[0].caption, clips[0].transcript) == ("A heart.", "um so here")


def test_options_may_come_as_a_list_or_inside_json_text(tmp_path):
    pairs = [{"question": "Q?", "options": ["one", "two"], "answer": "two"}]
    clips, problems = load_rows(
        write(tmp_path / "r.jsonl", {**GOOD, "qa_pairs": json.dumps(pairs)})
    )
    assert problems == [] and clips[0].qa_pairs == (
        QAPair(question="Q?", answer="B", options={"A": "one", "B": "two"}),
    )


@pytest.mark.parametrize(
    "columns",
    [
        {"Options": ["one", "two"]},
        {"CHOICES": {"a": "one", "b": "two"}},
        {"opt_a": "one", "opt_b": "two"},
        {"Opt1": "one", "Opt2": "two"},
        {"a": "one", "b": "two"},
    ],
)
def test_options_are_read_under_any_case_of_their_names(tmp_path, columns):
    row = {**GOOD, "Question": "Q?", "Answer": "B", **columns}
    clips, problems = load_rows(write(tmp_path / "r.jsonl", row))
    assert problems == [] and clips[0].qa_pairs == (
        QAPair(question="Q?", answer="B", options={"A": "one", "B": "two"}),
    )


@pytest.mark.parametrize(
    "columns",
    [
        {"alternatives": ["one", "two"], "answer": "two"},
        {"answer_options": {"a": "one", "b": "two"}, "answer": "two"},
        {"ending0": "one", "ending1": "two", "answer": "two"},
        {"first": "one", "second": "two", "answer": "(B)"},
        {"options": ["one", "two"], "Options": ["two", "one"], "answer": "B"},
    ],
)
def test_options_under_a_name_that_is_not_known_are_reported(tmp_path, columns):
    clips, problems = load_rows(write(tmp_path / "r.jsonl", {**GOOD, "question": "Q?", **columns}))
    assert clips == [] and len(problems) == 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({k: v for k, v in GOOD.items() if k != "video_id"}, "line 2: field 'video_id' is missing"),
        (
            {k: v for k, v in GOOD.items() if k != "timestamp"},
            "line 2: field 'timestamp' is missing",
        ),
        ({**GOOD, "timestamp": [3]}, r"line 2: field 'timestamp' is \[3\]; give \[start, end\]"),
        ({**GOOD, "timestamp": ["1", "3"]}, "line 2: field 'timestamp' is"),
        (
            {**GOOD, "timestamp": [3.5, 1]},
            r"line 2: timestamp \[3.5, 1.0\] of video_id 'abc': needs 0 <= start < end",
        ),
        ({**GOOD, "timestamp": [-1, 1]}, "needs 0 <= start < end"),
        (
            {**GOOD, "video_id": "../../etc/passwd"},
            "line 2: video_id '../../etc/passwd' cannot be used in a file name",
        ),
        (
            {**GOOD, "video": "/abs/x.mp4"},
            "line 2: video '/abs/x.mp4' cannot be used in a file name",
        ),
        ({**GOOD, "qa_pairs": [{"question": "", "answer": "x"}]}, r"line 2, field 'qa_pairs\[0\]'"),
        (
            {**GOOD, "qa_pairs": [{"question": "Q?", "options": ["a", "b"], "answer": "c"}]},
            "not one of the option letters",
        ),
        ({**GOOD, "qa_pairs": "[broken"}, "field 'qa_pairs' is not JSON"),
        ({**GOOD, "timestamp": [0, 1e306]}, "needs 0 <= start < end"),
        (
            {**GOOD, "timestamp": [0, 10**400]},
            "line 2: field 'timestamp' has a number of 401 digits",
        ),
        (
            {**GOOD, "question": "Q?", "options": "yes or no", "answer": "maybe"},
            "options 'yes or no'; give an object",
        ),
        (
            {**GOOD, "qa_pairs": [{"question": "Q?", "options": 5, "answer": "x"}]},
            "options 5; give an object",
        ),
        ("null", "line 2: expected a JSON object, got NoneType"),
        ("{not json", "line 2: not JSON"),
    ],
)
def test_a_bad_row_is_reported_and_the_others_are_read(tmp_path, row, reason):
    path = write(tmp_path / "rows.jsonl", GOOD, row, {**GOOD, "video_id": "def"})
    clips, problems = load_rows(path)
    assert [clip.video_id for clip in clips] == ["abc", "def"]
    assert len(problems) == 1 and isinstance(problems[0], RowProblem)
    with pytest.raises(RecordError, match=reason):
        raise RecordError(problems[0].reason)
    assert problems[0].where == f"{path}, line 2"


@pytest.mark.parametrize(
    ("said", "split"),
    [("train", "train"), ("Training", "train"), (" TEST ", "test"), ("dev", "validation"), ("", "")]
    + [("validation", "validation"), ("val", "validation"), (None, "")],
)
def test_a_rows_own_split_is_read_whatever_its_spelling(tmp_path, said, split):
    ours = {"video_id": "def", "start_s": 0, "end_s": 1, "split": said}
    clips, problems = load_rows(write(tmp_path / "r.jsonl", {**GOOD, "split": said}, ours))
    assert problems == [] and [clip.split for clip in clips] == [split, split]
    kept, _ = load_rows(tmp_path / "r.jsonl", split="Test")
    assert len(kept) == (2 if split == "test" else 0)


@pytest.mark.parametrize("said", [{"Split": "test"}, {" SPLIT": "Test", "split": ""}])
def test_the_column_of_a_split_may_be_spelled_in_any_case(tmp_path, said):
    ours = {"video_id": "def", "start_s": 0, "end_s": 1}
    clips, _ = load_rows(write(tmp_path / "r.jsonl", GOOD | said, ours | said))
    assert [clip.split for clip in clips] == ["test", "test"]


@pytest.mark.parametrize(
    "said", [{"split": 0}, {"split": ["test"]}, {"Split": "test", "split": "a"}]
)
def test_what_a_split_column_means_is_not_guessed(tmp_path, said):
    clips, problems = load_rows(write(tmp_path / "r.jsonl", GOOD | said))
    assert clips == [] and len(problems) == 1


@pytest.mark.parametrize("order", [1, -1])
def test_a_clip_that_any_row_holds_out_does_not_train(tmp_path, order):
    rows = [GOOD | {"split": s} for s in ("train", "test")][::order]
    clips, problems = load_rows(write(tmp_path / "r.jsonl", *rows))
    assert len(clips) == len(problems) == 1 and not clips[0].is_for_training


def test_rows_that_agree_to_the_millisecond_are_one_clip(tmp_path):
    bare = {k: v for k, v in GOOD.items() if k != "video"}
    later = bare | {"timestamp": [GOOD["timestamp"][0] + 1e-5, GOOD["timestamp"][1]]}
    clips, problems = load_rows(write(tmp_path / "r.jsonl", later, GOOD))
    assert problems == [] and [clip.file_name for clip in clips] == [GOOD["video"]]


def test_numbers_beyond_a_floats_range_end_their_row(tmp_path):
    row = json.dumps(GOOD)[:-1] + ', "extra": {"n": -1e999}}'
    clips, problems = load_rows(write(tmp_path / "r.jsonl", row, GOOD))
    assert len(clips) == 1 and "-1e999 is too large" in problems[0].reason


def test_an_unknown_split_is_refused_and_does_not_train(tmp_path):
    clips, problems = load_rows(write(tmp_path / "r.jsonl", {**GOOD, "split": "holdout"}))
    assert clips == [] and "line 1: split 'holdout' is unknown; use one of" in problems[0].reason
    with pytest.raises(RecordError, match="use train, validation or test"):
        Clip(video_id="a", start_s=0, end_s=1, split="Test")


def test_rows_about_one_clip_are_one_clip_with_their_questions(tmp_path):
    asked = [{**GOOD, "question": q, "answer": "This."} for q in ("What?", "Why?", "What?")]
    more = {**GOOD, "modality": "CT"}
    other = {**GOOD, "caption": "Another."}
    clips, problems = load_rows(write(tmp_path / "r.jsonl", *asked, more, other))
    assert [pair.question for pair in clips[0].qa_pairs] == ["What?", "Why?"]
    assert len(clips) == 1 and clips[0].modality == "CT"
    assert "line 5: clip abc_1000_3500 has another caption in an earlier row" in problems[0].reason


def test_the_same_question_with_its_options_in_another_order_counts_once(tmp_path):
    pair = {"question": "Which?", "options": {"A": "one", "B": "two"}, "answer": "A"}
    turned = pair | {"options": {"B": "two", "A": "one"}}
    clips, problems = load_rows(write(tmp_path / "r.jsonl", GOOD | pair, GOOD | turned))
    assert problems == [] and len(clips[0].qa_pairs) == 1


def test_work_for_a_row_does_not_grow_with_the_rows_before_it(tmp_path):
    calls = {}
    for num_rows in (100, 400):
        rows = [{**GOOD, "question": f"What is {i}?", "answer": "This."} for i in range(num_rows)]
        path = write(tmp_path / "r.jsonl", *rows)
        counted = []
        sys.setprofile(lambda *event, counted=counted: counted.append(event[1]))
        try:
            clips, _ = load_rows(path)
        finally:
            sys.setprofile(None)
        assert len(clips[0].qa_pairs) == num_rows
        calls[num_rows] = len(counted)
    assert calls[400] < 4.1 * calls[100]


@pytest.mark.parametrize(
    "field",
    [
        {"caption": "half \ud800"},
        {"caption": "nul \0"},
        {"video_url": "x\0"},
        {"extra": {"deep": ["\udfff"]}},
        {"\ud800": 1},
        {"qa_pairs": "[" * 10_000 + "]" * 10_000},
        {"qa_pairs": "[" * 900 + "]" * 900},
        {"extra": json.loads("[" * 500 + "]" * 500)},
        {"question": "Q?", "options": "[" * 10_000, "answer": "x"},
        {"question": "Q?", "options": [str(i) for i in range(27)], "answer": "1"},
    ],
)
def test_what_files_and_tokenizers_cannot_hold_ends_its_row_only(tmp_path, field):
    good = {**GOOD, "video_id": "def"}
    clips, problems = load_rows(write(tmp_path / "rows.jsonl", {**GOOD, **field}, good))
    assert [clip.video_id for clip in clips] == ["def"] and len(problems) == 1
    assert len(problems[0].reason) <= 200 and problems[0].reason.isprintable()


def test_a_line_nested_without_end_is_reported(tmp_path):
    bad = '{"a":' * 10_000 + "1" + "}" * 10_000
    clips, problems = load_rows(write(tmp_path / "rows.jsonl", bad, GOOD))
    assert (
        len(clips) == 1 and "rows.jsonl, line 1: not JSON (nested too deep)" in problems[0].reason
    )


def test_a_missing_file_is_an_error_at_once(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.jsonl is not a file of rows.*openbiomedvid"):
        load_rows(tmp_path / "none.jsonl")


def test_without_the_hub_one_sentence_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        HubUnavailable,
        match=(
            "connectthapa84/OpenBiomedVid is needed.*hf download connectthapa84/OpenBiomedVid"
            " --repo-type dataset"
        ),
    ):
        load_rows("OpenBiomedVid")


def test_hub_rows_are_read_at_the_pinned_revision(monkeypatch, tmp_path):
    """A folder laid out as the hub serves it, in place of the download."""
    write(
        tmp_path / "test.jsonl",
        {**GOOD, "question": "What is removed?", "answer": "Fat."},
        {**GOOD, "timestamp": [5.0, 1.0]},
    )
    asked = {}

    def fetch(repo_id, *, revision, repo_type):
        asked.update(repo_id=repo_id, revision=revision, repo_type=repo_type)
        return tmp_path

    monkeypatch.setattr("obvlib.manifests.hub.fetch", fetch)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    with pytest.warns(
        UserWarning, match="SurgeryVideoQA: the rows differ from the card: clips 1 instead of 470"
    ):
        clips, problems = load_rows("SurgeryVideoQA")
    assert asked == {
        "repo_id": "connectthapa84/SurgeryVideoQA",
        "revision": None,
        "repo_type": "dataset",
    }
    assert clips[0].qa_pairs == (QAPair(question="What is removed?", answer="Fat."),)
    assert (clips[0].dataset, clips[0].split) == ("surgeryvideoqa", "test")
    assert problems[0].where == "connectthapa84/SurgeryVideoQA, test, row 2"


def test_pinning_writes_the_hubs_answer_into_the_card_and_nothing_else(monkeypatch, tmp_path):
    """The client is the real one; a server on this machine says what the hub would: {"sha": ...}
    for a repository.
    """
    paths, sha = [], "0123456789abcdef0123456789abcdef01234567"

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self):
            paths.append(self.path.partition("?")[0])
            body = json.dumps(
                {"id": "Qwen/Qwen2-VL-2B-Instruct", "sha": sha, "siblings": []}
            ).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(
        "huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}"
    )
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    card = tmp_path / "data_manifests/cards/qwen2-vl-2b-instruct.yaml"
    shutil.copytree(manifests_dir() / "cards", card.parent)
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    before = card.read_text()
    assert cards.pin("Qwen2-VL-2B-Instruct") == ("", sha)
    assert manifests.load_card("qwen2-vl-2b-instruct").revision == sha
    changed = [
        new
        for old, new in zip(before.splitlines(), card.read_text().splitlines(), strict=True)
        if old != new
    ]
    assert changed == [f'revision: "{sha}"'] and paths[0].startswith(
        "/api/models/Qwen/Qwen2-VL-2B-Instruct"
    )
    assert cards.pin("qwen2-vl-2b-instruct") == (sha, sha)
    server.shutdown()
    server.server_close()
    with pytest.raises(
        HubUnavailable, match="Qwen/Qwen2-VL-2B-Instruct.* the hub cannot be reached"
    ):
        cards.pin("qwen2-vl-2b-instruct")
    assert manifests.load_card("qwen2-vl-2b-instruct").revision == sha
    with pytest.raises(RecordError, match="no hub_id"):
        cards.pin("mini")


def test_a_split_by_source_never_parts_a_video():
    clips = [Clip(video_id=f"v{i // 3}", start_s=i % 3, end_s=i % 3 + 1) for i in range(600)]
    train, test = manifests.split_by_source(clips, test_share=0.3, seed=1)
    assert len(train) + len(test) == 600 and 40 <= len({c.video_id for c in test}) <= 80
    manifests.check_contamination(train, test)
    assert manifests.split_by_source(clips, test_share=0.3, seed=1) == (train, test)
    assert manifests.split_by_source(clips, test_share=0.3, seed=2) != (train, test)
    with pytest.raises(ValueError, match="test_share is 1.5"):
        manifests.split_by_source(clips, test_share=1.5)


def test_two_clips_of_one_file_are_refused():
    clips = [Clip(video_id=name, start_s=0, end_s=2, video="c.mp4") for name in ("a", "b")]
    with pytest.raises(ValueError, match="two different records have the file name 'c.mp4'"):
        manifests.check_file_names(clips)
    manifests.check_file_names([clips[0], clips[0]])


def test_contamination_names_the_videos():
    clips = [Clip(video_id=name, start_s=0, end_s=1) for name in "abc"]
    with pytest.raises(manifests.Contamination, match="2 source videos .*: b, c; remove"):
        manifests.check_contamination(clips, clips[1:])


@pytest.mark.parametrize("name", FORMATS)
def test_pictures_of_every_known_format_are_read(name, tmp_path):
    gray = np.full((8, 8, 3), 128, np.uint8)
    Image.fromarray(gray).save(tmp_path / "picture", format=name)
    assert np.abs(open_rgb(tmp_path / "picture").astype(int) - gray).max() <= 2
