"""One run over several GPUs: `accelerate launch` starts a process for each, and each answers its
share of the examples.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ranks:
    """This process's place among those of a run; alone, it is the first of one."""

    index: int = 0
    count: int = 1

    @classmethod
    def here(cls) -> Ranks:
        """Read from what `accelerate launch` sets (RANK, WORLD_SIZE)."""
        return cls(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))

    @property
    def is_first(self) -> bool:
        return self.index == 0

    def share(self, items: Sequence[Any]) -> Sequence[Any]:
        """Every `count`-th item, so that long and short ones are spread evenly."""
        return items[self.index :: self.count]

    def wait(self) -> None:
        """Return when all processes are here."""
        if self.count > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()

    @contextmanager
    def first_alone(
        self, opened: Callable[..., AbstractContextManager[Any]], *args: Any, **options: Any
    ) -> Iterator[Any]:
        """What the first process opens, for it alone; the others get None once it is open."""
        if self.is_first:
            with opened(*args, **options) as thing:
                self.wait()
                yield thing
        else:
            self.wait()
            yield None
