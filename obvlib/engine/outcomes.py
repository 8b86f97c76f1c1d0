"""What a stage can say about an item, and running one group of items in whatever process this is."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

STOPPING_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
RETRY_WAIT_S = 0.5  # doubles with each retry


@dataclass(frozen=True)
class Drop:
    """A stage's way to say that a rule excludes this item, and which."""

    reason: str

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ValueError("a Drop needs its reason: it is what the report counts")


@dataclass(frozen=True)
class Outcome:
    """How one item ended: done with its output, or dropped or failed with the reason."""

    item_id: str
    status: str
    output: Any = None
    reason: str = ""
    seconds: float = 0.0


class StageStopped(RuntimeError):
    """The run cannot go on (a full disk): what was done is recorded, the same command does the rest
    once the cause is gone.
    """


def run_group(items: list[tuple[str, Any]], stage: Callable, num_retries: int) -> Iterator[Outcome]:
    """Run a stage on items (id, record) that belong together, yielding each outcome as it is known."""
    if not hasattr(stage, "run_group"):
        for item_id, record in items:
            yield _run_one(item_id, record, stage, num_retries)
        return
    left = dict(enumerate(items))
    for attempt in range(num_retries + 1):
        order, started = list(left), time.perf_counter()
        try:
            for at, result in stage.run_group([left[i][1] for i in order]):
                seconds, started = time.perf_counter() - started, time.perf_counter()
                yield outcome_of(left.pop(order[at])[0], result, seconds)
            for item_id, _ in left.values():
                yield Outcome(item_id, "failed", reason="the stage gave no result for it")
            return
        except Exception as error:
            if attempt == num_retries or not _is_worth_retrying(error):
                yield from (outcome_of(item_id, error, 0.0) for item_id, _ in left.values())
                return
            time.sleep(RETRY_WAIT_S * 2**attempt)


def _run_one(item_id: str, record: Any, stage: Callable, num_retries: int) -> Outcome:
    started = time.perf_counter()
    for attempt in range(num_retries + 1):
        try:
            return outcome_of(item_id, stage(record), time.perf_counter() - started)
        except Exception as error:
            if attempt == num_retries or not _is_worth_retrying(error):
                return outcome_of(item_id, error, time.perf_counter() - started)
            time.sleep(RETRY_WAIT_S * 2**attempt)
    raise AssertionError("unreachable")


def outcome_of(item_id: str, result: Any, seconds: float) -> Outcome:
    """A stage's result, or the exception it raised, as an outcome; StageStopped for what no other
    item would survive either.
    """
    if isinstance(result, Drop):
        return Outcome(item_id, "dropped", reason=result.reason, seconds=seconds)
    if isinstance(result, Exception):
        if stops_everything(result):
            raise StageStopped(
                f"stopped at {item_id}: {result}. Make room, then run the same command again"
            ) from result
        kind = getattr(result, "kind", "") or type(result).__name__
        return Outcome(item_id, "failed", reason=f"{kind}: {result}", seconds=seconds)
    if result is None:
        return Outcome(
            item_id,
            "failed",
            reason="the stage returned None: return a record, or a Drop with its reason",
            seconds=seconds,
        )
    return Outcome(item_id, "done", output=result, seconds=seconds)


def stops_everything(error: BaseException) -> bool:
    """Is this a full or read-only disk, however deep it is wrapped?"""
    seen = error
    while seen is not None:
        if isinstance(seen, StageStopped) or getattr(seen, "errno", None) in STOPPING_ERRNOS:
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _is_worth_retrying(error: Exception) -> bool:
    return not isinstance(error, ValueError) and not stops_everything(error)
