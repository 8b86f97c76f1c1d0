"""Videos and rows of the local hub: what the published datasets would hold, made on this machine.

The mini corpus's lectures are shown again at 1280x720 and 30 frames a second, with their sound and
the words as WebVTT files beside them, as a download brings them. Some are odd on purpose: one is
stored on its side, one has no sound, one is missing, one ends in the middle, one is a web page.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from obvlib import media, mini
from obvlib.core import Clip
from obvlib.core.jsonl import write_rows

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from video_samples import rotate_mp4

FPS = 30.0
ENCODING = media.Encoding(crf=24)
SAMPLE_RATE = 16_000
# what is wrong with the n-th video of the training data, from 0
ODD = {1: "rotated", 2: "silent", 4: "missing", 6: "broken", 9: "page"}


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A lecture to be shown again: as which video, in which folder, mirrored or not, and what is
    wrong with it.
    """

    lecture: str
    video_id: str
    folder: Path
    mirrored: bool = False
    odd: str = ""
    max_s: float = 3600.0
    height: int = 720

    @property
    def path(self) -> Path:
        return self.folder / f"{self.video_id}.mp4"


class Sizes(NamedTuple):
    """How many lectures are shown again, and how much of each."""

    num_training: int
    num_tested: int
    max_s: float
    height: int


SIZES = {"full": Sizes(32, 8, 3600.0, 720), "tiny": Sizes(8, 3, 26.0, 360)}


def plans(data: Path, scale: str) -> tuple[list[Copy], list[Copy]]:
    """Return what to make for OpenBiomedVid (every lecture of the training split, then mirrored)
    and for SurgeryVideoQA.
    """
    sizes = SIZES[scale]
    names = [source.video_id for source in mini.sources("train")]
    training = [
        Copy(
            lecture=names[number % len(names)],
            video_id=f"lecture-{number:03}",
            folder=data / "videos/openbiomedvid",
            mirrored=number >= len(names),
            odd=ODD.get(number, ""),
            max_s=sizes.max_s,
            height=sizes.height,
        )
        for number in range(sizes.num_training)
    ]
    tested = [
        Copy(
            lecture=source.video_id,
            video_id=f"surgery-{number:03}",
            folder=data / "videos/surgeryvideoqa",
            max_s=sizes.max_s,
            height=sizes.height,
        )
        for number, source in enumerate(mini.sources("test")[: sizes.num_tested])
    ]
    return training, tested


def make_videos(work: Path, scale: str) -> None:
    """Write the videos and their captions, one process a core."""
    training, tested = plans(work / "data", scale)
    for copy in (training[0], tested[0]):
        copy.folder.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(_make, training + tested))


def make_rows(work: Path, scale: str) -> None:
    """Write the rows of the three datasets, and the loops of the echo benchmark."""
    training, tested = plans(work / "data", scale)
    loops = work / "data/media/mimicechoqa"
    for name, rows in (
        ("OpenBiomedVid/train", training_rows(training)),
        ("SurgeryVideoQA/test", surgery_rows(tested)),
        ("MIMICEchoQA/test", echo_rows(tested, loops)),
    ):
        (work / "rows" / name).parent.mkdir(parents=True, exist_ok=True)
        write_rows(work / f"rows/{name}.jsonl", rows)


