"""Where a result comes from: profile, device, versions, commit, date, data and seed travel with
every number that is kept.

Light on purpose (no library is loaded), so that training, evaluation and reports can all write it.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import importlib.metadata
import inspect
import io
import json
import os
import platform
import subprocess
import sys
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from obvlib.core.files import is_remote, local_copy
from obvlib.core.identity import Present, sha256_of
from obvlib.core.settings import profile, project_root

PACKAGES = (
    "obvlib",
    "torch",
    "transformers",
    "accelerate",
    "liger-kernel",
    "flash-attn",
    "numpy",
    "av",
)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """One run's origin. `commit` is "unknown" outside a git checkout; `dirty` says that files
    differed from it; `date` is UTC, ISO 8601.
    """

    profile: str
    device: str
    commit: str
    dirty: bool
    date: str
    data_hash: str
    seed: int
    versions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def collect(cls, *, seed: int, data_hash: str = "", device: str = "") -> Provenance:
        """Collect the present run's origin. `device` is found where not given; `data_hash` is
        `hash_files` of what went in.
        """
        commit, dirty = git_state()
        return cls(
            profile=profile(),
            device=device or device_name(),
            commit=commit,
            dirty=dirty,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            data_hash=data_hash,
            seed=seed,
            versions=installed_versions(),
        )

    @classmethod
    def from_dict(cls, row: Any) -> Provenance:
        """Build one from JSON; ValueError names a missing or unknown field: a result without its
        origin is not a result.
        """
        names = {f.name for f in dataclasses.fields(cls)}
        if not isinstance(row, dict) or (odd := sorted(names ^ row.keys())):
            raise ValueError(
                f"provenance {row!r}: needs exactly {', '.join(sorted(names))}"
                + (f"; see {odd[0]!r}" if isinstance(row, dict) else "")
            )
        return cls(**row)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def label(self) -> str:
        """Return one line for a caption: profile, device, date, commit."""
        changed = " with local changes" if self.dirty else ""
        return (
            f"{self.profile} profile, {self.device}, {self.date[:10]}, commit"
            f" {self.commit[:10]}{changed}"
        )


def hash_files(paths: Iterable[str | os.PathLike]) -> str:
    """Return the SHA-256 (first 16 hex digits) over names and contents, whatever the order or the
    directory they lie in. A remote file counts by what its server says of it, and is read where
    that is only a size; one that is missing counts too.
    """
    present, lines = Present(), []
    for path in paths:
        location = os.fspath(path)
        name, found = os.path.basename(location), None
        if is_remote(location):
            name, found = name.partition("?")[0], present.identity(location)
            contents = json.dumps(found.to_dict()) if found else "missing"
        if not is_remote(location) or (found and not found.is_marked):
            contents = sha256_of(local_copy(location))
        lines.append(f"{name}\0{contents}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()[:16]


def hash_code(*modules: ModuleType) -> str:
    """Return the SHA-256 (first 16 hex digits) of what modules do: their sources without comments,
    docstrings and blank lines.

    A package stands for all modules in it.
    """
    files: set[Path] = set()
    for module in modules:
        file = Path(inspect.getfile(module))
        files |= set(file.parent.rglob("*.py")) if file.name == "__init__.py" else {file}
    parts = [
        f"{file.parent.name}/{file.name}\0{_statements(file.read_text(encoding='utf-8'))}\0"
        for file in files
    ]
    return hashlib.sha256("".join(sorted(parts)).encode()).hexdigest()[:16]


def _statements(source: str) -> str:
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
            and ast.get_docstring(node) is not None
        ):
            first, last = node.body[0].lineno - 1, node.body[0].end_lineno or 0
            lines[first:last] = [""] * (last - first)
    return "\n".join(line.rstrip() for line in lines if line.strip())


def device_name() -> str:
    """Return the GPUs if torch is loaded and sees any, else the processor and how many cores this
    process may use.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"CPU ({platform.machine()}, {cores} cores)"


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of those packages that decide results, as far as they are
    installed.
    """
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git_state() -> tuple[str, bool]:
    """Return the checkout's commit and whether files differ from it; ("unknown", False) without git
    or a checkout.
    """
    try:
        root = project_root()
        commit = _git(root, "rev-parse", "HEAD")
        return commit, bool(_git(root, "status", "--porcelain"))
    except (ValueError, OSError, subprocess.SubprocessError):
        return "unknown", False


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", root, *arguments], capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout.strip()
