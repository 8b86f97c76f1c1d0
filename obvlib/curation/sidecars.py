"""Captions that came with a video, WebVTT or SRT, as words with times.

YouTube's automatic captions time every word and repeat each line in the next cue; other files time
whole cues, whose words are then spread by their length.
"""

from __future__ import annotations

import html
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from obvlib.core import Word

_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_CUE = re.compile(rf"^\s*{_TIME}\s*-->\s*{_TIME}")
_WORD_TIME = re.compile(rf"<{_TIME}>")
# of bounded length: the time for openings that nothing closes does not grow with their square
_TAG = re.compile(r"<[^>]{0,300}>|\{\\[^}]{0,300}\}")
_SOUND = re.compile(r"\[[^\]]{0,300}\]|\([^)]{0,300}\)|♪[^♪]*♪?")  # [Music], (applause)
MAX_BYTES = 20_000_000  # of a file: the words of a day, each with its time, take half of it


class Cue(NamedTuple):
    """A cue of a file: its times and its lines, with their markup."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]


def read_captions(path: str | os.PathLike) -> list[Word]:
    """Return the words of a WebVTT or SRT file in order; ValueError where it has no cue, or more
    than `MAX_BYTES`.

    What stands in brackets describes a sound and is left out, and so is markup.
    """
    with open(path, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"{Path(path).name} holds more than {MAX_BYTES:,} bytes: not captions")
    text = _decoded(data)
    cues = read_cues(text)
    if not cues:
        raise ValueError(
            f"{Path(path).name} holds no cue: give WebVTT or SRT, with lines such as 00:01.000 -->"
            " 00:02.000"
        )
    words = timed_words(cues) if _WORD_TIME.search(text) else spread_words(cues)
    return sorted(words, key=lambda word: (word.start_s, word.end_s))


def _decoded(data: bytes) -> str:
    """Return a file's text in UTF-8, also where some bytes are damaged; in Latin-1 where no letter
    beyond ASCII is UTF-8.
    """
    text = data.decode("utf-8-sig", "replace")
    is_latin = "\ufffd" in text and not any(ord(c) > 127 and c != "\ufffd" for c in text)
    return data.decode("latin-1") if is_latin else text


def language_of(path: str | os.PathLike) -> str:
    """Return the language that a file name such as `lecture.en-US.vtt` states, or ""."""
    found = re.search(r"\.([a-z]{2,3})(?:[-_][\w-]+)?\.(?:vtt|srt)$", str(path), re.IGNORECASE)
    return found.group(1).lower() if found else ""


def read_cues(text: str) -> list[Cue]:
    """Return the cues of a file's text; a cue that ends before it begins is left out."""
    cues = []
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").split("\n")
    index = 0
    while index < len(lines):
        found = _CUE.match(lines[index])
        index += 1
        if not found:
            continue
        numbers = found.groups()
        start_s, end_s = _seconds(numbers[:4]), _seconds(numbers[4:])
        said = []
        while index < len(lines) and lines[index] and not _CUE.match(lines[index]):
            said.append(lines[index])
            index += 1
        if index < len(lines) and lines[index] and said and said[-1].strip().isdigit():
            said.pop()  # the number of the next cue
        if end_s > start_s:
            cues.append(Cue(start_s, end_s, tuple(said)))
    return cues


def timed_words(cues: list[Cue]) -> list[Word]:
    """Return the words of cues whose lines time them; lines without times repeat earlier ones."""
    words = []
    for cue in cues:
        for line in cue.lines:
            if not _WORD_TIME.search(line):
                continue
            parts = _WORD_TIME.split(line)  # text, then four groups and a text for every time
            starts = [cue.start_s]
            starts += [_seconds(parts[i : i + 4]) for i in range(1, len(parts), 5)]
            ends = [*starts[1:], cue.end_s]
            for text, start_s, end_s in zip(parts[::5], starts, ends, strict=True):
                words += _spread(_plain(text), start_s, max(start_s, end_s))
    return words


def spread_words(cues: list[Cue]) -> list[Word]:
    """Return the words of cues, spread over each cue by their length. A line that the cue before
    ended with is a repetition.
    """
    words = []
    before: tuple[str, ...] = ()
    for cue in cues:
        plain = tuple(text for line in cue.lines if (text := _plain(line)))
        new = plain[1:] if before and plain and plain[0] == before[-1] else plain
        words += _spread(" ".join(new), cue.start_s, cue.end_s)
        before = plain or before
    return words


def _spread(text: str, start_s: float, end_s: float) -> list[Word]:
    said = text.split()
    total = sum(len(word) + 1 for word in said)
    words, at_s = [], start_s
    for word in said:
        until_s = at_s + (end_s - start_s) * (len(word) + 1) / total
        words.append(Word(text=word, start_s=round(at_s, 3), end_s=round(max(at_s, until_s), 3)))
        at_s = until_s
    return words


def _plain(line: str) -> str:
    text = html.unescape(_TAG.sub("", line)).replace("\u200b", "")
    text = _SOUND.sub(" ", text)
    return " ".join(re.sub(r"^(>>+|-)\s*", "", text.strip()).split())


def _seconds(numbers: Any) -> float:
    hours, minutes, seconds, fraction = numbers
    return (
        int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
        + int(fraction.ljust(3, "0")) / 1000
    )  # fmt: skip
