"""The gpu profile from end to end, on a machine with a GPU and no network: a hub of its own, and
every chapter of the book under `OBV_PROFILE=gpu`.

    python tests/benchmarks/gpu_profile.py --work /tmp/profile --out gpu_profile.json

Weights have full size and random values, so that every score is chance; what is shown is that each
step runs, how long it takes, what it leaves out and why. Rows come from a server on loopback
through the hub's own client, a language model is served by `transformers serve`. The caps are the
recipe's section `book`. `--scale tiny` rehearses on a CPU; the same command again goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from profile_hub import make_models
from profile_lane import ROOT, run_lane
from profile_result import write_result
from profile_videos import SIZES, make_rows, make_videos

sys.path.insert(0, str(ROOT / "tests"))
from hub_server import Hub

# Two lists of chapters run beside each other: those that share a trained model, and the others.
MODEL_LANE = "00_quickstart 09_finetuning 11_inference 13_controls 14_results 16_audit 15_inspector"
OTHER_LANE = (
    "01_access 07_clip_to_tokens 08_packing 03_speech_to_captions 02_frames_to_segments"
    " 04_captions_to_questions 05_slicing 06_statistics 10_scaling 12_scoring_and_judging"
)
LLM = "Qwen/Qwen2-VL-2B-Instruct"


def again(arguments: argparse.Namespace, step: str, env: dict[str, str], *more: str) -> Any:
    """Start another step of this script in a process of its own."""
    command = [sys.executable, __file__, "--work", str(arguments.work), "--step", step, *more]
    command += ["--scale", arguments.scale, "--out", str(arguments.out)]
    return subprocess.Popen(command, env=env)


def environment(work: Path, **more: str) -> dict[str, str]:
    """What every process of the run sees: its own data root and hub cache, no network."""
    paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    own = {"HF_HOME": str(work / "home"), "OBV_DATA": str(work / "data"), "OBV_PROFILE": "gpu"}
    own |= {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "HF_HUB_DISABLE_XET": "1"}
    return os.environ | own | {"HF_HUB_DISABLE_TELEMETRY": "1"} | more


def make_hub(arguments: argparse.Namespace) -> float:
    """Make models and videos beside each other, then the rows; return the seconds."""
    started, env = time.perf_counter(), environment(arguments.work, HF_HUB_OFFLINE="1")
    steps = {step: again(arguments, step, env) for step in ("videos", "models")}
    for step, process in steps.items():
        if process.wait():
            raise SystemExit(f"step {step} failed, see above")
    os.environ |= env
    make_rows(arguments.work, arguments.scale)
    return time.perf_counter() - started


@contextlib.contextmanager
def hub(work: Path) -> Iterator[str]:
    """Serve the rows; the weights are in the cache already."""
    repos: dict[str, Any] = {}
    for path in (work / "rows").rglob("*.jsonl"):
        repos[f"datasets/connectthapa84/{path.parent.name}"] = {path.name: path.read_bytes()}
    with Hub(repos) as (url, asked):
        yield url
        print("asked of the hub:", dict(asked), flush=True)


@contextlib.contextmanager
def language_model(work: Path) -> Iterator[dict[str, str]]:
    """Serve the model with `transformers serve`; yield the variables that name it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", "--host"]
    command += ["127.0.0.1", "--port", str(port), "--dtype", "bfloat16"]
    log = work / "serve.log"
    with open(log, "w") as said:
        env = environment(work, HF_HUB_OFFLINE="1")
        process = subprocess.Popen(command, env=env, stdout=said, stderr=said)
    try:
        yield {"OBV_LLM_URL": f"http://127.0.0.1:{port}/v1", "OBV_LLM_MODEL": LLM}
    finally:
        process.terminate()
        process.wait()


def slice_clips(work: Path, env: dict[str, str]) -> None:
    """Cut both datasets with `obv slice`; some clips of the first are missing on purpose."""
    for name in ("OpenBiomedVid", "SurgeryVideoQA"):
        command = [sys.executable, "-m", "obvlib.cli", "slice", "--dataset", name]
        command += ["--input-dir", str(work / "data/videos" / name.lower())]
        command += ["--output-dir", str(work / "data/media" / name.lower())]
        command += ["--num-workers", str(len(os.sched_getaffinity(0)))]
        if subprocess.run(command, env=env).returncode not in (0, 3):
            raise SystemExit(f"obv slice of {name} failed, see above")


def run_chapters(arguments: argparse.Namespace, until_s: float) -> None:
    """Execute both lists of chapters, each in a process of its own."""
    work = arguments.work
    with hub(work) as url, language_model(work) as named:
        env = environment(work, HF_ENDPOINT=url, HF_HUB_OFFLINE="0", **named)
        slice_clips(work, env)
        lanes = [MODEL_LANE, OTHER_LANE] if not arguments.chapters else [arguments.chapters]
        processes = [
            again(arguments, f"lane{number}", env, "--chapters", chapters, "--until", str(until_s))
            for number, chapters in enumerate(lanes)
        ]
        while any(process.poll() is None for process in processes):
            time.sleep(2)
            write_result(work, arguments, done=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="for hub, data and cache")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scale", choices=sorted(SIZES), default="full")
    parser.add_argument("--limit-s", type=float, default=1e6, help="for everything")
    parser.add_argument("--commit", default="unknown")
    parser.add_argument("--chapters", default="", help="some chapters, instead of all")
    parser.add_argument("--step", default="", help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, default=0.0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    if arguments.step == "videos":
        make_videos(arguments.work, arguments.scale)
    elif arguments.step == "models":
        make_models(arguments.work / "home", arguments.scale == "tiny")
    elif arguments.step:
        out = arguments.work / f"{arguments.step}.json"
        run_lane(arguments.chapters.split(), arguments.work / "run", out, arguments.until)
    else:
        until_s = time.time() + arguments.limit_s
        print(f"hub made in {make_hub(arguments):.0f} s", flush=True)
        run_chapters(arguments, until_s)
        print(write_result(arguments.work, arguments, done=True))


if __name__ == "__main__":
    main()
