"""What a stage is: its own work, and what the engine has to know to run it, resume it and trust
what it made before.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, ClassVar

from obvlib.core import files
from obvlib.engine.outcomes import tried


class Stage:
    """A step of the pipeline: a record goes in; a record, a `Drop` or a failure with its reason
    comes out.

    A subclass is a frozen dataclass of its settings that defines `name` and `__call__`, and
    overrides what else it needs. It must be defined in a module, so that worker processes find it.
    What it says of its files (`inputs`, `outputs`) makes the engine notice a changed one.
    """

    name: ClassVar[str] = ""
    result: ClassVar[type | None] = None  # what comes out, where that is not the record's own type
    num_retries: ClassVar[int] = 2  # of what may pass: a connection, a busy file
    stall_s: ClassVar[float] = 1800.0  # without a result, after which a worker process is ended

    def params(self) -> dict[str, Any]:
        """Return the settings that a result depends on, as JSON: other settings run again. No
        secret and no path of this machine.
        """
        return {}

    def code(self) -> Sequence[ModuleType]:
        """Return the modules (a package stands for all in it) whose code a result depends on."""
        module = sys.modules[type(self).__module__]
        return () if module.__name__ in ("__main__", "__mp_main__") else (module,)

    def key(self, record: Any) -> str:
        """Return the id that the ledger knows a record by."""
        for attribute in ("clip_id", "example_id", "video_id"):
            if value := getattr(record, attribute, ""):
                return value
        raise ValueError(
            f"{type(record).__name__} has no clip_id, example_id or video_id: give stage"
            f" {self.name!r} a key()"
        )

    def group(self, record: Any) -> str:
        """Return what records share that should go to one worker together (an open video)."""
        return self.key(record)

    def weight(self, record: Any) -> float:
        """Return a record's share of the work, for the order and the estimate of what remains."""
        return 1.0

    def inputs(self, record: Any) -> Sequence[str]:
        """Return the locations of the files that a result is made from. An empty sequence where
        they are gone keeps what was made.
        """
        return ()

    def outputs(self, result: Any) -> Sequence[str]:
        """Return the locations of the files that a result consists of."""
        return ()

    def is_current(self, row: dict[str, Any], record: Any) -> bool:
        """Return whether a done row of the ledger still holds, beyond what the engine checks: the
        record, the settings, the code, the inputs and the outputs.
        """
        return True

    def fetch(self, location: str) -> str:
        """Return the path of a local copy of an input."""
        return files.local_copy(location)

    def __call__(self, record: Any) -> Any:
        raise NotImplementedError(f"stage {self.name!r} needs __call__ or run_group")

    def run_group(self, records: list[Any]) -> Iterator[tuple[int, Any]]:
        """Yield (index, result) for each record, as each is known; a result may be a Drop or an
        exception. Overridden where records of a group share work.
        """
        for index, record in enumerate(records):
            yield index, tried(functools.partial(self, record), self.num_retries)
