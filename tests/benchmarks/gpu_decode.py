"""Whether decoding on the GPU (NVDEC, through PyNvVideoCodec) gets a model's frames out of a video
sooner than the CPU does.

    python tests/benchmarks/gpu_decode.py --out data_manifests/results/gpu_decode_DATE.json

Both sides go from the file to the frames of a clip as an array in main memory: one frame a second,
at the size that the policy gives. The CPU's side is `media.frames_at`, one process and one thread a
clip at a time, on all cores; the GPU's resizes on the GPU, with as many decoders at work as do
best. Their frames are compared before their times are.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import datetime
import importlib.metadata
import json
import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from slicing import FPS, H264, make_source

from obvlib import media
from obvlib.core.frame_policy import FramePolicy

POLICY = FramePolicy()
CLIP_S, SOURCE_S = 40.0, 90
STARTS_S = [1.1 + 0.73 * i for i in range(64)]  # clips at many places between key frames
NUM_DECODERS = (4, 8, 16)  # at work at a time; an H100 has seven of NVDEC
AV1 = {"crf": "40", "preset": "10", "g": "150"}
SOURCES = {
    "H.264 1280x720": (720, 1280, "libx264", H264),
    "H.264 1920x1080": (1080, 1920, "libx264", H264),
    "AV1 1920x1080": (1080, 1920, "libsvtav1", AV1),
}


def make_sources(directory: Path) -> dict[str, Path]:
    """The source videos by name, made where they are not there yet."""
    made = {}
    for name, (height, width, codec, options) in SOURCES.items():
        made[name] = directory / f"{codec}{height}.mp4"
        if not made[name].exists():
            make_source(made[name], height, width, SOURCE_S, codec, options)
    return made


def wanted(start_s: float, height: int, width: int) -> tuple[list[float], tuple[int, int]]:
    """The source times of one clip's frames, and the size that the policy gives them."""
    times_s = POLICY.sample_times(CLIP_S)
    return [start_s + float(t) for t in times_s], POLICY.fit_size(height, width, len(times_s))


def on_cpu(path: str, start_s: float, height: int, width: int) -> np.ndarray:
    times_s, size = wanted(start_s, height, width)
    return media.frames_at(path, times_s, *size, num_threads=1)[0]  # (T, h, w, 3)


def on_gpu(path: str, start_s: float, height: int, width: int) -> np.ndarray:
    """One decoder for one clip. Frame numbers stand for times, which is right for a constant rate
    alone.
    """
    import PyNvVideoCodec as nvc

    times_s, size = wanted(start_s, height, width)
    decoder = nvc.SimpleDecoder(
        path, use_device_memory=True, output_color_type=nvc.OutputColorType.RGBP
    )
    frames = decoder.get_batch_frames_by_index([int(t * FPS + 1e-6) for t in times_s])
    stacked = torch.stack([torch.from_dlpack(frame) for frame in frames]).cuda()  # (T, 3, H, W)
    small = torch.nn.functional.interpolate(
        stacked.float(), size=size, mode="bicubic", antialias=True
    )
    return small.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def _one(job: tuple) -> float:
    side, *arguments = job
    started = time.perf_counter()
    {"cpu": on_cpu, "gpu": on_gpu}[side](*arguments)
    return time.perf_counter() - started


def throughput(pool: concurrent.futures.Executor, jobs: list[tuple], num_at_once: int) -> float:
    """Clips a second with `num_at_once` of the pool's processes at work."""
    started, waiting = time.perf_counter(), list(jobs)
    running = {pool.submit(_one, waiting.pop()) for _ in range(num_at_once)}
    while running:
        done, running = concurrent.futures.wait(
            running, return_when=concurrent.futures.FIRST_COMPLETED
        )
        for future in done:
            future.result()
            if waiting:
                running.add(pool.submit(_one, waiting.pop()))
    return len(jobs) / (time.perf_counter() - started)


def compare(pool: concurrent.futures.Executor, name: str, path: str) -> dict:
    size = SOURCES[name][:2]
    ours, theirs = on_cpu(path, STARTS_S[1], *size), on_gpu(path, STARTS_S[1], *size)
    off = np.abs(ours.astype(int) - theirs).mean()
    neighbour = np.abs(ours[1:].astype(int) - ours[:-1]).mean()
    row = {
        "source": name,
        "difference_of_255": round(off, 2),
        "difference_between_frames": round(neighbour, 2),
    }
    for side, at_once in (("cpu", (os.cpu_count(),)), ("gpu", NUM_DECODERS)):
        jobs = [(side, path, start_s, *size) for start_s in STARTS_S]
        row[f"{side}_one_clip_s"] = round(statistics.median(_one(job) for job in jobs[:5]), 4)
        list(pool.map(_one, jobs[: os.cpu_count()]))  # every process has opened what it needs
        row[f"{side}_clips_per_s"] = {num: round(throughput(pool, jobs, num), 2) for num in at_once}
    row["ratio_one_clip"] = round(row["cpu_one_clip_s"] / row["gpu_one_clip_s"], 2)
    row["ratio_best"] = round(
        max(row["gpu_clips_per_s"].values()) / max(row["cpu_clips_per_s"].values()), 2
    )
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--sources", type=Path, help="where the source videos are, or are to be kept"
    )
    parser.add_argument("--commit", default="")
    arguments = parser.parse_args()
    rows = []
    spawn = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    with (
        tempfile.TemporaryDirectory() as directory,
        concurrent.futures.ProcessPoolExecutor(os.cpu_count(), mp_context=spawn) as pool,
    ):
        for name, path in make_sources(arguments.sources or Path(directory)).items():
            rows.append(compare(pool, name, str(path)))
            print(json.dumps(rows[-1]), flush=True)
    result = {
        "date": datetime.date.today().isoformat(),
        "commit": arguments.commit,
        "device": f"{torch.cuda.get_device_name()}, {os.cpu_count()} CPU cores",
        "python": platform.python_version(),
        "versions": {
            name: importlib.metadata.version(name) for name in ("av", "torch", "PyNvVideoCodec")
        },
        "command": "python tests/benchmarks/gpu_decode.py",
        "what": (
            f"frames of {len(STARTS_S)} clips of {CLIP_S:.0f} s, one a second, from the file to an"
            " array in main memory; ratio: clips a second on the GPU / on all CPU cores, each with"
            " its best number of workers"
        ),
        "comparisons": rows,
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
