"""How fast clips are cut and prepared, beside the original's way and plain ffmpeg by hand, on the
same files in one run.

python tests/benchmarks/slicing.py --moviepy-python ENV/bin/python --out
data_manifests/results/slicing_DATE.json

ENV holds moviepy==1.0.3 and opencv. Contenders run in turns, each in a fresh process, timed from
the open file to the finished one without Python's start; ffmpeg's is included. Ratios are medians
over rounds, so that what else the machine does touches both sides.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np

from obvlib import media

ROOT = Path(__file__).resolve().parents[2]
START_S, END_S = 62.3, 102.3  # of the one clip that all contenders cut
TEN_CLIPS = [(10.0 + 11 * i, 40.0 + 11 * i) for i in range(10)]  # 30 s each, overlapping
FPS, SOURCE_S = 30, 180

ORIGINAL = """
import glob, resource, sys, tempfile, time
import cv2
from moviepy.editor import ImageSequenceClip, VideoFileClip
def used():
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(r.ru_utime + r.ru_stime for r in both)
before = used()
source, out, start, end = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
started = time.perf_counter()
with VideoFileClip(source) as video:
    video.subclip(start, end).write_videofile(out, codec="libx264", audio_codec="aac", verbose=False, logger=None)
print(time.perf_counter() - started, used() - before)
capture = cv2.VideoCapture(out)
rate, frames = capture.get(cv2.CAP_PROP_FPS), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
with tempfile.TemporaryDirectory() as directory:
    for number in range(int(frames / rate)):
        capture.set(cv2.CAP_PROP_POS_FRAMES, int(number * rate))
        ok, frame = capture.read()
        cv2.imwrite(f"{directory}/{number:05d}.jpg", cv2.resize(frame, (868, 476)))
    pictures = sorted(glob.glob(f"{directory}/*.jpg"))
    ImageSequenceClip(pictures, fps=1).write_videofile(out + ".1fps.mp4", codec="libx264", audio=False, verbose=False, logger=None)
print(time.perf_counter() - started, used() - before)
"""  # noqa: E501
OURS = """
import sys, time
from obvlib import media
from obvlib.core import FramePolicy
mode, source, out, start, end = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), float(sys.argv[5])
started, before = time.perf_counter(), time.process_time()
if mode == "prepare":
    media.prepare_clip(source, out, start, end, FramePolicy())
else:
    media.slice_clip(source, out, start, end, mode=mode)
print(time.perf_counter() - started, time.process_time() - before)
# not ru_maxrss: Linux hands the parent's peak down to a child
(line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(line.split()[1]) / 1024)
"""  # noqa: E501
TEN = """
import sys, time
from obvlib import media
from obvlib.core import FramePolicy
clips = [(f"{sys.argv[2]}/{i}.mp4", *map(float, span.split("-"))) for i, span in enumerate(sys.argv[3].split(","))]
started = time.perf_counter()
done = [result for _, result in media.prepare_clips(sys.argv[1], clips, FramePolicy())]
assert len(done) == len(clips) and not any(isinstance(r, Exception) for r in done), done
print(time.perf_counter() - started)
"""  # noqa: E501


H264 = {"crf": "26", "preset": "veryfast", "g": "150", "bf": "3"}


def make_source(
    path: Path,
    height: int,
    width: int,
    seconds: int = SOURCE_S,
    codec: str = "libx264",
    options: dict = H264,
) -> Path:
    """A camera that wanders over a detailed picture, with a little noise: as hard to encode as a
    filmed lecture or operation.
    """
    rng = np.random.default_rng(0)
    detail = rng.integers(0, 256, (height // 2, width // 2, 3), dtype=np.uint8)
    large = (
        av.VideoFrame.from_ndarray(detail, format="rgb24")
        .reformat(width=width * 2, height=height * 2, interpolation="BICUBIC")
        .to_ndarray()
    )
    noise = rng.integers(0, 12, (8, height, width, 3), dtype=np.uint8)

    def frames():
        for i in range(seconds * FPS):
            y, x = int(height / 2 * (1 + np.sin(i / 97))), int(width / 2 * (1 + np.sin(i / 131)))
            yield large[y : y + height, x : x + width] // 2 + 50 + noise[i % 8]

    t = np.arange(seconds * 48_000) / 48_000
    sound = (0.3 * np.sin(2 * np.pi * 440 * t) * np.sin(2 * np.pi * 0.5 * t)).astype(np.float32)
    return media.write_video(
        path, frames(), FPS, sound, 48_000, encoding=media.Encoding(codec=codec, options=options)
    )


def make_long(source: Path, path: Path, times: int) -> Path:
    """The source over and over, its packets copied."""
    with av.open(str(path), "w", format="mp4") as out:
        streams, last = {}, {}
        for turn in range(times):
            with av.open(str(source)) as part:
                streams = streams or {
                    s.index: out.add_stream_from_template(s, opaque=True) for s in part.streams
                }
                for packet in part.demux():
                    shift = round(turn * SOURCE_S / packet.time_base)
                    if packet.dts is None or packet.dts + shift <= last.get(
                        packet.stream.index, -(10**9)
                    ):
                        continue  # sound is padded at both ends
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    last[packet.stream.index] = packet.dts
                    packet.stream = streams[packet.stream.index]
                    out.mux(packet)
    return path


Cost = tuple[float, float]  # seconds gone, CPU seconds used


def run(command: list) -> tuple[Cost, list[float]]:
    """What the whole process cost, and the numbers that it printed."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as litter:  # MoviePy leaves files where it runs
        done = subprocess.run(
            [str(c) for c in command], capture_output=True, text=True, env=environment, cwd=litter
        )
    if done.returncode:
        sys.exit(f"{command[:3]} failed:\n{done.stderr[-2000:]}")
    gone, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (gone, used), [float(number) for number in done.stdout.split()]


