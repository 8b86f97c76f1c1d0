"""Labels: nothing written is lost, changed or mixed up, whatever is killed, torn or typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from obvlib.core import RecordError
from obvlib.core.labels import LabelFile, hash_item, label_files, read_labels, standing

ROOT = Path(__file__).resolve().parent.parent


def test_a_label_says_who_when_what_and_what_stood_before(tmp_path):
    ada = LabelFile("ada", tmp_path)
    first = ada.add("v1_0_5000", "h1", "flag", "no video")
    second = ada.add("v1_0_5000", "h1", "flag", "blurred")
    assert (first.old, first.new, second.old, second.new) == (
        None,
        "no video",
        "no video",
        "blurred",
    )
    rows = [json.loads(line) for line in (tmp_path / "labels/ada.jsonl").read_text().splitlines()]
    assert set(rows[0]) == {
        "label_id", "rater", "at", "item_id", "item_hash", "field", "old", "new", "undo_of",
    }  # fmt: skip
    assert rows[0]["rater"] == "ada" and rows[0]["at"].endswith("+00:00")
    assert ada.values() == {("v1_0_5000", "flag"): "blurred"}


def test_undo_brings_back_what_stood_before_and_can_be_undone(tmp_path):
    ada = LabelFile("ada", tmp_path)
    ada.add("a", "h", "verdict", "right")
    wrong = ada.add("a", "h", "verdict", "wrong")
    undo = ada.undo()
    assert (undo.undo_of, undo.old, undo.new) == (wrong.label_id, "wrong", "right")
    assert ada.values() == {("a", "verdict"): "right"}
    redo = ada.undo(undo.label_id)
    assert (redo.old, redo.new) == ("right", "wrong")
    assert ada.values() == {("a", "verdict"): "wrong"}
    with pytest.raises(RecordError, match="already been undone"):
        ada.undo(undo.label_id)
    ada.undo(), ada.undo()
    assert ada.values() == {} and ada.undo() is None
    assert len(ada.labels()) == 6


def test_undo_takes_labels_back_in_reverse_order_over_items(tmp_path):
    ada = LabelFile("ada", tmp_path)
    for item in ("a", "b", "c"):
        ada.add(item, "h", "flag", True)
    assert [ada.undo().item_id for _ in range(3)] == ["c", "b", "a"]


def test_none_clears_a_field(tmp_path):
    ada = LabelFile("ada", tmp_path)
    ada.add("a", "h", "flag", True)
    cleared = ada.add("a", "h", "flag", None)
    assert (cleared.old, cleared.new, ada.values()) == (True, None, {})


def test_a_label_that_arrives_twice_is_written_once(tmp_path):
    ada = LabelFile("ada", tmp_path)
    first = ada.add("a", "h", "flag", True, label_id="click-1")
    assert LabelFile("ada", tmp_path).add("a", "h", "flag", True, label_id="click-1") == first
    assert len(ada.labels()) == 1


def test_an_undo_that_arrives_twice_is_written_once(tmp_path):
    ada = LabelFile("ada", tmp_path)
    first = ada.add("a", "h", "flag", True)
    undo = ada.undo(first.label_id, undo_id="click-2")
    assert undo.label_id == "click-2"
    assert ada.undo(first.label_id, undo_id="click-2") == undo
    assert len(ada.labels()) == 2


def test_two_raters_do_not_touch_each_other(tmp_path):
    LabelFile("ada", tmp_path).add("a", "h", "verdict", "right")
    LabelFile("bob", tmp_path).add("a", "h", "verdict", "wrong")
    files = label_files(tmp_path)
    found = {rater: standing(read_labels(path).labels) for rater, path in files.items()}
    assert {rater: held["a", "verdict"].new for rater, held in found.items()} == {
        "ada": "right",
        "bob": "wrong",
    }


def test_two_sessions_of_one_rater_see_each_other(tmp_path):
    one, two = LabelFile("ada", tmp_path), LabelFile("ada", tmp_path)
    one.add("a", "h", "flag", "first")
    assert two.add("a", "h", "flag", "second").old == "first"
    assert one.add("a", "h", "flag", "third").old == "second"


@pytest.mark.parametrize("name", ["", "../eve", "a/b", ".hidden", "x" * 201, "a\nb"])
def test_rater_names_never_leave_the_directory(tmp_path, name):
    with pytest.raises(RecordError, match="rater"):
        LabelFile(name, tmp_path)


@pytest.mark.parametrize(
    "text", ["<b>hi</b>", "a\nb", "nul \0", "half \ud800", "line\u2028separator", "", "ü" * 5000]
)
def test_any_text_comes_back_as_it_was_typed(tmp_path, text):
    LabelFile("ada", tmp_path).add("a", "h", "note", text)
    assert LabelFile("ada", tmp_path).values()["a", "note"] == text


@pytest.mark.parametrize("value", [float("nan"), {1, 2}])
def test_what_json_cannot_hold_is_refused_and_writes_nothing(tmp_path, value):
    ada = LabelFile("ada", tmp_path)
    with pytest.raises(RecordError, match="field 'note' of item 'a'"):
        ada.add("a", "h", "note", value)
    assert ada.labels() == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"label_id": "x", "rater": "ad', "not a label"),
        (b"\xff\xfe", "not a label"),
        (b'{"label_id": "x"}', "field 'rater' is missing"),
        (b"[1]", "expected a JSON object"),
    ],
)
def test_a_bad_line_is_named_and_costs_no_other(tmp_path, line, says):
    ada = LabelFile("ada", tmp_path)
    ada.add("a", "h", "flag", True)
    with open(ada.path, "ab") as out:
        out.write(line)  # as a kill leaves it: no line end
    ada.add("b", "h", "flag", True)
    labels, problems = read_labels(ada.path)
    assert [label.item_id for label in labels] == ["a", "b"]
    (problem,) = problems
    assert "line 2" in problem and says in problem


def test_a_line_of_another_rater_is_not_counted(tmp_path):
    LabelFile("bob", tmp_path).add("a", "h", "flag", True)
    os.rename(tmp_path / "labels/bob.jsonl", tmp_path / "labels/ada.jsonl")
    labels, (problem,) = read_labels(tmp_path / "labels/ada.jsonl")
    assert labels == [] and "of rater 'bob' in the file of 'ada'" in problem


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    ada = LabelFile("ada", tmp_path)
    ada.add("a", "h", "flag", True)
    before = ada.path.read_bytes()

    def no_room(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", no_room)
        with pytest.raises(OSError, match="No space"):
            ada.add("b", "h", "flag", True)
    assert ada.path.read_bytes() == before
    ada.add("b", "h", "flag", True)
    assert [label.item_id for label in ada.labels()] == ["a", "b"]


def test_a_disk_that_fills_up_within_a_line_leaves_the_file_as_it_was(tmp_path):
    """A real limit on the file's size: the system takes a part of the line and no more."""
    code = (
        "import resource, sys\nfrom obvlib.core.labels import LabelFile\nada = LabelFile('ada')\n"
        "ada.add('a', 'h', 'note', 'x' * 300)\nsize = ada.path.stat().st_size\n"
        "limits = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, limits[1]))\n"
        "try:\n    ada.add('b', 'h', 'note', 'y' * 300)\nexcept OSError as error:\n"
        "    assert error.errno == 27, error\nelse:\n    sys.exit('no error')\n"
        "assert ada.path.stat().st_size == size\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, limits)\nada.add('c', 'h', 'note', 'z')\n"
    )
    env = os.environ | {"OBV_DATA": str(tmp_path), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
    labels, problems = read_labels(tmp_path / "labels/ada.jsonl")
    assert ([label.item_id for label in labels], problems) == (["a", "c"], [])


def test_a_clock_that_is_set_back_changes_no_order(tmp_path):
    ada = LabelFile("ada", tmp_path)
    first = ada.add("a", "h", "flag", "first")
    later = json.dumps(asdict(first) | {"label_id": "z", "new": "second", "at": "1999-01-01"})
    with open(ada.path, "a") as out:
        out.write(later + "\n")
    assert ada.values() == {("a", "flag"): "second"}
    assert ada.undo().undo_of == "z" and ada.values() == {("a", "flag"): "first"}


def test_a_folder_that_cannot_be_written_is_named_and_reading_goes_on(tmp_path):
    (tmp_path / "labels").write_text("a file where the folder should be")
    ada = LabelFile("ada", tmp_path)
    assert ada.values() == {}
    with pytest.raises(OSError, match="labels"):
        ada.add("a", "h", "flag", True)


def test_which_line_takes_a_label_back(tmp_path):
    ada = LabelFile("ada", tmp_path)
    label = ada.add("a", "h", "flag", True)
    assert ada.undo_of(label.label_id) is None
    undo = ada.undo()
    assert ada.undo_of(label.label_id) == undo
    ada.undo(undo.label_id)
    assert ada.undo_of(label.label_id) is None


def test_a_killed_process_loses_no_label_that_add_returned(tmp_path):
    code = (
        "from obvlib.core.labels import LabelFile\nada = LabelFile('ada')\n"
        "for i in range(10**6):\n    ada.add(f'item{i}', 'h', 'flag', i)\n"
        "    print(i, flush=True)\n"
    )
    env = os.environ | {"OBV_DATA": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=env) as worker:
        for _ in range(20):
            last = int(worker.stdout.readline())
        worker.send_signal(signal.SIGKILL)
        rest = worker.stdout.read().split()
    last = int(rest[-1]) if rest else last
    assert list(LabelFile("ada", tmp_path).values().values())[: last + 1] == list(range(last + 1))


def test_two_processes_of_one_rater_lose_and_mix_nothing(tmp_path):
    code = (
        "import sys\nfrom obvlib.core.labels import LabelFile\nada = LabelFile('ada')\n"
        "for i in range(40):\n    ada.add(f'{sys.argv[1]}{i}', 'h', 'flag', 'x' * 500)\n"
    )
    env = os.environ | {"OBV_DATA": str(tmp_path), "PYTHONPATH": str(ROOT)}
    workers = [subprocess.Popen([sys.executable, "-c", code, name], env=env) for name in "ab"]
    assert [worker.wait() for worker in workers] == [0, 0]
    labels, problems = read_labels(tmp_path / "labels/ada.jsonl")
    assert problems == []
    assert {label.item_id for label in labels} == {f"{w}{i}" for w in "ab" for i in range(40)}


def test_the_hash_of_an_item_follows_its_content_not_the_order_of_its_keys():
    assert hash_item({"a": 1, "b": 2}) == hash_item({"b": 2, "a": 1})
    assert hash_item({"a": 1}) != hash_item({"a": 2})
