"""Reports: tables with intervals, the paper's claims recomputed, results kept with their
provenance.
"""

import csv
import json
import os
import subprocess
from dataclasses import replace

import pytest

from obvlib import report
from obvlib.core import provenance
from obvlib.core.files import replacing
from obvlib.core.provenance import Provenance, hash_files
from obvlib.core.records import Example, Prediction
from obvlib.report import paper
from obvlib.scoring.scores import Score, accuracy
from obvlib.scoring.verdicts import score_all

ORIGIN = Provenance(
    profile="mini",
    device="CPU",
    commit="0123456789abcdef",
    dirty=False,
    date="2026-01-02T03:04:05+00:00",
    data_hash="ab",
    seed=0,
)


def benchmark(num_videos=10):
    """Two families on each video: modality (four options) and polyp (yes/no); what a model says
    before and after.
    """
    examples, before, after = [], [], []
    options = {"A": "CT", "B": "Echo", "C": "MRI", "D": "X-ray"}
    for i in range(num_videos):
        example = Example(
            example_id=f"m{i}",
            benchmark="mini",
            video_id=f"v{i}",
            question="?",
            answer="AB"[i % 2],
            options=options,
            family="modality",
            media=("x.mp4",),
        )
        other = replace(
            example,
            example_id=f"p{i}",
            answer="no" if i % 5 else "yes",
            options=None,
            family="polyp",
        )
        examples += [example, other]
        before += [
            Prediction(example_id=f"m{i}", response="!!!"),
            Prediction(example_id=f"p{i}", response="maybe"),
        ]
        after += [Prediction(example_id=f"m{i}", response=f"({example.answer})")]
        after += [Prediction(example_id=f"p{i}", response="No.")]
    return examples, score_all(examples, before), score_all(examples, after)


def test_family_table():
    modality, polyp, together = report.family_table(*benchmark())
    assert [row["family"] for row in (modality, polyp, together)] == [
        "modality",
        "polyp",
        "all questions",
    ]
    assert (modality["before"], modality["after"], modality["majority"]) == (0.0, 1.0, 0.5)
    assert modality["majority_answer"] == "echo" and modality["num_options"] == "4"
    assert modality["after_low"] > 0.5 and modality["verdict"] == "learned"
    assert (polyp["after"], polyp["majority"], polyp["verdict"]) == (
        0.8,
        0.8,
        "not learned: too few videos",
    )
    assert polyp["num_options"] == "open"
    assert (together["num"], together["num_videos"]) == (20, 10)
    assert (together["majority"], together["after"], together["verdict"]) == (0.65, 0.9, "")
    assert modality["difference"] == 1.0 and modality["p_value"] == pytest.approx(2 / 2**10)


def test_too_few_videos_are_not_blamed_on_the_model():
    polyp = report.family_table(*benchmark(num_videos=60))[1]
    # all right would have been clear of 80 %
    assert (polyp["after"], polyp["verdict"]) == (0.8, "not learned")


def test_family_table_refuses_verdicts_of_other_questions():
    examples, before, after = benchmark()
    with pytest.raises(ValueError, match="same examples"):
        report.family_table(examples, before[:-1], after)


def test_readable_is_in_percent_with_intervals():
    row = report.readable(report.family_table(*benchmark()))[1]
    assert row["majority %"] == "80.0" and row["questions (videos)"] == "10 (10)"
    assert row["before %"].startswith("0.0 [0.0, ") and row["after %"].startswith("80.0 [")
    assert row["change"].startswith("+80.0 [+") and row["verdict"].startswith("not learned")


def test_percent_of_a_score():
    assert (
        report.percent(Score(mean=0.875, low=0.7104, high=0.9519, num=8, num_clusters=8))
        == "87.5 [71.0, 95.2]"
    )


