"""Sources that were forgotten and must not come back.

`forgotten.jsonl` below the data root lists them, one a line: the date, and the SHA-256 of the
source's id, so that the list itself names nobody. Whoever reads rows or takes in videos leaves them
out.
Taking the line away lets the source in again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from obvlib.core.checks import RecordError
from obvlib.core.jsonl import read_rows, write_rows
from obvlib.core.settings import data_root

FILE = "forgotten.jsonl"


@dataclass(frozen=True)
class ForgottenSources:
    """The forgotten sources of a data root: `video_id in sources`."""

    digests: frozenset[str]

    def __contains__(self, video_id: Any) -> bool:
        return bool(self.digests) and _digest(str(video_id)) in self.digests

    def check(self, video_id: Any, where: str) -> None:
        """Raise RecordError, which does not name the source, for one that was forgotten."""
        if video_id in self:
            raise RecordError(
                f"{where}: its source was removed with `obv forget` and stays out; the line"
                f" {_digest(str(video_id))[:12]}… in {FILE} below the data root says so"
            )


def forgotten_sources(root: Path | None = None) -> ForgottenSources:
    """Return what `forgotten.jsonl` lists; RecordError for a line that cannot be read, since a
    source must not come back because its line is damaged.
    """
    path = (root or data_root()) / FILE
    if not path.is_file():
        return ForgottenSources(frozenset())
    digests = set()
    for where, row in read_rows(path):
        if not isinstance(row, dict) or not isinstance(row.get("sha256"), str):
            raise RecordError(
                f"{where}: not the sha256 of a source's id; correct or remove the line"
            )
        digests.add(row["sha256"])
    return ForgottenSources(frozenset(digests))


def note_forgotten(video_id: str, root: Path) -> None:
    """List a source in `forgotten.jsonl`, once."""
    if video_id in forgotten_sources(root):
        return
    path = root / FILE
    rows = [row for _, row in read_rows(path)] if path.is_file() else []
    line = {"sha256": _digest(video_id), "date": datetime.now(UTC).strftime("%Y-%m-%d")}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_rows(path, [*rows, line])


def _digest(video_id: str) -> str:
    return hashlib.sha256(video_id.encode("utf-8", "surrogatepass")).hexdigest()
