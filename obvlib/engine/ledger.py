"""What happened to every item at every stage, in one SQLite file that survives a stop at any
moment.

An item has one row for each stage and setting: `done`, `dropped` (a rule said no), `refused` (a
language model declined) or `failed` (something is broken or missing), always with its reason.
Settings are hashed into `params`, so that a changed setting reruns only the stages that it touches.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obvlib.core.messages import one_line
from obvlib.core.record_rows import digest

STATUSES = ("done", "dropped", "refused", "failed")
BUSY_WAIT_S = 60.0  # for another run that writes to the same ledger

VERSION = 2  # of the tables

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS items (
    item_id TEXT NOT NULL, stage TEXT NOT NULL, params TEXT NOT NULL,
    status TEXT NOT NULL, reason TEXT NOT NULL, output TEXT,
    record TEXT NOT NULL, inputs TEXT NOT NULL, outputs TEXT NOT NULL,
    seconds REAL NOT NULL, attempts INTEGER NOT NULL, recorded_at REAL NOT NULL,
    PRIMARY KEY (item_id, stage, params)
) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS settings (params TEXT PRIMARY KEY, value TEXT NOT NULL)",
    f"PRAGMA user_version = {VERSION}",
)
_KEY = ("item_id", "stage", "params")
_ONE = "WHERE item_id = ? AND stage = ? AND params = ?"
_REPLACED = ("status", "reason", "output", "record", "inputs", "outputs", "seconds", "recorded_at")
_RECORD = (
    "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)"
    f" ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET attempts=attempts+1, "
    + ", ".join(f"{name}=excluded.{name}" for name in _REPLACED)
)


class LedgerError(ValueError):
    """The ledger's file cannot be used; the message names it and says what to do."""


