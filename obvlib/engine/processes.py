"""Worker processes on this machine: each gets one group of items at a time and reports every item
as it ends.

A worker that dies (out of memory, a crash in a codec) or hangs costs only what it had in hand:
those items are tried once more, one by one. If this process is killed its workers end with it.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from typing import Any

from obvlib.engine.outcomes import Outcome, StageStopped, run_group

START_S = 120.0  # for a worker to import what its stage needs
POLL_S = 0.5


class _Worker:
    def __init__(self, stage: bytes, num_retries: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=_work, args=(theirs, stage, num_retries, os.getpid()), daemon=True
        )
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


def run(
    groups: list, stage: Callable, num_workers: int, num_retries: int, stall_s: float
) -> Iterator[Outcome]:
    """Run all groups of items (id, record) on `num_workers` processes, yielding outcomes as they
    come.
    """
    queue = deque((items, False) for items in groups)
    try:
        packed = pickle.dumps(stage)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"the stage cannot be sent to worker processes ({error}): define it in a module, or use"
            " num_workers=1"
        ) from None
    workers = [_Worker(packed, num_retries) for _ in range(num_workers)]
    try:
        while queue or any(worker.busy for worker in workers):
            _give_work(workers, queue)
            wait([w.pipe for w in workers] + [w.process.sentinel for w in workers], timeout=POLL_S)
            for at, worker in enumerate(workers):
                yield from _hear(worker)
                if problem := _problem(worker, stall_s):
                    yield from _give_up(worker, queue, problem)
                    worker.end()
                    workers[at] = _Worker(packed, num_retries)
    finally:
        for worker in workers:
            worker.end()


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
            " '__main__':`, or use num_workers=1"
        )
    if worker.gone:
        return f"worker: its process died (exit code {worker.process.exitcode})"
    if worker.busy and quiet_s > stall_s:
        return f"worker: no result within {stall_s:.0f} s"
    return ""


def _give_up(worker: _Worker, queue: deque, problem: str) -> Iterator[Outcome]:
    for item_id, record in worker.items.items():
        if worker.is_retry:
            yield Outcome(item_id, "failed", reason=problem)
        else:
            queue.append(([(item_id, record)], True))
    worker.items = {}


def _work(pipe: Any, packed: bytes, num_retries: int, parent: int) -> None:
    """A worker's life: take items, report each, until the pipe closes or the parent is gone."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    stage = pickle.loads(packed)
    try:
        pipe.send("ready")
        while True:
            items = pipe.recv()
            try:
                for outcome in run_group(items, stage, num_retries):
                    pipe.send(outcome)
                pipe.send("end")
            except StageStopped as error:
                pipe.send(str(error))
    except (EOFError, OSError, KeyboardInterrupt):
        os._exit(0)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_S)
    os._exit(1)
