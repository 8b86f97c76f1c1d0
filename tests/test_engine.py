"""Stages over records: what is done stays done, what fails says why, what kills a worker costs only
itself.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from obvlib.core.records import Clip
from obvlib.engine import Drop, Ledger, Stage, StageStopped, run_stage


def clips(num: int, per_source: int = 1) -> list[Clip]:
    return [
        Clip(video_id=f"v{i // per_source}", start_s=float(i), end_s=i + 1.0) for i in range(num)
    ]


@dataclass(frozen=True)
class Work(Stage):
    """Does what the clip's start says; notes each call in a file."""

    notes: Path
    killed: tuple[float, ...] = ()
    hangs: tuple[float, ...] = ()
    size: int = 0
    stall_s: float = 1800.0

    name = "s"

    def params(self):
        return {"size": self.size}

    def __call__(self, clip: Clip):
        with open(self.notes, "a") as notes:
            notes.write(f"{clip.clip_id}\n")
        if clip.start_s in self.killed:
            os.kill(os.getpid(), signal.SIGKILL)
        if clip.start_s in self.hangs:
            time.sleep(60)
        if clip.start_s == 1:
            return Drop("too dull")
        if clip.start_s == 2:
            raise ValueError("no such frame")
        return clip


@dataclass(frozen=True)
class Flaky(Work):
    def __call__(self, clip: Clip):
        super().__call__(clip)
        if len(self.notes.read_text().splitlines()) < 3:
            raise ConnectionError("try later")
        return clip


@dataclass(frozen=True)
class DiskFull(Work):
    def __call__(self, clip: Clip):
        if clip.start_s == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().__call__(clip)


@dataclass(frozen=True)
class Grouped(Work):
    def group(self, clip):
        return clip.video_id

    def run_group(self, records):
        self(records[0])
        for index in reversed(range(len(records))):
            yield (
                index,
                (records[index] if records[index].start_s != 5 else ValueError("odd one out")),
            )


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def run(records, stage, ledger, **kwargs):
    return run_stage(records, stage, ledger, show_progress=False, **kwargs)


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_every_item_ends_once_with_its_reason(tmp_path, ledger, num_workers):
    result = run(clips(6), Work(tmp_path / "notes"), ledger, num_workers=num_workers)
    assert [c.start_s for c in result] == [0, 3, 4, 5]
    assert (result.num_done, result.num_dropped, result.num_failed) == (4, 1, 1)
    reasons = {row["item_id"]: row["reason"] for row in ledger.rows("s") if row["reason"]}
    assert reasons == {"v1_1000_2000": "too dull", "v2_2000_3000": "ValueError: no such frame"}


def test_done_items_do_not_run_again_and_others_do(tmp_path, ledger):
    notes = tmp_path / "notes"
    run(clips(4), Work(notes), ledger)
    notes.unlink()
    again = run(clips(4), Work(notes), ledger)
    assert sorted(notes.read_text().split()) == ["v1_1000_2000", "v2_2000_3000"]
    assert again.num_skipped == 2 and [c.start_s for c in again] == [0, 3]


def test_changed_settings_run_again(tmp_path, ledger):
    run(clips(1), Work(tmp_path / "notes", size=1), ledger)
    assert run(clips(1), Work(tmp_path / "notes", size=2), ledger).num_done == 1
    assert run(clips(1), Work(tmp_path / "notes", size=1), ledger).num_skipped == 1


@dataclass(frozen=True)
class Refusing(Work):
    def is_current(self, row, record):
        return row["item_id"] != record.clip_id


@dataclass(frozen=True)
class Captioning(Work):
    def __call__(self, clip):
        return dataclasses.replace(clip, caption="seen")


def test_a_stage_may_refuse_what_was_done(tmp_path, ledger):
    run(clips(1), Refusing(tmp_path / "notes"), ledger)
    assert run(clips(1), Refusing(tmp_path / "notes"), ledger).num_done == 1


def test_outputs_come_back_from_the_ledger(tmp_path, ledger):
    stage = Captioning(tmp_path / "notes")
    first = run(clips(1), stage, ledger).kept
    again = run(clips(1), stage, ledger)
    assert again.kept == first and again.num_skipped == 1 and first[0].caption == "seen"