def hash_params(params: Any) -> str:
    """Return a short name for settings: equal settings, in any order of their keys, have equal
    names. Text is taken as a name already.
    """
    return params if isinstance(params, str) else digest(params)


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What an outcome was made from and in how long: the digest of the record that went in, and the
    identities of the files that went in and came out.
    """

    record: str = ""
    inputs: Sequence[dict[str, Any]] = ()
    outputs: Sequence[dict[str, Any]] = ()
    seconds: float = 0.0


class Ledger:
    """The record of a run. One process writes (the engine's), any number may read; use as a context
    manager or `close` it. LedgerError where its file is damaged, read-only or of another version.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._errors():
            self._db = sqlite3.connect(self.path, timeout=BUSY_WAIT_S, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._prepare()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise LedgerError(
                f"ledger {self.path} cannot be used ({error}): make room or make it writable; if it"
                " is damaged, move it away, and the same command does everything again"
            ) from error

    def _prepare(self) -> None:
        """Set the file up; two runs that start at once may find it locked, and SQLite's own timeout
        does not cover that.
        """
        deadline = time.monotonic() + BUSY_WAIT_S
        while True:
            try:
                if is_new := self._is_new():  # looked at before anything in the file changes
                    self._db.execute("PRAGMA journal_mode=WAL")
                # a stopped process loses nothing, a power cut the last rows
                self._db.execute("PRAGMA synchronous=NORMAL")
                if is_new:
                    self._make_tables()
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _is_new(self) -> bool:
        """Return whether the file has no tables yet; DatabaseError where they are of another
        version.
        """
        with self._transaction("DEFERRED"):  # both numbers of one moment
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            (tables,) = self._db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        if tables and version != VERSION:
            raise sqlite3.DatabaseError(
                f"it has version {version}, and this obvlib writes version {VERSION}"
            )
        return not tables

    def _make_tables(self) -> None:
        """Make tables and version together, so that no other run sees one without the other."""
        with self._transaction("IMMEDIATE"):
            for statement in _SCHEMA:
                self._db.execute(statement)

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[None]:
        self._db.execute(f"BEGIN {kind}")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

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
        trace: Trace | None = None,
    ) -> None:
        """Write an item's outcome at a stage, in place of an earlier one with the same settings.
        `output` is any JSON value.
        """
        if status not in STATUSES:
            raise ValueError(f"status is {status!r}: use one of {', '.join(STATUSES)}")
        if status != "done" and not reason:
            raise ValueError(f"item {item_id!r} is {status} at {stage!r} without a reason: say why")
        name, trace = hash_params(params), trace or Trace()
        texts = [None if output is None else json.dumps(output)]
        texts += [trace.record, json.dumps(list(trace.inputs)), json.dumps(list(trace.outputs))]
        with self._errors():
            if name != params:
                self._db.execute(
                    "INSERT OR IGNORE INTO settings VALUES (?, ?)",
                    (name, json.dumps(params, sort_keys=True, default=str)),
                )
            self._db.execute(
                _RECORD,
                (
                    item_id,
                    stage,
                    name,
                    status,
                    one_line(reason),
                    *texts,
                    trace.seconds,
                    time.time(),
                ),
            )

    def note_files(
        self,
        row: dict[str, Any],
        inputs: Sequence[dict[str, Any]],
        outputs: Sequence[dict[str, Any]],
    ) -> None:
        """Write the identities that a done row's files have now: the same contents, elsewhere or
        touched.
        """
        with self._errors():
            self._db.execute(
                f"UPDATE items SET inputs = ?, outputs = ? {_ONE}",
                (json.dumps(inputs), json.dumps(outputs), *(row[n] for n in _KEY)),
            )

    def done(self, stage: str, params: Any = "") -> dict[str, dict[str, Any]]:
        """Return the items that are done at a stage with these settings: id → row, with `output`
        parsed.
        """
        return {row["item_id"]: row for row in self.rows(stage, params) if row["status"] == "done"}

    def rows(self, stage: str | None = None, params: Any = None) -> list[dict[str, Any]]:
        """Return all rows, or those of a stage and setting, by item id."""
        clauses: list[str] = ["1"]
        values: list[str] = []
        if stage is not None:
            clauses, values = [*clauses, "stage = ?"], [*values, stage]
        if params is not None:
            clauses, values = [*clauses, "params = ?"], [*values, hash_params(params)]
        query = f"SELECT * FROM items WHERE {' AND '.join(clauses)} ORDER BY item_id, stage, params"
        return [_parsed(row) for row in self._fetch(query, values)]

    def history(self, item_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return the rows of these items at every stage and setting, oldest first."""
        marks = ",".join("?" * len(item_ids))
        query = f"SELECT * FROM items WHERE item_id IN ({marks}) ORDER BY recorded_at"
        return [_parsed(row) for row in self._fetch(query, list(item_ids))]

    def losses(self) -> dict[str, tuple[str, str, str]]:
        """Return the items whose newest row is not done: id → (status, stage, reason)."""
        query = (
            "SELECT item_id, status, stage, reason, MAX(recorded_at) FROM items GROUP BY item_id"
            " HAVING status != 'done'"
        )
        rows = self._fetch(query, [])
        return {row["item_id"]: (row["status"], row["stage"], row["reason"]) for row in rows}

    def report(self, stage: str | None = None) -> list[dict[str, Any]]:
        """Return how many items ended how, and why: rows of stage, params, status, reason and
        count, most frequent first.
        """
        where = "WHERE stage = ?" if stage is not None else ""
        query = (
            f"SELECT stage, params, status, reason, COUNT(*) AS count FROM items {where}"
            " GROUP BY stage, params, status, reason ORDER BY stage, params, count DESC, reason"
        )
        return [dict(row) for row in self._fetch(query, [stage] if stage is not None else [])]

    def settings(self, params: str) -> Any:
        """Return the settings behind a name that `hash_params` made, as they were recorded."""
        found = self._fetch("SELECT value FROM settings WHERE params = ?", [params])
        return json.loads(found[0]["value"]) if found else None

    def forget(self, item_ids: Iterable[str], stage: str, params: Any = "") -> None:
        """Remove items from a stage, so that they run again."""
        with self._errors():
            self._db.executemany(
                f"DELETE FROM items {_ONE}",
                [(item_id, stage, hash_params(params)) for item_id in item_ids],
            )

    def _fetch(self, query: str, values: Sequence[Any]) -> list[sqlite3.Row]:
        with self._errors():
            return self._db.execute(query, values).fetchall()


def _parsed(row: sqlite3.Row) -> dict[str, Any]:
    """Return a row with its JSON read; a damaged one counts as failed, so that it runs again."""
    found = dict(row)
    try:
        for name in ("output", "inputs", "outputs"):
            found[name] = json.loads(found[name]) if found[name] else None
    except ValueError as error:
        return found | {
            "status": "failed",
            "reason": f"ledger: row is damaged ({error})",
            "output": None,
        }
    return found
