"""An output directory belongs to one command, and to one run at a time."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from obvlib.engine import claimed
from obvlib.engine.claims import CLAIM, LOCK

HOLD = """
import sys, time
from obvlib.engine import claimed
with claimed(sys.argv[1], "obv slice", {}):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture(params=["local", "remote"])
def directory(request, tmp_path):
    """The same directory by its path, and as a location of fsspec."""
    (tmp_path / "out").mkdir()
    path = str(tmp_path / "out")
    return path if request.param == "local" else f"file://{path}"


def test_files_that_were_there_are_foreign_and_those_that_were_made_are_not(directory, tmp_path):
    (tmp_path / "out/notes.txt").write_text("mine")
    with claimed(directory, "obv slice", {"mode": "exact"}) as claim:
        assert claim.take(["notes.txt", "a.mp4", "never.mp4"]) == {"notes.txt"}
        (tmp_path / "out/a.mp4").write_text("made")
    kept = json.loads((tmp_path / "out" / CLAIM).read_text())
    assert kept == {"made_by": "obv slice", "settings": {"mode": "exact"}, "files": ["a.mp4"]}
    (tmp_path / "out/never.mp4").write_text("put there by hand")
    with claimed(directory, "obv slice", {}) as claim:
        assert claim.take(["a.mp4", "never.mp4"]) == {"never.mp4"}


def test_another_command_is_refused_where_files_are_and_accepted_where_none_is(directory, tmp_path):
    with claimed(directory, "obv slice", {}) as claim:
        claim.take(["a.mp4"])
        (tmp_path / "out/a.mp4").write_text("made")
    with (
        pytest.raises(ValueError, match=r"holds what `obv slice` made \(a.mp4 and 0 more\)"),
        claimed(directory, "obv prepare", {}),
    ):
        pass
    (tmp_path / "out/a.mp4").unlink()
    with claimed(directory, "obv prepare", {}) as claim:
        assert claim.take(["a.mp4"]) == set()


def test_a_killed_run_has_claimed_what_it_was_making(directory, tmp_path):
    code = HOLD.replace("{}):", "{}) as claim:\n    claim.take(['a.mp4'])")
    command = [sys.executable, "-c", code, directory, "60"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    (tmp_path / "out/a.mp4").write_text("made, and not yet recorded")
    process.kill()
    process.wait()
    with claimed(directory, "obv slice", {}) as claim:
        assert claim.take(["a.mp4"]) == set()


def test_two_runs_wait_for_each_other(directory, capfd):
    command = [sys.executable, "-c", HOLD, directory, "1.5"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    started = time.monotonic()
    with claimed(directory, "obv slice", {}):
        assert process.wait(timeout=5) == 0 and time.monotonic() - started > 0.5
    assert f"waiting for process {process.pid} on " in capfd.readouterr().err


def test_the_lock_of_a_dead_machine_runs_out(tmp_path, monkeypatch):
    monkeypatch.setattr("obvlib.engine.claims.LEASE_S", 2.0)
    holder = {"process": 1, "machine": "elsewhere", "node": "far", "renewed_at": time.time()}
    (tmp_path / LOCK).write_text(json.dumps(holder))
    started = time.monotonic()
    with claimed(f"file://{tmp_path}", "obv slice", {}):
        assert time.monotonic() - started >= 2.0
    assert not (tmp_path / LOCK).exists()


def test_a_claim_that_cannot_be_read_owns_nothing(tmp_path):
    (tmp_path / CLAIM).write_text('{"made_by": ')
    (tmp_path / "a.mp4").touch()
    with claimed(tmp_path, "obv slice", {}) as claim:
        assert claim.take(["a.mp4"]) == {"a.mp4"}
