"""One video from the address where it is published, with yt-dlp: a file on a web server, or a page
of YouTube.

An address comes from a row and is not to be trusted: only http and https are opened, a playlist or
a page that leads to other files is refused outside YouTube, and so is what is still being sent.
"""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import urlsplit

from obvlib.core.identity import identify
from obvlib.engine import StageStopped
from obvlib.manifests.failures import DownloadError, PassingError, classify
from obvlib.media.opening import EXTENSIONS

YOUTUBE = ("youtube.com", "youtu.be", "youtube-nocookie.com")
CAPTIONS = {"writesubtitles": True, "subtitlesformat": "vtt", "subtitleslangs": ["en.*"]}
_OPTIONS: dict[str, Any] = {
    "merge_output_format": "mp4",
    "quiet": True,
    "no_warnings": True,
    "noprogress": True,
    "noplaylist": True,
    "retries": 3,
    "fragment_retries": 3,
    "continuedl": True,
    "cachedir": False,
}


def is_youtube(url: str) -> bool:
    """Return whether an address is one of YouTube's."""
    host = (urlsplit(url).hostname or "").lower()
    return any(host == known or host.endswith(f".{known}") for known in YOUTUBE)


def origin_of(url: str) -> str:
    """Return size and ETag (or time) of the file at an address, by which another one shows; "" for
    a site's page, and where the server cannot be asked.
    """
    is_file = urlsplit(url).path.lower().endswith(tuple(f".{name}" for name in EXTENSIONS))
    if not is_file or is_youtube(url) or not url.lower().startswith(("http://", "https://")):
        return ""
    try:
        found = identify(url)
    except Exception:  # the download itself says what is wrong
        return ""
    return f"{found.size_bytes} {found.etag or found.mtime_ns}" if found else ""


def formats(url: str, max_height: int) -> str:
    """Return yt-dlp's choice of formats: H.264 first, which `obv slice` can copy without encoding
    again. Outside YouTube only a file itself, since a playlist may name any other.
    """
    height = f"[height<={max_height}]"
    h264 = f"{height}[vcodec^=avc]"
    file = "" if is_youtube(url) else "[protocol~='^https?$']"
    pairs = [f"bv*{h264}{file}+ba{file}", f"b{h264}{file}", f"bv*{height}{file}+ba{file}"]
    return "/".join([*pairs, f"b{height}{file}", f"b{file}"])


def fetch(url: str, work: str, options: dict[str, Any]) -> None:
    """Fetch the video at an address into the directory `work`, going on where it was stopped.

    DownloadError by class, PassingError for what may pass, StageStopped for a full disk.
    """
    from yt_dlp import YoutubeDL
    from yt_dlp.utils import YoutubeDLError

    if urlsplit(url).scheme.lower() not in ("http", "https"):
        raise DownloadError("the address is not one of http or https: correct the row", "format")
    if os.path.expandvars(work) != work:
        raise ValueError(f"{work} names an environment variable: choose another output directory")
    options = _OPTIONS | options
    options |= {
        "paths": {"home": work},
        "outtmpl": "video.%(ext)s",
        "allowed_extractors": ["youtube" if is_youtube(url) else "generic"],
        "match_filter": _refuse_live,
        "logger": _Silent(),
    }
    try:
        with YoutubeDL(options) as downloader:
            downloader.download([url])
    except YoutubeDLError as error:
        if _is_full_disk(error):
            advice = "make room, then run the same command again"
            raise StageStopped(f"no room left; {advice}") from None
        message = re.sub(r"\x1b\[[0-9;]*m|^ERROR:\s*", "", str(error))
        kind = classify(message)
        if kind in ("rate", "network"):
            raise PassingError(message, kind) from None
        raise DownloadError(message, kind) from None


def _refuse_live(info: dict[str, Any], *, incomplete: bool) -> None:
    """Raise for what has no end yet: it would be fetched until the disk is full."""
    from yt_dlp.utils import ExtractorError

    if info.get("is_live") or info.get("live_status") in ("is_live", "is_upcoming"):
        raise ExtractorError("a live event has no end yet: wait until it is over", expected=True)


class _Silent:
    """What yt-dlp logs to: an error is raised as well, and comes back with its class."""

    def debug(self, message: str) -> None:
        pass

    warning = error = debug


def _is_full_disk(error: BaseException) -> bool:
    return any(said in str(error) for said in ("No space left", "Disk quota"))
