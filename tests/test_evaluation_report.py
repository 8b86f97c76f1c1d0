"""An evaluation's report: gain over blind, marks, coverage, the smallest difference, contamination,
and the commands that print it.
"""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from obvlib import mini, report
from obvlib.cli import app
from obvlib.core import Clip, Example, Prediction, Provenance, QAPair
from obvlib.core.records import write_jsonl
from obvlib.evaluation.contamination import check_training, near_clips, near_questions
from obvlib.evaluation.runs import load_evaluation, rescore, scored
from obvlib.manifests import Contamination
from obvlib.media import write_video
from obvlib.models import tiny_bundle
from obvlib.report.benchmark import part_of

ORIGIN = Provenance(
    profile="mini",
    device="CPU",
    commit="abcdef0123",
    dirty=False,
    date="2026-01-02T00:00:00+00:00",
    data_hash="",
    seed=0,
).to_dict()
OPTIONS = {"A": "CT", "B": "Echo", "C": "MRI", "D": "X-ray"}


def question(i):
    return Example(
        example_id=f"e{i}",
        benchmark="VQA-RAD",
        video_id=f"v{i // 2}",
        question="Which?",
        answer="ABCD"[i % 4] if i < 30 else "left lung",
        options=OPTIONS if i < 30 else None,
        family="modality" if i < 30 else "side",
        media=(f"{i}.png",),
        media_kind="image",
    )


def keep(folder, examples, responses, control=""):
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "benchmark": "VQA-RAD",
        "model": "tiny",
        "revision": "seed 0",
        "settings": {},
        "fingerprint": "f",
        "provenance": ORIGIN,
        "control": control,
    }
    (folder / "about.json").write_text(json.dumps(about))
    said = [
        Prediction(example_id=e.example_id, response=r)
        if r
        else Prediction(
            example_id=e.example_id, response="", status="not_obtained", reason="/a/b: no file"
        )
        for e, r in zip(examples, responses, strict=True)
    ]
    write_jsonl(folder / "examples.jsonl", examples)
    write_jsonl(folder / "predictions.jsonl", said)
    write_jsonl(folder / "verdicts.jsonl", scored(examples, said))


@pytest.fixture
def run_dir(tmp_path):
    """40 questions: 2 not obtained, every closed one right, no open one; blind says A to all."""
    examples = [question(i) for i in range(40)]
    keep(tmp_path, examples, ["", "", *(e.answer for e in examples[2:30]), *["heart"] * 10])
    keep(tmp_path / "controls/no_visual", examples, ["A"] * 40, "no_visual")
    return tmp_path


def test_score_rows_have_the_gain_over_blind_and_say_what_is_missing(run_dir):
    closed, opened, total = report.score_rows(load_evaluation(run_dir))
    assert [r["part"] for r in (closed, opened, total)] == ["closed", "open", "all"]
    assert (closed["n"], closed["asked"], closed["score"]) == (28, 30, 1.0)
    assert closed["lower_bound"] == pytest.approx(28 / 30)
    assert closed["blind"] == pytest.approx(7 / 28)
    assert closed["gain"] == pytest.approx(21 / 28) and closed["gain_low"] > 0.4
    assert closed["mark"] == "above: no visual, majority answer"
    assert (opened["score"], opened["gain"]) == (0.0, 0.0)
    assert opened["mark"] == "not above: no visual, majority answer"
    assert (total["n"], total["sources"]) == (38, 19)


