"""Speech to words that were really said: voice activity first, then the recogniser, then a check of
every word against the voice.

A recogniser writes something for whatever it hears: "You You You" over music, a word in the silence
before a sentence, a word stretched over a pause. So it hears only where somebody speaks, and what
it puts elsewhere is cut back or left out, and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from obvlib.core import Word
from obvlib.curation.words import without_repeats
from obvlib.encoders.speech import MAX_SOUND_S, SAMPLE_RATE, Encoded, Heard, Recogniser
from obvlib.encoders.voices import WINDOW

WINDOW_S = WINDOW / SAMPLE_RATE
IN_SILENCE, REPEATED, UNCLEAR, CUT_BACK = "in silence", "repeated", "unclear", "cut back"


class Span(NamedTuple):
    """A stretch of time, in seconds."""

    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class SpeechSettings:
    """How sound becomes words."""

    model: str = "whisper-base"
    language: str = ""  # as a two-letter code; empty: the model finds out
    languages: tuple[str, ...] = ("en",)  # others are dropped, with a reason; empty: any is kept
    min_language: float = 0.8  # probability below which the first of `languages` is taken instead
    min_voice: float = 0.5  # probability at which speech begins; it ends 0.15 below
    min_speech_s: float = 0.25  # shorter bursts are noise
    max_pause_s: float = 2.0  # a longer pause is not shown to the recogniser
    pad_s: float = 0.2  # on either side of speech
    level_db: float = -20.0  # of speech, below full scale, as the recogniser hears it
    max_chunk_s: float = 25.0  # at the slowest of the speeds the recogniser's 30 s
    max_word_s: float = 1.4  # a longer word is cut back to where there is a voice
    min_log_probability: float = -1.0  # of a chunk; below it is a guess
    max_compression: float = 2.4
    max_repeats: int = 3  # of one word or pair of words in a row
    speeds: tuple[float, ...] = (1.0, 0.9, 0.85)  # a chunk is heard at, until the model is sure
    sure: float = -0.2  # log probability of a chunk; without it the surest hearing is taken

    def __post_init__(self) -> None:
        if not 0.15 < self.min_voice <= 1:
            raise ValueError(f"min_voice is {self.min_voice}: give a probability above 0.15")
        if not self.speeds or min(self.speeds) <= 0:
            raise ValueError(f"speeds are {self.speeds}: give at least one, each above 0")
        longest_s = MAX_SOUND_S * min(self.speeds)
        if not 0 < self.max_chunk_s <= longest_s:
            raise ValueError(
                f"max_chunk_s is {self.max_chunk_s}: give up to {longest_s:g} seconds, which the"
                f" slowest of the speeds {self.speeds} stretches to {MAX_SOUND_S:g}"
            )


@dataclass(frozen=True, kw_only=True)
class Speech:
    """The words of a video with their times, and what was left out or cut back, by reason."""

    words: tuple[Word, ...]
    language: str
    flags: dict[str, int]


def voiced_spans(probabilities: np.ndarray, settings: SpeechSettings) -> list[Span]:
    """Return where somebody speaks, from the probability of each 32 ms (N,).

    Speech begins at a window of at least `min_voice` and lasts while windows are above 0.15 less.
    """
    likely = probabilities >= settings.min_voice - 0.15
    edges = np.flatnonzero(np.diff(np.concatenate([[False], likely, [False]]).astype(np.int8)))
    spans = [
        Span(float(start * WINDOW_S), float(end * WINDOW_S))
        for start, end in zip(edges[::2], edges[1::2], strict=True)
        if probabilities[start:end].max() >= settings.min_voice
        and (end - start) * WINDOW_S >= settings.min_speech_s
    ]
    return spans


def chunks(
    spans: Sequence[Span], probabilities: np.ndarray, settings: SpeechSettings
) -> list[Span]:
    """Return the stretches of sound that are handed to the recogniser: spans of speech joined over
    pauses up to `max_pause_s`, none longer than `max_chunk_s`. A longer span is cut where the
    voice, whose `probabilities` (N,) are those of each 32 ms, is weakest: between words.
    """
    found: list[Span] = []
    pieces = [
        piece for span in spans for piece in _pieces(span, probabilities, settings.max_chunk_s)
    ]
    for span in pieces:
        if (
            found
            and span.start_s - found[-1].end_s <= settings.max_pause_s
            and span.end_s - found[-1].start_s <= settings.max_chunk_s - 2 * settings.pad_s
        ):
            found[-1] = Span(found[-1].start_s, span.end_s)
        else:
            found.append(span)
    return found


def _pieces(span: Span, probabilities: np.ndarray, max_s: float) -> list[Span]:
    """Cut a span in pieces of about the same length, none longer than `max_s`."""
    length_s = span.end_s - span.start_s
    if length_s <= max_s - 1:
        return [span]
    slack_s = max_s / 10  # by which a cut may move either way
    number = int(np.ceil(length_s / (max_s - 1 - 2 * slack_s)))
    even = np.linspace(span.start_s, span.end_s, number + 1).tolist()
    cuts = [_weakest(probabilities, at - slack_s, at + slack_s) for at in even[1:-1]]
    edges = [span.start_s, *cuts, span.end_s]
    return [Span(start, end) for start, end in zip(edges, edges[1:], strict=False)]


def _weakest(probabilities: np.ndarray, start_s: float, end_s: float) -> float:
    """Return the middle of the 0.16 s with the least voice between two moments."""
    first = round(start_s / WINDOW_S)
    within = probabilities[first : round(end_s / WINDOW_S)]
    means = np.convolve(within, np.full(5, 0.2), mode="valid")
    return float((first + int(np.argmin(means)) + 2.5) * WINDOW_S)


def transcribe(
    sound: np.ndarray, probabilities: np.ndarray, model: Recogniser, settings: SpeechSettings
) -> Speech:
    """Return the words of `sound` (N,) float32 at 16 kHz, whose voice `probabilities` are known."""
    spans = voiced_spans(probabilities, settings)
    sound = levelled(sound, spans, settings.level_db)
    words: list[Word] = []
    flags: dict[str, int] = {}
    language = settings.language
    for chunk in chunks(spans, probabilities, settings):
        start_s = max(0.0, chunk.start_s - settings.pad_s)
        end = round((chunk.end_s + settings.pad_s) * SAMPLE_RATE)
        best = heard_best(sound[round(start_s * SAMPLE_RATE) : end], language, model, settings)
        language = best.language
        if reason := _doubt(best.heard, settings):
            flags[reason] = flags.get(reason, 0) + len(best.heard.text.split())
            continue
        said = model.words(best.sound, best.heard, language)
        words += [timed(word, start_s, best.speed) for word in said]
    kept, counted = checked_words(words, spans, settings)
    for reason, number in counted.items():
        flags[reason] = flags.get(reason, 0) + number
    return Speech(words=tuple(kept), language=language, flags=flags)


class Hearing(NamedTuple):
    """What was heard in a sound played at `speed`, taken to be in `language`."""

    heard: Heard
    sound: Encoded
    speed: float
    language: str


def heard_best(
    sound: np.ndarray, language: str, model: Recogniser, settings: SpeechSettings
) -> Hearing:
    """Return what the model hears in `sound` (N,), or in the same played slower and deeper, where
    it is surer of that: a voice unlike those it learned from may be like them then. Without a
    `language` it is found out.
    """
    found: list[Hearing] = []
    for speed in settings.speeds:
        encoded = model.encode(played_at(sound, speed))
        language = language or spoken_language(encoded, model, settings)
        found.append(Hearing(model.hear(encoded, language), encoded, speed, language))
        if certainty(found[-1].heard, settings) >= settings.sure:
            return found[-1]
    return max(found, key=lambda hearing: certainty(hearing.heard, settings))


def certainty(heard: Heard, settings: SpeechSettings) -> float:
    """Return the mean log probability of what was heard; minus infinity for nothing, and for what
    repeats itself, which a model does with great certainty.
    """
    is_loop = heard.compression > settings.max_compression
    return -np.inf if is_loop or not heard.text else heard.log_probability


def played_at(sound: np.ndarray, speed: float) -> np.ndarray:
    """Return `sound` (N,) as it is at a speed, (N / speed,) float32."""
    from scipy.signal import resample_poly

    if speed == 1:
        return sound
    return resample_poly(sound, 1000, round(1000 * speed)).astype(np.float32)


def spoken_language(sound: Encoded, model: Recogniser, settings: SpeechSettings) -> str:
    """Return the language spoken in `sound`, or the first wanted one where the model is not sure:
    an accent or noise makes it guess, and a guess must not drop a video.
    """
    if not model.is_multilingual:
        return "en"
    language, probability = model.language_of(sound)
    is_sure = probability >= settings.min_language or not settings.languages
    return language if is_sure else settings.languages[0]


def levelled(sound: np.ndarray, spans: Sequence[Span], level_db: float) -> np.ndarray:
    """Return `sound` (N,) as loud as if its speech, the `spans`, had an RMS level of `level_db`
    below full scale; peaks that do not fit are cut off.

    A recogniser does not scale its input: a quiet speaker sounds unlike those it learned from.
    """
    voiced = [sound[round(s.start_s * SAMPLE_RATE) : round(s.end_s * SAMPLE_RATE)] for s in spans]
    power = float(np.mean(np.square(np.concatenate(voiced), dtype=np.float64))) if voiced else 0.0
    if power == 0:
        return sound
    gain = 10 ** (level_db / 20) / np.sqrt(power)
    return np.clip(sound * np.float32(gain), -1, 1).astype(np.float32)


def _doubt(heard: Heard, settings: SpeechSettings) -> str:
    """Return why nothing of what was heard is believed, or "" where it is."""
    if heard.compression > settings.max_compression:
        return REPEATED
    return UNCLEAR if heard.log_probability < settings.min_log_probability else ""


def timed(word: Word, start_s: float, speed: float) -> Word:
    """Return a word of a sound that began at `start_s` and was played at `speed`, as timed in the
    video.
    """
    first, last = (round(start_s + at_s * speed, 3) for at_s in (word.start_s, word.end_s))
    return replace(word, start_s=first, end_s=last)


def checked_words(
    words: Sequence[Word], spans: Sequence[Span], settings: SpeechSettings
) -> tuple[list[Word], dict[str, int]]:
    """Return the words that were said while somebody spoke, in order, and how many were left out or
    cut back, by reason.

    A word outside every span is left out. One that is longer than `max_word_s`, or that begins or
    ends in a pause, is cut back to the voice that it overlaps most. Repetitions beyond
    `max_repeats` are left out.
    """
    flags: dict[str, int] = {}
    kept: list[Word] = []
    for word in sorted(words, key=lambda w: (w.start_s, w.end_s)):
        inside = _voiced_part(word, spans, settings.pad_s)
        if inside is None:
            flags[IN_SILENCE] = flags.get(IN_SILENCE, 0) + 1
            continue
        if inside != word and word.end_s - word.start_s > settings.max_word_s:
            flags[CUT_BACK] = flags.get(CUT_BACK, 0) + 1
        start_s = max(inside.start_s, kept[-1].end_s if kept else 0.0)
        kept.append(replace(inside, start_s=start_s, end_s=max(start_s, inside.end_s)))
    unique = without_repeats(kept, settings.max_repeats)
    if len(unique) < len(kept):
        flags[REPEATED] = len(kept) - len(unique)
    return unique, flags


def _voiced_part(word: Word, spans: Sequence[Span], slack_s: float) -> Word | None:
    """Return the part of the word that lies within the span that it overlaps most or is nearest to,
    with `slack_s` on either side; None where a voice is farther away than that.

    A short word may be timed into the pause beside it: it was said all the same.
    """
    overlaps = [
        (min(word.end_s, span.end_s) - max(word.start_s, span.start_s), span) for span in spans
    ]
    most, span = max(overlaps, default=(0.0, None))
    if span is None or most < -slack_s:
        return None
    start_s = min(max(word.start_s, span.start_s - slack_s), span.end_s + slack_s)
    end_s = min(max(word.end_s, start_s), span.end_s + slack_s)
    return replace(word, start_s=round(start_s, 3), end_s=round(end_s, 3))