def test_rule_counts_show_what_could_not_be_read():
    _, before, after = benchmark()
    assert report.rule_counts(before) == [
        {"rule": "choice:no option", "num": 10, "right": 0},
        {"rule": "yes_no:no answer", "num": 10, "right": 0},
    ]
    assert report.rule_counts(after)[1] == {"rule": "yes_no:leading", "num": 10, "right": 8}


def test_markdown_keeps_its_columns_whatever_the_cells_hold():
    text = report.to_markdown([{"a": "x | y\nz", "b": 1.23456}, {"a": 2, "c": None}])
    assert text.split("\n") == [
        "| a | b | c |",
        "| --- | --- | --- |",
        "| x \\| y z | 1.23 |  |",
        "| 2 |  | None |",
    ]
    assert report.to_markdown([{"a": 1, "b": 2}], ["b"]) == "| b |\n| --- |\n| 2 |"


def test_a_table_shows_as_html_and_as_markdown():
    table = report.Table([{"agrees_with": "<b> & c", "x": 0.125}, {"x": 2}], ["x", "agrees_with"])
    html = table._repr_html_()
    assert "<th>agrees with</th>" in html and "<td>&lt;b&gt; &amp; c</td>" in html
    assert html.count("<tr") == 3 and html.index("<td>0.12</td>") < html.index("&lt;b")
    assert repr(table) == "| x | agrees_with |\n| --- | --- |\n| 0.12 | <b> & c |\n| 2 |  |"


def test_csv_comes_back(tmp_path):
    rows = report.family_table(*benchmark())
    path = report.to_csv(rows, tmp_path / "new" / "table.csv")
    with open(path, newline="") as file:
        again = list(csv.DictReader(file))
    assert [row["family"] for row in again] == [row["family"] for row in rows]
    assert [float(row["after_low"]) for row in again] == [row["after_low"] for row in rows]


# kept results


def test_a_kept_result_comes_back_labelled_as_stored(tmp_path):
    path = report.save_result(
        tmp_path / "results" / "b.json", title="Gains", rows=[{"x": 0.5}], provenance=ORIGIN
    )
    report.save_result(
        tmp_path / "results" / "a.json",
        title="First",
        rows=[],
        provenance=replace(ORIGIN, dirty=True),
    )
    first, gains = report.stored_results(tmp_path / "results")
    assert (first["title"], gains["rows"], gains["provenance"]) == (
        "First",
        [{"x": 0.5}],
        ORIGIN.to_dict(),
    )
    assert gains["label"] == "stored: mini profile, CPU, 2026-01-02, commit 0123456789"
    assert first["label"].endswith("with local changes")
    assert path.read_text().endswith("\n")


def test_a_failed_save_leaves_the_old_result_and_no_other_file(tmp_path, monkeypatch):
    path = report.save_result(tmp_path / "r.json", title="t", rows=[{"x": 1}], provenance=ORIGIN)
    with pytest.raises(ValueError, match="result 't'.*not finite"):
        report.save_result(path, title="t", rows=[{"x": float("nan")}], provenance=ORIGIN)
    with pytest.raises(OSError, match="disk full"), replacing(path) as partial:
        partial.write_text("half")
        raise OSError("disk full")
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no rename"):
        patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("no rename")))
        report.save_result(path, title="t", rows=[{"x": 2}], provenance=ORIGIN)
    assert report.load_result(path)["rows"] == [{"x": 1}]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"title": "t", "rows": []}',
        '{"title": "t", "rows": [], "provenance": {"seed": 1}}',
    ],
)
def test_a_result_without_provenance_is_none(tmp_path, text):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(ValueError, match="r.json: not a stored result.*save_result"):
        report.load_result(tmp_path / "r.json")


