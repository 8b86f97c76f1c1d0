"""Stages over records: what is done stays done, what fails says why, what kills a worker costs only
itself.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import importlib
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
from obvlib.engine import Drop, Ledger, Stage, StageInterrupted, StageStopped, Workers, run_stage
from obvlib.engine.run import without_names


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


@dataclass(frozen=True)
class Weighted(Work):
    """Items of 0.1, 0.4, 0.7 … of something, which do not add up exactly."""

    def weight(self, clip: Clip) -> float:
        return 1 / 10 + clip.start_s * 3 / 10


def test_the_bar_ends_at_its_end(tmp_path, ledger, capsys):
    run_stage(clips(9), Weighted(tmp_path / "notes"), ledger, show_progress=True)
    last = capsys.readouterr().err.split("\r")[-1]
    assert "100%" in last and "00:00 to go, 7 done" in last and "-00:00" not in last


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


@functools.cache
def loaded() -> int:
    """A model, say: a number of its own for each time that it is loaded."""
    return time.monotonic_ns()


@dataclass(frozen=True)
class Loading(Work):
    name = "load"

    def __call__(self, clip: Clip):
        time.sleep(0.05)  # so that no worker takes all
        super().__call__(clip)
        return dataclasses.replace(clip, caption=f"{os.getpid()} {loaded()} {self.size}")


def told(result) -> list[set[str]]:
    """The processes, the loaded models and the settings that worked on clips."""
    return [set(column) for column in zip(*(c.caption.split() for c in result), strict=True)]


def others(num: int) -> list[Clip]:
    return clips(num + 3)[3:]  # none that is dropped or fails


@pytest.mark.parametrize("num", [1, 2])
def test_workers_live_for_several_stages_and_load_once(tmp_path, ledger, num):
    with Workers(num) as workers:
        notes = tmp_path / "notes"
        runs = [run(others(24), Loading(notes, size=i), ledger, engine=workers) for i in range(3)]
        processes = [worker.process for worker in workers.started]
        started = time.monotonic()
    assert time.monotonic() - started < 5 and {one.exitcode for one in processes} == {0}
    seen = [told(result) for result in runs]
    assert [sizes for *_, sizes in seen] == [{"0"}, {"1"}, {"2"}]
    for at in (0, 1):
        assert len(set.union(*(one[at] for one in seen))) == num
    assert all(len(result) == 24 for result in runs)


def test_workers_that_die_hang_or_stop_a_stage_are_replaced_for_the_next(tmp_path, ledger):
    notes = tmp_path / "notes"
    with Workers(2) as workers:
        bad = Loading(notes, killed=(4.0,), hangs=(7.0,), stall_s=1.5)
        first = run(others(6), bad, ledger, engine=workers)
        assert (first.num_done, first.num_failed) == (4, 2)
        idle = [worker for worker in workers.started if worker.num_ready]
        for worker in idle:
            worker.process.kill()
        assert idle
        assert run(others(6), Loading(notes, size=1), ledger, engine=workers).num_done == 6
        with pytest.raises(StageStopped):
            run(others(6), DiskFull(notes), ledger, engine=workers)
        last = run(others(6), Loading(notes, size=2), ledger, engine=workers)
        assert last.num_done == 6 and told(last)[2] == {"2"}
        assert run(others(6), Loading(notes, size=2), ledger, engine=workers).num_skipped == 6


@dataclass(frozen=True)
class Barred(Loading):
    """Draws a bar, as libraries do that fetch or read something."""

    def __call__(self, clip: Clip):
        from tqdm.auto import tqdm

        tqdm(disable=True)
        return super().__call__(clip)


BARRED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_engine import Barred, others
from obvlib.engine import Ledger, Workers, run_stage
if __name__ == "__main__":
    with Workers(2) as workers:
        for name, killed in (("a", (4.0,)), ("b", ())):
            stage = Barred(Path(sys.argv[2]), killed=killed)
            ledger = Ledger(sys.argv[1] + name)
            run_stage(others(6), stage, ledger, engine=workers, show_progress=False)
"""


