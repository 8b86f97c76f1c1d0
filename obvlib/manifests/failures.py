"""Why a source could not be had: classes that can be counted, each with what to do about it."""

from __future__ import annotations

import re

from obvlib.core.messages import one_line

# What yt-dlp and the sites say, by class; the first that matches counts. The last two may pass.
CLASSES = {
    "private": "private video|video is private",
    "removed": "removed|terminated|no longer available|does not exist|deleted|HTTP Error 4(04|10)",
    "region": "not (made this video )?available (in|from) your (country|location)|geo.?restrict",
    "age": "confirm your age|age.?restricted|inappropriate for some users",
    "login": "sign in|log ?in|members.only|join this channel|HTTP Error 401|cookies",
    "javascript": "javascript runtime|no supported js|challenge solving|nsig extraction",
    "format": "requested format is not available|no video formats|unsupported url|is not a video",
    "unavailable": "video (is )?unavailable|not available|premieres in|live event",
    "rate": "HTTP Error 429|too many requests|rate.?limit",
    "network": (
        "timed? ?out|connection|resolve|HTTP Error 5|incomplete|unable to download|refused|reset"
        "|ssl|bytes.*expected|bytes read|HTTP Error 403"
    ),
}
REMEDIES = {
    "age": "give --cookies of an account that may watch it",
    "login": "give --cookies of an account that may watch it",
    "javascript": "install a JavaScript runtime for yt-dlp: pip install 'obvlib[download]'",
    "rate": "wait, then run the same command again with a larger --sleep-s",
    "network": "run the same command again",
    "format": "the site offers no video in a format that can be read",
}


class DownloadError(ValueError):
    """A source that could not be had; `kind` is its class, one of `CLASSES` or "other"."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(_with_remedy(message, kind))
        self.kind = kind


class PassingError(ConnectionError):
    """A failure that may pass: the engine tries it again before it counts."""

    def __init__(self, message: str, kind: str = "network") -> None:
        super().__init__(_with_remedy(message, kind))
        self.kind = kind


def _with_remedy(message: str, kind: str) -> str:
    return "; ".join(filter(None, (one_line(message, 120), REMEDIES.get(kind, ""))))


def classify(message: str) -> str:
    """Return the class of a failure, one of `CLASSES`, or "other"."""
    matches = (kind for kind, said in CLASSES.items() if re.search(said, message, re.IGNORECASE))
    return next(matches, "other")
