"""Records: what comes back is what went in, and every unusable row is refused by a message naming
file, row, field and remedy.
"""

import json
import math
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obvlib.core.records import (
    Caption,
    Clip,
    Example,
    Prediction,
    QAPair,
    RecordError,
    Verdict,
    Word,
    check_id,
    from_json,
    read_jsonl,
    to_json,
    write_jsonl,
)

CHOICES = {"A": "Ultrasound", "B": "CT"}
PAIR = QAPair(question="Which modality?", answer="B", options=CHOICES, family="modality")
CLIP = Clip(
    video_id="abc-_1",
    start_s=12.3456,
    end_s=20,
    caption="A heart beats.",
    qa_pairs=(PAIR,),
    split="train",
)
EXAMPLE = Example(
    example_id="e1",
    benchmark="mini",
    video_id="abc",
    question="Which modality?",
    answer="B",
    options=CHOICES,
    media=("a.mp4",),
)
VERDICT = Verdict(
    example_id="e1",
    benchmark="mini",
    video_id="abc",
    family="",
    correct=False,
    choice=None,
    rule="choice:empty",
)
RECORDS = [
    Word(text="heart", start_s=0.0, end_s=0.25),
    PAIR,
    Caption(clip_id="abc_0_1000", raw="so here um"),
    CLIP,
    EXAMPLE,
    Prediction(example_id="e1", response="B"),
    Prediction(example_id="e1", response="", status="failed", reason="no frames"),
    VERDICT,
]


def test_ids_and_names_of_a_clip():
    assert CLIP.clip_id == "abc-_1_12346_20000"
    assert CLIP.file_name == "abc-_1_12346_20000.mp4"
    assert CLIP.duration_s == pytest.approx(7.6544)
    assert (
        Clip(video_id="abc", start_s=0, end_s=1, video="own.name.mp4").file_name == "own.name.mp4"
    )


def test_answer_text_is_in_words():
    assert PAIR.answer_text == EXAMPLE.answer_text == "CT"
    assert QAPair(question="What moves?", answer="the valve").answer_text == "the valve"


def test_records_cannot_be_changed():
    with pytest.raises(AttributeError):
        CLIP.start_s = 0


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_survives_the_trip_through_a_file(tmp_path, record):
    assert write_jsonl(tmp_path / "deep" / "rows.jsonl", [record, record]) == 2
    assert read_jsonl(tmp_path / "deep" / "rows.jsonl", type(record)) == [record, record]


def test_defaults_are_left_out_of_the_row():
    assert to_json(Prediction(example_id="e1", response="B")) == {
        "example_id": "e1",
        "response": "B",
    }
    assert to_json(CLIP)["qa_pairs"] == [to_json(PAIR)]
    assert to_json(EXAMPLE)["media"] == ["a.mp4"]


text = st.text(max_size=30)


@given(
    text=st.text(st.characters(), max_size=30), start=st.floats(0, 1e6), length=st.floats(0, 1e6)
)
def test_any_text_and_any_time_survive(tmp_path_factory, text, start, length):
    path = tmp_path_factory.getbasetemp() / "words.jsonl"
    word = Word(text=text, start_s=start, end_s=start + length)
    write_jsonl(path, [word])
    assert read_jsonl(path, Word) == [word]


@pytest.mark.parametrize(
    "text", ["\u2028\u2029\x85", "\ud800", "\ufeff", "line\nbreak\r", "\x00", '"\\']
)
def test_awkward_text_stays_on_its_line(tmp_path, text):
    rows = [Prediction(example_id="e1", response=text), Prediction(example_id="e2", response="B")]
    write_jsonl(tmp_path / "p.jsonl", rows)
    assert read_jsonl(tmp_path / "p.jsonl", Prediction) == rows


HOSTILE_IDS = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "a\\b",
    "/etc/passwd",
    ".hidden",
    "a b",
    "a\n",
    "a\x00b",
    "~",
    "~root",
    "$HOME",
    "a;rm -rf .",
    "é",
    "a" * 201,
    "C:x",
    "%2e%2e",
    "ａ",
    None,
    3,
    b"abc",
    ["abc"],
]


@pytest.mark.parametrize("value", HOSTILE_IDS, ids=repr)
def test_hostile_ids_never_become_paths(value):
    with pytest.raises(RecordError, match="video_id .* cannot be used in a file name"):
        check_id(value)
    with pytest.raises(RecordError):
        Clip(video_id=value, start_s=0, end_s=1)
    if value:  # no name means: use the clip's own
        with pytest.raises(RecordError, match="^video "):
            Clip(video_id="abc", start_s=0, end_s=1, video=value)


