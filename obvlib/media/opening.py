"""Opening a file: only a regular file, or a remote object, of a known container, within limits.

Playlists, scripts and streams that name other files are refused, so a video can only ever show
what it holds itself.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import av

from obvlib.core.locations import filesystem, is_remote, shown

# libav's names of the containers that hold their own media, and nothing else
CONTAINERS = (
    "mov,mp4,matroska,webm,mpegts,avi,flv,asf,mpeg,mpegvideo,h264,hevc,m4v,ogg,ivf,dv,mxf,nut,rm,"
    "wav,mp3,aac,flac"
)
EXTENSIONS = (  # of the files that hold a source, in order of preference
    *("mp4", "mkv", "webm", "mov", "m4v", "avi", "ts", "mts", "m2ts", "mpg", "mpeg", "flv", "3gp"),
    "wmv",
)
# seconds that opening, and each read, may take: files on this machine, and remote ones
TIMEOUT_S, REMOTE_TIMEOUT_S = 60.0, 600.0
MAX_PIXELS = 64_000_000  # of one frame; 8K is 33 million
READ_BLOCK_BYTES = 1 << 20  # of one request to a remote store
STILL_CODECS = {"mjpeg", "png", "bmp", "gif", "webp", "tiff"}


class MediaError(ValueError):
    """A video that cannot be used as asked. `kind` sorts it in reports: missing, broken, no_video,
    past_end or settings.
    """

    def __init__(self, message: str, kind: str = "broken") -> None:
        super().__init__(shown(message))
        self.kind = kind

    def __reduce__(self) -> tuple:  # keeps `kind` on the way back from a worker process
        return type(self), (str(self), self.kind)


@contextmanager
def open_bytes(name: str) -> Iterator[Any]:
    """Open a regular local file, or any fsspec location, for reading its bytes."""
    if not is_remote(name):
        _check_regular(name)
        with open(name, "rb") as file:
            yield file
        return
    fs, path = filesystem(name)
    try:
        file = fs.open(path, "rb", block_size=READ_BLOCK_BYTES, cache_type="readahead")
    except FileNotFoundError:
        raise MediaError(
            f"nothing at {name}: check the address and your access to it", "missing"
        ) from None
    with file:
        yield file


def _check_regular(name: str) -> None:
    try:
        status = os.stat(name)
    except (FileNotFoundError, NotADirectoryError):
        raise MediaError(
            f"no file {name}: download it, or check the input directory", "missing"
        ) from None
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(f"{name} is not a regular file: name a video file")
    if status.st_size == 0:
        raise MediaError(f"{name} is empty (0 bytes): download it again")


@contextmanager
def open_container(name: str, file: Any) -> Iterator[Any]:
    """Open a video for reading with libav; `file` is what `open_bytes` gave. MediaError says what
    is wrong with it.
    """
    remote = is_remote(name)
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    # an absolute path: libav takes what stands before a colon for a protocol
    target = file if remote else os.path.abspath(name)
    limit_s = REMOTE_TIMEOUT_S if remote else TIMEOUT_S
    try:
        container = av.open(
            target, container_options=options, timeout=(limit_s, limit_s), **_METADATA
        )
    except av.ArgumentError:  # the whitelist's
        raise MediaError(
            f"{name} does not open as a video: damaged, or in a container that is not read here;"
            " download it again, or convert it to MP4 first"
        ) from None
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(
            f"{name} does not open as a video{_why(error)}: truncated or not a video; download it"
            " again"
        ) from None
    with container:
        yield container


# PyAV 19 replaces what is not UTF-8 by itself, and dropped the setting
_METADATA: dict[str, Any] = (
    {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
)


def _why(error: Exception) -> str:
    """Return libav's reason in words; its "invalid data" says no more than the sentence around it,
    and is left out.
    """
    if isinstance(error, av.InvalidDataError):
        return ""
    return f" ({getattr(error, 'strerror', None) or error})"


def pick_streams(container: Any, name: str, num_threads: int) -> tuple[Any, Any]:
    """Return the film and its sound: of the video streams the one marked as default, else the
    largest, and a still picture only where there is nothing else; of the sounds libav's choice.
    """
    pictures = av.stream.Disposition.attached_pic
    videos = [
        s for s in container.streams.video if not s.disposition & pictures and s.codec_context
    ]
    video = max(videos, key=_rank, default=None)
    if video is not None:
        context = video.codec_context
        if context.width * context.height > MAX_PIXELS:
            raise MediaError(
                f"{name} has frames of {context.width}x{context.height} px, and at most"
                f" {MAX_PIXELS / 1e6:.0f} million pixels are read: scale it down first"
            )
        video.thread_type = "AUTO"
        context.thread_count = num_threads
        context.options = {"max_pixels": str(MAX_PIXELS)}
    best = container.streams.best("audio", related=video)
    sounds = [best] if best is not None else list(container.streams.audio)
    sounds = [s for s in sounds if s.codec_context is not None and s.codec_context.sample_rate]
    return video, sounds[0] if sounds else None


def pixel_shape(stream: Any) -> Fraction:
    """Return how many times as wide as high the pixels of a video stream are; 1 where nothing says
    so.
    """
    shape = stream.sample_aspect_ratio
    if shape is None or not shape.numerator or not shape.denominator:
        return Fraction(1)
    return Fraction(shape.numerator, shape.denominator)


def _rank(stream: Any) -> tuple[bool, bool, int]:
    context = stream.codec_context
    still = context.name in STILL_CODECS or stream.frames == 1
    default = bool(stream.disposition & av.stream.Disposition.default)
    return not still, default, context.width * context.height
