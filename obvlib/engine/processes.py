"""Worker processes on this machine: each gets one group of items at a time and reports every item
as it ends.

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
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any

from obvlib.engine.outcomes import Outcome, StageStopped, run_group
from obvlib.engine.stages import Stage

START_S = 120.0  # for a worker to import what its stage needs
POLL_S = 0.5


class _Worker:
    def __init__(self, stage: bytes) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, stage, os.getpid()), daemon=True)
        with _interrupts_held():
            self.process.start()
        theirs.close()
        self.ready = self.busy = self.gone = self.is_retry = False
        self.items: dict[str, Any] = {}  # given and not yet reported
        self.heard_at = time.monotonic()

    def give(self, items: list[tuple[str, Any]], is_retry: bool) -> None:
        self.items, self.is_retry, self.heard_at = dict(items), is_retry, time.monotonic()
        self.pipe.send(items)
        self.busy = True

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def run(groups: list, stage: Stage, num_workers: int) -> Iterator[Outcome]:
    """Run all groups of items (id, record) on `num_workers` processes, yielding outcomes as they
    come.
    """
    queue = deque((items, False) for items in groups)
    try:
        packed = pickle.dumps(stage)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"stage {stage.name!r} cannot be sent to worker processes ({error}): define it in a"
            " module, or use num_workers=0"
        ) from None
    workers: list[_Worker] = []
    try:
        for _ in range(num_workers):
            workers.append(_Worker(packed))
        while queue or any(worker.busy for worker in workers):
            _give_work(workers, queue)
            wait([w.pipe for w in workers] + [w.process.sentinel for w in workers], timeout=POLL_S)
            for at, worker in enumerate(workers):
                yield from _hear(worker)
                if problem := _problem(worker, stage.stall_s):
                    yield from _give_up(worker, queue, problem)
                    worker.end()
                    workers[at] = _Worker(packed)
    finally:
        for worker in workers:
            worker.end()


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


def _give_work(workers: list[_Worker], queue: deque) -> None:
    for worker in workers:
        if queue and worker.ready and not worker.busy and not worker.gone:
            try:
                worker.give(*queue[0])
                queue.popleft()
            except OSError:  # it has just died: the queue keeps the items
                worker.items = {}


def _hear(worker: _Worker) -> Iterator[Outcome]:
    try:
        while worker.pipe.poll():
            message = worker.pipe.recv()
            worker.heard_at = time.monotonic()
            if message == "ready":
                worker.ready = True
            elif message == "end":
                worker.busy = False
            elif isinstance(message, Outcome):
                worker.items.pop(message.item_id, None)
                yield message
            else:
                raise StageStopped(message)
    except (EOFError, OSError):
        worker.gone = True
        worker.process.join(timeout=5)


def _problem(worker: _Worker, stall_s: float) -> str:
    quiet_s = time.monotonic() - worker.heard_at
    if not worker.ready and (worker.gone or quiet_s > START_S):
        raise RuntimeError(
            "a worker process did not start: put the script's code under `if __name__ =="
            " '__main__':`, or use num_workers=0"
        )
    if worker.gone:
        return f"worker: its process died (exit code {worker.process.exitcode})"
    if worker.busy and quiet_s > stall_s:
        return f"worker: no result within {stall_s:.0f} s"
    return ""


def _give_up(worker: _Worker, queue: deque, problem: str) -> Iterator[Outcome]:
    """Put back what a worker had in hand, in halves; an item that was alone twice fails."""
    items = list(worker.items.items())
    worker.items = {}
    if len(items) == 1 and worker.is_retry:
        yield Outcome(items[0][0], "failed", reason=problem)
        return
    half = (len(items) + 1) // 2
    queue.extend((part, True) for part in (items[:half], items[half:]) if part)


def _work(pipe: Any, packed: bytes, parent: int) -> None:
    """A worker's life: take items, report each, until the pipe closes or the parent is gone."""
    watch_parent(parent)
    stage = pickle.loads(packed)
    try:
        pipe.send("ready")
        while True:
            items = pipe.recv()
            try:
                for outcome in run_group(items, stage):
                    pipe.send(outcome)
                pipe.send("end")
            except StageStopped as error:
                pipe.send(str(error))
    except (EOFError, OSError, KeyboardInterrupt):
        os._exit(0)


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
