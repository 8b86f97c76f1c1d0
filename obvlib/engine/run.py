"""Running one stage over many records: in this process, in worker processes, or on a Ray cluster,
with one way of keeping score.

A stage is a callable that takes a record and returns a record or a `Drop`. What is done stays done:
the ledger knows, and running the same command again does the rest. Bad data fails its own item; a
full disk or an interrupt ends the run, with everything so far recorded.

>>> kept = run_stage(clips, slice_one, ledger, name="slice", params={"mode": "exact"})
"""

from __future__ import annotations

import dataclasses
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from obvlib.core.records import from_json, to_json
from obvlib.engine.ledger import Ledger
from obvlib.engine.outcomes import Drop, Outcome, StageStopped, run_group

__all__ = ["Drop", "Outcome", "StageRun", "StageStopped", "run_stage"]
ENGINES = ("local", "ray")
STALL_S = 1800.0  # a worker that reports nothing for so long is ended, and its item fails


@dataclass
class StageRun:
    """What came of a stage: `kept` in the order of the input, and how many items ended how, this
    time and before.
    """

    kept: list[Any] = field(default_factory=list)
    num_done: int = 0
    num_skipped: int = 0  # done by an earlier run
    num_dropped: int = 0
    num_failed: int = 0
    seconds: float = 0.0

    def __iter__(self) -> Iterator[Any]:
        return iter(self.kept)

    def __len__(self) -> int:
        return len(self.kept)


def run_stage(
    records: Iterable[Any],
    stage: Callable[[Any], Any],
    ledger: Ledger,
    *,
    name: str,
    params: Any = "",
    engine: str = "local",
    num_workers: int = 1,
    key: Callable[[Any], str] | None = None,
    group: Callable[[Any], str] | None = None,
    weight: Callable[[Any], float] = lambda record: 1.0,
    is_current: Callable[[dict[str, Any]], bool] = lambda row: True,
    result_type: type | None = None,
    num_retries: int = 2,
    stall_s: float = STALL_S,
    show_progress: bool = True,
) -> StageRun:
    """Run `stage` on every record that the ledger does not know as done under `name` and `params`;
    return what was kept.

    `key` gives an item's id (default: its `clip_id`, `example_id` or `video_id`). With `group`,
    records that share a group go to one worker together, and a stage with a `run_group(records)`
    method that yields (index, result) gets them at once. `weight` is an item's share of the work,
    for the estimate of the remaining time. `is_current(row)` may refuse a done row (its file is
    gone), which then runs again. A ValueError of the stage fails its item; anything else is tried
    `num_retries` times more before it does.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}: use {' or '.join(ENGINES)}")
    if num_workers < 1:
        raise ValueError(f"num_workers is {num_workers}: give at least 1")
    started = time.perf_counter()
    items = _by_id(records, key or item_id)
    done = ledger.done(name, params)
    run, results = StageRun(), {}
    for id_, record in items.items():
        if id_ in done and is_current(done[id_]):
            results[id_] = _restored(done[id_]["output"], record, result_type)
            run.num_skipped += 1
    todo = {id_: record for id_, record in items.items() if id_ not in results}
    groups = _grouped(todo, group, weight)
    outcomes = _outcomes(groups, stage, engine, num_workers, num_retries, stall_s)
    _record(outcomes, ledger, name, params, run, results, todo, weight, show_progress)
    run.kept = [results[id_] for id_ in items if id_ in results]
    run.seconds = time.perf_counter() - started
    return run


def item_id(record: Any) -> str:
    """The id that a record goes by in the ledger."""
    for attribute in ("clip_id", "example_id", "video_id"):
        if value := getattr(record, attribute, ""):
            return value
    raise ValueError(f"{type(record).__name__} has no clip_id, example_id or video_id: pass key=")


def _by_id(records: Iterable[Any], key: Callable[[Any], str]) -> dict[str, Any]:
    items: dict[str, Any] = {}
    for record in records:
        if items.setdefault(key(record), record) != record:
            raise ValueError(
                f"two different records have the id {key(record)!r}: ids must be unique, or pass"
                " another key="
            )
    return items


def _restored(output: Any, record: Any, result_type: type | None) -> Any:
    if output is None:
        return record
    cls = result_type or type(record)
    return from_json(cls, output) if dataclasses.is_dataclass(cls) else output


def _stored(outcome: Outcome, record: Any) -> Any:
    """What the ledger keeps of an output: nothing where it is the record itself."""
    if outcome.status != "done" or outcome.output == record:
        return None
    return to_json(outcome.output) if dataclasses.is_dataclass(outcome.output) else outcome.output


def _grouped(
    todo: dict[str, Any], group: Callable | None, weight: Callable
) -> list[list[tuple[str, Any]]]:
    """Items by group, the heaviest group first: workers then finish at about the same time."""
    groups: dict[str, list[tuple[str, Any]]] = {}
    for id_, record in todo.items():
        groups.setdefault(group(record) if group else id_, []).append((id_, record))
    return (
        sorted(groups.values(), key=lambda items: -sum(weight(record) for _, record in items))
        if group
        else list(groups.values())
    )


def _outcomes(
    groups: list, stage: Callable, engine: str, num_workers: int, num_retries: int, stall_s: float
) -> Iterator[Outcome]:
    if engine == "ray":
        from obvlib.engine import on_ray

        return on_ray.run(groups, stage, num_workers, num_retries)
    if num_workers == 1:
        return (outcome for items in groups for outcome in run_group(items, stage, num_retries))
    from obvlib.engine import processes

    return processes.run(groups, stage, min(num_workers, len(groups)), num_retries, stall_s)


def _record(outcomes, ledger, name, params, run, results, todo, weight, show_progress) -> None:
    from tqdm.auto import tqdm

    total = sum(weight(record) for record in todo.values())
    with tqdm(
        total=total, desc=name, disable=not show_progress, unit="", smoothing=0.05, bar_format=_BAR
    ) as bar:
        for outcome in outcomes:
            _write(ledger, name, params, outcome, todo[outcome.item_id])
            setattr(run, f"num_{outcome.status}", getattr(run, f"num_{outcome.status}") + 1)
            if outcome.status == "done":
                results[outcome.item_id] = outcome.output
                bar.update(weight(todo[outcome.item_id]))
            else:  # takes next to no time: counting it as work would make the estimate too hopeful
                bar.total -= weight(todo[outcome.item_id])
                bar.refresh()
            bar.set_postfix_str(
                f"{run.num_done} done, {run.num_dropped} dropped, {run.num_failed} failed",
                refresh=False,
            )


def _write(ledger: Ledger, name: str, params: Any, outcome: Outcome, record: Any) -> None:
    try:
        ledger.record(
            outcome.item_id,
            name,
            outcome.status,
            params=params,
            reason=outcome.reason,
            output=_stored(outcome, record),
            seconds=outcome.seconds,
        )
    except sqlite3.OperationalError as error:
        raise StageStopped(
            f"ledger {ledger.path} cannot be written ({error}): make room, then run the same"
            " command again"
        ) from None


_BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed} gone, {remaining} to go{postfix}"