def test_workers_leave_nothing_behind_that_python_notes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(BARRED.format(tests=str(Path(__file__).parent)))
    line = [sys.executable, str(script), str(tmp_path / "ledger"), str(tmp_path / "notes")]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stderr == ""


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
    stage = Work(Path(sys.argv[2]), hangs=(6.0,))
    run_stage(clips(10), stage, Ledger(sys.argv[1]), num_workers=2, show_progress=False)
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


@dataclass(frozen=True)
class Reading(Work):
    """Copies its input's text into a file of its own."""

    directory: Path = Path()

    def inputs(self, clip):
        path = self.directory / f"{clip.video_id}.txt"
        return [str(path)] if path.exists() else []

    def outputs(self, clip):
        return [str(self.notes.parent / f"{clip.video_id}.made")]

    def __call__(self, clip):
        text = Path(self.inputs(clip)[0]).read_text()
        Path(self.outputs(clip)[0]).write_text(text)
        return clip


@pytest.fixture
def reading(tmp_path, ledger):
    """A stage over one file that has been done once, and a function that runs it again."""
    directory = tmp_path / "in"
    directory.mkdir()
    (directory / "v0.txt").write_text("first")
    stage = Reading(tmp_path / "notes", directory=directory)
    assert run(clips(1), stage, ledger).num_done == 1
    return stage


def done_again(stage, ledger, **kwargs) -> bool:
    result = run(clips(1), stage, ledger, **kwargs)
    assert result.num_done + result.num_skipped == 1 and result.num_failed == 0
    return result.num_done == 1


def test_a_changed_input_of_equal_size_and_time_is_noticed(reading, ledger):
    path = reading.directory / "v0.txt"
    before = path.stat()
    path.write_text("later")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # the change time still tells
    assert done_again(reading, ledger) and not done_again(reading, ledger)
    assert Path(reading.outputs(clips(1)[0])[0]).read_text() == "later"


def test_an_unchanged_input_is_not_worked_on_again_wherever_it_lies(reading, ledger, tmp_path):
    path = reading.directory / "v0.txt"
    path.touch()
    assert not done_again(reading, ledger)
    moved = dataclasses.replace(reading, directory=reading.directory.rename(tmp_path / "moved"))
    assert not done_again(moved, ledger)
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "v0.txt").symlink_to(tmp_path / "moved" / "v0.txt")
    assert not done_again(dataclasses.replace(reading, directory=linked), ledger)
    copied = tmp_path / "copied"
    copied.mkdir()
    (copied / "v0.txt").write_text("first")
    assert not done_again(dataclasses.replace(reading, directory=copied), ledger)
    (copied / "v0.txt").write_text("other")
    assert done_again(dataclasses.replace(reading, directory=copied), ledger)


@dataclass(frozen=True, kw_only=True)
class Placed:
    video_id: str
    path: str = dataclasses.field(compare=False)


@dataclass(frozen=True, kw_only=True)
class Halves:
    video_id: str
    parts: tuple[Placed, ...]


@dataclass(frozen=True)
class Halving(Stage):
    name = "halve"
    result = Halves

    def inputs(self, record):
        return [record.path]

    def __call__(self, record):
        return Halves(video_id=record.video_id, parts=(record, record))


def test_a_result_names_its_files_where_they_are_now(tmp_path, ledger):
    (tmp_path / "a.txt").write_text("text")
    run([Placed(video_id="v", path=str(tmp_path / "a.txt"))], Halving(), ledger)
    moved = str((tmp_path / "a.txt").rename(tmp_path / "b.txt"))
    again = run([Placed(video_id="v", path=moved)], Halving(), ledger)
    assert again.num_skipped == 1 and [part.path for part in again.kept[0].parts] == [moved] * 2


def test_a_changed_output_is_made_again_and_an_input_that_is_gone_leaves_it(reading, ledger):
    (made,) = map(Path, reading.outputs(clips(1)[0]))
    made.write_text("wrong")
    assert done_again(reading, ledger) and made.read_text() == "first"
    (reading.directory / "v0.txt").unlink()
    assert not done_again(reading, ledger)


def test_contents_are_compared_on_request(reading, ledger):
    (row,) = ledger.rows("s")
    forged = [known | {"sha256": "0" * 64} for known in row["inputs"]]
    ledger.note_files(row, forged, row["outputs"])
    assert not done_again(reading, ledger)
    assert done_again(reading, ledger, verify=True)


