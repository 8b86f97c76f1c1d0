"""Each benchmark's reader: rows become examples, bad rows are reported, nothing is scored that is
not there.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from obvlib import manifests
from obvlib.core.jsonl import RecordError
from obvlib.manifests import benchmarks
from obvlib.manifests.benchmarks import load_examples
from obvlib.manifests.hub import HubUnavailable

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*the rows differ from the card"
)  # a few fabricated rows stand for thousands
PUBLISHED_ROWS = Path(__file__).parents[2] / "shared" / "data" / "surgeryvideoqa_processed.jsonl"


@pytest.fixture
def hub(monkeypatch):
    """Rows to serve in place of the hub, by card name."""
    rows = {}

    def serve(card, split=""):
        return ((f"{card.hub_id}, row {i}", row) for i, row in enumerate(rows[card.name], start=1))

    monkeypatch.setattr(benchmarks, "hub_rows", serve)
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


def test_a_repeated_row_is_refused(hub):
    row = {
        "video_id": "abc",
        "timestamp": [4, 9],
        "question": "What is cut?",
        "answer": "The duct.",
    }
    hub["surgeryvideoqa"] = [row, row]
    with pytest.raises(RecordError, match="example_id 'abc_4000_9000-0' comes twice"):
        load_examples("SurgeryVideoQA")


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
            "MIMICEchoQA: 1 rows are no examples; the first: .*row 1: field 'question' is missing"
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


@pytest.mark.skipif(
    not PUBLISHED_ROWS.exists(),
    reason="the published SurgeryVideoQA rows are not beside the checkout",
)
def test_all_published_surgery_questions_are_examples(tmp_path):
    problems = []
    examples = load_examples(
        "SurgeryVideoQA", rows=PUBLISHED_ROWS, media=tmp_path, problems=problems
    )
    assert (len(examples), len({e.video_id for e in examples}), problems) == (470, 210, [])