@pytest.mark.parametrize(
    "value", ["YXAGt6GtFwE", "-dash_first", "_VwmcnhQ-gE", "a..b", "1.2.826.0", "a" * 200]
)
def test_usual_ids_pass(value):
    assert check_id(value) == value


@given(st.text(max_size=40))
def test_an_accepted_id_is_one_path_component(value):
    try:
        check_id(value)
    except RecordError:
        return
    assert os.path.basename(os.path.normpath(os.path.join("dir", value))) == value


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("start", "end"),
    [(5, 5), (6, 5), (-1, 5), (NAN, 5), (0, NAN), (NAN, NAN), (0, INF), (-INF, 0), (INF, INF)],
)
def test_impossible_timestamps_name_the_video(start, end):
    with pytest.raises(RecordError, match="'abc'.*0 <= start < end, in seconds"):
        Clip(video_id="abc", start_s=start, end_s=end)


def test_two_clips_cannot_share_an_id_by_rounding():
    with pytest.raises(RecordError, match="shorter than a millisecond"):
        Clip(video_id="abc", start_s=1.0001, end_s=1.0002)


@pytest.mark.parametrize(("start", "end"), [(1, 0.5), (-1, 2), (NAN, 1), (0, INF)])
def test_words_have_real_times(start, end):
    with pytest.raises(RecordError, match="word 'beat' .*needs 0 <= start <= end"):
        Word(text="beat", start_s=start, end_s=end)
    assert Word(text="beat", start_s=1, end_s=1).end_s == 1


BAD_OPTIONS = [
    {},
    {"A": "only one"},
    {"A": "x", "B": " "},
    {"A": "x", "BB": "y"},
    {"A": "x", "1": "y"},
    {"A": "x", "": "y"},
]


@pytest.mark.parametrize("options", BAD_OPTIONS, ids=repr)
def test_options_are_letters_with_text(options):
    with pytest.raises(RecordError, match="at least two, each a single letter"):
        QAPair(question="q", answer="A", options=options)
    with pytest.raises(RecordError, match="at least two, each a single letter"):
        Example(**to_json(EXAMPLE) | {"options": options, "answer": "A", "media": ("a.mp4",)})


def test_the_answer_to_a_closed_question_is_a_letter():
    for build in (
        lambda **kw: QAPair(question="q", **kw),
        lambda **kw: from_json(Example, to_json(EXAMPLE) | kw),
    ):
        with pytest.raises(
            RecordError, match="'Ultrasound' is not one of the option letters .*give the letter"
        ):
            build(answer="Ultrasound", options=CHOICES)


@pytest.mark.parametrize(("question", "answer"), [("", "x"), ("q", " \n"), (" ", " ")])
def test_a_pair_needs_both_texts(question, answer):
    with pytest.raises(RecordError, match="both need text"):
        QAPair(question=question, answer=answer)


@pytest.mark.parametrize("name", ["example_id", "benchmark", "video_id", "question"])
def test_an_example_has_no_blank_field(name):
    with pytest.raises(RecordError, match=f"{name} ' ' of example .* is blank"):
        from_json(Example, to_json(EXAMPLE) | {name: " "})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"media_kind": "audio"}, "media_kind 'audio'"),
        ({"media": []}, "of kind 'video' but has 0 media files"),
        ({"media_kind": "text"}, "of kind 'text' but has 1 media files"),
    ],
)
def test_media_and_kind_agree(change, message):
    with pytest.raises(RecordError, match=message):
        from_json(Example, to_json(EXAMPLE) | change)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "failed"},
        {"status": "failed", "reason": "no frames", "response": "B"},
        {"reason": "no frames"},
        {"status": "done"},
    ],
    ids=repr,
)
def test_a_failed_prediction_has_a_reason_and_nothing_else_has(change):
    with pytest.raises(RecordError, match="prediction 'e1'"):
        Prediction(**{"example_id": "e1", "response": ""} | change)