def test_a_damaged_row_of_the_ledger_runs_again(reading, ledger):
    for column, text in (("output", '{"video_id": '), ("inputs", "nonsense")):
        ledger._db.execute(f"UPDATE items SET {column} = ?", (text,))
        assert done_again(reading, ledger) and not done_again(reading, ledger)


MODULE = """
from dataclasses import dataclass
from obvlib.engine import Stage


@dataclass(frozen=True)
class Coded(Stage):
    name = "s"

    def __call__(self, clip):
        return {result}{comment}
"""


def test_changed_code_runs_again_and_a_comment_does_not(tmp_path, ledger, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "coded_stage.py"
    counts = []
    for result, comment in (("clip", ""), ("clip", "  # as it is"), ("clip or None", "")):
        path.write_text(MODULE.format(result=result, comment=comment))
        sys.modules.pop("coded_stage", None)
        importlib.invalidate_caches()
        counts.append(
            run(clips(1), importlib.import_module("coded_stage").Coded(), ledger).num_done
        )
    assert counts == [1, 0, 1]


@dataclass(frozen=True)
class Crashing(Work):
    """All clips of a group in one call, one of which ends the process."""

    def group(self, clip):
        return "all"

    def run_group(self, records):
        for index, clip in enumerate(records):
            with open(self.notes, "a") as notes:
                notes.write(f"{clip.clip_id}\n")
            if clip.start_s in self.killed:
                os.kill(os.getpid(), signal.SIGSEGV)
            yield index, clip


def test_a_crash_costs_one_item_of_its_group_also_with_one_worker(tmp_path, ledger):
    stage = Crashing(tmp_path / "notes", killed=(9.0,))
    result = run(clips(16), stage, ledger, num_workers=1)
    assert (result.num_done, result.num_failed) == (15, 1)
    (reason,) = [row["reason"] for row in ledger.rows("s") if row["status"] == "failed"]
    assert reason == "worker: its process died (exit code -11)"
    # in halves: 16 items, the crash of the whole and of at most four parts, and what they repeat
    assert len((tmp_path / "notes").read_text().split()) <= 16 + 4 + 2


@dataclass(frozen=True)
class Telling(Work):
    def __call__(self, clip):
        said = "cannot open https://user:S3CRET@host/a.mp4?token=S3CRET\n\x1b[31m"
        raise ValueError(said + "x" * 5000 + " remedy")


def test_a_reason_is_one_line_without_secrets_or_control_characters(tmp_path, ledger):
    result = run(clips(1), Telling(tmp_path / "notes"), ledger)
    (row,) = ledger.rows("s")
    assert row["reason"].startswith("ValueError: cannot open https://host/a.mp4 \\x1b[31mxxx")
    assert row["reason"].endswith(" remedy") and len(row["reason"]) <= 200
    assert "S3CRET" not in str(result.reasons) + (tmp_path / "ledger.sqlite").read_text("latin-1")


@dataclass(frozen=True)
class Interrupting(Work):
    def __call__(self, clip):
        if clip.start_s == 2:
            raise KeyboardInterrupt
        return clip


def test_an_interrupt_says_what_is_done_and_how_to_go_on(tmp_path, ledger):
    with pytest.raises(StageInterrupted, match="2 of 4 are done .*the same command again"):
        run(clips(4), Interrupting(tmp_path / "notes"), ledger)
    assert len(ledger.rows("s")) == 2


def test_equal_reasons_are_counted_together(tmp_path, ledger):
    result = run(clips(3), Telling(tmp_path / "notes"), ledger)
    assert list(result.reasons.values()) == [3]
    assert without_names("broken: /a/b.mp4 of v1 holds 1,024 bytes", "v1") == (
        "broken: … of … holds N bytes"
    )
    assert without_names("failed: a is not a video", "a") == "failed: … is not … video"
    told = "missing: no file /home/my big user/in put/a.mp4: download it"
    assert without_names(told, "v1") == "missing: no file … download it"
    assert without_names("gone: s3://bucket/a b/c.mp4", "v1") == "gone: …"
