"""Checkpoints that are complete or not there.

A checkpoint is written under a temporary name, listed file by file with sizes and hashes in
`whole.json`, and renamed. So a kill or a full disk leaves the one before it as the newest. Order is
by step number; no clock is asked.
"""

from __future__ import annotations

import json
import re
import shutil
from contextlib import suppress
from pathlib import Path

from obvlib.core.files import PARTIAL_PREFIX
from obvlib.core.jsonl import read_object
from obvlib.training import runs

LIST = "whole.json"
MAX_KEPT = 2
PARTS = ("trainer_state.json", "scheduler.pt")  # without these no run can continue from it


def partial_dir(folder: Path, step: int) -> Path:
    """Return the directory in which the checkpoint of a step is written, as `checkpoint-STEP`."""
    return folder / f"{PARTIAL_PREFIX}{step}"


def complete(folder: Path, step: int) -> Path:
    """Make what was written in `partial_dir` the checkpoint of this step, then remove the oldest
    beyond `MAX_KEPT`.
    """
    partial = partial_dir(folder, step)
    made, place = partial / f"checkpoint-{step}", folder / f"checkpoint-{step}"
    listed = {"step": step, "files": runs.file_hashes(made)}
    (made / LIST).write_text(json.dumps(listed, indent=1) + "\n")
    runs.put_in_place(made, place)
    partial.rmdir()
    for old in steps(folder)[:-MAX_KEPT]:
        shutil.rmtree(folder / f"checkpoint-{old}")
    return place


def steps(folder: Path) -> list[int]:
    """Return the steps of the checkpoints in a folder, ascending."""
    names = (re.fullmatch(r"checkpoint-(\d+)", path.name) for path in folder.glob("checkpoint-*"))
    return sorted(int(name.group(1)) for name in names if name)


def step_of(checkpoint: Path | None) -> int:
    """Return the step of a checkpoint's folder; 0 for none."""
    return int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0


def newest(folder: Path) -> tuple[Path | None, list[str]]:
    """Return the whole checkpoint with the highest step, and a sentence for each one above it that
    is not whole; those are renamed, so that none is taken by mistake.
    """
    notes: list[str] = []
    for step in reversed(steps(folder)):
        path = folder / f"checkpoint-{step}"
        if not (problem := damage(path, step)):
            return path, notes
        if aside := runs.set_aside(path):
            notes.append(f"{path.name} is not whole ({problem}); it is kept as {aside.name}")
    return None, notes


def damage(path: Path, step: int) -> str:
    """Say what is wrong with a checkpoint; empty where every file is as it was written."""
    try:
        listed = read_object(path / LIST, "step", "files")
        files = {name: (size, digest) for name, (size, digest) in listed["files"].items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return f"{LIST} is missing or torn"
    if listed["step"] != step:
        return f"it was written at step {listed['step']}"
    for name in (*PARTS, *files):
        if not (path / name).is_file():
            return f"{name} is missing"
    for name, (size, digest) in files.items():
        if (path / name).stat().st_size != size or runs.sha256(path / name) != digest:
            return f"{name} is not as it was written"
    return ""


def remove_partial(folder: Path) -> None:
    """Remove what a killed process was writing; called under the run's lock."""
    for path in folder.glob(f"{PARTIAL_PREFIX}*"):
        with suppress(OSError):
            shutil.rmtree(path)
