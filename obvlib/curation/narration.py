"""The stage that finds what is said in a video, and which words belong to a stretch of it."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from obvlib.core import Word
from obvlib.curation.passages import NarratedVideo, Passage
from obvlib.curation.speech import Speech, SpeechSettings, transcribe
from obvlib.curation.stages import SegmentedVideo, Video
from obvlib.curation.words import assign_words
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
        speech, source = self.speech(video)
        if unwanted := _unwanted(speech, self.settings):
            return unwanted
        if not speech.words:
            return Drop("no words are spoken in it")
        return Transcript(
            video_id=video.video_id,
            words=speech.words,
            language=speech.language,
            source=source,
            flags=speech.flags,
        )

    def speech(self, video: Video) -> tuple[Speech, str]:
        """Return the words of a video, and where they come from."""
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


@dataclass(frozen=True, kw_only=True)
class NarrateVideo(Stage):
    """Give each stretch of a video the words that are said over it, each word to one at most."""

    settings: SpeechSettings = field(default_factory=SpeechSettings)
    name: ClassVar[str] = "narrate"
    result: ClassVar[type] = NarratedVideo

    def params(self) -> dict[str, Any]:
        return asdict(self.settings)

    def inputs(self, video: SegmentedVideo) -> Sequence[str]:
        return TranscribeVideo().inputs(_video(video))

    def __call__(self, video: SegmentedVideo) -> NarratedVideo | Drop:
        speech, source = TranscribeVideo(settings=self.settings).speech(_video(video))
        if unwanted := _unwanted(speech, self.settings):
            return unwanted
        said = assign_words(speech.words, [(s.start_s, s.end_s) for s in video.stretches])
        return NarratedVideo(
            video_id=video.video_id,
            passages=tuple(
                Passage(**vars(stretch), words=words)
                for stretch, words in zip(video.stretches, said, strict=True)
            ),
            language=speech.language,
            source=source,
            flags=speech.flags,
        )


def _unwanted(speech: Speech, settings: SpeechSettings) -> Drop | None:
    """Return why speech in another language than the settings name is dropped."""
    language, wanted = speech.language, settings.languages
    if speech.words and wanted and language and language not in wanted:
        return Drop(f"spoken in another language ({language})")
    return None


def _video(segmented: SegmentedVideo) -> Video:
    path = segmented.stretches[0].path
    return Video(video_id=segmented.video_id, path=path, captions=captions_beside(path))


def captions_beside(path: str) -> str:
    """Return the caption file that lies beside a local video and bears its name, or ""."""
    video = Path(path)
    found = sorted(
        other
        for pattern in ("vtt", "srt")
        for other in video.parent.glob(f"{glob.escape(video.stem)}*.{pattern}")
        if other.name.startswith(f"{video.stem}.")
    )
    return str(found[0]) if found else ""