ROW = to_json(CLIP)
PAIR_ROW = to_json(PAIR)
WRONG_ROWS = [
    ([], "expected a JSON object for Clip, got list"),
    ("abc", "expected a JSON object for Clip, got str"),
    (None, "expected a JSON object for Clip, got NoneType"),
    ({"start_s": 0, "end_s": 1}, "field 'video_id' is missing"),
    (ROW | {"colour": 1}, "unknown field 'colour' for Clip; it knows video_id, start_s"),
    (ROW | {"video_id": 7}, "field 'video_id': expected str, got 7"),
    (ROW | {"video_id": None}, "field 'video_id': expected str, got None"),
    (ROW | {"start_s": "12"}, "field 'start_s': expected float, got '12'"),
    (ROW | {"start_s": True}, "field 'start_s': expected float, got True"),
    (ROW | {"end_s": 10**400}, "field 'end_s': expected float, got 1000"),
    (ROW | {"end_s": 1e400}, "needs 0 <= start < end"),
    (ROW | {"video_id": "../../etc"}, "video_id '../../etc' cannot be used in a file name"),
    (ROW | {"video": "../x.mp4"}, "video '../x.mp4' cannot be used in a file name"),
    (ROW | {"qa_pairs": "none"}, "field 'qa_pairs': expected a list, got 'none'"),
    (
        ROW | {"qa_pairs": [PAIR_ROW, 3]},
        r"field 'qa_pairs'\[1\]: expected a JSON object for QAPair, got int",
    ),
    (ROW | {"qa_pairs": [{"question": "q"}]}, r"field 'qa_pairs'\[0\]: field 'answer' is missing"),
    (
        ROW | {"qa_pairs": [PAIR_ROW | {"answer": "E"}]},
        r"field 'qa_pairs'\[0\]: answer 'E' is not one",
    ),
    (
        ROW | {"qa_pairs": [PAIR_ROW | {"options": ["x", "y"]}]},
        "field 'options': expected an object, got",
    ),
    (
        ROW | {"qa_pairs": [PAIR_ROW | {"options": {"A": 1, "B": "y"}}]},
        r"field 'options'\['A'\]: expected str, got 1",
    ),
]


@pytest.mark.parametrize(
    ("row", "message"), WRONG_ROWS, ids=[message[:60] for _, message in WRONG_ROWS]
)
def test_a_wrong_row_names_where_field_and_value(row, message):
    with pytest.raises(RecordError, match="^rows.jsonl, line 3.*" + message):
        from_json(Clip, row, "rows.jsonl, line 3")


def test_a_closed_question_without_options_may_say_null():
    assert from_json(QAPair, {"question": "q", "answer": "a", "options": None}).options is None


BAD_LINES = [
    (b'{"example_id": "e2"', "not JSON"),
    (b'{"example_id": "\xff\xfe", "response": ""}', "not JSON .*utf-8"),
    (b'{"example_id": "e2", "response": "", "num_new_tokens": NaN}', "NaN is not a JSON number"),
    (
        b'{"example_id": "e2", "response": "", "num_new_tokens": -Infinity}',
        "-Infinity is not a JSON number",
    ),
    (b'{"example_id": "e2", "response": "A", "response": "B"}', "a name is given twice"),
    (b"[" * 100_000, "not JSON"),
    (b'{"example_id": "e2", "response": "", "num_new_tokens": ' + b"9" * 5000 + b"}", "not JSON"),
    (b"null", "expected a JSON object for Prediction, got NoneType"),
]


@pytest.mark.parametrize(("line", "message"), BAD_LINES, ids=[line[:50] for line, _ in BAD_LINES])
def test_a_bad_line_is_named_by_file_and_number(tmp_path, line, message):
    path = tmp_path / "p.jsonl"
    path.write_bytes(b'{"example_id": "e1", "response": "B"}\n\n' + line + b"\n")
    with pytest.raises(RecordError, match=f"p.jsonl, line 3: .*{message}"):
        read_jsonl(path, Prediction)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"example_id": "e1", "response": "B"}\r\n\r\n')
    assert read_jsonl(path, Prediction) == [Prediction(example_id="e1", response="B")]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [PAIR])

    def rows():
        yield CLIP
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_jsonl(path, rows())
    assert read_jsonl(path, QAPair) == [PAIR]
    assert os.listdir(tmp_path) == ["rows.jsonl"]


def test_numbers_that_are_not_finite_are_refused_on_writing(tmp_path):
    with pytest.raises(RecordError, match="not finite"):
        write_jsonl(tmp_path / "rows.jsonl", [{"loss": math.nan}])
    assert os.listdir(tmp_path) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
names = [
    "video_id",
    "start_s",
    "end_s",
    "video",
    "qa_pairs",
    "caption",
    "question",
    "answer",
    "options",
    "media",
    "x",
]


@given(
    row=st.dictionaries(st.sampled_from(names), json_values),
    cls=st.sampled_from([Clip, QAPair, Example, Word]),
)
def test_no_row_crashes_in_another_way(row, cls):
    try:
        record = from_json(cls, row)
    except RecordError as error:
        assert str(error).startswith("row")
    else:
        assert from_json(cls, json.loads(json.dumps(to_json(record)))) == record


@pytest.mark.parametrize(
    ("split", "trains"), [("", True), ("train", True), ("validation", False), ("test", False)]
)
def test_only_the_training_split_trains(split, trains):
    clip = Clip(video_id="v", start_s=0.0, end_s=1.0, split=split)
    assert clip.is_for_training is trains
