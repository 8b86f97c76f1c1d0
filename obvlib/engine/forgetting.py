"""Removing a source video from a data root: its files, rows, labels, ledger entries and caches.

An item belongs to a source where a row says so (`video_id`), or where its name is the source's id,
alone or followed by a start and an end as in `clip_id`. An id that begins with another id is
another source. Files are removed first and the rows that name them last, so running again finishes
what a killed run has begun. Nobody should label or run stages in the data root meanwhile.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from obvlib.core.checks import check_id
from obvlib.core.files import replacing
from obvlib.core.forgotten import note_forgotten

ID_FIELDS = ("video_id", "clip_id", "example_id", "item_id", "id")
CACHE_DIR = "cache"  # its files are named by hashes and can be made again, so all of them go
DATABASES = (".sqlite", ".db")
TEXTS = {".csv", ".html", ".ipynb", ".json", ".log", ".md", ".txt", ".yaml"}
MAX_TEXT_BYTES = 1 << 26


@dataclass(kw_only=True)
class Forgotten:
    """What was removed (or would be), by path below the data root, and what could not be."""

    video_id: str
    files: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    ledger_rows: dict[str, int] = field(default_factory=dict)
    cached_files: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)  # one sentence each, with what to do


def forget_source(video_id: str, root: Path, *, dry_run: bool = False) -> Forgotten:
    """Remove everything of a source video below `root` and return what that was; the source is
    listed first, so that it does not come back (`core.forgotten`).

    `dry_run` changes nothing. RecordError for an id that cannot be a file name, such as a path;
    links are removed and never followed.
    """
    check_id(video_id)
    report = Forgotten(video_id=video_id)
    if not dry_run:
        note_forgotten(video_id, root)
    paths = sorted(_files(root))
    owner = _Owner(video_id, paths, root)
    for path in paths:
        name = path.relative_to(root).as_posix()
        try:
            _handle(path, name, owner, report, dry_run)
        except (OSError, ValueError, ImportError, sqlite3.Error) as error:
            report.left.append(f"{name}: {error}; mend that and run again")
    _remove_rows([path for path in paths if path.suffix == ".jsonl"], root, owner, report, dry_run)
    return report


def _files(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root, followlinks=False):
        yield from (Path(folder, name) for name in names)
        yield from (link for link in Path(folder).iterdir() if link.is_symlink() and link.is_dir())


class _Owner:
    """What is of one source, given the ids and the files that rows name."""

    def __init__(self, video_id: str, paths: list[Path], root: Path) -> None:
        self.video_id = video_id
        self.others: set[str] = set()  # ids of other sources that begin with this one
        self.named: set[str] = set()  # file names of this source's rows
        self.kept: set[str] = set()  # and of others' rows
        self.pattern = re.compile(rf"{re.escape(video_id)}(_\d+(\.\d+)?_\d+(\.\d+)?(-\d+)?)?")
        for path in paths:
            stem = path.name.partition(".")[0]
            if path.relative_to(root).parts[0] == "videos" and stem.startswith(f"{video_id}_"):
                self.others.add(stem)
        rows = [row for path in paths if path.suffix == ".jsonl" for row in _rows(path)]
        for row in rows:
            found = row.get("video_id")
            if isinstance(found, str) and found != video_id and found.startswith(video_id):
                self.others.add(found)
        for row in rows:
            if isinstance(video := row.get("video"), str) and video:
                (self.named if self.owns_row(row) else self.kept).add(Path(video).name)

    def owns(self, name: str) -> bool:
        """Return whether an id or a file's stem is of the source and of no longer id."""
        longer = (o for o in self.others if name == o or name.startswith(f"{o}_"))
        return self.pattern.fullmatch(name) is not None and not any(longer)

    def is_mentioned(self, text: str) -> bool:
        """Return whether one of the text's words is an id of the source."""
        if self.video_id not in text:
            return False
        return any(self.owns(word.strip(".-")) for word in re.findall(r"[\w.-]+", text))

    def owns_row(self, row: dict[str, Any]) -> bool:
        """Return whether a row is of the source: by its `video_id`, else by its ids."""
        if isinstance(found := row.get("video_id"), str):
            return found == self.video_id
        return any(self.owns(row[name]) for name in ID_FIELDS if isinstance(row.get(name), str))

    def owns_file(self, path: Path) -> bool:
        """Return whether a file is of the source, also a half-written one."""
        if path.name in self.named - self.kept:
            return True
        name = re.sub(r"^\.partial-[^-]*-[0-9a-f]+-", "", path.name)
        return any(self.owns(name[: dot.start()]) for dot in re.finditer(r"\.|$", name))


