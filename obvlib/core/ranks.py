"""The processes of one run, as `accelerate launch` and `torchrun` start them: who is first, what
each one's share is, and how the others hear what the first found.

One process needs none of this, and then nothing is initialised.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any


def world_size() -> int:
    """Return the number of processes that the launcher started for this run."""
    return int(os.environ.get("WORLD_SIZE", 1))


def index() -> int:
    """Return this process's place among those of the run, from 0."""
    return int(os.environ.get("RANK", 0))


def local_index() -> int:
    """Return this process's place among those of the run on this machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", 0))


def is_first() -> bool:
    """Return whether this process speaks and writes for all."""
    return index() == 0


def num_readers() -> int:
    """Return how many processes may read media ahead for this one: the machine's cores but two,
    divided among the run's processes here, at most 12; none on a machine with fewer than four.
    """
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return min((cores - 2) // here, 12) if cores >= 4 else 0


def share(items: Sequence[Any]) -> Sequence[Any]:
    """Return this process's items: each `world_size`-th, so that long and short are spread."""
    return items[index() :: world_size()]


def from_first(value: Any) -> Any:
    """Return the first process's `value` in every process."""
    if world_size() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    _state()
    (shared,) = broadcast_object_list([value])
    return shared


def barrier() -> None:
    """Wait until every process is here."""
    if world_size() > 1:
        _state().wait_for_everyone()


@contextmanager
def first_alone(
    opened: Callable[..., AbstractContextManager[Any]], *args: Any, **options: Any
) -> Iterator[Any]:
    """Give the first process what `opened` opens; the others get None once it is open."""
    if is_first():
        with opened(*args, **options) as thing:
            barrier()
            yield thing
    else:
        barrier()
        yield None


def all_of(value: Any) -> list[Any]:
    """Return the `value` of every process, in every process."""
    if world_size() == 1:
        return [value]
    from accelerate.utils import gather_object

    _state()
    return gather_object([value])


def _state() -> Any:
    """Return accelerate's state, which connects the processes: by gloo where there is no GPU, for
    which accelerate has to be told that a CPU is meant.
    """
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())