def _make(copy: Copy) -> None:
    source = mini.videos_dir() / f"{copy.lecture}.mp4"
    if copy.odd == "page":
        copy.path.write_text("<html>Video unavailable</html>")
    elif copy.odd != "missing" and not copy.path.is_file():
        sound = None if copy.odd == "silent" else media.audio(source, SAMPLE_RATE)
        if sound is not None:
            sound = sound[: round(copy.max_s * SAMPLE_RATE)]
        media.write_video(
            copy.path, _frames(copy, source), FPS, sound, SAMPLE_RATE, encoding=ENCODING
        )
        if copy.odd == "rotated":
            rotate_mp4(copy.path, 90)
        if copy.odd == "broken":
            copy.path.write_bytes(copy.path.read_bytes()[: copy.path.stat().st_size // 2])
    if copy.odd not in ("missing", "page"):
        copy.path.with_suffix(".en.vtt").write_text(captions(copy.lecture, copy.max_s))


def _frames(copy: Copy, source: Path) -> Iterator[np.ndarray]:
    """The lecture's picture, enlarged, in the middle of a wide black frame."""
    import av

    count, fps, width = 0, media.probe(source).fps, copy.height * 4 // 3
    for number, pixels in enumerate(_decoded(source)):
        large = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
            width=width, height=copy.height, interpolation="BICUBIC"
        )
        shown = np.zeros((copy.height, width * 4 // 3, 3), np.uint8)
        shown[:, width // 6 : width // 6 + width] = large.to_ndarray()[
            :, :: -1 if copy.mirrored else 1
        ]
        if copy.odd == "rotated":  # stored on its side, and said to be turned
            shown = np.ascontiguousarray(np.rot90(shown))
        until = min((number + 1) / fps, copy.max_s)
        while count / FPS < until - 1e-6:
            yield shown
            count += 1
        if until >= copy.max_s:
            return


def _decoded(source: Path) -> Iterator[np.ndarray]:
    import av

    with av.open(str(source)) as file:
        for frame in file.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def captions(lecture: str, max_s: float) -> str:
    """The lecture's words as WebVTT, eight words a cue."""
    words = next(s for s in mini.sources() if s.video_id == lecture).words
    words = [word for word in words if word.end_s <= max_s]
    cues = [words[start : start + 8] for start in range(0, len(words), 8)]
    text = ["WEBVTT"]
    for cue in cues:
        times = f"{_stamp(cue[0].start_s)} --> {_stamp(cue[-1].end_s)}"
        text.append(f"{times}\n{' '.join(word.text for word in cue)}")
    return "\n\n".join(text) + "\n"


def _stamp(seconds: float) -> str:
    return f"{int(seconds // 3600):02}:{int(seconds // 60) % 60:02}:{seconds % 60:06.3f}"


def rows_of(copies: list[Copy]) -> list[tuple[Copy, Clip]]:
    """Each clip of the lectures, under the copies' names."""
    found: dict[str, list[Clip]] = {}
    for clip in mini.rows():
        found.setdefault(clip.video_id, []).append(clip)
    return [
        (copy, clip) for copy in copies for clip in found[copy.lecture] if clip.end_s <= copy.max_s
    ]


def training_rows(copies: list[Copy]) -> Iterator[dict[str, Any]]:
    """Rows in the published schema of OpenBiomedVid; one of them makes no sense."""
    for copy, clip in rows_of(copies):
        yield {
            "video_id": copy.video_id,
            "video": f"{copy.video_id}_{clip.start_s:.0f}.mp4",
            "timestamp": [clip.start_s, clip.end_s],
            "caption": clip.caption,
            "qa_pairs": json.dumps(
                [
                    {"question": q.question, "options": q.options, "answer": q.answer}
                    for q in clip.qa_pairs
                ]
            ),
        }
    yield {
        "video_id": copies[0].video_id, "video": "backwards.mp4", "timestamp": [9.0, 3.0],
        "caption": "It ends before it begins.", "qa_pairs": "[]",
    }  # fmt: skip


def surgery_rows(copies: list[Copy]) -> Iterator[dict[str, Any]]:
    """Rows in the published schema of SurgeryVideoQA: open questions, one a row."""
    number = 0
    for copy, clip in rows_of(copies):
        for pair in clip.qa_pairs:
            yield {
                "id": number,
                "video_id": copy.video_id,
                "video_url": f"https://videos.example/{copy.video_id}",
                "video": f"{copy.video_id}_{clip.start_s:.0f}.mp4",
                "timestamp": [clip.start_s, clip.end_s],
                "question": pair.question,
                "answer": pair.answer_text,
            }
            number += 1


def echo_rows(copies: list[Copy], loops: Path) -> Iterator[dict[str, Any]]:
    """Rows in the published schema of MIMICEchoQA, and the loops they name: silent, short, one of
    them missing and one cut short.
    """
    for number, (copy, clip) in enumerate(rows_of(copies)):
        name = f"files/p10/p1000{number:04}/s9000{number:04}/9000{number:04}_0001.mp4"
        path = loops / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if number != 2:
            media.slice_clip(copy.path, path, clip.start_s, min(clip.end_s, clip.start_s + 3.0))
        if number == 4:
            path.write_bytes(path.read_bytes()[:4000])
        for pair in clip.qa_pairs:
            if pair.options and len(pair.options) >= 3:
                texts = [*pair.options.values(), "cannot be seen"][:4]
                options = {
                    f"option_{letter}": text for letter, text in zip("ABCD", texts, strict=False)
                }
                yield {"video": name, "question": pair.question, **options, "answer": pair.answer}
