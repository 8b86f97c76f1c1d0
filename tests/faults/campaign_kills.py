"""Kill `obv slice`, `obv prepare` and `obv build` at random moments, run them again, and compare
the end with that of a run that nobody disturbed: the same files with the same contents, nothing
else.

    python tests/faults/campaign_kills.py --kills 40 --seed 1
    python tests/faults/campaign_kills.py --kills 20 --out data_manifests/results/kills_DATE.json

Prints one JSON object, and keeps it with its origin where told to; exits with 1 where an end
differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

import video_samples as samples  # noqa: E402

from obvlib.core.provenance import Provenance  # noqa: E402
from obvlib.report.results import save_result  # noqa: E402

COMMANDS = ("slice", "prepare", "build")
NOT_COMPARED = ("coverage_", "ledger.sqlite", ".obv-lock")  # hold times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=40, help="of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="file of data_manifests/results to keep the counts in")
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=COMMANDS)
    chosen = parser.parse_args()
    draw = random.Random(chosen.seed)
    report = {"seed": chosen.seed, "commands": {}}
    with tempfile.TemporaryDirectory() as directory:
        work = make_inputs(Path(directory), chosen.commands)
        for command in chosen.commands:
            report["commands"][command] = campaign(work, command, chosen.kills, draw)
    print(json.dumps(report, indent=1))
    if chosen.out:
        save_result(
            chosen.out,
            title=f"Runs killed at random moments and started again (seed {chosen.seed})",
            rows=[{"command": f"obv {name}"} | row for name, row in report["commands"].items()],
            provenance=Provenance.collect(seed=chosen.seed),
        )
    return int(any(row["num_different"] for row in report["commands"].values()))


def make_inputs(work: Path, commands: Sequence[str]) -> Path:
    """Four videos, twenty clips of them, and their slices if `build` is among the commands."""
    rows = []
    for video in "abcd":
        samples.make(work / "videos" / f"{video}.mp4", num_frames=100, options={"g": "25"})
        times = [round(0.5 * i, 1) for i in range(5)]
        rows += [{"video_id": video, "timestamp": [t, t + 1.5], "caption": "Words."} for t in times]
    (work / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if "build" in commands:
        subprocess.run(command_line(work, "slice", work / "slices", 1), check=True, **quiet(work))
    return work


def command_line(work: Path, command: str, out: Path, num_workers: int) -> list[str]:
    source = work / ("slices" if command == "build" else "videos")
    options = ["--dataset", work / "rows.jsonl", "--input-dir", source, "--output-dir", out]
    options += ["--num-workers", num_workers]
    return [sys.executable, "-m", "obvlib.cli", command, *map(str, options)]


def quiet(data: Path) -> dict:
    env = os.environ | {"OBV_DATA": f"{data}-data", "OMP_NUM_THREADS": "1"}
    return {"env": env, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def campaign(work: Path, command: str, num_kills: int, draw: random.Random) -> dict:
    """Kill runs of one command `num_kills` times, up to three times one after another."""
    wanted_by: dict[int, dict[str, str]] = {}  # the encoder's bytes depend on its threads
    killed = ended = different = torn = 0
    while killed < num_kills:
        out, num_workers = work / f"{command}-{ended}", draw.choice((1, 2))
        if num_workers not in wanted_by:
            started, reference = time.monotonic(), work / f"{command}-reference{num_workers}"
            line = command_line(work, command, reference, num_workers)
            subprocess.run(line, check=True, **quiet(reference))
            whole_s, wanted_by[num_workers] = time.monotonic() - started, contents(reference)
        wanted = wanted_by[num_workers]
        for _ in range(draw.randint(1, 3)):
            killed += kill(work, command, out, num_workers, draw.uniform(0.2, 0.9) * whole_s)
            torn += len([name for name, made in contents(out).items() if made != wanted.get(name)])
        done = subprocess.run(command_line(work, command, out, num_workers), **quiet(out))
        ended += 1
        different += done.returncode != 0 or contents(out) != wanted
    return {
        "num_kills": killed,
        "num_ends": ended,
        "num_different": different,
        "num_torn_files": torn,
        "undisturbed_s": round(whole_s, 1),
    }


def kill(work: Path, command: str, out: Path, num_workers: int, after_s: float) -> bool:
    """Start a run and kill it and its workers after a time; was it still running?"""
    line = command_line(work, command, out, num_workers)
    process = subprocess.Popen(line, start_new_session=True, **quiet(out))
    try:
        process.wait(timeout=after_s)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def contents(out: Path) -> dict[str, str]:
    """What is in an output directory, by name: hashes, without notes that hold times or claims."""
    found = {}
    for path in out.rglob("*"):
        name = path.relative_to(out).as_posix()
        is_note = path.name.startswith((*NOT_COMPARED, ".obv-claim", ".partial-"))
        if path.is_file() and not is_note:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


if __name__ == "__main__":
    sys.exit(main())