def test_a_measurement_names_its_origin_at_the_top(tmp_path):
    row = {
        "what": "steps",
        "device": "H100",
        "date": "2026-01-02",
        "commit": "0123456",
        "shape": [1],
        "wall_s": 2.0,
    }
    steps = [
        {"row": "long", "step_s": 1.5, "samples": [[1, 2]]},
        {"row": "short", "step_s": 0.5, "extra": {}},
    ]
    (tmp_path / "m.json").write_text(json.dumps(row | {"steps": steps, "parity": [{"x": 1}]}))
    kept = report.load_result(tmp_path / "m.json")
    assert (kept["title"], kept["label"]) == ("steps", "stored: H100, 2026-01-02, commit 0123456")
    assert kept["rows"] == [{"row": "long", "step_s": 1.5}, {"row": "short", "step_s": 0.5}]
    (tmp_path / "m.json").write_text(
        json.dumps({name: value for name, value in row.items() if name != "commit"})
    )
    with pytest.raises(ValueError, match="m.json: not a stored result .'commit'."):
        report.load_result(tmp_path / "m.json")


def test_the_committed_results_can_be_read():
    for result in report.stored_results():
        assert result["label"].startswith("stored: ") and result["rows"]


# provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    (tmp_path / "data_manifests").mkdir()
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OBV_PROFILE", raising=False)
    return tmp_path


