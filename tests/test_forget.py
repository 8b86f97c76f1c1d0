"""`obv forget`: everything of one source goes, nothing of any other, and a killed run is finished
by the next.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from obvlib.cli.curation import obtained
from obvlib.core import RecordError
from obvlib.core.forgotten import forgotten_sources
from obvlib.core.labels import LabelFile
from obvlib.curation import videos_in
from obvlib.engine import Ledger
from obvlib.engine.forgetting import forget_source
from obvlib.llm.cache import Cache
from obvlib.manifests import load_examples, load_rows

MINE = ["abc_1000_2000", "abc_1.5_2.25", "abc"]
OTHERS = ["abcd", "ab", "abc-d", "abc_x", "xabc_1000_2000", "abc_10_20_1_2", "abc_30_40", "ABC"]


def row(video_id: str, name: str) -> dict:
    return {"video_id": video_id, "clip_id": name, "video": f"part/{name}.mp4"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with the source "abc" among others, one of which is called "abc_30_40"."""
    root = tmp_path / "data"
    for folder in ("videos/set", "media/set", "labels", "runs/mini/model", "cache/clean"):
        (root / folder).mkdir(parents=True)
    for name in MINE + OTHERS:
        (root / "media/set" / f"{name}.mp4").write_text(name)
    for name in ("abc", "abcd", "abc_30_40"):
        (root / "videos/set" / f"{name}.mp4").write_text(name)
        (root / "videos/set" / f"{name}.en.vtt").write_text(name)
    (root / "media/set/surgery 7.mp4").write_text("named by its row")
    rows = [row("abc", "surgery 7"), *(row("abc", name) for name in MINE)]
    rows += [row("abc_30_40", "abc_30_40"), row("abcd", "abcd_1_2"), {"text": "abc"}]
    lines = [json.dumps(line) for line in rows]
    (root / "rows.jsonl").write_text("\n".join(lines) + "\nnot json\n")
    with Ledger(root / "ledger.sqlite") as ledger:
        for name in MINE + OTHERS:
            ledger.record(name, "slice", "done", output={"id": name})
    for name in ("abc_1000_2000", "abcd_1_2"):
        LabelFile("ada", root).add(name, "hash", "flag", "no video")
    (root / "runs/mini/model/model.safetensors").write_text("weights")
    (root / "cache/clean/0a1b.mp4").write_text("an intermediate")
    return root


def snapshot(root: Path) -> dict[str, bytes]:
    left_out = ("sqlite", "forgotten.jsonl")
    files = (
        path
        for path in root.rglob("*")
        if path.is_file() and not any(name in path.name for name in left_out)
    )
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def ledger_ids(root: Path) -> set[str]:
    with Ledger(root / "ledger.sqlite") as ledger:
        return {entry["item_id"] for entry in ledger.rows()}


def check_forgotten(root: Path, before: dict[str, bytes]) -> None:
    gone = {f"media/set/{name}.mp4" for name in [*MINE, "surgery 7"]} | {"cache/clean/0a1b.mp4"}
    gone |= {"videos/set/abc.mp4", "videos/set/abc.en.vtt"}
    after = snapshot(root)
    assert before.keys() - after.keys() == gone
    lines = before["rows.jsonl"].splitlines(keepends=True)
    assert after["rows.jsonl"] == b"".join(lines[len(MINE) + 1 :])
    labels = [json.loads(line)["item_id"] for line in after["labels/ada.jsonl"].splitlines()]
    assert labels == ["abcd_1_2"]
    assert ledger_ids(root) == set(OTHERS)
    changed = {"rows.jsonl", "labels/ada.jsonl"}
    assert all(after[name] == before[name] for name in after.keys() - changed)


def test_everything_of_the_source_goes_and_nothing_of_another(root):
    before = snapshot(root)
    report = forget_source("abc", root)
    check_forgotten(root, before)
    assert report.rows == {"labels/ada.jsonl": 1, "rows.jsonl": len(MINE) + 1}
    assert report.ledger_rows == {"ledger.sqlite": len(MINE)}
    assert report.cached_files == ["cache/clean/0a1b.mp4"]
    weights, mention = report.left
    assert "weights cannot forget" in weights
    assert mention.startswith("rows.jsonl: 1 lines of other things mention the source")
    assert b'"abc_1000_2000"' not in (root / "ledger.sqlite").read_bytes()
    again = forget_source("abc", root)
    assert not (again.files or again.rows or again.ledger_rows or again.cached_files)


def test_dry_run_says_the_same_and_changes_nothing(root):
    before = snapshot(root)
    planned = forget_source("abc", root, dry_run=True)
    assert snapshot(root) == before and ledger_ids(root) == set(MINE + OTHERS)
    assert forget_source("abc", root) == planned


def test_a_source_whose_id_looks_like_a_clip_is_removed_by_its_own_name(root):
    forget_source("abc_30_40", root)
    assert not (root / "media/set/abc_30_40.mp4").exists()
    assert (root / "media/set/abc_1000_2000.mp4").exists()
    assert "abc_1000_2000" in ledger_ids(root)


@pytest.mark.parametrize("video_id", ["../abc", "set/abc", "/etc/passwd", "", ".", "..", "a*"])
def test_paths_and_patterns_are_refused(root, video_id):
    before = snapshot(root)
    with pytest.raises(RecordError, match="video_id"):
        forget_source(video_id, root)
    assert snapshot(root) == before


