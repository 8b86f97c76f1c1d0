"""What a run may spend on language models, counted in one SQLite file that all its processes share.

A call is reserved at the most that it can cost before it is made, and settled at what it did cost.
So a budget is never exceeded, and a call whose process was killed stays counted as reserved, since
it may have been billed.
"""

from __future__ import annotations

import os
import uuid
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple

from obvlib.llm.cache import database

_TABLE = (
    "CREATE TABLE IF NOT EXISTS calls (call TEXT PRIMARY KEY, run TEXT NOT NULL,"
    " num_tokens INTEGER NOT NULL, usd REAL NOT NULL, settled INTEGER NOT NULL) WITHOUT ROWID"
)
_SPENT = "SELECT coalesce(sum(num_tokens), 0), coalesce(sum(usd), 0) FROM calls WHERE run = ?"


class Spent(NamedTuple):
    """Tokens and US dollars."""

    num_tokens: int
    usd: float


class OverBudget(Exception):
    """A call that would exceed the budget; it was not made."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The most that `run` may spend; None sets no limit and only counts."""

    path: str | os.PathLike
    run: str = "run"
    max_tokens: int | None = None
    max_usd: float | None = None

    def kept_open(self) -> AbstractContextManager[Any]:
        """Keep the file open around many calls: closing it for the last time waits for the disk."""
        return database(self.path, _TABLE)

    def spent(self) -> Spent:
        """Return what the run has spent, calls under way at their reservation."""
        with database(self.path, _TABLE) as db:
            return Spent(*db.execute(_SPENT, (self.run,)).fetchone())

    def reserve(self, num_tokens: int, usd: float) -> str:
        """Reserve a call and return its name for `settle`; OverBudget where too little is left."""
        call = uuid.uuid4().hex
        with database(self.path, _TABLE) as db:
            db.execute("BEGIN IMMEDIATE")
            tokens, dollars = db.execute(_SPENT, (self.run,)).fetchone()
            for name, limit, after in (
                ("max_tokens", self.max_tokens, tokens + num_tokens),
                ("max_usd", self.max_usd, dollars + usd),
            ):
                if limit is not None and after > limit:
                    db.execute("ROLLBACK")
                    raise OverBudget(
                        f"budget of run {self.run!r}: {name} {limit:g} would be exceeded"
                        f" ({after:g} with this call): raise it to go on"
                    )
            row = (call, self.run, num_tokens, usd, 0)
            db.execute("INSERT INTO calls VALUES (?, ?, ?, ?, ?)", row)
            db.execute("COMMIT")
        return call

    def settle(self, call: str, num_tokens: int, usd: float) -> None:
        """Replace a call's reservation by what it cost."""
        with database(self.path, _TABLE) as db:
            db.execute(
                "UPDATE calls SET num_tokens = ?, usd = ?, settled = 1 WHERE call = ?",
                (num_tokens, usd, call),
            )
