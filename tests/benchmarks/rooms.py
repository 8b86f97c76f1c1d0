"""Imports between the rooms of obvlib and lines per room, before the modules moved into them and
now.

python tests/benchmarks/rooms.py --out data_manifests/results/rooms_DATE.json

A module of the old tree counts to the room that git says it moved to. A room is in a circle if it
reaches itself by imports; an import is backward if its room stands later in the order of
tests/test_project.py.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "book")]

from test_project import ROOMS  # noqa: E402

from obvlib.core import Provenance  # noqa: E402
from obvlib.report.results import save_result  # noqa: E402

MOVE = "2753d10"  # the commit that only moved


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def room_of(path: str) -> str:
    return path.split("/")[1].removesuffix(".py") if path.startswith("obvlib/") else ""


def measure(commit: str, moved: dict[str, str]) -> tuple[Counter[str], set[tuple[str, str]]]:
    """Return the lines of each room, and (room, imported room) of every pair."""
    paths = git("ls-tree", "-r", "--name-only", commit, "obvlib").splitlines()
    modules = {
        path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path
        for path in paths
        if path.endswith(".py")
    }
    rooms = {name: room_of(moved.get(path, path)) for name, path in modules.items()}
    lines, pairs = Counter(), set()
    for name, path in modules.items():
        text = git("show", f"{commit}:{path}")
        if rooms[name] not in ROOMS:
            continue
        lines[rooms[name]] += len(text.splitlines())
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    room = rooms.get(inner, rooms.get(node.module or "", ""))
                    if room in ROOMS and room != rooms[name]:
                        pairs.add((rooms[name], room))
    return lines, pairs


def reached(room: str, pairs: set[tuple[str, str]]) -> set[str]:
    """Return the rooms that a room imports from, directly or through others."""
    found: set[str] = set()
    waiting = [room]
    while waiting:
        here = waiting.pop()
        new = {other for one, other in pairs if one == here} - found
        found |= new
        waiting += new
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    changed = git("diff", "-M30", "--diff-filter=R", "--name-status", f"{MOVE}^", MOVE)
    moved = dict(line.split("\t")[1:] for line in changed.splitlines())
    trees = {"before": measure(f"{MOVE}^", moved), "now": measure("HEAD", {})}
    rows = [{"room": room} for room in ROOMS] + [{"room": "all"}]
    for when, (lines, pairs) in trees.items():
        for row, room in zip(rows, ROOMS, strict=False):
            others = [other for one, other in pairs if one == room]
            row.update(
                {
                    f"lines_{when}": lines[room],
                    f"imports_{when}": len(others),
                    f"backward_{when}": sum(ROOMS.index(o) > ROOMS.index(room) for o in others),
                    f"in_a_circle_{when}": int(room in reached(room, pairs)),
                }
            )
        names = [name for name in rows[0] if name.endswith(f"_{when}")]
        rows[-1] |= {name: sum(row[name] for row in rows[:-1]) for name in names}
    title = "Lines of each room, the rooms that it imports from, and which of these are backward"
    save_result(out, title=title, rows=rows, provenance=Provenance.collect(seed=0))


if __name__ == "__main__":
    main()
