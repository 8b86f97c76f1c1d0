"""Worker processes on this machine: each gets one group of items at a time and reports every item
as it ends. They live for all the stages that are run with them, so that what stages import and the
models they load is loaded once a worker.

A worker that dies (out of memory, a crash in a codec) or hangs costs one item: what it had in hand
is tried again in halves, until the item that ends a worker twice is alone and fails. If this
process is killed, its workers end with it; an interrupt reaches this process only.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any

from obvlib.engine.outcomes import Outcome, StageStopped, run_group
from obvlib.engine.stages import Stage

START_S = 120.0  # for a worker to import what its stage needs
LEAVE_S = 10.0  # for idle workers to leave by themselves
POLL_S = 0.5


class Workers:
    """Up to `num` worker processes, started where there is work for them; with 0 the work is done
    in this process.

    >>> with Workers(2) as workers:
    ...     for stage in stages:
    ...         records = run_stage(records, stage, ledger, engine=workers).kept
    """

    def __init__(self, num: int) -> None:
        if num < 0:
            raise ValueError(f"num_workers is {num}: give 0 (this process) or more")
        self.num, self.started = num, list[_Worker]()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        """Let idle workers leave, and end those that do not."""
        for worker in self.started:
            worker.pipe.close()
        deadline = time.monotonic() + LEAVE_S
        for worker in self.started:
            if worker.is_ready and not worker.is_busy:
                worker.process.join(max(0.0, deadline - time.monotonic()))
            worker.end()

    def run(self, groups: list, stage: Stage) -> Generator[Outcome]:
        """Run a stage on all groups of items (id, record), yielding outcomes as they come."""
        if not self.num:
            for items in groups:
                yield from run_group(items, stage)
            return
        packed, queue = _packed(stage), deque((items, False) for items in groups)
        team = range(min(self.num, len(groups)))
        while len(self.started) < len(team):
            self.started.append(_Worker())
        try:
            while queue or any(worker.is_busy for worker in self.started):
                for worker in self.started[: len(team)]:
                    worker.give_work(packed, queue)
                known = [(worker.pipe, worker.process.sentinel) for worker in self.started]
                wait([one for pair in known for one in pair], timeout=POLL_S)
                for at in team:
                    worker = self.started[at]
                    yield from worker.hear()
                    if problem := worker.problem(stage.stall_s):
                        yield from worker.give_up(queue, problem)
                        worker.end()
                        self.started[at] = _Worker()
        finally:
            for worker in [worker for worker in self.started if worker.is_busy]:
                worker.end()
                self.started.remove(worker)


def _packed(stage: Stage) -> bytes:
    try:
        return pickle.dumps(stage)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"stage {stage.name!r} cannot be sent to worker processes ({error}): define it in a"
            " module, or use num_workers=0"
        ) from None


class _Worker:
    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, os.getpid()), daemon=True)
        with _interrupts_held():
            self.process.start()
        theirs.close()
        self.stage = b""  # the last that was sent
        self.num_sent = self.num_ready = 0  # stages, and those that it says it has
        self.is_busy = self.is_gone = self.is_retry = False
        self.items: dict[str, Any] = {}  # given and not yet reported
        self.heard_at = time.monotonic()

    @property
    def is_ready(self) -> bool:
        return self.num_ready == self.num_sent

    def give_work(self, stage: bytes, queue: deque) -> None:
        """Send the stage where it is another than the last, then what is next in the queue."""
        if not queue or self.is_busy or self.is_gone:
            return
        try:
            if stage != self.stage:
                self.pipe.send(stage)
                self.stage, self.heard_at = stage, time.monotonic()
                self.num_sent += 1
            elif self.is_ready:
                items, is_retry = queue[0]
                self.pipe.send(items)
                queue.popleft()
                self.items, self.is_retry, self.heard_at = dict(items), is_retry, time.monotonic()
                self.is_busy = True
        except OSError:  # it has just died: the queue keeps the items
            pass

    def hear(self) -> Iterator[Outcome]:
        try:
            while self.pipe.poll():
                message = self.pipe.recv()
                self.heard_at = time.monotonic()
                if message == "ready":
                    self.num_ready += 1
                elif message == "end":
                    self.is_busy = False
                elif isinstance(message, Outcome):
                    self.items.pop(message.item_id, None)
                    yield message
                else:
                    raise StageStopped(message)
        except (EOFError, OSError):
            self.is_gone = True
            self.process.join(timeout=5)

    def problem(self, stall_s: float) -> str:
        quiet_s = time.monotonic() - self.heard_at
        if not self.num_ready and (self.is_gone or quiet_s > START_S):
            raise RuntimeError(
                "a worker process did not start: put the script's code under `if __name__ =="
                " '__main__':`, or use num_workers=0"
            )
        if self.is_gone:
            return f"worker: its process died (exit code {self.process.exitcode})"
        limit_s = stall_s if self.is_busy else START_S
        if (self.is_busy or not self.is_ready) and quiet_s > limit_s:
            return f"worker: no result within {limit_s:.0f} s"
        return ""

    def give_up(self, queue: deque, problem: str) -> Iterator[Outcome]:
        """Put back what it had in hand, in halves; an item that was alone twice fails."""
        items = list(self.items.items())
        self.items = {}
        if len(items) == 1 and self.is_retry:
            yield Outcome(items[0][0], "failed", reason=problem)
            return
        half = (len(items) + 1) // 2
        queue.extend((part, True) for part in (items[:half], items[half:]) if part)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _work(pipe: Any, parent: int) -> None:
    """Live a worker's life: take a stage or items for it, report each, until the pipe closes or the
    parent is gone.
    """
    from tqdm import tqdm

    watch_parent(parent)
    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which a killed process leaves behind
    stage: Any = None
    try:
        while True:
            message = pipe.recv()
            if isinstance(message, bytes):
                stage = pickle.loads(message)
                pipe.send("ready")
                continue
            try:
                for outcome in run_group(message, stage):
                    pipe.send(outcome)
                pipe.send("end")
            except StageStopped as error:
                pipe.send(str(error))
    except (EOFError, OSError, KeyboardInterrupt):
        return  # rather than os._exit: libraries give back what they hold of this machine


class _Counted:
    """A signal handler that counts."""

    def __init__(self) -> None:
        self.num = 0

    def __call__(self, *_: Any) -> None:
        self.num += 1


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep Ctrl-C from a process that is started here, which inherits the mask, and from this one
    until it has started: the other threads of this process may receive it.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not hasattr(signal, "pthread_sigmask") or not is_main:
        yield
        return
    # the first child would start this helper too, which lets interrupts through again
    resource_tracker.ensure_running()
    received = _Counted()
    handler = signal.signal(signal.SIGINT, received) or signal.default_int_handler
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGINT, handler)
        if received.num:
            signal.raise_signal(signal.SIGINT)


def end_with(parent: int) -> None:
    """End this process as soon as its parent is gone, however that ended."""
    while os.getppid() == parent:
        time.sleep(POLL_S)
    os._exit(1)


def watch_parent(parent: int) -> None:
    """Start to watch the parent in a thread: the initializer of a pool whose workers must not
    outlive it.
    """
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
