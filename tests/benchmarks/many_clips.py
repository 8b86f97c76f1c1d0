"""Peak memory of slicing and preparing many clips of one source: it must not grow with their
number.

    python tests/benchmarks/many_clips.py --out data_manifests/results/many_clips_DATE.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import video_samples as samples  # noqa: E402

from obvlib.core import Provenance  # noqa: E402
from obvlib.report.results import save_result  # noqa: E402

COUNTS = (12, 120, 1200)
SOURCE_S, CLIP_S = 300, 4
# in a process of its own, which says its peak in KiB (getrusage counts its largest child too)
MEASURE = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", help="file of data_manifests/results to keep the figures in")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        samples.make(work / "videos" / "a.mp4", num_frames=SOURCE_S * 25, options={"g": "50"})
        rows = [measure(work, name, n) for name in ("slice", "prepare") for n in COUNTS]
    print(json.dumps(rows, indent=1))
    if chosen.out:
        title = f"Peak memory of one process for many clips of {CLIP_S} s of one source"
        provenance = Provenance.collect(seed=0)
        save_result(chosen.out, title=title, rows=rows, provenance=provenance)


def measure(work: Path, command: str, num_clips: int) -> dict:
    """Return the peak memory of one run over clips whose starts are spread over the source."""
    step_s = (SOURCE_S - CLIP_S) / num_clips
    times = [(round(i * step_s, 3), round(i * step_s + CLIP_S, 3)) for i in range(num_clips)]
    rows = work / f"{num_clips}.jsonl"
    rows.write_text("".join(json.dumps({"video_id": "a", "timestamp": t}) + "\n" for t in times))
    line = [sys.executable, "-m", "obvlib.cli", command, "--dataset", rows, "--num-workers", "0"]
    line += ["--input-dir", work / "videos", "--output-dir", work / f"{command}{num_clips}"]
    env = os.environ | {"OBV_DATA": str(work / "data"), "OMP_NUM_THREADS": "1"}
    env["PYTHONPATH"] = str(ROOT)
    measured = [sys.executable, "-c", MEASURE, *map(str, line)]
    done = subprocess.run(measured, env=env, capture_output=True, text=True, check=True)
    status, peak_kib = map(int, done.stdout.split())
    return {
        "command": f"obv {command}",
        "num_clips": num_clips,
        "exit_status": status,
        "peak_mb": round(peak_kib * 1024 / 1e6),
    }


if __name__ == "__main__":
    main()
