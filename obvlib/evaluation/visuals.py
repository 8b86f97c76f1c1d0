"""What an example shows: its media as the model sees them, and a name for their content.

A reader is called with an example and returns its visuals. Its `identity` is a hash of what the
media hold, not of where they lie: a moved folder leaves it as it is, a replaced clip of the same
size does not.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from obvlib import media
from obvlib.core import Example, FramePolicy
from obvlib.inputs import Video, fit_image
from obvlib.manifests.pictures import open_rgb

if TYPE_CHECKING:
    from obvlib.inputs import Visual
    from obvlib.mini import SeenClip

ReadVisuals = Callable[[Example], Sequence["Visual"]]


class FileReader:
    """A reader of videos and pictures from files, frames and sizes as `policy` says.

    Raises FileNotFoundError where a file is not there, another OSError where it cannot be reached
    now, ValueError where its bytes cannot be used.
    """

    def __init__(self, policy: FramePolicy) -> None:
        self.policy = policy
        self._hashes: dict[str, str] = {}

    def __call__(self, example: Example) -> Sequence[Visual]:
        try:
            if example.media_kind == "video":
                return [
                    Video(*media.clip_frames(path, self.policy, _num_threads()))
                    for path in example.media
                ]
            return [fit_image(open_rgb(path), self.policy) for path in example.media]
        except (ValueError, OSError):
            raise
        except Exception as error:  # decoders raise whatever they like for damaged bytes
            raise ValueError(f"{example.media}: {type(error).__name__}: {error}") from error

    def identity(self, example: Example) -> str:
        """Return the hash of the files' bytes, in their order."""
        for path in example.media:
            if path not in self._hashes:
                self._hashes[path] = _hash_file(path)
        return combined(self._hashes[path] for path in example.media)


class MemoryReader:
    """A reader of clips that are in memory, by the name that an example gives as its medium."""

    def __init__(self, clips: Iterable[SeenClip]) -> None:
        self._videos = {clip.name: Video(clip.frames, clip.times_s) for clip in clips}

    def __call__(self, example: Example) -> Sequence[Visual]:
        return [self._videos[name] for name in example.media]

    def identity(self, example: Example) -> str:
        """Return the hash of frames and times, in their order."""
        videos = [self._videos[name] for name in example.media]
        return combined(hash_arrays(video.frames, video.times_s) for video in videos)


class NamedReader:
    """A plain function as a reader: media are known by name, or by content where they are files."""

    def __init__(self, read: ReadVisuals) -> None:
        self._read = read

    def __call__(self, example: Example) -> Sequence[Visual]:
        return self._read(example)

    def identity(self, example: Example) -> str:
        """Return the hash of the files' bytes or, for media that are not files, of their names."""
        return combined(
            _hash_file(path) if os.path.isfile(path) else path for path in example.media
        )


def visuals_reader(policy: FramePolicy) -> FileReader:
    """Return a reader of an example's media files under `policy`; a text-only question has none."""
    return FileReader(policy)


def memory_reader(clips: Iterable[SeenClip]) -> MemoryReader:
    """Return a `read` for `predict` whose media are clips in memory."""
    return MemoryReader(clips)


def _num_threads() -> int:
    """Return the threads of a decoder: 0 (one a core), but one in a process that reads beside
    others.
    """
    return 1 if multiprocessing.parent_process() is not None else 0


def combined(parts: Iterable[str]) -> str:
    """Return one short hash of several; "" of none."""
    parts = list(parts)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16] if parts else ""


def hash_arrays(*arrays: Any) -> str:
    """Return the SHA-256 over shapes, types and bytes of arrays."""
    digest = hashlib.sha256()
    for array in map(np.ascontiguousarray, arrays):
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _hash_file(path: str) -> str:
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would wait for ever
        raise ValueError(f"{path} is not a file: name the clip or picture itself")
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
