"""The stage that finds what is said in a video, and which words belong to a stretch of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from obvlib.core import Clip, Word
from obvlib.curation.speech import Speech, SpeechSettings, transcribe
from obvlib.curation.stages import Stretch, Video
from obvlib.engine import Drop
from obvlib.engine.stages import Stage


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """What is said in a video, where it was read from, and what was left out, counted by reason."""

    video_id: str
    words: tuple[Word, ...]
    language: str = ""
    source: str = ""
    flags: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TranscribeVideo(Stage):
    """Read the sidecar captions of a video, or hear what is said in it."""

    settings: SpeechSettings = field(default_factory=SpeechSettings)
    name: ClassVar[str] = "transcribe"
    result: ClassVar[type] = Transcript

    def params(self) -> dict[str, Any]:
        return asdict(self.settings)

    def inputs(self, video: Video) -> Sequence[str]:
        return tuple(path for path in (video.path, video.captions) if path)

    def __call__(self, video: Video) -> Transcript | Drop:
        speech, source = self._speech(video)
        languages = self.settings.languages
        if speech.words and languages and speech.language and speech.language not in languages:
            return Drop(f"spoken in another language ({speech.language})")
        if not speech.words:
            return Drop("no words are spoken in it")
        return Transcript(
            video_id=video.video_id,
            words=speech.words,
            language=speech.language,
            source=source,
            flags=speech.flags,
        )

    def _speech(self, video: Video) -> tuple[Speech, str]:
        from obvlib.curation.sidecars import language_of, read_captions

        if video.captions:
            words = read_captions(self.fetch(video.captions))
            return Speech(
                words=tuple(words), language=language_of(video.captions), flags={}
            ), "captions"
        from obvlib.encoders.speech import SAMPLE_RATE, recogniser
        from obvlib.encoders.voices import voice_probabilities
        from obvlib.media import audio

        sound = audio(self.fetch(video.path), SAMPLE_RATE)
        probabilities = voice_probabilities(sound)
        if not len(sound) or probabilities.max() < self.settings.min_voice:
            return Speech(words=(), language="", flags={}), self.settings.model
        model = recogniser(self.settings.model)
        return transcribe(sound, probabilities, model, self.settings), self.settings.model


def narrated(stretch: Stretch, words: Sequence[Word], dataset: str = "") -> Clip | Drop:
    """Return the stretch with the words said over it as a clip, or a Drop where there are none."""
    if not words:
        return Drop("no words are spoken over it")
    return Clip(
        video_id=stretch.video_id,
        start_s=stretch.start_s,
        end_s=stretch.end_s,
        dataset=dataset,
        transcript=" ".join(word.text for word in words),
    )
