"""What can become of an item, and running one group of items in whatever process this is."""

from __future__ import annotations

import dataclasses
import errno
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from obvlib.core.identity import FileIdentity, identify, sha256_of
from obvlib.core.locations import is_remote
from obvlib.core.messages import one_line

if TYPE_CHECKING:
    from obvlib.engine.stages import Stage

STOPPING_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
RETRY_WAIT_S = 0.5  # doubles with each retry
# trying again changes nothing
FINAL_ERRORS = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError),
    *(FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError),
    *(NotImplementedError, MemoryError),
)


@dataclass(frozen=True)
class Drop:
    """A stage's way to say that a rule excludes this item, and which."""

    reason: str

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ValueError("a Drop needs its reason: it is what the report counts")


@dataclass(frozen=True)
class Refusal(Drop):
    """A stage's way to say that a model declined to work on this item, and in which words."""


@dataclass(frozen=True)
class Outcome:
    """How one item ended: done with its output, or dropped, refused or failed with the reason.
    `inputs` and `outputs` are the identities of its files.
    """

    item_id: str
    status: str
    output: Any = None
    reason: str = ""
    seconds: float = 0.0
    inputs: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)


class StageStopped(RuntimeError):
    """The run cannot go on (a full disk): what was done is recorded, the same command does the rest
    once the cause is gone.
    """


def run_group(items: list[tuple[str, Any]], stage: Stage) -> Iterator[Outcome]:
    """Run a stage on items (id, record) that belong together, yielding each outcome as it is known.

    What is left of the group is tried again where something failed that may pass.
    """
    left, files = dict(enumerate(items)), _GroupFiles(stage)
    for attempt in range(stage.num_retries + 1):
        order, started = list(left), time.perf_counter()
        try:
            files.look_at([left[i][1] for i in order])
            for at, result in stage.run_group([left[i][1] for i in order]):
                seconds = time.perf_counter() - started
                item_id, record = left.pop(order[at])
                yield files.add_to(outcome_of(item_id, result, seconds), record)
                started = time.perf_counter()
            for item_id, _ in left.values():
                yield Outcome(item_id, "failed", reason="the stage gave no result for it")
            return
        except Exception as error:
            if attempt == stage.num_retries or not may_pass(error):
                yield from (outcome_of(item_id, error, 0.0) for item_id, _ in left.values())
                return
            time.sleep(RETRY_WAIT_S * 2**attempt)


class _GroupFiles:
    """The files of one group, each looked at before the work and hashed once after it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.seen: dict[str, FileIdentity | None] = {}
        self.hashed: dict[str, FileIdentity] = {}

    def look_at(self, records: list[Any]) -> None:
        for location in {at for record in records for at in self.stage.inputs(record)}:
            if location not in self.seen:
                self.seen[location] = identify(location)

    def add_to(self, outcome: Outcome, record: Any) -> Outcome:
        """Return a done outcome with its files' identities; a failed one where an input changed
        while it was worked on.
        """
        if outcome.status != "done":
            return outcome
        try:
            inputs = [self._input(location) for location in self.stage.inputs(record)]
            outputs = [_output(location) for location in self.stage.outputs(outcome.output)]
        except (OSError, ValueError) as error:
            return outcome_of(outcome.item_id, error, outcome.seconds)
        return dataclasses.replace(outcome, inputs=inputs, outputs=outputs)

    def _input(self, location: str) -> dict[str, Any]:
        if location not in self.hashed:
            before = self.seen[location]
            digest = sha256_of(self.stage.fetch(location))
            if before is None or not before.looks_like(identify(location) or FileIdentity()):
                if before is None or before.is_marked:
                    raise ValueError(f"{location} changed while it was read: run again")
            self.hashed[location] = dataclasses.replace(before, sha256=digest)
        return self.hashed[location].to_dict()


def _output(location: str) -> dict[str, Any]:
    found = identify(location)
    if found is None:
        raise ValueError(f"{location} is not there after the stage has made it")
    if not is_remote(location):
        found = dataclasses.replace(found, sha256=sha256_of(location))
    return found.to_dict()


def tried(action: Callable[[], Any], num_retries: int = 2) -> Any:
    """Return what `action` returns, or the exception that it keeps raising; what may pass is tried
    again, and what no other item would survive is raised at once.
    """
    for attempt in range(num_retries + 1):
        try:
            return action()
        except Exception as error:
            if stops_everything(error):
                raise
            if attempt == num_retries or not may_pass(error):
                return error
            time.sleep(RETRY_WAIT_S * 2**attempt)
    raise AssertionError("unreachable")


def outcome_of(item_id: str, result: Any, seconds: float) -> Outcome:
    """Return a stage's result, or the exception it raised, as an outcome; raise StageStopped for
    what no other item would survive either.
    """
    if isinstance(result, Drop):
        status = "refused" if isinstance(result, Refusal) else "dropped"
        return Outcome(item_id, status, reason=one_line(result.reason), seconds=seconds)
    if isinstance(result, Exception):
        if stops_everything(result):
            raise StageStopped(
                one_line(
                    f"stopped at {item_id}: {result}. Make room, then run the same command again"
                )
            ) from result
        kind = getattr(result, "kind", "") or type(result).__name__
        reason = one_line(f"{kind}: {result}")
        return Outcome(item_id, "failed", reason=reason, seconds=seconds)
    if result is None:
        reason = "the stage returned None: return a record, or a Drop with its reason"
        return Outcome(item_id, "failed", reason=reason, seconds=seconds)
    return Outcome(item_id, "done", output=result, seconds=seconds)


def stops_everything(error: BaseException) -> bool:
    """Return whether this is a full or read-only disk, however deep it is wrapped."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, StageStopped) or getattr(seen, "errno", None) in STOPPING_ERRNOS:
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def may_pass(error: BaseException) -> bool:
    """Return whether trying again may help: a connection, a busy file, not a wrong value."""
    return not isinstance(error, FINAL_ERRORS) and not stops_everything(error)
