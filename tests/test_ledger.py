"""The ledger keeps one row for each item, stage and setting, whatever happens to the process."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from obvlib.engine.ledger import Ledger, LedgerError, hash_params


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "deep" / "ledger.sqlite") as opened:
        yield opened


def test_done_is_told_apart_by_stage_and_settings(ledger):
    ledger.record("a", "slice", "done", params={"mode": "exact"}, output={"path": "a.mp4"})
    ledger.record("b", "slice", "failed", params={"mode": "exact"}, reason="missing: no file")
    ledger.record("a", "slice", "done", params={"mode": "copy"})
    assert list(ledger.done("slice", {"mode": "exact"})) == ["a"]
    assert ledger.done("slice", {"mode": "exact"})["a"]["output"] == {"path": "a.mp4"}
    assert ledger.done("prepare", {"mode": "exact"}) == {}


def test_a_later_outcome_replaces_the_earlier(ledger):
    ledger.record("a", "slice", "failed", reason="broken")
    ledger.record("a", "slice", "done")
    (row,) = ledger.rows("slice")
    assert (row["status"], row["reason"], row["attempts"]) == ("done", "", 2)


def test_report_counts_reasons(ledger):
    for item in "abc":
        ledger.record(item, "qa", "dropped", reason="too short")
    ledger.record("d", "qa", "done")
    counts = [(row["status"], row["reason"], row["count"]) for row in ledger.report("qa")]
    assert counts == [("dropped", "too short", 3), ("done", "", 1)]
    assert ledger.report("slice") == []


def test_what_is_not_done_needs_a_reason(ledger):
    with pytest.raises(ValueError, match="say why"):
        ledger.record("a", "qa", "dropped")
    with pytest.raises(ValueError, match="use one of done"):
        ledger.record("a", "qa", "finished")


def test_settings_hash_ignores_the_order_of_keys_and_nothing_else(ledger):
    assert (
        hash_params({"a": 1, "b": 2})
        == hash_params({"b": 2, "a": 1})
        != hash_params({"a": 1, "b": 3})
    )
    ledger.record("a", "slice", "done", params={"b": 2, "a": 1})
    assert ledger.settings(hash_params({"a": 1, "b": 2})) == {"a": 1, "b": 2}


def test_forgotten_items_are_gone(ledger):
    ledger.record("a", "slice", "done")
    ledger.forget(["a"], "slice")
    assert ledger.done("slice") == {}


def test_rows_survive_sigkill(tmp_path):
    path = tmp_path / "ledger.sqlite"
    code = (
        "import os, signal, sys; from obvlib.engine import Ledger; l = Ledger(sys.argv[1]);"
        "[l.record(str(i), 's', 'done') for i in range(500)]; os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == -signal.SIGKILL
    with Ledger(path) as ledger:
        assert len(ledger.done("s")) == 500


def test_several_processes_may_start_at_once_and_write(tmp_path):
    code = (
        "import sys; from obvlib.engine import Ledger; l = Ledger(sys.argv[1]);"
        "[l.record(sys.argv[2] + str(i), 's', 'done') for i in range(200)]"
    )
    path = str(tmp_path / "ledger.sqlite")
    for process in [subprocess.Popen([sys.executable, "-c", code, path, name]) for name in "abcd"]:
        assert process.wait() == 0
    with Ledger(path) as ledger:
        assert len(ledger.done("s")) == 800


def test_a_new_file_shows_tables_and_version_together_or_neither(tmp_path):
    """Threads that open new files at once: none may find tables of no version."""
    barrier, failed = threading.Barrier(4), []

    def open_it(path):
        barrier.wait()
        try:
            Ledger(path).close()
        except LedgerError as error:
            failed.append(error)

    for number in range(40):
        path = tmp_path / f"{number}.sqlite"
        threads = [threading.Thread(target=open_it, args=(path,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failed == []


def test_a_file_that_is_no_ledger_is_refused(tmp_path):
    path = tmp_path / "notes.sqlite"
    path.write_text(
        "these are notes, not a database, and they are long enough to be read as one" * 20
    )
    with pytest.raises(ValueError, match="cannot be used"):
        Ledger(path)
