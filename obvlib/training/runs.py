"""Which folder belongs to which run: a key of everything that decides its weights, a claim, a lock,
and the note that it is finished.

    run/                  the first run that came here
      claim.json          its key, and the settings, data, model and code that the key stands for
      .lock               held by the process that trains
      checkpoints/        complete ones only, see obvlib.training.checkpoints
      logs/               what TensorBoard reads
      skipped.jsonl       samples that could not be read, with reasons
      model/              the fine-tuned model, renamed into place when it is whole
      run.json            written last: key, provenance, losses, what was left out, hashes of model/
    run-3f2a91c07d18/     another run that was asked for with the same folder

Nothing is deleted to make room: a run with another key goes beside, and a second process with the
same key waits for the first and takes its result.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obvlib.core.files import partial_name, write_text

CLAIM, NOTE, MODEL = "claim.json", "run.json", "model"
MADE_BY_RUNS = (NOTE, MODEL, "checkpoints")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run's folder and key; `beside` names what differs from the run whose folder was taken."""

    folder: Path
    key: str
    beside: str = ""

    @property
    def model_dir(self) -> Path:
        return self.folder / MODEL

    @property
    def checkpoints_dir(self) -> Path:
        return self.folder / "checkpoints"


def run_key(asked: dict[str, Any]) -> str:
    """Return the first 16 hex digits of the SHA-256 of what was asked for."""
    text = json.dumps(asked, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def open_run(output_dir: Path, asked: dict[str, Any]) -> Run:
    """Return the run that `asked` describes: in `output_dir` where that is free or already its own,
    else beside it in a folder named by the key.

    Raises ValueError where the folder named by the key holds files that no run claimed.
    """
    key = run_key(asked)
    if _claim(output_dir, key, asked):
        return Run(folder=output_dir, key=key)
    own = output_dir.with_name(f"{output_dir.name}-{key[:12]}")
    if not _claim(own, key, asked):
        raise ValueError(
            f"{own} holds files of no known run: move it away, or choose another output_dir"
        )
    return Run(folder=own, key=key, beside=differences(_read(output_dir / CLAIM), asked))


def _claim(folder: Path, key: str, asked: dict[str, Any]) -> bool:
    """Claim a folder in one atomic step, or say whose it is."""
    folder.mkdir(parents=True, exist_ok=True)
    claim = folder / CLAIM
    if not claim.exists() and not any((folder / name).exists() for name in MADE_BY_RUNS):
        partial = folder / partial_name(CLAIM)
        partial.write_text(json.dumps({"key": key, "asked": asked}, indent=1, default=str) + "\n")
        try:
            os.link(partial, claim)  # fails where another process was faster
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            os.replace(partial, claim)
        finally:
            partial.unlink(missing_ok=True)
    return _read(claim).get("key") == key


def differences(held: dict[str, Any], asked: dict[str, Any]) -> str:
    """Say in a few words how what is asked differs from what a claim holds."""
    theirs = held.get("asked")
    if not isinstance(theirs, dict):
        return "it holds files of no known run"
    found = []
    for part, value in asked.items():
        before = theirs.get(part)
        if isinstance(value, dict) and isinstance(before, dict):
            changed = [name for name in value if str(value[name]) != str(before.get(name))]
            found += [f"{name} {before.get(name)} there, {value[name]} here" for name in changed]
        elif str(value) != str(before):
            found.append(f"other {part}")
    return ", ".join(found) or "other settings"


@contextmanager
def locked(run: Run, *, say: Any = print) -> Iterator[None]:
    """Hold the run's lock; while another process trains it, say so and wait for that one to end."""
    from filelock import FileLock, Timeout

    lock = FileLock(run.folder / ".lock")
    try:
        lock.acquire(timeout=0.2)
    except Timeout:
        say(f"another process trains {run.folder}: waiting for it to end")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def finished(run: Run) -> dict[str, Any] | None:
    """Return the note of a run that ended with this key and whose model is whole, else None."""
    note = _read(run.folder / NOTE)
    return note if note.get("key") == run.key and not damage(run.folder) else None


def damage(folder: Path) -> str:
    """Say what is wrong with the model of a run's folder; empty where it is finished and whole."""
    note = _read(folder / NOTE)
    if not isinstance(note.get("files"), dict):
        return "it is not finished"
    for name, (size, digest) in note["files"].items():
        path = folder / MODEL / name
        if not path.is_file():
            return f"its file {name} is missing"
        if path.stat().st_size != size:
            return f"its file {name} has {path.stat().st_size} bytes instead of {size}"
        if sha256(path) != digest:
            return f"its file {name} has changed since it was written"
    return ""


def check_ready(folder: Path) -> None:
    """Raise ValueError, with the remedy, where a run's folder holds no finished and whole model."""
    if problem := damage(folder):
        raise ValueError(
            f"the model in {folder} cannot be used: {problem}; run the same `obv train` again, it"
            " goes on from the last checkpoint, or name another model"
        )


def finish(run: Run, facts: dict[str, Any]) -> None:
    """Write the note that makes a run finished: `facts`, and size and SHA-256 of the model's files.

    Called last, when everything else lies where it belongs.
    """
    note = {"key": run.key, **facts, "files": file_hashes(run.model_dir)}
    write_text(str(run.folder / NOTE), json.dumps(note, indent=1, default=str) + "\n")


def file_hashes(directory: Path) -> dict[str, tuple[int, str]]:
    """Return {path in the directory: (size in bytes, SHA-256)} of every file in it."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {
        path.relative_to(directory).as_posix(): (path.stat().st_size, sha256(path))
        for path in files
    }


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def put_in_place(made: Path, place: Path) -> None:
    """Rename a directory that is whole to its place; what is there already is kept beside it."""
    flush(made)
    set_aside(place)
    os.replace(made, place)
    _flush_entry(place.parent)


def set_aside(path: Path) -> Path | None:
    """Rename a directory that must not be used to the first free name of `….damaged-N`."""
    if not path.exists():
        return None
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    os.replace(path, aside)
    return aside


def flush(directory: Path) -> None:
    """Have the disk hold every file of a directory, so that a power cut cannot undo a rename."""
    for path in directory.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())


def _flush_entry(directory: Path) -> None:
    with suppress(OSError):  # some network file systems cannot flush a directory
        entry = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(entry)
        finally:
            os.close(entry)


def _read(path: Path) -> dict[str, Any]:
    """Return a JSON object, or {} for a file that is missing or torn."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}
