"""Running one stage over many records: in this process, in worker processes, or on a Ray cluster,
with one way of keeping score.

What is done stays done: the ledger knows, and running the same command again does the rest. Bad
data fails its own item; a full disk or an interrupt ends the run, with everything so far recorded.

>>> kept = run_stage(clips, SliceStage(output_dir="clips", cache_dir="cache"), ledger)
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypedDict

from obvlib.core.checks import by_unique
from obvlib.core.provenance import hash_code
from obvlib.core.record_rows import digest, to_json
from obvlib.engine.currency import Currency
from obvlib.engine.ledger import Ledger, LedgerError, Trace, hash_params
from obvlib.engine.on_ray import Cluster
from obvlib.engine.outcomes import Outcome, StageStopped
from obvlib.engine.processes import Workers
from obvlib.engine.stages import Stage

ENGINES: dict[str, type[Workers | Cluster]] = {"local": Workers, "ray": Cluster}


class How(TypedDict, total=False):
    """The options of `run_stage`, for functions that hand them on: where the work is done, in how
    many processes, whether all contents are compared, and whether a bar is drawn.
    """

    engine: str | Workers | Cluster
    num_workers: int
    verify: bool
    show_progress: bool


@dataclass
class StageRun:
    """What came of a stage: `kept` in the order of the input, and how many items ended how, this
    time and before. `params` is the name of its settings in the ledger.
    """

    kept: list[Any] = field(default_factory=list)
    num_done: int = 0
    num_skipped: int = 0  # done by an earlier run
    num_dropped: int = 0
    num_refused: int = 0  # by a language model
    num_failed: int = 0
    seconds: float = 0.0
    params: str = ""
    reasons: Counter[str] = field(default_factory=Counter)  # of drops and failures, without names

    def __iter__(self) -> Iterator[Any]:
        return iter(self.kept)

    def __len__(self) -> int:
        return len(self.kept)

    def __str__(self) -> str:
        return (
            f"{self.num_done} done, {self.num_skipped} from before, {self.num_dropped} dropped,"
            + (f" {self.num_refused} refused," if self.num_refused else "")
            + f" {self.num_failed} failed"
        )


class StageInterrupted(KeyboardInterrupt):
    """Ctrl-C in a run: what was done is recorded, and the same command does the rest."""


def run_stage(
    records: Iterable[Any],
    stage: Stage,
    ledger: Ledger,
    *,
    engine: str | Workers | Cluster = "local",
    num_workers: int = 0,
    verify: bool = False,
    show_progress: bool = True,
) -> StageRun:
    """Run `stage` on every record that the ledger does not know as done; return what was kept.

    With `num_workers` 0 the work is done in this process; else in so many processes, where a crash
    costs one item. A caller of several stages gives an `opened` engine: what the stages import and
    load is then loaded once. A done item runs again when its record, the stage's settings or code,
    or one of its files has changed; `verify` compares the contents of all files, not only size,
    times and ETag. A wrong value fails its item; what may pass is tried `stage.num_retries` times
    more.
    """
    with opened(engine, num_workers) as team:
        return _Run(stage, ledger, records, verify).finish(team.run, show_progress)


@contextmanager
def opened(engine: str | Workers | Cluster, num_workers: int = 0) -> Iterator[Workers | Cluster]:
    """Yield what runs the items of one stage or of several; what is open already stays open."""
    if isinstance(engine, (Workers, Cluster)):
        yield engine
    elif engine in ENGINES:
        with ENGINES[engine](num_workers) as team:
            yield team
    else:
        raise ValueError(f"engine is {engine!r}: use {' or '.join(ENGINES)}")


class _Run:
    """The score of one run: what is left to do, what was kept, and the ledger it is written to."""

    def __init__(self, stage: Stage, ledger: Ledger, records: Iterable[Any], verify: bool) -> None:
        self.started, self.stage, self.ledger = time.perf_counter(), stage, ledger
        self.params = stage.params() | {"code": hash_code(*stage.code())}
        self.items = by_unique(records, stage.key)
        self.results: dict[str, Any] = {}
        self.score = StageRun(params=hash_params(self.params))
        done, currency = ledger.done(stage.name, self.params), Currency(stage, ledger, verify)
        for id_, record in self.items.items():
            if id_ in done and (result := currency.result(done[id_], record)) is not None:
                self.results[id_] = result
        self.score.num_skipped = len(self.results)
        self.todo = {i: record for i, record in self.items.items() if i not in self.results}

    def finish(
        self, outcomes_of: Callable[[list, Stage], Generator[Outcome]], show_progress: bool
    ) -> StageRun:
        outcomes = outcomes_of(self._groups(), self.stage)
        try:
            self._record(outcomes, show_progress)
        except KeyboardInterrupt:
            raise StageInterrupted(
                f"{self.stage.name} interrupted: {len(self.results)} of {len(self.items)} are done"
                " and recorded; run the same command again for the rest"
            ) from None
        finally:
            outcomes.close()  # ends what workers have in hand before anything else happens
        self.score.kept = [self.results[id_] for id_ in self.items if id_ in self.results]
        self.score.seconds = time.perf_counter() - self.started
        return self.score

    def _groups(self) -> list[list[tuple[str, Any]]]:
        """Return items by group, the heaviest group first: workers then finish at about the same
        time.
        """
        groups: dict[str, list[tuple[str, Any]]] = {}
        for id_, record in self.todo.items():
            groups.setdefault(self.stage.group(record), []).append((id_, record))
        weight = self.stage.weight
        return sorted(groups.values(), key=lambda items: -sum(weight(r) for _, r in items))

    def _record(self, outcomes: Iterator[Outcome], show_progress: bool) -> None:
        from tqdm.auto import tqdm

        # in whole numbers, or what is left to do would end beside zero
        weights = {
            id_: round(1000 * self.stage.weight(record)) for id_, record in self.todo.items()
        }
        total = sum(weights.values())
        with tqdm(
            total=total, desc=self.stage.name, disable=not show_progress, unit="",
            smoothing=0.05, bar_format=_BAR,
        ) as bar:  # fmt: skip
            for outcome in outcomes:
                self._write(outcome)
                name, score = f"num_{outcome.status}", self.score
                setattr(score, name, getattr(score, name) + 1)
                if outcome.status == "done":
                    self.results[outcome.item_id] = outcome.output
                    bar.update(weights[outcome.item_id])
                else:  # takes next to no time: counting it would make the estimate too hopeful
                    score.reasons[without_names(outcome.reason, outcome.item_id)] += 1
                    bar.total = total = total - weights[outcome.item_id]
                    bar.refresh()
                counts = f"{score.num_dropped} dropped, {score.num_failed} failed"
                bar.set_postfix_str(f"{score.num_done} done, {counts}", refresh=False)

    def _write(self, outcome: Outcome) -> None:
        record, output = self.todo[outcome.item_id], outcome.output
        if output == record:  # the ledger keeps nothing where it is the record itself
            output = None
        elif dataclasses.is_dataclass(output):
            output = to_json(output)
        try:
            self.ledger.record(
                outcome.item_id,
                self.stage.name,
                outcome.status,
                params=self.params,
                reason=outcome.reason,
                output=output,
                trace=Trace(
                    record=digest(record),
                    inputs=outcome.inputs,
                    outputs=outcome.outputs,
                    seconds=outcome.seconds,
                ),
            )
        except LedgerError as error:
            raise StageStopped(f"{error}; then run the same command again") from None


# from where an absolute path begins to its last part, spaces within it included; else one word
_PATH = re.compile(r"(?<!\S)[\"'(]*(?:~|[a-z][\w+.-]*:/)?/(?:.*/)?\S*|\S*/\S*")


def without_names(reason: str, item_id: str) -> str:
    """Return a reason without the item's id, file names and numbers, so that equal ones count
    together.
    """
    text = re.sub(rf"(?<!\w){re.escape(item_id)}(?!\w)", "…", reason)  # not a letter of a word
    text = _PATH.sub("…", text)
    return re.sub(r"\b\d[\d.,]*\b", "N", text)


_BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed} gone, {remaining} to go{postfix}"
