"""The shipped lecture videos and their rows, read from `data_manifests/mini`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from obvlib.core import Clip, Word, manifests_dir
from obvlib.core.records import read_jsonl


def corpus_dir() -> Path:
    """Return the folder of the shipped corpus."""
    return manifests_dir() / "mini"


def videos_dir() -> Path:
    """Return the folder of the raw lecture videos, `{video_id}.mp4`."""
    return corpus_dir() / "videos"


def rows(split: str | None = None) -> list[Clip]:
    """Return the clips of the lecture videos, one for each narrated imaging segment; `split`
    "train" or "test" keeps one split.
    """
    if split not in (None, "train", "test"):
        raise ValueError(
            f"split {split!r} of the mini corpus: use 'train', 'test' or None for both"
        )
    clips = read_jsonl(corpus_dir() / "rows.jsonl", Clip)
    return [clip for clip in clips if split in (None, clip.split)]


def sources(split: str | None = None) -> list[Source]:
    """Return the lectures themselves: what each part of a video is, when, and every spoken word
    with its time.
    """
    return [
        source
        for source in read_jsonl(corpus_dir() / "sources.jsonl", Source)
        if split in (None, source.split)
    ]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A stretch of a lecture: "title", "speaker" or "imaging". `seed` draws its picture;
    `observable` False means that the words do not describe it (such a segment is true imagery whose
    caption a careful curator drops).
    """

    kind: str
    text: str
    start_s: float = 0.0
    end_s: float = 0.0
    seed: int = 0
    scene: str = ""
    finding: str = ""
    region: str = ""
    rate: str = ""
    observable: bool = True


@dataclass(frozen=True, kw_only=True)
class Source:
    """A lecture video: its file is `{video_id}.mp4`. With it, every frame of the video can be drawn
    again.
    """

    video_id: str
    split: str
    title: str
    speaker: str
    voice: str
    words_per_minute: int
    style: int
    fps: float
    parts: tuple[Part, ...]
    words: tuple[Word, ...] = ()

    @property
    def duration_s(self) -> float:
        return self.parts[-1].end_s
