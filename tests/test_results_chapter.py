"""The results chapter's cells, run on a fabricated run: numbers as computed by hand, and one clear
sentence where no run exists.
"""

import json
from pathlib import Path

import jupytext
import matplotlib
import matplotlib.pyplot as plt
import pytest

from obvlib.core.provenance import Provenance
from obvlib.core.records import Example, Prediction, QAPair, write_jsonl

matplotlib.use("Agg")

CHAPTER = Path(__file__).resolve().parent.parent / "notebooks" / "14_results.md"
ORIGIN = Provenance(
    profile="mini",
    device="CPU",
    commit="abc",
    dirty=False,
    date="2026-01-02T00:00:00+00:00",
    data_hash="",
    seed=0,
)


def run_cells(run_dir: Path) -> dict:
    """Execute the chapter as a kernel would, its first parameter replaced, and return its names and
    what it glued.
    """
    glued: dict = {}
    names: dict = {}
    for cell in jupytext.read(CHAPTER).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, "cell", "exec"), names)
            names["glue"] = lambda name, value, display: glued.__setitem__(name, value)
            if "parameters" in cell.metadata.get("tags", []):
                names["run_dir"] = str(run_dir)
    return names | {"glued": glued}


@pytest.fixture
def run_dir(tmp_path):
    examples = [
        Example(
            example_id=f"e{i}",
            benchmark="mini",
            video_id=f"v{i}",
            question="?",
            answer="AB"[i % 2],
            options={"A": "CT", "B": "MRI"} if i < 20 else {"A": "low", "B": "high"},
            family="modality" if i < 20 else "heart_rate",
            media=("x.mp4",),
        )
        for i in range(40)
    ]
    after = [e.answer if i < 20 else "A" for i, e in enumerate(examples)]
    write_jsonl(tmp_path / "examples.jsonl", examples)
    write_jsonl(
        tmp_path / "before/predictions.jsonl",
        [Prediction(example_id=e.example_id, response="!!") for e in examples],
    )
    write_jsonl(
        tmp_path / "after/predictions.jsonl",
        [
            Prediction(example_id=e.example_id, response=r)
            for e, r in zip(examples, after, strict=True)
        ],
    )
    write_jsonl(
        tmp_path / "training.jsonl", [QAPair(question="?", answer="MRI", family="modality")]
    )
    (tmp_path / "run.json").write_text(json.dumps({"provenance": ORIGIN.to_dict()}))
    with matplotlib.rc_context():
        yield tmp_path
    plt.close("all")


def test_the_chapter_computes_what_the_files_say(run_dir, capsys):
    names = run_cells(run_dir)
    glued = names["glued"]
    assert (glued["num_questions"], glued["unread_before"], glued["unread_after"]) == (40, 40, 0)
    assert (glued["learned"], glued["not_learned"]) == ("modality", "heart rate")
    assert glued["difference"] == pytest.approx(75.0)
    assert (glued["num_claims"], glued["num_differing"], glued["echo_claimed"]) == (12, 6, 22.5)
    assert glued["echo_computed"] == pytest.approx(14.5)
    assert names["table"][1]["majority_answer"] == "mri"
    printed = capsys.readouterr().out
    assert "40 questions on 40 videos" in printed and "mini profile, CPU, 2026-01-02" in printed
    assert "30 of 40 questions better" in printed


def test_without_a_run_the_chapter_says_what_to_do(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="no finished run in .*execute the chapter 09_finetuning"
    ):
        run_cells(tmp_path)
