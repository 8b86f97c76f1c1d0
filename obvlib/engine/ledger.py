"""What happened to every item at every stage, in one SQLite file that survives a stop at any
moment.

An item has one row for each stage and setting: `done`, `dropped` (a rule said no) or `failed`
(something is broken or missing), always with its reason. Settings are hashed into `params`, so that
a changed setting reruns only the stages that it touches.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

STATUSES = ("done", "dropped", "failed")
BUSY_WAIT_S = 60.0  # for another run that writes to the same ledger

_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    item_id TEXT NOT NULL, stage TEXT NOT NULL, params TEXT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL, output TEXT,
    seconds REAL NOT NULL, attempts INTEGER NOT NULL, recorded_at REAL NOT NULL, PRIMARY KEY (item_id, stage, params)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settings (params TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


def hash_params(params: Any) -> str:
    """A short name for settings: equal settings, in any order of their keys, have equal names. Text
    is taken as a name already.
    """
    if isinstance(params, str):
        return params
    text = json.dumps(params, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Ledger:
    """The record of a run. One process writes (the engine's), any number may read; use as a context
    manager or `close` it.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(self.path, timeout=BUSY_WAIT_S, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._prepare()
        except sqlite3.DatabaseError as error:
            raise ValueError(
                f"ledger {self.path} cannot be used ({error}): free the disk, or move the file away"
            ) from None

    def _prepare(self) -> None:
        """Set the file up; two runs that start at once may find it locked, for which SQLite's own
        waiting does not serve.
        """
        deadline = time.monotonic() + BUSY_WAIT_S
        while True:
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute(
                    "PRAGMA synchronous=NORMAL"
                )  # a stopped process loses nothing, a power cut the last rows
                self._db.executescript(_SCHEMA)
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    def record(
        self,
        item_id: str,
        stage: str,
        status: str,
        *,
        params: Any = "",
        reason: str = "",
        output: Any = None,
        seconds: float = 0.0,
    ) -> None:
        """Write an item's outcome at a stage, in place of an earlier one with the same settings.
        `output` is any JSON value.
        """
        if status not in STATUSES:
            raise ValueError(f"status is {status!r}: use one of {', '.join(STATUSES)}")
        if status != "done" and not reason:
            raise ValueError(f"item {item_id!r} is {status} at {stage!r} without a reason: say why")
        text = None if output is None else json.dumps(output, ensure_ascii=False)
        name = hash_params(params)
        if name != params:
            self._db.execute(
                "INSERT OR IGNORE INTO settings VALUES (?, ?)",
                (name, json.dumps(params, sort_keys=True, default=str)),
            )
        self._db.execute(
            "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?) ON CONFLICT (item_id, stage, params) DO UPDATE SET status=excluded.status,"
            " reason=excluded.reason, output=excluded.output, seconds=excluded.seconds, attempts=attempts+1, recorded_at=excluded.recorded_at",
            (item_id, stage, name, status, reason, text, seconds, time.time()),
        )  # fmt: skip

    def done(self, stage: str, params: Any = "") -> dict[str, dict[str, Any]]:
        """Items that are done at a stage with these settings: id → row, with `output` parsed."""
        return {row["item_id"]: row for row in self.rows(stage, params) if row["status"] == "done"}

    def rows(self, stage: str | None = None, params: Any = None) -> list[dict[str, Any]]:
        """All rows, or those of a stage and setting, by item id."""
        clauses, values = ["1"], []
        if stage is not None:
            clauses, values = [*clauses, "stage = ?"], [*values, stage]
        if params is not None:
            clauses, values = [*clauses, "params = ?"], [*values, hash_params(params)]
        found = self._db.execute(
            f"SELECT * FROM items WHERE {' AND '.join(clauses)} ORDER BY item_id, stage, params",
            values,
        )
        return [
            dict(row) | {"output": json.loads(row["output"]) if row["output"] else None}
            for row in found
        ]

    def report(self, stage: str | None = None) -> list[dict[str, Any]]:
        """How many items ended how, and why: rows of stage, params, status, reason and count, most
        frequent first.
        """
        where = "WHERE stage = ?" if stage is not None else ""
        found = self._db.execute(
            f"SELECT stage, params, status, reason, COUNT(*) AS count FROM items {where}"
            " GROUP BY stage, params, status, reason ORDER BY stage, params, count DESC, reason",
            (stage,) if stage is not None else (),
        )
        return [dict(row) for row in found]

    def settings(self, params: str) -> Any:
        """The settings behind a name that `hash_params` made, as they were recorded."""
        row = self._db.execute("SELECT value FROM settings WHERE params = ?", (params,)).fetchone()
        return json.loads(row["value"]) if row else None

    def forget(self, item_ids: Iterable[str], stage: str, params: Any = "") -> None:
        """Remove items from a stage, so that they run again."""
        self._db.executemany(
            "DELETE FROM items WHERE item_id = ? AND stage = ? AND params = ?",
            [(item_id, stage, hash_params(params)) for item_id in item_ids],
        )
