"""Each benchmark's reader: rows become examples, bad rows are reported, nothing is scored that is
not there.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from obvlib import manifests
from obvlib.core import Prediction, RecordError
from obvlib.inputs import example_turns
from obvlib.manifests.benchmarks import NAMES, load_examples, loading
from obvlib.manifests.hub import HubUnavailable
from obvlib.manifests.options import answer_of, options_of
from obvlib.scoring import score_all

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*the rows differ from the card"
)  # a few fabricated rows stand for thousands


@pytest.fixture
def hub(monkeypatch):
    """Rows to serve in place of the hub, by card name."""
    rows = {}

    def serve(card, split=""):
        return ((f"{card.hub_id}, row {i}", row) for i, row in enumerate(rows[card.name], start=1))

    monkeypatch.setattr(loading, "hub_rows", serve)
    monkeypatch.setattr(manifests.rows, "hub_rows", serve)
    return rows


def test_unknown_benchmark_lists_the_known_ones():
    with pytest.raises(
        ValueError, match="no benchmark named 'mmlu': there are mini, real_small, MIMICEchoQA"
    ):
        load_examples("mmlu")


def test_surgery_questions_are_open(hub, tmp_path):
    row = {
        "id": "x",
        "video_id": "abc",
        "video": "abc_4_9.mp4",
        "timestamp": [4, 9],
        "question": "What is cut?",
        "answer": "The duct.",
    }
    hub["surgeryvideoqa"] = [row]
    (example,) = load_examples("SurgeryVideoQA", media=tmp_path)
    assert (example.example_id, example.video_id, example.answer) == (
        "abc_4000_9000-0",
        "abc",
        "The duct.",
    )
    assert (example.options, example.family, example.media) == (
        None,
        "open",
        (str(tmp_path / "abc_4_9.mp4"),),
    )


SURGERY = {"video_id": "abc", "timestamp": [4, 9], "video": "abc_4_9.mp4"}
MIMIC = {
    "messages_id": "m1",
    "videos": ["mimic-iv-echo/0.1/files/p10/p10001/s90001/90001_0001.mp4"],
    "question": "How severe is the mitral regurgitation?",
    "answer": "Mild",
    "correct_option": "B",
    "option_A": "None",
    "option_B": "Mild",
    "option_C": "Moderate",
    "option_D": "Severe",
    "structure": "Mitral Valve",
    "view": "A4C",
}


def read(tmp_path, name, rows, **options):
    """Examples and problems of rows in a file of JSON lines."""
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    problems = []
    return load_examples(name, rows=path, media=tmp_path, problems=problems, **options), problems


def test_one_row_a_question_numbers_them_within_the_clip(tmp_path):
    asked = [("What is cut?", "The duct."), ("On which side?", "Left."), ("Is it red?", "No.")]
    rows = [SURGERY | {"question": q, "answer": a} for q, a in asked]
    other = {"video_id": "x", "timestamp": [0, 1], "question": "What is cut?", "answer": "Skin"}
    examples, problems = read(tmp_path, "SurgeryVideoQA", [*rows[:2], other, rows[2], rows[1]])
    ids = [e.example_id for e in examples]
    assert ids == [f"abc_4000_9000-{i}" for i in (0, 1)] + ["x_0_1000-0", "abc_4000_9000-2"]
    assert [e.answer for e in examples] == ["The duct.", "Left.", "Skin", "no"]
    (problem,) = problems
    assert "rows.jsonl, line 5: question 'On which side?'" in problem.reason
    assert "comes twice; remove the repeated row" in problem.reason


def test_a_repeated_id_is_a_problem_by_name(tmp_path):
    row = {"pubid": 3, "question": "Q?", "context": {}, "final_decision": "no"}
    other = row | {"final_decision": "yes"}
    examples, problems = read(tmp_path, "PubMedQA", [row, row, other])
    assert len(examples) == len(problems) == 1
    assert "two different records have the example_id 'pubmedqa-3'" in problems[0].reason


def test_a_row_of_another_split_is_not_asked(tmp_path):
    asked = {"question": "Q?", "answer": "An artery."}
    rows = [SURGERY | asked | {"Split": s} for s in ("test", "Train")]
    examples, problems = read(tmp_path, "SurgeryVideoQA", rows)
    assert len(examples) == 1 and "split 'train' is not the benchmark's" in problems[0].reason


@pytest.mark.parametrize("as_array", [True, False])
def test_mimicechoqa_as_physionet_publishes_it(tmp_path, as_array):
    rows = [MIMIC, MIMIC | {"question": "Is there a clot?", "answer": "Yes"}]
    rows[1] |= {"correct_option": "A", "option_A": "Yes", "option_B": "No"}
    rows[1] |= {"option_C": None, "option_D": ""}
    path = tmp_path / "MIMICEchoQA.json"
    path.write_text(
        json.dumps(rows, indent=2) if as_array else "\n".join(json.dumps(row) for row in rows)
    )
    first, second = load_examples("MIMICEchoQA", rows=path, media=tmp_path)
    assert (first.answer, first.answer_text, first.video_id) == ("B", "Mild", "p10001")
    assert first.media == (str(tmp_path / MIMIC["videos"][0]),)
    assert (second.options, second.answer, second.family) == (
        {"A": "Yes", "B": "No"},
        "A",
        "closed",
    )
    loop = tmp_path / "files/p10/p10001/s90001/90001_0001.mp4"  # kept without the release's folder
    loop.parent.mkdir(parents=True)
    loop.touch()
    assert load_examples("MIMICEchoQA", rows=path, media=tmp_path)[0].media == (str(loop),)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"correct_option": "C"}, "contradict each other"),
        ({"option_C": "mild."}, "option 'mild.' is given twice, as B and C"),
        ({"videos": ["a.mp4", "b.mp4"]}, "give a list of one path"),
        ({"videos": ["../b.mp4"]}, "a part of video"),
        ({"answer": "Huge", "correct_option": None}, "not one of the option letters"),
        ({"answer": 2, "correct_option": None}, "give the answer as text"),
        ({"answer": "", "correct_option": None}, "field 'answer' is missing"),
    ],
)
def test_what_contradicts_itself_is_a_problem_by_name(tmp_path, change, reason):
    examples, problems = read(tmp_path, "MIMICEchoQA", [MIMIC | change, MIMIC])
    assert len(examples) == 1
    (problem,) = problems
    assert problem.reason.startswith("rows.jsonl, line 1") and reason in problem.reason


ABC = {"A": "None", "B": "Severe", "C": "Mild"}


@pytest.mark.parametrize(
    "row",
    [
        {"options": ["None", "Severe", "Mild"]},
        {"options": '["None", "Severe", "Mild"]'},
        {"options": '{"A": "None", "B": "Severe", "C": "Mild"}'},
        {"options": {"a": "None", "b": "Severe", "c": "Mild", "d": None}},
        {"options": ["A. None", "B. Severe", "C. Mild"]},
        {"options": ["B) Severe", "A) None", "C) Mild"]},
        {"options": {"A": "(A) None", "B": "(B) Severe", "C": "(C) Mild"}},
        {"options": [{"key": k, "value": v} for k, v in ABC.items()]},
        {"option_A": "None", "option_B": "Severe", "option_C": "Mild", "option_D": float("nan")},
        {"A": "None", "B": "Severe", "C": "Mild", "question": "?"},
    ],
)
def test_options_in_every_published_form(row):
    assert options_of(row, "row") == ABC
    for answer in ("B", "b", "(B)", "B.", "B. Severe", "(b) severe", "Option B", " severe. "):
        assert answer_of({"answer": answer}, ABC, "row") == "B"
    assert answer_of({"answer": "None"}, ABC, "row") == "A"


def test_a_closed_question_stays_closed_when_its_answer_is_no():
    options = {"A": "Yes", "B": "No", "C": "Only in systole"}
    assert options_of({"options": options, "answer": "No"}, "row") == options
    assert answer_of({"answer": "No"}, options, "row") == "B"
    assert options_of({"option_A": None, "option_B": ""}, "row") is None


@pytest.mark.parametrize(
    "row",
    [
        {"Option A": "None", "Option B": "Severe", "Option C": "Mild"},
        {"choice_a": "None", "choice_b": "Severe", "choice_c": "Mild", "choice_type": "single"},
        {"option0": "None", "option1": "Severe", "option2": "Mild", "options": None},
        {"opa": "None", "opb": "Severe", "opc": "Mild", "opd": None},
        {"choices": {"text": ["None", "Severe", "Mild"], "label": ["A", "B", "C"]}},
        {"options": ["A. None", "B. Severe", "C. Mild"], "option_A": "None"},
    ],
)
def test_options_of_other_datasets(row):
    assert options_of(row, "row") == ABC


def test_no_option_vanishes():
    ten = {letter: f"text {letter}" for letter in "ABCDEFGHIJ"}
    assert options_of(ten | {"X": "no option"}, "row") == ten
    assert options_of({f"option_{n}": f"text {n}" for n in ten}, "row") == ten
    for row in (
        {"options": ["one"]},
        {"options": ["one", "two"], "option_C": "three"},
        {"options": ["one", "two"], "choices": ["one", "two", "three"]},
        {"option_A": "one", "option_B": "two", "option_AA": "three"},
        {"option_A": "one", "option_a": "two", "option_B": "three"},
        {"choice_of_three": "one, two or three"},
    ):
        with pytest.raises(RecordError, match="row: "):
            options_of(row, "row")
    assert answer_of({"answer": "No."}, None, "row") == "no"


def test_letters_as_texts_are_read_by_the_row_or_not_at_all():
    swapped = {"A": "B", "B": "A"}
    with pytest.raises(RecordError, match="can be read as two options"):
        answer_of({"answer": "A"}, swapped, "row")
    assert answer_of({"answer": "A", "correct_option": "B"}, swapped, "row") == "B"
    blood = {"A": "A", "B": "B", "C": "AB", "D": "O"}
    assert [answer_of({"answer": a}, blood, "row") for a in ("A", "AB", "O")] == ["A", "C", "D"]
    vitamins = {"A": "A. baumannii", "B": "E. coli"}  # a dot that is no letter's
    assert options_of({"options": vitamins}, "row") == vitamins


PUBLISHED = {
    "SurgeryVideoQA": [SURGERY | {"question": "What is cut?", "answer": "The cystic duct."}],
    "MIMICEchoQA": [MIMIC],
    "VQA-RAD": [{"image": "x.png", "question": "Is it dark?", "answer": "Yes"}],
    "PathVQA": [{"image": "x.png", "question": "What is shown?", "answer": "liver"}],
    "SLAKE": [
        {"img_name": "x.png", "question": "Which plane?", "answer": "Axial", "q_lang": "en"}
        | {"answer_type": "CLOSED"},
        {"img_name": "x.png", "question": "?", "answer": "?", "q_lang": "zh"},
    ],
    "MedFrameQA": [
        {"question_id": "q7", "video_id": "v1", "question": "What changes between the frames?"}
        | {"options": ["The filling", "The side"], "correct_answer": "A"}
        | {"image_1": "x.png", "image_2": "x.png", "image_3": None}
    ],
    "MedQA": [
        {"question": "A man. What now?", "options": ABC, "answer": "Mild", "answer_idx": "C"}
    ],
    "PubMedQA": [
        {"pubid": 12, "question": "Does it help?", "context": {"contexts": ["Aim.", "Result."]}}
        | {"final_decision": "maybe"}
    ],
}


def examples_of(name, tmp_path):
    if name in ("mini", "real_small"):
        return load_examples(name, media=tmp_path)
    Image.new("L", (5, 4), 9).save(tmp_path / "x.png")
    examples, problems = read(tmp_path, name, PUBLISHED[name])
    assert problems == []
    return examples


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_gives_its_own_gold_answers_full_marks(name, tmp_path):
    examples = examples_of(name, tmp_path)
    for gold in ("answer", "answer_text"):
        said = [Prediction(example_id=e.example_id, response=getattr(e, gold)) for e in examples]
        wrong = [v for v in score_all(examples, said) if not v.correct]
        assert examples and wrong == []


@pytest.mark.parametrize("name", NAMES)
def test_the_prompt_of_each_benchmark_is_the_stored_one(name, tmp_path):
    example = examples_of(name, tmp_path)[0]
    stored = json.loads((Path(__file__).parent / "golden" / "prompts.json").read_text())
    (turn,) = example_turns(replace(example, media=(), media_kind="text"), [])
    assert {"kind": example.media_kind, "prompt": turn.text} == stored[name]


def test_echo_questions_show_options_or_ask_yes_no(hub, tmp_path):
    loop = "files/p10/p10001/s900/900_0001.mp4"
    options = {"option_A": "Mild", "option_B": "Severe", "option_C": "None", "option_D": "Moderate"}
    hub["mimicechoqa"] = [
        {"video": loop, "question": "How severe?", "answer": "Severe", **options},
        {"video": loop, "question": "How severe?", "answer": "D", **options},
        {
            "video": loop,
            "question": "Is it dilated?",
            "answer": "Yes",
            "option_A": None,
            "option_B": None,
        },
        {"video": "flat.mp4", "question": "Is it dilated?", "answer": "no"},
    ]
    examples = load_examples("mimicechoqa", media=tmp_path)
    assert [e.answer for e in examples] == ["B", "D", "yes", "no"]
    assert (
        examples[0].options == {"A": "Mild", "B": "Severe", "C": "None", "D": "Moderate"}
        and examples[2].options is None
    )
    assert [e.video_id for e in examples] == ["p10001", "p10001", "p10001", "flat"]
    assert examples[0].media == (str(tmp_path / loop),)


@pytest.mark.parametrize("video", ["../../secret.mp4", "/etc/passwd", "a/../../b.mp4", ""])
def test_an_echo_path_never_leaves_its_folder(hub, tmp_path, video):
    hub["mimicechoqa"] = [
        {"video": video, "question": "Q?", "answer": "yes"},
        {"video": "ok.mp4", "question": "Q?", "answer": "yes"},
    ]
    problems = []
    examples = load_examples("MIMICEchoQA", media=tmp_path, problems=problems)
    assert [e.media for e in examples] == [(str(tmp_path / "ok.mp4"),)]
    assert [p.where for p in problems] == ["connectthapa84/MIMICEchoQA, row 1"]


def test_bad_rows_are_warned_about_where_nobody_takes_them(hub):
    hub["mimicechoqa"] = [{"video": "ok.mp4", "answer": "yes"}]
    with pytest.warns(
        UserWarning,
        match=(
            "MIMICEchoQA: 1 rows are not examples; the first: .*row 1: field 'question' is None"
        ),
    ):
        assert load_examples("MIMICEchoQA") == []


def test_rows_that_count_differently_from_the_card_are_warned_about(hub):
    hub["medqa"] = [{"question": "A man …?", "options": {"A": "x", "B": "y"}, "answer_idx": "B"}]
    with pytest.warns(
        UserWarning,
        match=(
            r"MedQA .*: the rows differ from the card: qa_pairs 1 instead of 1273; look at the"
            r" revision"
        ),
    ):
        load_examples("MedQA")


def test_an_answer_outside_the_options_is_a_problem(hub):
    hub["mimicechoqa"] = [
        {
            "video": "ok.mp4",
            "question": "Q?",
            "answer": "Huge",
            "option_A": "Mild",
            "option_B": "Severe",
        }
    ]
    problems = []
    assert load_examples("MIMICEchoQA", problems=problems) == []
    assert "not one of the option letters" in problems[0].reason


@pytest.mark.parametrize("name", ["VQA-RAD", "PathVQA", "SLAKE"])
def test_images_are_written_once_and_are_the_cluster(hub, tmp_path, name):
    picture, other = Image.new("L", (5, 4), 9), Image.new("RGB", (4, 5), (9, 9, 9))
    hub[name.lower()] = [
        {"image": picture, "question": "Is it dark?", "answer": "Yes"},
        {"image": picture, "question": "Which organ?", "answer": "Lung"},
        {"image": other, "question": "Which plane?", "answer": "Axial"},
        {"image": None, "question": "Which plane?", "answer": "Axial"},
    ]
    problems = []
    examples = load_examples(name, media=tmp_path, problems=problems)
    assert [(e.answer, e.family, e.media_kind) for e in examples] == [
        ("yes", "yes_no", "image"),
        ("Lung", "open", "image"),
        ("Axial", "open", "image"),
    ]
    assert examples[0].video_id == examples[1].video_id != examples[2].video_id
    assert len(list(tmp_path.iterdir())) == 2 and np.asarray(
        Image.open(examples[0].media[0])
    ).shape == (4, 5, 3)
    assert "field 'image' is NoneType" in problems[0].reason


def test_medical_text_questions_have_letters(hub):
    hub["medqa"] = [
        {
            "question": "A man …?",
            "options": {"A": "x", "B": "y", "C": "z", "D": "w"},
            "answer": "y",
            "answer_idx": "B",
        }
    ]
    hub["pubmedqa"] = [
        {
            "pubid": 12,
            "question": "Does it help?",
            "context": {"contexts": ["Aim.", "Result."]},
            "final_decision": "maybe",
        }
    ]
    (medqa,) = load_examples("MedQA")
    assert (medqa.answer, medqa.answer_text, medqa.media, medqa.media_kind) == (
        "B",
        "y",
        (),
        "text",
    )
    (pubmedqa,) = load_examples("PubMedQA")
    assert (pubmedqa.example_id, pubmedqa.answer_text, pubmedqa.question) == (
        "pubmedqa-12",
        "maybe",
        "Aim.\nResult.\nDoes it help?",
    )


def test_frames_of_one_question_are_shown_in_their_order(tmp_path):
    for i in range(3):
        Image.new("L", (5, 4), 50 * i).save(tmp_path / f"{i}.png")
    row = PUBLISHED["MedFrameQA"][0]
    shown = row | {f"image_{i + 1}": f"{i}.png" for i in range(3)}
    gap = row | {"question_id": "q8", "image_2": None, "image_3": "x.png"}
    (example,), (problem,) = read(tmp_path, "MedFrameQA", [shown, gap])
    assert (example.example_id, example.video_id) == ("medframeqa-q7", "v1")
    assert (example.answer, example.media_kind) == ("A", "image")
    pixels = [int(np.asarray(Image.open(path))[0, 0, 0]) for path in example.media]
    assert pixels == [0, 50, 100]
    assert "fill image_1 and those after it without a gap" in problem.reason


def test_without_the_hub_a_benchmark_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name in ("MIMICEchoQA", "SurgeryVideoQA", "MedQA"):
        with pytest.raises(HubUnavailable, match="is needed, is not in this machine's hub cache"):
            load_examples(name)


def test_rows_may_come_from_a_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"video": "a.mp4", "question": "Q?", "answer": "no"}) + "\n")
    assert load_examples("MIMICEchoQA", rows=path)[0].answer == "no"
