"""Speech to words with their times: Whisper through faster-whisper, from a package or the hub."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from obvlib.core import Word
from obvlib.encoders.parts import PARTS, part_path
from obvlib.manifests import card_names, fetch, load_card

SAMPLE_RATE = 16_000


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What a recogniser made of a stretch of sound: `words` timed from its start, and how sure it
    is.
    """

    words: tuple[Word, ...]
    language: str = ""
    language_probability: float = 1.0
    log_probability: float = 0.0  # mean of the tokens
    no_speech: float = 0.0  # probability that nobody speaks
    compression: float = 1.0  # of the text; above 2.4 it repeats itself


class Recogniser:
    """A Whisper model, loaded."""

    def __init__(self, name: str, model: Any) -> None:
        self.name, self.model = name, model
        self.is_multilingual = bool(model.model.is_multilingual)

    def language_of(self, sound: np.ndarray) -> tuple[str, float]:
        """Return the language that is most likely spoken in `sound` (N,) and its probability."""
        language, probability, _ = self.model.detect_language(sound)
        return language, float(probability)

    def hear(self, sound: np.ndarray, language: str = "") -> list[Heard]:
        """Return what is said in `sound` (N,) float32 at 16 kHz, one entry a sentence or so.

        An empty `language` lets a multilingual model find it out. Nothing heard before influences
        what is heard now, and no temperature other than 0 is tried, since both make it invent.
        """
        segments, info = self.model.transcribe(
            sound,
            language=language or (None if self.is_multilingual else "en"),
            beam_size=5,
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=True,
            vad_filter=False,
        )
        return [
            Heard(
                words=tuple(
                    Word(text=w.word.strip(), start_s=float(w.start), end_s=float(w.end))
                    for w in segment.words or ()
                    if w.word.strip()
                ),
                language=info.language,
                language_probability=float(info.language_probability),
                log_probability=float(segment.avg_logprob),
                no_speech=float(segment.no_speech_prob),
                compression=float(segment.compression_ratio),
            )
            for segment in segments
        ]


def _packaged(name: str) -> dict[str, bytes]:
    """The files of a model that two packages ship a half each, joined in memory: a package of the
    registry holds at most 100 MB.
    """
    folder = part_path(name)
    files = {
        file: (folder / file).read_bytes()
        for file in ("config.json", "tokenizer.json", "vocabulary.txt")
    }
    halves = (folder / "model.bin.part1", part_path(f"{name}, second half"))
    return files | {"model.bin": b"".join(half.read_bytes() for half in halves)}


@lru_cache(maxsize=1)
def recogniser(name: str = "whisper-base", device: str = "") -> Recogniser:
    """Return the recogniser of that name, loaded once a process: "whisper-base" from its
    packages, one that has a card ("whisper-large-v3") or any other that faster-whisper knows
    ("medium") from the hub, or one in a folder. Without a `device` it runs on a GPU where there is
    one with the libraries that it needs. HubUnavailable where a card's files are neither cached nor
    in reach.
    """
    check_model(name)
    if device or not _has_gpu():
        return _loaded(name, device or "cpu")
    try:
        found = _loaded(name, "cuda")
        found.hear(np.zeros(SAMPLE_RATE, np.float32), "en")  # libraries are looked for only now
        return found
    except RuntimeError as error:
        warnings.warn(f"speech runs on the CPU, since on the GPU: {error}", stacklevel=2)
        return _loaded(name, "cpu")


def _loaded(name: str, device: str) -> Recogniser:
    from faster_whisper import WhisperModel

    return Recogniser(
        name,
        WhisperModel(
            _where(name),
            device=device,
            compute_type="int8" if device == "cpu" else "float16",
            cpu_threads=int(os.environ.get("OMP_NUM_THREADS", "0") or 0),
            files=_packaged(name) if name in PARTS else None,
        ),
    )


def check_model(name: str) -> None:
    """Raise ValueError where no recogniser has that name, and ImportError without the package that
    runs them.
    """
    try:
        from faster_whisper import available_models
    except ImportError:
        raise ImportError(
            "speech needs the package faster-whisper: pip install 'obvlib[mini]'"
        ) from None
    cards = [card for card in card_names() if card.startswith("whisper-")]
    known = [*cards, *available_models()]
    if name not in known and not Path(name, "model.bin").is_file():
        raise ValueError(
            f"speech model {name!r} is unknown: use {', '.join(cards)}, a name that faster-whisper"
            " knows, such as medium, or a folder with its model.bin"
        )


def _has_gpu() -> bool:
    """Whether the recogniser's library sees a GPU."""
    import ctranslate2

    if not ctranslate2.get_cuda_device_count():
        return False
    import torch  # noqa: F401  # loads the CUDA libraries, which ctranslate2 only looks for

    return True


def _where(name: str) -> str:
    """Return the folder of a model that has a card, and the name of any other."""
    if name in PARTS or name not in card_names():
        return name
    card = load_card(name)
    return str(fetch(card.hub_id, revision=card.revision))
