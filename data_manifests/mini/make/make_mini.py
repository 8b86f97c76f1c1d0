"""Render the lecture videos again: `python data_manifests/mini/make/make_mini.py OUT` writes
videos, sources, rows and checksums as they are shipped.

Narration was spoken once: its times are in `sources.jsonl` and its sound in the shipped files, and
both are taken from there. So the plan, the rows and every drawn frame come out the same on any
machine; only the bytes of the files depend on the encoder. `--check` compares what the shipped
files show with what is drawn anew. `--speak` narrates anew with espeak-ng, which moves words by up
to some tenths of a second.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from lectures import HEIGHT, WIDTH, clips_of, part_scene, plan_sources, with_times
from slides import speaker_frames, title_frames

from obvlib.core.jsonl import write_rows
from obvlib.core.records import to_json
from obvlib.mini.corpus import Source, sources, videos_dir
from obvlib.mini.render import render

SAMPLE_RATE = 16_000  # Hz, of the sound in the files
CRF = 30  # H.264 quality: about 6 MB for all videos
# Speckle is noise to the encoder: without its psychovisual tricks, and with more bits for dark
# areas, a file is a quarter smaller.
ENCODER_OPTIONS = {"psy": "0", "aq-mode": "3"}
KEY_FRAME_S = 2
AUDIO_BIT_RATE = 20_000  # bits/s
MAX_CODING_ERROR = 6.0  # mean grey levels of 255 that encoding may move a frame


def frames_of(source: Source, *, only: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """The frames (240, 320, 3) uint8 of a lecture in order, before encoding: all of them, or those
    whose numbers `only` lists (sorted).
    """
    for part in source.parts:
        first, last = (round(t * source.fps) for t in (part.start_s, part.end_s))
        numbers = np.arange(first, last)
        times_s = (numbers if only is None else np.intersect1d(numbers, only)) / source.fps
        if not len(times_s):
            continue
        if part.kind == "imaging":
            yield from render(
                part_scene(part, source.fps)[0], times_s - part.start_s, HEIGHT, WIDTH
            )
        else:
            yield from (title_frames if part.kind == "title" else speaker_frames)(
                source, part, times_s
            )


def speak_source(source: Source) -> tuple[Source, np.ndarray]:
    """The source with the times of its parts and words, and its sound (N,) float32 at 16 kHz.

    Spoken in a process of its own, because the pace of espeak-ng depends on all that the process
    has said before.
    """
    from narration import speak_in_turn

    texts = [part.text for part in source.parts]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        spoken = pool.submit(speak_in_turn, texts, source.voice, source.words_per_minute).result()
    source = with_times(source, [(len(sound) / SAMPLE_RATE, words) for sound, words in spoken])
    track = np.zeros(round(source.duration_s * SAMPLE_RATE), dtype=np.float32)
    for part, (sound, words) in zip(source.parts, spoken, strict=True):
        lead_s = (
            next(w.start_s for w in source.words if w.start_s >= part.start_s) - words[0].start_s
        )
        start = round(lead_s * SAMPLE_RATE)
        track[start : start + len(sound)] += 0.7 * sound[: len(track) - start]
    return source, track


def build_video(source: Source, directory: Path, *, speak: bool = False) -> Source:
    """Draw and write one lecture with the shipped narration, or speak it anew; return it with its
    times.
    """
    from obvlib.media import Encoding, audio, write_video

    if speak:
        source, sound = speak_source(source)
    else:
        sound = audio(videos_dir() / f"{source.video_id}.mp4", sample_rate=SAMPLE_RATE)
    write_video(
        directory / f"{source.video_id}.mp4",
        frames_of(source),
        source.fps,
        audio=sound,
        sample_rate=SAMPLE_RATE,
        encoding=Encoding(
            audio_bit_rate=AUDIO_BIT_RATE,
            crf=CRF,
            preset="veryslow",
            options={"g": str(round(KEY_FRAME_S * source.fps)), **ENCODER_OPTIONS},
        ),
    )
    return source


def build(directory: Path, *, speak: bool = False, num_workers: int = 2) -> list[Source]:
    """Write the whole corpus to `directory`: videos/, sources.jsonl, rows.jsonl, SHA256SUMS."""
    videos = directory / "videos"
    videos.mkdir(parents=True, exist_ok=True)
    plans = plan_sources() if speak else sources()
    with ProcessPoolExecutor(num_workers) as pool:
        built = list(pool.map(partial(build_video, directory=videos, speak=speak), plans))
    write_rows(directory / "sources.jsonl", (to_json(source) for source in built))
    write_rows(
        directory / "rows.jsonl", (to_json(clip) for source in built for clip in clips_of(source))
    )
    write_checksums(directory)
    return built


def write_checksums(directory: Path) -> None:
    """SHA256SUMS of the videos and rows, in the format of the program sha256sum."""
    files = [
        *sorted((directory / "videos").glob("*.mp4")),
        directory / "rows.jsonl",
        directory / "sources.jsonl",
    ]
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(directory)}\n"
        for path in files
    ]
    (directory / "SHA256SUMS").write_text("".join(lines))


def differences(directory: Path, lectures: list[Source], *, every_s: float = 1.0) -> list[str]:
    """What the files in `directory` do not show as it is drawn anew: one line for each video that
    differs, none if all agree.

    Compares a frame each `every_s` seconds. Encoding alone moves pixels by 1 to 4 of 255 grey
    levels on average; a wrong frame by far more.
    """
    from obvlib.media import frames_at

    found = []
    for source in lectures:
        numbers = np.unique(
            np.floor(np.arange(0.5, source.duration_s, every_s) * source.fps).astype(int)
        )
        shown, _ = frames_at(directory / f"{source.video_id}.mp4", (numbers + 0.5) / source.fps)
        anew = np.stack(list(frames_of(source, only=numbers)))
        apart = np.abs(shown.astype(np.int16) - anew).mean(axis=(1, 2, 3))
        if apart.max() > MAX_CODING_ERROR:
            at_s = numbers[apart.argmax()] / source.fps
            found.append(
                f"{source.video_id}: the frame at {at_s:.2f} s is {apart.max():.1f} grey levels"
                " away from what is drawn"
            )
    return found


def main() -> None:
    """The command: build into a directory, or check the shipped files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", nargs="?", type=Path, help="where to write the corpus")
    parser.add_argument(
        "--check", action="store_true", help="draw the shipped videos again and compare"
    )
    parser.add_argument("--speak", action="store_true", help="narrate anew with espeak-ng")
    options = parser.parse_args()
    if options.check:
        found = differences(videos_dir(), sources())
        print("\n".join(found) or "the shipped videos show what is drawn")
        raise SystemExit(bool(found))
    if options.directory is None:
        parser.error("name a directory to write to, or use --check")
    built = build(options.directory, speak=options.speak)
    size_bytes = sum(path.stat().st_size for path in (options.directory / "videos").glob("*.mp4"))
    print(
        f"{len(built)} videos, {sum(s.duration_s for s in built):.0f} s, {size_bytes / 1e6:.2f} MB"
        f" in {options.directory}"
    )


if __name__ == "__main__":
    main()
