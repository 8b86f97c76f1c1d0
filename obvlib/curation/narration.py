"""The stage that finds what is said in a video, and which words belong to a stretch of it."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from obvlib.curation.passages import NarratedVideo, Passage
from obvlib.curation.speech import Speech, SpeechSettings, transcribe
from obvlib.curation.stages import SegmentedVideo
from obvlib.curation.words import assign_words
from obvlib.engine import Drop
from obvlib.engine.stages import Stage


@dataclass(frozen=True, kw_only=True)
class NarrateVideo(Stage):
    """Read the sidecar captions of a video, or hear what is said in it, and give each stretch the
    words that are said over it, each word to one at most.
    """

    settings: SpeechSettings = field(default_factory=SpeechSettings)
    name: ClassVar[str] = "narrate"
    result: ClassVar[type] = NarratedVideo

    def params(self) -> dict[str, Any]:
        return asdict(self.settings)

    def inputs(self, video: SegmentedVideo) -> Sequence[str]:
        path = video.stretches[0].path
        return tuple(name for name in (path, captions_beside(path)) if name)

    def __call__(self, video: SegmentedVideo) -> NarratedVideo | Drop:
        path = video.stretches[0].path
        captions = captions_beside(path)
        if captions:
            speech = read_speech(self.fetch(captions))
        else:
            speech = hear_speech(self.fetch(path), self.settings)
        if unwanted := _unwanted(speech, self.settings):
            return unwanted
        said = assign_words(speech.words, [(s.start_s, s.end_s) for s in video.stretches])
        return NarratedVideo(
            video_id=video.video_id,
            passages=tuple(
                Passage(**vars(stretch), words=words)
                for stretch, words in zip(video.stretches, said, strict=True)
            ),
            words=speech.words,
            language=speech.language,
            source="captions" if captions else self.settings.model,
            flags=speech.flags,
        )


def read_speech(path: str) -> Speech:
    """Return the words of a caption file, in the language that its name states."""
    from obvlib.curation.sidecars import language_of, read_captions

    return Speech(words=tuple(read_captions(path)), language=language_of(path), flags={})


def hear_speech(path: str, settings: SpeechSettings) -> Speech:
    """Return the words that are said in a video; a video without a voice has none, and no
    recogniser is loaded for it.
    """
    from obvlib.encoders.speech import SAMPLE_RATE, recogniser
    from obvlib.encoders.voices import voice_probabilities
    from obvlib.media import audio

    sound = audio(path, SAMPLE_RATE)
    probabilities = voice_probabilities(sound)
    if not len(sound) or probabilities.max() < settings.min_voice:
        return Speech(words=(), language="", flags={})
    return transcribe(sound, probabilities, recogniser(settings.model), settings)


def _unwanted(speech: Speech, settings: SpeechSettings) -> Drop | None:
    """Return why speech in another language than the settings name is dropped."""
    language, wanted = speech.language, settings.languages
    if speech.words and wanted and language and language not in wanted:
        return Drop(f"spoken in another language ({language})")
    return None


def captions_beside(path: str) -> str:
    """Return the caption file that lies beside a local video and bears its name, or ""."""
    video = Path(path)
    found = sorted(
        other
        for pattern in ("vtt", "srt")
        for other in video.parent.glob(f"{glob.escape(video.stem)}*.{pattern}")
        if other.name.startswith(f"{video.stem}.") and other.is_file()  # no pipe, no device
    )
    return str(found[0]) if found else ""
