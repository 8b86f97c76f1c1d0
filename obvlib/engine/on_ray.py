"""The same stages on a Ray cluster: one task for each group of items, rerun by Ray where its worker
or node dies.

The ledger stays with this process. `RAY_ADDRESS` names the cluster; without one a Ray of this
machine alone is started.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from obvlib.engine.outcomes import Outcome, StageStopped, run_group
from obvlib.engine.stages import Stage

MAX_DEATHS = 3  # of workers, for one group, before its items fail
TASKS_AHEAD = 2  # per CPU: enough to keep all busy, few enough to keep the scheduler's memory small


class Cluster:
    """A Ray cluster, joined or started where there is work for it, and then there for all stages
    that are run with it: what its workers import and load stays loaded.
    """

    def __init__(self, num_workers: int) -> None:
        self.num_workers, self.is_ours = num_workers, False

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_ours:
            import ray

            ray.shutdown()

    def run(self, groups: list, stage: Stage) -> Generator[Outcome]:
        """Run a stage on all groups of items (id, record), yielding outcomes as groups finish."""
        try:
            import ray
        except ImportError:
            raise ValueError(
                "engine 'ray' needs the package ray: pip install 'obvlib[ray]', or use engine"
                " 'local'"
            ) from None
        if not ray.is_initialized():
            address = os.environ.get("RAY_ADDRESS")
            local: dict[str, Any] = {"num_cpus": max(1, self.num_workers)}
            self.is_ours = True
            ray.init(
                address=address,
                runtime_env=_environment(),
                log_to_driver=False,
                **({} if address else local | {"include_dashboard": False}),
            )
        yield from _collect(ray, groups, ray.put(stage))


def _collect(ray: Any, groups: list, stage: Any) -> Iterator[Outcome]:
    task = ray.remote(max_retries=MAX_DEATHS, num_cpus=1)(_run_task)
    waiting = list(reversed(groups))
    running: dict[Any, list] = {}
    while waiting or running:
        limit = max(1, round(TASKS_AHEAD * ray.cluster_resources().get("CPU", 1)))
        while waiting and len(running) < limit:
            items = waiting.pop()
            running[task.remote(items, stage)] = items
        for reference in ray.wait(list(running), num_returns=1)[0]:
            items = running.pop(reference)
            try:
                outcomes, stop = ray.get(reference)
            except ray.exceptions.RayError as error:
                outcomes, stop = _after_deaths(items, waiting, error), ""
            yield from outcomes
            if stop:
                raise StageStopped(stop)


def _after_deaths(items: list, waiting: list, error: Exception) -> list[Outcome]:
    """Take apart a group that keeps killing its workers; a single item that does has failed."""
    if len(items) > 1:
        waiting.extend([item] for item in items)
        return []
    return [
        Outcome(
            items[0][0],
            "failed",
            reason=f"worker: died {MAX_DEATHS + 1} times ({type(error).__name__})",
        )
    ]


def _run_task(items: list, stage: Stage) -> tuple[list[Outcome], str]:
    outcomes: list[Outcome] = []
    try:
        for outcome in run_group(items, stage):
            outcomes.append(outcome)
    except StageStopped as error:
        return outcomes, str(error)
    return outcomes, ""


def _environment() -> dict[str, Any]:
    """Let workers find the same obvlib, also where it runs from a checkout."""
    import obvlib

    root = str(Path(obvlib.__file__).resolve().parent.parent)
    return {
        "env_vars": {
            "PYTHONPATH": os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        }
    }
