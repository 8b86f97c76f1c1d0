"""Odd and damaged videos, generated from a seed, beside ffmpeg's own frames.

python tests/faults/campaign_media.py --count 500 --out data_manifests/results/odd_videos_DATE.json

Every file is read, cut in every mode and prepared, and the frames that come out are compared with
those of the ffmpeg program, decoded from the beginning in output order. A difference that comes
with a note or an error is *noted*; one without is *silent*, and a fault. Stop and start at will:
what is done stands in the file named by `--log`.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import json
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import av
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import video_samples as samples  # noqa: E402

from obvlib import media  # noqa: E402
from obvlib.core import FramePolicy  # noqa: E402

CODECS = {
    "libx264": ("mp4", "mkv", "ts", "avi", "flv", "mov"),
    "libx265": ("mp4", "mkv", "ts"),
    "libvpx-vp9": ("webm", "mkv"),
    "mpeg4": ("mp4", "avi", "mkv"),
    "mpeg2video": ("ts", "mpg", "mkv"),
    "mjpeg": ("avi", "mkv", "mov"),
}
SOUNDS = {"webm": "libopus", "ts": "mp2", "mpg": "mp2", "avi": "mp2", "flv": "aac"}
MATRICES = [(0, 1, -1, 0), (-1, 0, 0, -1), (-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0)]
FAULTS = ("none", "flip", "blank", "cut", "matrix", "join", "middle")
SIZE, FPS = (120, 160), 25
MAX_APART = 60  # of 255, between a bar's brightness in two decodings; bars are 0 or 235
POLICY = FramePolicy(min_pixels=28 * 28, max_visual_tokens=256)


def generate(seed: int, folder: Path) -> tuple[Path, str]:
    """Write file number `seed`; return it and what is wrong with it."""
    rng = np.random.default_rng(seed)
    codec = str(rng.choice(list(CODECS)))
    path = folder / f"{seed}.{rng.choice(CODECS[codec])}"
    kind = path.suffix[1:]
    depth = 0 if codec == "mjpeg" else int(rng.choice([0, 2, 3]))
    options = {"g": str(rng.choice([5, 12, 25, 60]))}
    if codec in ("libx264", "mpeg4", "mpeg2video"):
        options["bf"] = str(depth)
    if codec == "libx264":
        intra = ":intra-refresh=1:bframes=0" if rng.random() < 0.15 else ""
        options["x264-params"] = f"open-gop={rng.integers(0, 2)}:scenecut=0{intra}"
    if codec == "libx265":
        options["x265-params"] = "log-level=none"
    if codec == "libvpx-vp9":
        options |= {"deadline": "realtime", "cpu-used": "8"}
    if codec in ("mpeg4", "mpeg2video", "mjpeg"):
        options["b"] = "2M"
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    sound = SOUNDS.get(kind, "aac") if rng.random() < 0.5 else ""
    samples.encode(
        path, codec, num_frames=100, fps=FPS, options=options, pix_fmt=pixels, sound=sound
    )
    return path, _damage(path, rng)


def _damage(path: Path, rng: np.random.Generator) -> str:
    fault, data = str(rng.choice(FAULTS)), bytearray(path.read_bytes())
    if fault == "flip":
        for _ in range(int(rng.choice([1, 4, 20]))):
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    elif fault == "blank":
        at = int(rng.integers(len(data) // 4, len(data) * 3 // 4))
        data[at : at + len(data) // 20] = bytes(len(data) // 20)
    elif fault == "cut":
        del data[int(rng.integers(len(data) // 3, len(data))) :]
    elif fault == "join":
        data = data + data
    elif fault == "middle":
        del data[: int(rng.integers(len(data) // 8, len(data) // 3)) // 188 * 188]
    elif fault == "matrix" and (at := data.find(b"tkhd")) > 0:
        a, b, c, d = MATRICES[rng.integers(len(MATRICES))]
        units = [1 << 16, 1 << 16, 1 << 30]
        rows = [a, b, 0, c, d, 0, 0, 0, 1]
        data[at + 44 : at + 80] = b"".join(
            (value * units[i % 3]).to_bytes(4, "big", signed=True) for i, value in enumerate(rows)
        )
    path.write_bytes(data)
    return fault


def ffmpeg_frames(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Times in seconds from the stream's start, and frames (T, H, W, 3), by the ffmpeg program."""
    shown = subprocess.run(
        ["ffmpeg", "-nostdin", "-hide_banner", "-copyts", "-i", path, "-map", "0:v:0", "-vf",
         "showinfo,scale=160:120", "-vsync", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24",
         "-"], capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    lines = [x for x in shown.stderr.decode(errors="replace").splitlines() if " pts_time:" in x]
    times = [x.split("pts_time:")[1].split()[0] for x in lines]
    count = len(shown.stdout) // (SIZE[0] * SIZE[1] * 3)
    frames = np.frombuffer(shown.stdout[: count * SIZE[0] * SIZE[1] * 3], np.uint8)
    known = np.array([float(t) if t != "NOPTS" else np.nan for t in times][:count])
    return known, frames.reshape(-1, *SIZE, 3)[: len(known)]


def check(path: Path, rng: np.random.Generator) -> dict[str, str]:
    """What each way of reading gives: agrees, noted or silent."""
    times_s, frames = ffmpeg_frames(path)
    if len(times_s) < 12 or np.isnan(times_s).any() or (np.diff(times_s) <= 0).any():
        times_s = np.zeros(0)  # ffmpeg's own times are no reference
    found, note = {}, ""
    try:
        info = media.probe(path)
        note = info.note
        start_s = info.start_s if path.suffix in (".mp4", ".mov", ".mkv", ".webm", ".ts") else None
        times_s = times_s - (times_s[:1] if start_s is None else start_s)
    except media.MediaError:
        return {"probe": "noted" if len(times_s) else "agrees"}
    if not len(times_s):
        return {"probe": "no reference"}
    first_s, last_s = 0.6, min(2.6, info.duration_s - 0.1)
    if last_s < first_s + 0.3:
        return {"probe": "too short"}
    inside = np.flatnonzero((times_s > first_s + 0.05) & (times_s < last_s - 0.05))[:-1]
    for way in ("frames_at", *media.MODES, "prepare"):
        found[way] = _compare(path, way, (first_s, last_s), times_s, frames, inside, note)
    return found


def _compare(path, way, span, times_s, frames, inside, note) -> str:
    out = path.with_name(f"{path.stem}_out.mp4")
    middles_s = (times_s[inside] + times_s[inside + 1]) / 2
    try:
        if way == "frames_at":
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                shown, _ = media.frames_at(path, middles_s, *SIZE)
            note += "; ".join(str(warning.message) for warning in said)
        elif way == "prepare":
            note = media.prepare_clip(path, out, span[0], span[1], POLICY).note
            shown, at_s = media.clip_frames(out, POLICY)
            at_s = at_s + span[0]
            near = np.abs(times_s[:, None] - at_s[None]).min(axis=0) > 0.004
            at_s, shown = at_s[near], shown[near]
            inside = np.searchsorted(times_s, at_s + 0.0015, side="right") - 1
            shown = np.stack([_resized(f) for f in shown]) if len(shown) else shown
        else:
            note = media.slice_clip(path, out, *span, mode=way).note
            shown, _ = media.frames_at(out, middles_s - span[0], *SIZE)
    except media.MediaError:
        return "noted"
    # not the numbers: the bars of a damaged picture may be grey, and a number then rounding
    apart = np.abs(samples.bars(shown) - samples.bars(frames[inside])).max(initial=0)
    near = np.abs(shown.astype(int) - frames[inside]).mean() < 12 if len(shown) else True
    return "agrees" if apart < MAX_APART and near else "noted" if note else "silent"


def _resized(frame: np.ndarray) -> np.ndarray:
    whole = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    return whole.to_ndarray(format="rgb24", height=SIZE[0], width=SIZE[1])


def run(seeds, log: Path | None = None) -> list[dict]:
    """Check the files of these seeds, but those that the log already has."""
    rows = [json.loads(x) for x in log.read_text().splitlines()] if log and log.exists() else []
    done = {row["seed"] for row in rows}
    for seed in seeds:
        if seed in done:
            continue
        with tempfile.TemporaryDirectory(prefix="odd-") as folder:
            path, fault = generate(seed, Path(folder))
            ways = check(path, np.random.default_rng(seed))
        rows.append({"seed": seed, "container": path.suffix[1:], "fault": fault, "ways": ways})
        if log:
            with log.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    return rows


def counted(rows: list[dict]) -> list[dict]:
    """For each way of reading, how many files gave each result. Files that do not open, or that
    have no frames to compare, are counted under `probe`.
    """
    ways = ("probe", "frames_at", *media.MODES, "prepare")
    results = ("agrees", "noted", "silent", "no reference", "too short")
    return [
        {"way": way}
        | {result: sum(row["ways"].get(way) == result for row in rows) for result in results}
        for way in ways
    ]


def _said_by(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument(
        "--log", type=Path, default=Path(tempfile.gettempdir()) / "odd_videos.jsonl"
    )
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if shutil.which("ffmpeg") is None:
        sys.exit("the ffmpeg program is the reference here: install it first")
    rows = run(range(arguments.count), arguments.log)
    silent = [row for row in rows if "silent" in row["ways"].values()]
    report = {
        "what": f"{len(rows)} generated odd or damaged videos, read and cut in every way, beside"
        " ffmpeg's own frames",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": _said_by("git", "-C", str(ROOT), "rev-parse", "HEAD"),
        "device": f"CPU, av {av.__version__}",
        "reference": _said_by("ffmpeg", "-version").split(" Copyright")[0],
        "num_files": len(rows),
        "ways": counted(rows),
        "faults": dict(collections.Counter(row["fault"] for row in rows)),
        "files_with_silent_differences": silent,
    }
    print(json.dumps(report, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=1) + "\n")
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main())
