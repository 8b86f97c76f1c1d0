"""Whether what was done before still holds: the record, the files that went in and those that came
out.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from obvlib.core.identity import FileIdentity, Present, is_unchanged, sha256_of
from obvlib.core.record_rows import digest, from_json, located
from obvlib.engine.ledger import Ledger
from obvlib.engine.stages import Stage


class Currency:
    """The check of a stage's done rows, looking at each file once. `verify` compares contents."""

    def __init__(self, stage: Stage, ledger: Ledger, verify: bool) -> None:
        self.stage, self.ledger, self.verify = stage, ledger, verify
        self.present = Present()
        self.hashes: dict[str, str] = {}

    def result(self, row: dict[str, Any], record: Any) -> Any:
        """Return the result of a done row; None where the stage would no longer make it, or the row
        cannot be read.
        """
        try:
            result = self._stored(row["output"], record)
            outputs, inputs = list(self.stage.outputs(result)), list(self.stage.inputs(record))
        except ValueError:
            return None
        if row["record"] != digest(record) or not self._are_unchanged(row["outputs"], outputs):
            return None
        if inputs or not row["inputs"]:  # else they are gone, and the stage keeps what was made
            if not self._are_unchanged(row["inputs"], inputs):
                return None
            self._note(row, inputs, outputs)
        return result if self.stage.is_current(row, record) else None

    def _stored(self, output: Any, record: Any) -> Any:
        """Return a result as the stage returned it; nothing is stored where that was the record."""
        cls = self.stage.result or type(record)
        if output is None:
            return record
        return located(from_json(cls, output), record) if dataclasses.is_dataclass(cls) else output

    def _are_unchanged(self, before: list[dict[str, Any]], locations: list[str]) -> bool:
        if len(before) != len(locations):
            return False
        for known, location in zip(before, locations, strict=True):
            now, hash_now = self.present.identity(location), functools.partial(self._hash, location)
            if not is_unchanged(FileIdentity.from_dict(known), now, hash_now, self.verify):
                return False
        return True

    def _hash(self, location: str) -> str:
        if location not in self.hashes:
            self.hashes[location] = sha256_of(self.stage.fetch(location))
        return self.hashes[location]

    def _note(self, row: dict[str, Any], inputs: list[str], outputs: list[str]) -> None:
        """Write down where the same contents were found, so that they are not hashed each time."""
        now = [
            [self._with_hash(known, location) for known, location in zip(before, at, strict=True)]
            for before, at in ((row["inputs"], inputs), (row["outputs"], outputs))
        ]
        if now != [row["inputs"], row["outputs"]]:
            self.ledger.note_files(row, *now)

    def _with_hash(self, known: dict[str, Any], location: str) -> dict[str, Any]:
        found = self.present.identity(location)
        return found.to_dict() | {"sha256": known["sha256"]} if found else known
