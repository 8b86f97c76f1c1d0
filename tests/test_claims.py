"""An output directory belongs to one command, and to one run at a time."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
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


@pytest.mark.parametrize(
    "text",
    [
        '{"made_by": ', "[]", '{"made_by": 5, "files": ["a.mp4"]}', "[" * 10_000,
        '{"made_by": "obv slice", "files": "a.mp4"}',
        '{"made_by": "obv slice", "files": [["a.mp4"], null]}',
    ],
)  # fmt: skip
def test_a_claim_that_cannot_be_read_owns_nothing(directory, tmp_path, text):
    (tmp_path / "out" / CLAIM).write_text(text)
    (tmp_path / "out/a.mp4").touch()
    with claimed(directory, "obv slice", {}) as claim:
        assert claim.take(["a.mp4"]) == {"a.mp4"}


@pytest.mark.parametrize("text", ["", "[]", '{"renewed_at": "now"}', '{"renewed_at": 9e15}'])
def test_a_lock_that_is_not_ours_to_read_holds_nobody(tmp_path, text):
    (tmp_path / LOCK).write_text(text)
    for directory in (str(tmp_path), f"file://{tmp_path}"):
        with claimed(directory, "obv slice", {}):
            pass


def test_a_lock_is_never_written_through_a_link(tmp_path):
    (tmp_path / "mine.txt").write_text("years of work")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / LOCK).symlink_to(tmp_path / "mine.txt")
    with pytest.raises(OSError), claimed(tmp_path / "out", "obv slice", {}):
        pass
    assert (tmp_path / "mine.txt").read_text() == "years of work"


def test_a_place_that_takes_no_files_is_named():
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    place = f"http://127.0.0.1:{web.server_port}/out?token=SECRET"
    with pytest.raises(ValueError) as raised, claimed(place, "obv slice", {}):
        pass
    web.shutdown()
    assert "/out cannot be written to: choose another" in str(raised.value)
    assert "SECRET" not in str(raised.value)
