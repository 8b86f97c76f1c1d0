"""Replies that were paid for, by the hash of what was asked, in one SQLite file.

Any number of processes may read and write it. A cache holds only its path and opens the file for
each call, so that it can be sent to worker processes.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUSY_WAIT_S = 60.0  # for another process that writes
_TABLE = (
    "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, model TEXT NOT NULL,"
    " reply TEXT NOT NULL, recorded_at REAL NOT NULL) WITHOUT ROWID"
)


@dataclass(frozen=True)
class Cache:
    """Replies by the hash of model, messages, schema and parameters (`replies.key_of`)."""

    path: str | os.PathLike

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the reply stored under `key`, None where there is none that can be read."""
        with database(self.path, _TABLE) as db:
            row = db.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        try:
            reply = json.loads(row[0]) if row else None
        except json.JSONDecodeError:
            return None
        return reply if isinstance(reply, dict) else None

    def put(self, key: str, model: str, reply: dict[str, Any]) -> None:
        """Store a reply; one stored before under the same key is replaced."""
        row = (key, model, json.dumps(reply), time.time())
        with database(self.path, _TABLE) as db:
            db.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?)", row)

    def kept_open(self) -> AbstractContextManager[Any]:
        """Keep the file open around many calls: closing it for the last time waits for the disk."""
        return database(self.path, _TABLE)

    def num_replies(self) -> int:
        """Return how many replies are stored."""
        with database(self.path, _TABLE) as db:
            return int(db.execute("SELECT count(*) FROM replies").fetchone()[0])


@contextmanager
def database(path: str | os.PathLike, table: str) -> Iterator[sqlite3.Connection]:
    """Open an SQLite file for one short use, with its table made; ValueError where it cannot be."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    db = None
    try:
        db = sqlite3.connect(path, timeout=BUSY_WAIT_S, isolation_level=None)
        _prepare(db, table)
        yield db
    except sqlite3.DatabaseError as error:
        raise ValueError(
            f"{path} cannot be used ({error}): free the disk, or move the file away"
        ) from None
    finally:
        if db is not None:
            db.close()


def _prepare(db: sqlite3.Connection, table: str) -> None:
    """Make the table. Two processes that start at once may find the file locked, and SQLite's own
    timeout does not cover that.
    """
    deadline_s = time.monotonic() + BUSY_WAIT_S
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")  # a killed process loses nothing
            db.execute(table)
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline_s:
                raise
            time.sleep(0.05)
