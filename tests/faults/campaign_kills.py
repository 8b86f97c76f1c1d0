"""Kill commands at random moments, run them again, and compare the end with that of a run that
nobody disturbed: the same files with the same contents, nothing else.

    python tests/faults/campaign_kills.py --kills 40 --seed 1
    python tests/faults/campaign_kills.py --kills 20 --out data_manifests/results/kills_DATE.json
    python tests/faults/campaign_kills.py --commands curate --signal INT

Prints one JSON object, and keeps it with its origin where told to; exits with 1 where an end
differs, or where a run that is interrupted ends with what a shell does not call 130.
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

import video_samples as samples  # noqa: E402

from obvlib import media  # noqa: E402
from obvlib.core.provenance import Provenance  # noqa: E402
from obvlib.report.results import save_result  # noqa: E402

COMMANDS = ("slice", "prepare", "build", "download", "curate", "evaluate")
WITH_WORKERS = ("slice", "prepare", "build", "curate")
# they hold times
NOT_COMPARED = (
    "coverage_",
    "ledger.sqlite",
    ".obv-lock",
    "about.json",
    "report.json",
    "runs.jsonl",
)
# grow as the run goes on: whole at its end
GROWING = ("predictions.jsonl", "verdicts.jsonl", ".seen")
LECTURE = ROOT / "data_manifests" / "mini" / "videos" / "mini01.mp4"
NARRATION = """WEBVTT

00:00:01.000 --> 00:00:05.000
This is the heart in the four chamber view and the left ventricle barely contracts as you see here

