"""Speech for the lecture videos, by espeak-ng's library, with the moment at which each word is
said.

Needed only to narrate anew: the shipped videos carry their sound, and `sources.jsonl` the words. On
Debian the library comes with `apt-get install espeak-ng`.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import re

import numpy as np

from obvlib.core.records import Word

SAMPLE_RATE = 16_000  # Hz, of the sound that `speak` returns
# synchronous output to a callback; positions in characters; text in UTF-8
_RETRIEVAL, _CHARACTERS, _UTF8 = 2, 1, 1
_RATE_PARAMETER, _PITCH_PARAMETER = 1, 3
_END_OF_LIST, _WORD = 0, 1
_SILENCE = 0.01  # samples below this share of full scale count as silence at a word's end


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


def speak(
    text: str, *, voice: str, words_per_minute: int = 165, pitch: int = 50
) -> tuple[np.ndarray, list[Word]]:
    """Sound (N,) float32 at 16 kHz, and the words of `text` (split at spaces, punctuation kept)
    with their times in seconds.

    Raises RuntimeError where espeak-ng's library is not installed or does not know the voice.
    """
    library, rate = _library()
    chunks: list[np.ndarray] = []
    starts: list[tuple[int, float]] = []  # character, seconds

    @_Callback
    def receive(samples, num_samples, events):
        if num_samples > 0:
            chunks.append(np.ctypeslib.as_array(samples, (num_samples,)).copy())
        i = 0
        while events[i].type != _END_OF_LIST:
            if events[i].type == _WORD:
                starts.append((events[i].text_position - 1, events[i].audio_position / 1000))
            i += 1
        return 0

    library.espeak_SetSynthCallback(receive)
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise RuntimeError(f"espeak-ng has no voice {voice!r}: `espeak-ng --voices=en` lists them")
    library.espeak_SetParameter(_RATE_PARAMETER, words_per_minute, 0)
    library.espeak_SetParameter(_PITCH_PARAMETER, pitch, 0)
    encoded = text.encode()
    library.espeak_Synth(encoded, len(encoded) + 1, 0, _CHARACTERS, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    sound = _resampled(np.concatenate(chunks).astype(np.float32) / 32768, rate)
    return sound, _timed_words(text, starts, sound)


def speak_in_turn(
    texts: list[str], voice: str, words_per_minute: int
) -> list[tuple[np.ndarray, list[Word]]]:
    """`speak` each of the texts. From a fresh process the result is always the same; later it
    depends on what was said before.
    """
    return [speak(text, voice=voice, words_per_minute=words_per_minute) for text in texts]


def _library() -> tuple[ctypes.CDLL, int]:
    name = ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1"
    try:
        library = ctypes.CDLL(name)
    except OSError:
        raise RuntimeError(
            "espeak-ng's library is not installed, and narration needs it: `apt-get install"
            " espeak-ng`"
        ) from None
    rate = library.espeak_Initialize(_RETRIEVAL, 0, None, 0)
    if rate <= 0:
        raise RuntimeError(
            "espeak-ng's library found no voices: install the package espeak-ng-data"
        )
    return library, rate


def _resampled(sound: np.ndarray, rate: int) -> np.ndarray:
    """The sound at 16 kHz, by leaving out what lies above 8 kHz."""
    num = round(len(sound) * SAMPLE_RATE / rate)
    spectrum = np.fft.rfft(sound)
    kept = np.zeros(num // 2 + 1, dtype=complex)
    shared = min(len(kept), len(spectrum))
    kept[:shared] = spectrum[:shared]
    return (np.fft.irfft(kept, num) * (num / len(sound))).astype(np.float32)


def _timed_words(text: str, starts: list[tuple[int, float]], sound: np.ndarray) -> list[Word]:
    """One Word for each run of non-spaces. A word that espeak-ng ran together with the one before
    shares its time by length.
    """
    total_s = len(sound) / SAMPLE_RATE
    tokens = [(match.start(), match.group()) for match in re.finditer(r"\S+", text)]
    begin = [
        next((s for position, s in starts if first <= position < first + len(token)), None)
        for first, token in tokens
    ]
    begin[0] = begin[0] or 0.0
    known = [i for i, s in enumerate(begin) if s is not None]
    filled = np.interp(range(len(tokens)), known, [begin[i] for i in known])
    words = []
    for i, (_, token) in enumerate(tokens):
        start_s, next_s = float(filled[i]), float(filled[i + 1]) if i + 1 < len(tokens) else total_s
        loud = np.flatnonzero(
            np.abs(sound[int(start_s * SAMPLE_RATE) : int(next_s * SAMPLE_RATE)]) > _SILENCE
        )
        end_s = start_s + (loud[-1] + 1) / SAMPLE_RATE if len(loud) else next_s
        words.append(
            Word(
                text=token,
                start_s=round(start_s, 3),
                end_s=round(float(max(end_s, start_s + 0.02)), 3),
            )
        )
    return words