def test_passing_trouble_is_tried_again(tmp_path, ledger, monkeypatch):
    monkeypatch.setattr("obvlib.engine.outcomes.RETRY_WAIT_S", 0.0)
    assert run(clips(1), Flaky(tmp_path / "notes"), ledger).num_done == 1
    assert len((tmp_path / "notes").read_text().split()) == 3


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_a_full_disk_stops_the_run_and_the_next_one_does_the_rest(tmp_path, ledger, num_workers):
    with pytest.raises(StageStopped, match="run the same command again"):
        run(clips(5)[3:4], DiskFull(tmp_path / "notes"), ledger, num_workers=num_workers)
    assert ledger.rows("s") == []
    assert run(clips(5), Work(tmp_path / "notes"), ledger).num_done == 3


def test_a_worker_that_dies_costs_its_item_only(tmp_path, ledger):
    result = run(clips(8), Work(tmp_path / "notes", killed=(4.0,)), ledger, num_workers=2)
    assert result.num_done == 5 and result.num_failed == 2
    (row,) = [row for row in ledger.rows("s") if row["item_id"] == "v4_4000_5000"]
    assert "process died (exit code -9)" in row["reason"]
    assert (tmp_path / "notes").read_text().split().count("v4_4000_5000") == 2


def test_a_worker_that_hangs_is_ended(tmp_path, ledger):
    started = time.monotonic()
    result = run(
        clips(4)[3:] + clips(7)[5:],
        Work(tmp_path / "notes", hangs=(3.0,), stall_s=1.5),
        ledger,
        num_workers=2,
    )
    assert result.num_done == 2 and result.num_failed == 1 and time.monotonic() - started < 20
    assert "no result within" in ledger.rows("s")[0]["reason"]


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_a_group_goes_to_its_stage_at_once(tmp_path, ledger, num_workers):
    result = run(
        clips(9, per_source=3), Grouped(tmp_path / "notes"), ledger, num_workers=num_workers
    )
    assert result.num_done == 8 and result.num_failed == 1
    assert len((tmp_path / "notes").read_text().split()) == 3


def test_the_same_id_for_different_records_is_refused(tmp_path, ledger):
    same = [clips(1)[0], dataclasses.replace(clips(1)[0], caption="other")]
    with pytest.raises(ValueError, match="two different records"):
        run(same, Work(tmp_path / "notes"), ledger)
    assert run([clips(1)[0], clips(1)[0]], Work(tmp_path / "notes"), ledger).num_done == 1


def test_settings_are_checked(tmp_path, ledger):
    with pytest.raises(ValueError, match="engine is 'cloud'"):
        run(clips(1), Work(tmp_path / "notes"), ledger, engine="cloud")
    with pytest.raises(ValueError, match="num_workers is -1"):
        run(clips(1), Work(tmp_path / "notes"), ledger, num_workers=-1)
    unsendable = Work(threading.Lock())
    with pytest.raises(ValueError, match="cannot be sent to worker processes"):
        run(clips(2), unsendable, ledger, num_workers=2)


SCRIPT = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_engine import Work, clips
from obvlib.engine import run_stage
from obvlib.engine import Ledger
if __name__ == "__main__":
    run_stage(clips(10), Work(Path(sys.argv[2]), hangs=(6.0,)), Ledger(sys.argv[1]), num_workers=2, show_progress=False)
"""


def test_workers_end_with_a_killed_parent_and_nothing_is_lost(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent)))
    notes, path = tmp_path / "notes", tmp_path / "ledger.sqlite"
    process = subprocess.Popen(
        [sys.executable, str(script), str(path), str(notes)], start_new_session=True
    )
    wait_until(lambda: notes.exists() and len(notes.read_text().split()) == 10)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not group_members(process.pid))
    with Ledger(path) as ledger:
        # of ten one hangs, one is dropped, one fails
        assert [row["status"] for row in ledger.rows("s")].count("done") == 7
        again = run(clips(10), Work(notes), ledger)
    assert (again.num_skipped, again.num_done) == (7, 1)


def wait_until(condition, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def group_members(group: int) -> list[int]:
    """Living processes of a process group."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            members.append(int(stat.parent.name))
    return members