00:00:05.000 --> 00:00:11.000
Here the ejection fraction is severely reduced and the left ventricle is dilated in this echo
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=40, help="of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="file of data_manifests/results to keep the counts in")
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=COMMANDS)
    parser.add_argument("--signal", choices=("KILL", "INT"), default="KILL")
    chosen = parser.parse_args()
    draw = random.Random(chosen.seed)
    report = {"seed": chosen.seed, "commands": {}}
    with tempfile.TemporaryDirectory() as directory, served(Path(directory, "videos")) as address:
        work = make_inputs(Path(directory), chosen.commands, address)
        for command in chosen.commands:
            how = signal.Signals[f"SIG{chosen.signal}"]
            report["commands"][command] = campaign(work, command, chosen.kills, draw, how)
    print(json.dumps(report, indent=1))
    if chosen.out:
        save_result(
            chosen.out,
            title=f"Runs killed at random moments and started again (seed {chosen.seed})",
            rows=[{"command": f"obv {name}"} | row for name, row in report["commands"].items()],
            provenance=Provenance.collect(seed=chosen.seed),
        )
    counts = report["commands"].values()
    return int(any(row["num_different"] or row["num_wrong_exits"] for row in counts))


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the files of a folder on this machine; yield the address."""
    folder.mkdir()
    handler = partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    """Sends a file in small pieces, so that a kill meets it half way, and logs nothing."""

    def copyfile(self, source, outputfile) -> None:
        try:
            while piece := source.read(4096):
                outputfile.write(piece)
                time.sleep(0.02)
        except OSError:
            pass  # who asked was killed

    def log_message(self, *_) -> None: ...


def make_inputs(work: Path, commands: Sequence[str], address: str) -> Path:
    """Four videos and twenty clips of them, and what else the commands need: slices, a lecture with
    captions, a model.
    """
    rows = []
    for video in "abcd":
        samples.make(work / "videos" / f"{video}.mp4", num_frames=100, options={"g": "25"})
        times = [round(0.5 * i, 1) for i in range(5)]
        about = {"video_id": video, "caption": "Words.", "video_url": f"{address}/{video}.mp4"}
        rows += [about | {"timestamp": [t, t + 1.5]} for t in times]
    (work / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [
        {"video_id": video, "video": f"{video}.mp4", "timestamp": [0, 2]}
        | {"question": f"What is {video}?", "answer": "a heart"}
        for video in "abcd"
    ]
    (work / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    if "build" in commands:
        subprocess.run(command_line(work, "slice", work / "slices", 1), check=True, **quiet(work))
    if "evaluate" in commands:
        from obvlib.models import tiny_bundle

        tiny_bundle().save(work / "model")
    if "curate" in commands:
        (work / "lectures").mkdir()
        media.slice_clip(LECTURE, work / "lectures" / "lecture.mp4", 0.0, 12.0)
        (work / "lectures" / "lecture.en.vtt").write_text(NARRATION)
    return work


def command_line(work: Path, command: str, out: Path, num_workers: int) -> list[str]:
    folders = {"build": "slices", "curate": "lectures"}
    options = ["--output-dir", out]
    if command != "download":
        options += ["--input-dir", work / folders.get(command, "videos")]
    if command == "evaluate":
        options += ["--dataset", work / "questions.jsonl", "--model", work / "model"]
        options += ["--benchmark", "SurgeryVideoQA"]
    elif command != "curate":
        options += ["--dataset", work / "rows.jsonl"]
    if command in WITH_WORKERS:
        options += ["--num-workers", num_workers]
    if command == "download":
        options += ["--sleep-s", 0]
    return [sys.executable, "-m", "obvlib.cli", command, *map(str, options)]


def quiet(data: Path) -> dict:
    env = os.environ | {"OBV_DATA": f"{data}-data", "OMP_NUM_THREADS": "1"}
    env["PYTHONPATH"] = str(ROOT)
    return {"env": env, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def campaign(
    work: Path, command: str, num_kills: int, draw: random.Random, how: signal.Signals
) -> dict:
    """Kill runs of one command `num_kills` times, up to three times one after another."""
    wanted_by: dict[int, dict[str, str]] = {}  # the encoder's bytes depend on its threads
    killed = ended = different = torn = wrong_exits = 0
    while killed < num_kills:
        out = work / f"{command}-{ended}"
        num_workers = draw.choice((1, 2)) if command in WITH_WORKERS else 1
        if num_workers not in wanted_by:
            started, reference = time.monotonic(), work / f"{command}-reference{num_workers}"
            line = command_line(work, command, reference, num_workers)
            subprocess.run(line, check=True, **quiet(reference))
            wanted_by[num_workers], whole_s = contents(reference), time.monotonic() - started
        wanted = wanted_by[num_workers]
        for is_fresh in (True, False, False)[: draw.randint(1, 3)]:
            after_s = draw.uniform(0.05 if how == signal.SIGINT else 0.2, 0.95) * whole_s
            status = kill(work, command, out, num_workers, after_s, how)
            killed += status is not None
            if status is None and is_fresh:  # the machine was slow when it was timed
                whole_s = after_s
            # a shell says 130 of both; Python ends the second way when it is about to leave
            wrong_exits += how == signal.SIGINT and status not in (None, 0, 130, -signal.SIGINT)
            torn += sum(
                made != wanted.get(name, made)
                for name, made in contents(out).items()
                if not name.endswith(GROWING)
            )
        done = subprocess.run(command_line(work, command, out, num_workers), **quiet(out))
        ended += 1
        different += done.returncode != 0 or contents(out) != wanted
    return {
        "num_kills": killed,
        "num_ends": ended,
        "num_different": different,
        "num_torn_files": torn,
        "num_wrong_exits": wrong_exits,
        "undisturbed_s": round(whole_s, 1),
    }


def kill(
    work: Path, command: str, out: Path, num_workers: int, after_s: float, how: signal.Signals
) -> int | None:
    """Start a run and kill it and its workers after a time; return its exit status, None where it
    had ended before.
    """
    line = command_line(work, command, out, num_workers)
    process = subprocess.Popen(
        line,
        start_new_session=True,
        # a shell's background jobs ignore an interrupt, and hand that down
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),
        **quiet(out),
    )
    try:
        process.wait(timeout=after_s)
        return None
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, how)
        return process.wait()


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