def test_lost_predictions_and_verdicts_are_said_and_mended(run_dir):
    verdicts = (run_dir / "verdicts.jsonl").read_bytes()
    for damaged in (b"", b"\xff" + verdicts, None):
        (run_dir / "verdicts.jsonl").unlink()
        if damaged is not None:
            (run_dir / "verdicts.jsonl").write_bytes(damaged)
        rescore(run_dir)
        assert len(load_evaluation(run_dir).verdicts) == 38
    (run_dir / "verdicts.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match="obv rescore"):
        load_evaluation(run_dir)
    rescore(run_dir)
    lines = (run_dir / "predictions.jsonl").read_bytes().splitlines(keepends=True)
    other = json.dumps(json.loads(lines[0]) | {"example_id": "another"}).encode() + b"\n"
    (run_dir / "predictions.jsonl").write_bytes(b"".join([*lines[:30], other]))
    report.write_report(report.evaluation_report(load_evaluation(run_dir)), run_dir)
    text = (run_dir / "report.md").read_text()
    assert "10 without a prediction (no score until evaluated again); 1 of other questions" in text
    assert "such as 'another' (kept, not counted). **Incomplete run.**" in text
    (run_dir / "examples.jsonl").write_text("")
    with pytest.raises(ValueError, match=r"holds no question: run `obv evaluate`"):
        rescore(run_dir)


def test_what_failed_is_wrong_by_likelihood_too(tmp_path):
    examples = [question(i) for i in range(4)]
    keep(tmp_path, examples, ["A"] * 4)
    said = [
        Prediction(example_id=e.example_id, response="A", option_logprobs={e.answer: -0.1, "-": -9})
        for e in examples
    ]
    said[0] = Prediction(example_id="e0", response="", status="failed", reason="out of memory")
    write_jsonl(tmp_path / "predictions.jsonl", said)
    closed, total = report.score_rows(load_evaluation(tmp_path))
    assert (closed["by_likelihood"], total["by_likelihood"]) == (3 / 4, None)


def test_a_question_that_its_benchmark_calls_closed_is_not_open():
    assert part_of(question(35)) == "open"  # "left lung"
    assert part_of(replace(question(35), family="closed")) == "closed"
    assert part_of(replace(question(35), answer="no")) == part_of(question(1)) == "closed"


def test_a_score_without_a_blind_control_is_no_claim(run_dir):
    run = replace(load_evaluation(run_dir), controls={})
    row = report.score_rows(run)[0]
    assert (row["gain"], row["mark"]) == (None, "no blind control: not a claim")
    assert report.readable_scores([row])[0]["blind %"] == "not run"


def test_the_report_is_written_as_markdown_latex_and_json(run_dir):
    made = report.evaluation_report(load_evaluation(run_dir))
    states = {"ok": 38, "failed": 0, "away": 0, "not_obtained": 2, "asked": 40, "lost": 0}
    assert made["coverage"] == states
    assert made["reasons"] == [{"reason": "not_obtained: no file", "num": 2}]
    assert [row["paper after"] for row in made["beside_paper"]] == [58.2, 72.5]
    markdown, latex = (p.read_text() for p in report.write_report(made, run_dir)[1:])
    assert "38 of 40 questions answered; 2 never obtained (outside the score)." in markdown
    assert "| VQA-RAD | closed | 28 of 30 (14) | 100.0 [" in markdown
    assert latex.startswith(r"\begin{tabular}{lllllllll}") and r"score \%" in latex
    assert json.loads((run_dir / "report.json").read_text())["about"]["model"] == "tiny"


def test_runs_stand_beside_the_paper_with_blind_control_and_coverage(run_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "evaluate"
    run_dir = shutil.copytree(run_dir, folder / "vqa-rad")
    runs = report.kept_runs(folder)
    assert list(runs) == [run_dir]
    rows = report.paper_table(runs)
    assert [row["benchmark"] for row in rows][:3] == ["MIMICEchoQA", "SurgeryVideoQA", "VQA-RAD"]
    (ours,) = [row for row in rows if row["ours"] != "not run"]
    total = report.score_rows(runs[run_dir])[-1]
    assert (ours["benchmark"], ours["2B"]) == ("VQA-RAD", "14.7 → 58.2")
    assert ours["ours"].startswith(f"{100 * total['score']:.1f} [")
    assert ours["blind"] == f"{100 * total['blind']:.1f}"
    assert (ours["n"], ours["profile"], ours["date"]) == ("38 of 40", "mini", "2026-01-02")
    assert ours["run"].endswith(run_dir.name)
    assert all(row["ours"] == "not run" for row in report.paper_table({}))


def test_runs_compare_question_by_question(run_dir, tmp_path):
    first = load_evaluation(run_dir)
    keep(tmp_path / "b", first.examples, ["A", "B", "B", *["A"] * 27, *["heart", "left lung"] * 5])
    second = load_evaluation(tmp_path / "b")
    changes = [row["change"] for row in report.compare(first, second)]
    assert changes.count("gained") == 5 and changes.count("lost") == 21
    assert report.compare(first, first) == []
    other = replace(second, verdicts=[replace(second.verdicts[0], example_id="z")])
    with pytest.raises(ValueError, match="have no question in common"):
        report.compare(first, other)


def test_the_smallest_difference_is_found_in_four_of_five_repetitions():
    num, discordant = 470, 0.2
    least = report.smallest_difference(num, discordant=discordant)
    assert 0.05 < least < 0.062  # (1.96 + 0.84) * sqrt(0.2 / 470) is 0.058
    rng = np.random.default_rng(0)
    better = (discordant + least) / 2
    draws = rng.multinomial(num, [better, discordant - better, 1 - discordant], size=4000)
    z = (draws[:, 0] - draws[:, 1]) / np.sqrt(draws[:, 0] + draws[:, 1])
    assert np.mean(z > 1.96) == pytest.approx(0.8, abs=0.02)
    clustered = report.smallest_difference(num, discordant=discordant, design_effect=4)
    assert clustered == pytest.approx(2 * least, rel=0.05)
    with pytest.raises(ValueError, match="discordant 0"):
        report.smallest_difference(10, discordant=0)


def test_latex_escapes_what_latex_reads():
    text = report.to_latex([{"a_b": "5 % & $x$ \\ {y}"}])
    assert r"a\_b \\" in text and r"5 \% \& \$x\$ \textbackslash \space \{y\} \\" in text


LONG = "Which vessel is clipped before the gall bladder is removed?"


def clip(video_id, *questions):
    return Clip(
        video_id=video_id,
        start_s=0.0,
        end_s=1.0,
        qa_pairs=tuple(QAPair(question=q, answer="The cystic artery") for q in questions),
    )


def asked(video_id, text):
    return Example(example_id=video_id, benchmark="b", video_id=video_id, question=text,
                   answer="the cystic artery", media=("x.mp4",))  # fmt: skip


def test_a_near_identical_question_or_source_in_training_stops_the_report():
    near = LONG.replace("removed?", "removed").upper()
    with pytest.raises(Contamination, match="1 test questions are in training almost word for"):
        check_training([clip("t", LONG)], [asked("v", near)])
    with pytest.raises(Contamination, match="source videos are in training"):
        check_training([clip("v", "Another?")], [asked("v", LONG)])
    check_training([clip("t", LONG)], [asked("v", "Which nerve is at risk beside it?")])
    templates = [clip(f"t{i}", LONG) for i in range(2)]  # asked of many, it names none
    assert near_questions(templates, [asked("v", LONG)]) == []


def test_clips_that_look_the_same_are_found_whatever_their_size(tmp_path):
    first, *others = mini.heldout_clips(12, 0, size=96)
    write_video(tmp_path / "train.mp4", first.frames, fps=2)
    write_video(tmp_path / "same.mp4", np.repeat(np.repeat(first.frames, 2, 1), 2, 2), fps=2)
    train, same = tmp_path / "train.mp4", tmp_path / "same.mp4"
    for number, other in enumerate(others):
        write_video(tmp_path / f"other{number}.mp4", other.frames, fps=2)
    assert near_clips([train], [same, *tmp_path.glob("other*")]) == [(train, same)]
    trained = replace(clip("t"), video="train.mp4")
    question = replace(asked("v", LONG), media=(str(same),))
    with pytest.raises(
        Contamination, match="1 test clips look like training clips, the first same"
    ):
        check_training([trained], [question], tmp_path)
    (tmp_path / "torn.mp4").write_bytes(b"torn")  # cannot be read, so cannot be compared
    gone = [replace(question, media=(str(tmp_path / n),)) for n in ("torn.mp4", "none.mp4")]
    check_training([trained], [replace(g, example_id=str(i)) for i, g in enumerate(gone)], tmp_path)


def test_commands_report_rescore_and_ask(run_dir, tmp_path):
    cli = CliRunner()
    done = cli.invoke(app, ["report", "evaluation", str(run_dir)])
    assert done.exit_code == 0 and "gain over blind" in done.output
    assert "report.tex" in done.output
    assert "0 verdicts changed" in cli.invoke(app, ["rescore", str(run_dir)]).output
    same = cli.invoke(app, ["report", "compare", str(run_dir), str(run_dir)])
    assert "0 gained, 0 lost, 0 changed reading" in same.output
    assert cli.invoke(app, ["report", "evaluation", str(tmp_path / "none")]).exit_code == 1
    (first,) = mini.heldout_clips(1, 0)
    write_video(tmp_path / "a.mp4", first.frames, fps=2)
    tiny_bundle().save(tmp_path / "model")
    asked = ["ask", str(tmp_path / "a.mp4"), "What is shown?", "--model", str(tmp_path / "model")]
    done = cli.invoke(app, [*asked, "--max-new-tokens", "2"])
    assert done.exit_code == 0 and "frames at 0.00, " in done.output
    assert "of them visual; " in done.output
    done = cli.invoke(app, ["ask", str(tmp_path / "none.mp4"), "?", *asked[3:]])
    assert done.exit_code == 1 and "is not there" in done.output
