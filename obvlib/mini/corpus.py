"""The shipped lecture videos and their rows, read from `data_manifests/mini`."""

from __future__ import annotations

from pathlib import Path

from obvlib.mini.lectures import Source
from obvlib.records import Clip, read_jsonl
from obvlib.settings import manifests_dir


def corpus_dir() -> Path:
    """The folder of the shipped corpus."""
    return manifests_dir() / "mini"


def videos_dir() -> Path:
    """The folder of the raw lecture videos, `{video_id}.mp4`."""
    return corpus_dir() / "videos"


def rows(split: str | None = None) -> list[Clip]:
    """The clips of the lecture videos, one for each narrated imaging segment; `split` "train" or "test" keeps one split."""
    if split not in (None, "train", "test"):
        raise ValueError(f"split {split!r} of the mini corpus: use 'train', 'test' or None for both")
    clips = read_jsonl(corpus_dir() / "rows.jsonl", Clip)
    return [clip for clip in clips if split in (None, clip.split)]


def sources(split: str | None = None) -> list[Source]:
    """The lectures themselves: what each part of a video is, when, and every spoken word with its time."""
    return [source for source in read_jsonl(corpus_dir() / "sources.jsonl", Source) if split in (None, source.split)]
