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
MAX_SOUND_S = 30.0
_BEAM_SIZE = 5
_TAIL_S = 1.0  # of silence behind a sound, from which the model knows that it is over
_OPENING, _CLOSING = "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、"  # belong to the word after, or before


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What a recogniser made of a stretch of sound, and how sure it is."""

    text: str
    tokens: tuple[int, ...] = ()  # of the text, as the model writes it
    log_probability: float = 0.0  # mean of the tokens
    no_speech: float = 0.0  # probability that nobody speaks
    compression: float = 1.0  # of the text; above 2.4 it repeats itself


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A stretch of sound as the decoder sees it, and how many 10 ms of it are sound."""

    states: Any
    num_frames: int


class Recogniser:
    """A Whisper model, loaded."""

    def __init__(self, name: str, model: Any) -> None:
        self.name, self.model = name, model
        self.is_multilingual = bool(model.model.is_multilingual)

    def encode(self, sound: np.ndarray) -> Encoded:
        """Return what the encoder makes of `sound` (N,) float32 at 16 kHz, of up to 30 s.

        On a CPU it is given the sound and one second of silence instead of 30 s whatever the
        sound's length, since it takes its time by the second.
        """
        if len(sound) > MAX_SOUND_S * SAMPLE_RATE:
            length_s = len(sound) / SAMPLE_RATE
            raise ValueError(f"the sound has {length_s:.1f} s: give at most {MAX_SOUND_S:g}")
        extractor = self.model.feature_extractor
        features = extractor(sound)[:, :-1]  # (bands, 10 ms)
        num_frames, longest = features.shape[1], extractor.nb_max_frames
        if self.model.model.device == "cpu":
            tail = round(_TAIL_S / extractor.time_per_frame)
            longest = min(longest, (num_frames + tail + 1) // 2 * 2)  # it halves the frames
        padded = np.pad(features, ((0, 0), (0, longest - num_frames)))
        return Encoded(states=self.model.encode(padded), num_frames=num_frames)

    def language_of(self, sound: Encoded) -> tuple[str, float]:
        """Return the language that is most likely spoken and its probability."""
        token, probability = self.model.model.detect_language(sound.states)[0][0]
        return token[2:-2], float(probability)

    def hear(self, sound: Encoded, language: str) -> Heard:
        """Return what is said, in a language with a two-letter code.

        Nothing heard before influences what is heard now, no temperature other than 0 is tried,
        and no times are asked for: all three make it invent or leave out words.
        """
        from faster_whisper.transcribe import get_compression_ratio, get_suppressed_tokens

        tokenizer = self._tokenizer(language)
        (found,) = self.model.model.generate(
            sound.states,
            [[*tokenizer.sot_sequence, tokenizer.no_timestamps]],
            beam_size=_BEAM_SIZE,
            max_length=self.model.max_length,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
            return_scores=True,
            return_no_speech_prob=True,
        )
        (tokens,), (score,) = found.sequences_ids, found.scores
        text = tokenizer.decode(tokens).strip()
        return Heard(
            text=text,
            tokens=tuple(tokens),
            log_probability=score * len(tokens) / (len(tokens) + 1),  # with the end's
            no_speech=float(found.no_speech_prob),
            compression=get_compression_ratio(text),
        )

    def words(self, sound: Encoded, heard: Heard, language: str) -> list[Word]:
        """Return the words of what was heard in `sound`, timed in seconds from its start."""
        length_s = sound.num_frames * self.model.feature_extractor.time_per_frame
        segment: dict[str, Any] = {"seek": 0, "start": 0.0, "end": length_s}
        segment["tokens"] = list(heard.tokens)
        self.model.add_word_timestamps(
            [[segment]],
            self._tokenizer(language),
            sound.states,
            sound.num_frames,
            _OPENING,
            _CLOSING,
            last_speech_timestamp=0.0,
        )
        return [
            Word(text=text, start_s=float(word["start"]), end_s=float(word["end"]))
            for word in segment.get("words", ())
            if (text := word["word"].strip())
        ]

    def _tokenizer(self, language: str) -> Any:
        from faster_whisper.tokenizer import Tokenizer

        return Tokenizer(
            self.model.hf_tokenizer, self.is_multilingual, task="transcribe", language=language
        )


def _packaged(name: str) -> dict[str, bytes]:
    """Return the files of a model that two packages ship a half each, joined in memory: a package
    of the registry holds at most 100 MB.
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
        found.encode(np.zeros(SAMPLE_RATE, np.float32))  # libraries are looked for only now
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