def ours(
    mode: str, source: Path, out: Path, start_s: float = START_S, end_s: float = END_S
) -> Cost:
    numbers = run([sys.executable, "-c", OURS, mode, source, out, start_s, end_s])[1]
    return numbers[0], numbers[1]


def by_hand(source: Path, out: Path, *codec: str) -> Cost:
    program = shutil.which("ffmpeg")
    return run(
        [
            program,
            "-nostdin",
            "-v",
            "error",
            "-y",
            "-ss",
            START_S,
            "-i",
            source,
            "-t",
            END_S - START_S,
            *codec,
            out,
        ]
    )[0]


def compared(mode: str, theirs: str, pairs: list[tuple[Cost, Cost]]) -> dict[str, float | str]:
    """Medians over pairs of seconds, of CPU seconds, and of theirs / ours in both."""
    found: dict[str, float | str] = {"ours": mode, "theirs": theirs}
    for place, suffix in enumerate(("s", "cpu_s")):
        found[f"ours_{suffix}"] = round(statistics.median(a[place] for a, _ in pairs), 3)
        found[f"theirs_{suffix}"] = round(statistics.median(b[place] for _, b in pairs), 3)
    found["ratio"] = round(statistics.median(b[0] / a[0] for a, b in pairs), 2)
    found["cpu_ratio"] = round(statistics.median(b[1] / a[1] for a, b in pairs), 2)
    return found


def against_original(python: str, source: Path, out: Path, rounds: int) -> list[dict]:
    pairs: dict[str, list] = {mode: [] for mode in (*media.MODES, "prepare")}
    sizes: dict[str, float] = {}
    for _ in range(rounds):
        numbers = run([python, "-c", ORIGINAL, source, out, START_S, END_S])[1]
        original_bytes = out.stat().st_size
        sliced, prepared = (numbers[0], numbers[1]), (numbers[2], numbers[3])
        for mode, found in pairs.items():
            found.append((ours(mode, source, out), prepared if mode == "prepare" else sliced))
            sizes[mode] = round(out.stat().st_size / original_bytes, 3)
    return [
        compared(mode, "original", found)
        | ({"size_ratio": sizes[mode]} if mode in media.MODES else {})
        for mode, found in pairs.items()
    ]


def against_ffmpeg(source: Path, out: Path, rounds: int) -> list[dict]:
    from obvlib.media.cut import ENCODING

    settings = [word for key, value in ENCODING.items() for word in (f"-{key}", value)]
    encode = ["-c:v", "libx264", *settings, "-c:a", "copy"]
    # a tenth of a second needs more of them
    codecs = {"exact": (encode, rounds), "copy": (["-c", "copy"], 4 * rounds)}
    return [
        compared(
            mode,
            "ffmpeg by hand",
            [(ours(mode, source, out), by_hand(source, out, *codec)) for _ in range(num)],
        )
        for mode, (codec, num) in codecs.items()
    ]