def test_links_are_removed_and_never_followed(root, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "abc.mp4").write_text("elsewhere")
    (root / "media/outside").symlink_to(outside)
    (root / "media/set/abc_5_6.mp4").symlink_to(outside / "abc.mp4")
    forget_source("abc", root)
    assert not (root / "media/set/abc_5_6.mp4").is_symlink()
    assert (outside / "abc.mp4").read_text() == "elsewhere"
    assert (root / "media/outside").is_symlink()


@pytest.mark.parametrize("num_removed", [0, 1, 3, 6])
def test_running_again_finishes_a_killed_run(root, num_removed):
    before = snapshot(root)
    script = f"""
import os, pathlib, signal
from obvlib.engine import forgetting
unlink, count = pathlib.Path.unlink, [0]
def counted(self, missing_ok=False):
    if count[0] == {num_removed}:
        os.kill(os.getpid(), signal.SIGKILL)
    count[0] += 1
    unlink(self, missing_ok)
pathlib.Path.unlink = counted
forgetting.forget_source("abc", pathlib.Path({str(root)!r}))
"""
    killed = subprocess.run([sys.executable, "-c", script], timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    forget_source("abc", root)
    check_forgotten(root, before)


def test_rows_of_a_built_dataset_go_and_a_note_of_a_run_that_names_the_source_is_told(root):
    folder = root / "build/data"
    folder.mkdir(parents=True)
    rows = [row("abc", "abc_1_2"), row("abcd", "abcd_1_2"), row("abc_30_40", "abc_30_40")]
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "train.parquet")
    (root / "runs.jsonl").write_text('{"at": "now", "clips": {"abc_1_2": "digest"}}\n')
    before = (folder / "train.parquet").read_bytes()
    planned = forget_source("abc", root, dry_run=True)
    assert (folder / "train.parquet").read_bytes() == before
    assert forget_source("abc", root) == planned
    assert planned.rows["build/data/train.parquet"] == 1
    assert parquet.read_table(folder / "train.parquet").to_pylist() == rows[1:]
    (folder / "torn.parquet").write_text("no table")
    (root / "run").mkdir()
    Cache(root / "run/replies.sqlite").put("key", "model", {})
    planned = forget_source("abc", root)
    told = [sentence.partition(":")[0] for sentence in planned.left]
    assert {"build/data/torn.parquet", "run/replies.sqlite", "runs.jsonl"} <= set(told)


def obv(root: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "obvlib.cli", "forget", *arguments]
    environment = os.environ | {"OBV_DATA": str(root)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def test_the_command_says_what_it_did_and_what_is_left(root):
    planned = obv(root, "abc", "--dry-run")
    assert planned.returncode == 3 and json.loads(planned.stdout)["dry_run"]
    done = obv(root, "abc")
    assert done.returncode == 3
    assert "videos/set/abc.mp4" in json.loads(done.stdout)["files"]
    (root / "runs/mini/model/model.safetensors").unlink()
    (root / "rows.jsonl").unlink()
    assert obv(root, "abc").returncode == 1
    refused = obv(root, "../abc")
    assert refused.returncode == 1 and "video_id '../abc'" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_forgotten_source_does_not_come_back_with_rows_or_videos(root, tmp_path, monkeypatch):
    monkeypatch.setenv("OBV_DATA", str(root))
    listed = tmp_path / "rows.jsonl"
    rows = [
        {"video_id": name, "timestamp": [0, 9], "caption": "A heart.", "split": "test",
         "qa_pairs": [{"question": "What is shown?", "answer": "a heart"}]}
        for name in ("abc", "abcd")
    ]  # fmt: skip
    listed.write_text("".join(json.dumps(line) + "\n" for line in rows))
    assert {clip.video_id for clip in load_rows(listed)[0]} == {"abc", "abcd"}
    forget_source("abc", root)
    forget_source("abc", root)
    assert len((root / "forgotten.jsonl").read_text().splitlines()) == 1
    assert b"abc" not in (root / "forgotten.jsonl").read_bytes()
    (root / "videos/set/abc.mp4").write_text("downloaded again")
    clips, problems = load_rows(listed)
    assert [clip.video_id for clip in clips] == ["abcd"]
    (problem,) = problems
    assert "obv forget" in problem.reason and problem.video_id == ""
    with pytest.warns(UserWarning, match="obv forget"):
        examples = load_examples("SurgeryVideoQA", rows=listed)
    assert {example.video_id for example in examples} == {"abcd"}
    assert {video.video_id for video in videos_in(root / "videos/set")} == {"abcd", "abc_30_40"}
    with pytest.raises(RecordError, match="obv forget"):
        videos_in(root / "videos/set", ["abc"])
    (root / "forgotten.jsonl").unlink()
    assert {clip.video_id for clip in load_rows(listed)[0]} == {"abc", "abcd"}


def test_a_dry_run_lists_nothing_and_a_damaged_list_lets_nothing_in(root, monkeypatch):
    forget_source("abc", root, dry_run=True)
    assert not (root / "forgotten.jsonl").exists()
    (root / "forgotten.jsonl").write_text('{"sha": "0"}\n')
    with pytest.raises(RecordError, match="sha256"):
        forgotten_sources(root)


def test_a_list_of_ids_leaves_out_a_forgotten_source_before_downloading(root, monkeypatch, capsys):
    monkeypatch.setenv("OBV_DATA", str(root))
    forget_source("abc", root)
    monkeypatch.setattr("obvlib.manifests.download.fetch_all", pytest.fail)
    assert obtained(["abc", "abcd"], str(root / "videos/set")) == ["abcd"]
    assert "1 of the videos were removed with `obv forget`" in capsys.readouterr().out