def git(root, *arguments):
    identity = [
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.org",
        "-c",
        "core.hooksPath=/dev/null",
    ]
    return subprocess.run(
        ["git", "-C", root, *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout


def test_provenance_names_the_commit_and_whether_files_differ(checkout):
    git(checkout, "init", "-q")
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "start")
    origin = Provenance.collect(seed=3, data_hash="ab", device="GPU")
    assert origin.commit == git(checkout, "rev-parse", "HEAD").strip() and not origin.dirty
    assert (origin.profile, origin.seed, origin.data_hash, origin.device) == (
        "mini",
        3,
        "ab",
        "GPU",
    )
    assert origin.versions["python"] and origin.date.endswith("+00:00")
    (checkout / "pyproject.toml").write_text("changed")
    assert Provenance.collect(seed=3).dirty
    assert Provenance.from_dict(json.loads(json.dumps(origin.to_dict()))) == origin


def test_without_git_the_commit_is_unknown(checkout, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(checkout.parent))
    assert provenance.git_state() == ("unknown", False)
    monkeypatch.setenv("PATH", str(checkout))
    assert provenance.git_state() == ("unknown", False)


def test_the_device_is_named_without_loading_torch():
    assert provenance.device_name()


def test_data_hash_follows_names_and_contents(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text("1")
        (tmp_path / folder / "b.txt").write_text("2")
    x, y = sorted((tmp_path / "x").iterdir()), sorted((tmp_path / "y").iterdir())
    assert hash_files(x) == hash_files(reversed(y)) and len(hash_files(x)) == 16
    (tmp_path / "y" / "b.txt").write_text("3")
    assert hash_files(x) != hash_files(y)
    (tmp_path / "x" / "b.txt").rename(tmp_path / "x" / "c.txt")
    assert hash_files(sorted((tmp_path / "x").iterdir())) != hash_files(x[:1])


def test_a_remote_file_counts_by_what_its_server_says(monkeypatch):
    import fsspec

    store = fsspec.filesystem("memory")
    files = ["memory://hashed/a.mp4", "memory://hashed/missing.mp4"]
    store.pipe_file("/hashed/a.mp4", b"one")
    before = hash_files(files)
    assert hash_files(files) == before != hash_files(files[:1])
    store.pipe_file("/hashed/a.mp4", b"two")  # of equal size
    assert hash_files(files) != before


# the paper


def test_the_paper_s_table():
    rows = {row["benchmark"]: row for row in paper.paper_scores()}
    assert list(rows) == [
        "MIMICEchoQA",
        "SurgeryVideoQA",
        "VQA-RAD",
        "PathVQA",
        "SLAKE",
        "MedQA",
        "PubMedQA",
    ]
    assert (rows["MIMICEchoQA"]["base_7b"], rows["MIMICEchoQA"]["biomed_7b"]) == (40.0, 45.8)
    assert [row["kind"] for row in rows.values()] == ["video"] * 2 + ["image"] * 3 + ["text"] * 2


def test_the_paper_s_dataset_adds_up():
    total = paper.paper_dataset("total")
    assert total["clips"] == 22_668 and total["qa_pairs"] / total["clips"] == pytest.approx(
        3.5, abs=0.01
    )
    for quantity in ("modality", "region"):
        assert sum(paper.paper_dataset(quantity).values()) == pytest.approx(
            total["duration"], abs=0.11
        )
    with pytest.raises(ValueError, match="use total, modality or region"):
        paper.paper_dataset("age")


def test_two_meanings_of_a_gain():
    assert paper.gain_of_means([10, 30], [20, 30]) == pytest.approx(25)
    assert paper.mean_of_gains([10, 30], [20, 30]) == pytest.approx(50)


def test_claims_are_recomputed_from_the_bars():
    rows = {row["claim"]: row for row in paper.check_claims()}
    assert len(rows) == 12
    assert rows["README MIMICEchoQA 7B"]["gain_of_means"] == pytest.approx(14.5)
    assert rows["README MIMICEchoQA 2B"]["gain_of_means"] == pytest.approx(100 * (42.0 / 21.1 - 1))
    assert rows["README video 2B"]["gain_of_means"] == pytest.approx(100 * (62.4 / 31.4 - 1))
    agreeing = {name: row["agrees_with"] for name, row in rows.items()}
    assert {name for name, kind in agreeing.items() if kind == "neither"} == {
        "README image 2B",
        "README video 7B",
        "README image 7B",
        "README MIMICEchoQA 7B",
        "arXiv v2 video 7B",
        "arXiv v2 MIMICEchoQA 7B",
    }
    assert agreeing["README text 2B"] == agreeing["README text 7B"] == "mean of gains"
    assert agreeing["README SurgeryVideoQA 7B"] == "both"


def test_a_claim_is_held_to_its_last_digit(monkeypatch):
    scores = [{"benchmark": "b", "kind": "video", "base_2b": 10.0, "biomed_2b": 20.0}]
    claim = {"claim": "c", "model": "2b", "scope": "b", "source": "s"}
    bounds = 100 * (20.05 / 9.95 - 1)  # 101.5: the most that bars known to 0.1 allow
    assert paper._check(claim | {"gain_percent": "101.5"}, scores)["agrees_with"] == "both"
    assert (
        bounds + 0.05 < 101.6
        and paper._check(claim | {"gain_percent": "101.6"}, scores)["agrees_with"] == "neither"
    )
    assert paper._check(claim | {"gain_percent": "102"}, scores)["agrees_with"] == "both"
    with pytest.raises(ValueError, match="scope 'z'"):
        paper._check(claim | {"scope": "z", "gain_percent": "1"}, scores)


def test_ours_beside_the_paper():
    ours = Score(mean=0.40, low=0.30, high=0.50, num=100, num_clusters=50)
    first, second, *_ = paper.beside_paper({"MIMICEchoQA": ours})
    assert (first["paper_before"], first["paper_after"], first["ours"], first["paper_inside"]) == (
        21.1,
        42.0,
        40.0,
        True,
    )
    assert "ours" not in second
    assert paper.beside_paper({"MIMICEchoQA": replace(ours, high=0.41)})[0]["paper_inside"] is False
    with pytest.raises(ValueError, match="model '72b'.*2b, 7b"):
        paper.beside_paper({}, "72b")


def test_all_questions_are_scored_as_one_sample():
    _, _, after = benchmark()
    row = report.family_table(*benchmark())[-1]
    score = accuracy(after)
    assert (row["after"], row["after_low"], row["after_high"]) == (
        score.mean,
        score.low,
        score.high,
    )


def test_an_interval_in_a_table_stays_on_one_line():
    html = report.Table([{"after": "16.7 [2.1, 64.7]", "note": "<[b]>"}])._repr_html_()
    assert '16.7 <span style="white-space: nowrap">[2.1, 64.7]</span>' in html
    assert "&lt;" in html and "<[" not in html