def _handle(path: Path, name: str, owner: _Owner, report: Forgotten, dry_run: bool) -> None:
    """Remove a file of the source, or its entries from a database; note what mentions it."""
    is_cache = name.startswith(f"{CACHE_DIR}/")
    if owner.owns_file(path) or is_cache:
        (report.cached_files if is_cache else report.files).append(name)
        if not dry_run:
            path.unlink(missing_ok=True)
    elif path.is_symlink():
        return
    elif path.suffix in DATABASES:
        tables = _tables(path)
        if "replies" in tables:  # paid for, and keyed by hashes
            report.left.append(f"{name}: replies may quote the source; remove it if it was asked")
        elif "items" in tables and (count := _remove_entries(path, owner, dry_run)):
            report.ledger_rows[name] = count
    elif path.suffix == ".parquet":
        if count := _remove_table_rows(path, owner, dry_run):
            report.rows[name] = count
            report.left.append(
                f"{name}: the card beside it counts the rows that go; build it again"
            )
    elif path.suffix == ".safetensors":
        report.left.append(f"{name}: weights cannot forget; train again if the source was used")
    elif path.suffix in TEXTS and _mentions(path, owner):
        report.left.append(f"{name}: mentions the source; make it again or edit it")


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_bytes().split(b"\n") if path.is_file() else ():
        row = _parsed(line)
        if isinstance(row, dict):
            yield row


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _remove_rows(
    paths: list[Path], root: Path, owner: _Owner, report: Forgotten, dry_run: bool
) -> None:
    """Write row files without the source's rows; every other line stays byte for byte."""
    for path in paths:
        name = path.relative_to(root).as_posix()
        if not path.is_file() or path.is_symlink() or name in report.files:
            continue
        lines = path.read_bytes().splitlines(keepends=True)
        kept = [ln for ln in lines if not _is_row_of(_parsed(ln), owner)]
        if count := len(lines) - len(kept):
            report.rows[name] = count
            if not dry_run:
                with replacing(path) as partial:
                    partial.write_bytes(b"".join(kept))
        if count := sum(owner.is_mentioned(ln.decode("utf-8", "replace")) for ln in kept):
            report.left.append(f"{name}: {count} lines of other things mention the source; edit it")


def _remove_table_rows(path: Path, owner: _Owner, dry_run: bool) -> int:
    """Write a Parquet file without the source's rows; return how many they are."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    ids = table.select([name for name in ID_FIELDS if name in table.column_names]).to_pylist()
    mine = [owner.owns_row(row) for row in ids]
    if any(mine) and not dry_run:
        with replacing(path) as partial:
            kept = table.filter(pyarrow.array([not is_mine for is_mine in mine]))
            pyarrow.parquet.write_table(kept, partial)
    return sum(mine)


def _is_row_of(row: Any, owner: _Owner) -> bool:
    return isinstance(row, dict) and owner.owns_row(row)


def _tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path, timeout=30)) as db:
        return {name for (name,) in db.execute("SELECT name FROM sqlite_master")}


def _remove_entries(path: Path, owner: _Owner, dry_run: bool) -> int:
    """Delete the source's items from a ledger, also from its free pages; return how many."""
    with closing(sqlite3.connect(path, timeout=30)) as db:
        keys = [row for row in db.execute("SELECT DISTINCT item_id FROM items")]
        mine = [(item,) for (item,) in keys if owner.owns(item)]
        counted = "SELECT COUNT(*) FROM items WHERE item_id = ?"
        count = sum(db.execute(counted, key).fetchone()[0] for key in mine)
        if mine and not dry_run:
            db.execute("PRAGMA secure_delete = ON")
            with db:
                db.executemany("DELETE FROM items WHERE item_id = ?", mine)
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return count


def _mentions(path: Path, owner: _Owner) -> bool:
    if path.stat().st_size > MAX_TEXT_BYTES:
        return False
    return owner.is_mentioned(path.read_text(encoding="utf-8", errors="replace"))