def ten_clips(source: Path, directory: Path, rounds: int) -> dict[str, float]:
    """Ten overlapping clips in one call beside one call for each, and beside decoding the covered
    stretch once: the best of the rounds, in turns.
    """

    def spans(clips: list) -> str:
        return ",".join(f"{start}-{end}" for start, end in clips)

    def seconds(clips: list) -> float:
        return run([sys.executable, "-c", TEN, source, directory, spans(clips)])[1][0]

    over_all = [(TEN_CLIPS[0][0], TEN_CLIPS[-1][1])]
    pairs = [(seconds(TEN_CLIPS), seconds(over_all)) for _ in range(3 * rounds)]
    together, whole = (min(found) for found in zip(*pairs, strict=True))
    return {
        "together_s": round(together, 3),
        "one_by_one_s": round(sum(seconds([clip]) for clip in TEN_CLIPS), 3),
        "one_clip_over_all_s": round(whole, 3),
        "ratio": round(together / whole, 2),
    }


def by_source_length(short: Path, long: Path, out: Path, rounds: int) -> dict[str, dict]:
    """The same clip near the start of a short source, and deep in one of two hours."""
    shift_s = 6840.0
    results = {}
    for mode in (*media.MODES, "prepare"):
        pairs = [
            (ours(mode, short, out), ours(mode, long, out, START_S + shift_s, END_S + shift_s))
            for _ in range(rounds)
        ]
        found = compared(mode, "", pairs)
        results[mode] = {
            "short_source_s": found["ours_s"],
            "two_hour_source_s": found["theirs_s"],
            "ratio": found["ratio"],
        }
    return results


def memory_mb(source: Path, out: Path) -> dict[str, float]:
    """Peak resident memory of a process that makes one clip of a 1080p source, all threads of the
    machine in use.
    """
    commands = {
        m: [sys.executable, "-c", OURS, m, source, out, 2.3, 32.3]
        for m in (*media.MODES, "prepare")
    }
    return {mode: round(run(command)[1][2], 1) for mode, command in commands.items()}


def provenance(command: str) -> dict:
    def git(*args: str) -> str:
        return subprocess.run(
            ["git", *args], cwd=ROOT, capture_output=True, text=True
        ).stdout.strip()

    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in open("/proc/cpuinfo")
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(git("status", "--porcelain")),
        "device": f"{cpu}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {
            "av": av.__version__,
            "libavcodec": ".".join(map(str, av.library_versions["libavcodec"])),
        },
        "command": command,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--moviepy-python",
        help="Python with moviepy 1.0.3 and OpenCV; left out: no comparison with the original",
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work-dir", type=Path, help="kept, with its sources, for the next run")
    arguments = parser.parse_args()
    work = (arguments.work_dir or Path(tempfile.mkdtemp())).absolute()
    work.mkdir(parents=True, exist_ok=True)
    source, large, long, out = (
        work / name for name in ("720p.mp4", "1080p.mp4", "two_hours.mp4", "out.mp4")
    )
    if not source.exists():
        make_source(source, 720, 1280)
    if not large.exists():
        make_source(large, 1080, 1920, 40)
    if not long.exists():
        make_long(source, long, 7200 // SOURCE_S)
    report = provenance("python tests/benchmarks/slicing.py") | {
        "what": (
            "one clip of 40 s out of H.264 1280x720 at 30 fps with a key frame every 5 s; ratio:"
            " theirs / ours, in seconds and in CPU seconds"
        ),
        "clip_s": END_S - START_S,
    }
    report["comparisons"] = []
    if arguments.moviepy_python:
        report["comparisons"] += against_original(
            arguments.moviepy_python, source, out, arguments.rounds
        )
    report["comparisons"] += against_ffmpeg(source, out, arguments.rounds)
    report["ten_overlapping_clips_prepared"] = ten_clips(source, work, arguments.rounds)
    report["by_source_length"] = by_source_length(source, long, out, arguments.rounds)
    report["peak_memory_mb_1080p"] = memory_mb(large, out)
    text = json.dumps(report, indent=1) + "\n"
    print(text)
    if arguments.out:
        arguments.out.write_text(text)
    if not arguments.work_dir:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
