"""The whole of curation as one list of stages, from videos to a dataset in the published schema.

Everything that happens is in the run's ledger, so the same command continues after any stop, and a
changed setting runs again what depends on it and no more.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from obvlib.core import Clip
from obvlib.core.checks import is_id
from obvlib.core.files import write_text
from obvlib.core.forgotten import forgotten_sources
from obvlib.core.jsonl import write_rows
from obvlib.core.locations import local_dir
from obvlib.core.messages import one_line
from obvlib.core.record_rows import to_json
from obvlib.curation.blind import CheckBlind
from obvlib.curation.duplicates import LookAtClip, Pair, near_identical
from obvlib.curation.narration import NarrateVideo, captions_beside
from obvlib.curation.passages import Passage, Question
from obvlib.curation.records_of_runs import REPORT, RUNS, Step, note_run
from obvlib.curation.review import Decisions, ReviewCaption, ReviewFrames, ReviewQuestion
from obvlib.curation.segments import SegmentSettings
from obvlib.curation.speech import SpeechSettings
from obvlib.curation.stages import FindSegments, KeepSegment, ScoreFrames, Video
from obvlib.curation.text_stages import (
    CheckQuestion,
    FilterCaption,
    LabelCaption,
    WriteCaption,
    WriteQuestions,
)
from obvlib.engine import How, Ledger, Stage, StageRun, claimed, opened, run_stage
from obvlib.manifests import split_by_source
from obvlib.media.opening import EXTENSIONS

if TYPE_CHECKING:
    from obvlib.curation.language_model import LanguageModel

ROWS, LEDGER, SETTINGS = "rows.jsonl", "ledger.sqlite", "settings.json"


@dataclass(frozen=True, kw_only=True)
class CurationSettings:
    """What a curation depends on. Without a `model`, embeddings and templates decide."""

    segments: SegmentSettings = field(default_factory=SegmentSettings)
    speech: SpeechSettings = field(default_factory=SpeechSettings)
    model: LanguageModel | None = None
    blind_check: bool = False  # the model tries every question without the video
    decisions: Decisions = field(default_factory=Decisions)
    test_share: float = 0.0  # of the source videos; 0: all train
    seed: int = 0

    def __post_init__(self) -> None:
        if self.blind_check and self.model is None:
            raise ValueError("a blind check asks a language model: name its endpoint and model")


@dataclass(frozen=True, kw_only=True)
class Curated:
    """What came of a curation: the clips, the questions with their evidence, how each stage ended,
    and pairs of clips that are nearly the same.
    """

    clips: list[Clip]
    questions: list[Question]
    steps: dict[str, StageRun]
    pairs: list[Pair]
    rows: Path


def stages(settings: CurationSettings) -> list[Stage]:
    """Return the stages of curation in their order."""
    return [
        ScoreFrames(),
        ReviewFrames(decisions=settings.decisions),
        FindSegments(settings=settings.segments),
        NarrateVideo(settings=settings.speech),  # a video becomes its passages
        KeepSegment(settings=settings.segments),
        FilterCaption(model=settings.model),
        WriteCaption(model=settings.model),
        LabelCaption(model=settings.model),
        ReviewCaption(decisions=settings.decisions),
        WriteQuestions(model=settings.model, seed=settings.seed),  # a passage becomes questions
        CheckQuestion(),
        *([CheckBlind(model=settings.model)] if settings.blind_check and settings.model else []),
        ReviewQuestion(decisions=settings.decisions),
    ]


def video_files(folder: str | os.PathLike) -> dict[str, Path]:
    """Return the video files of a folder by their names without the extension. Of several that
    share a name, the one that slicing takes: the first in the order of `EXTENSIONS`.
    """
    files = [path for path in sorted(local_dir(folder).iterdir()) if path.is_file()]
    found = {path.stem: path for path in files if _rank(path) < len(EXTENSIONS)}
    for path in files:
        if path.stem in found and _rank(path) < _rank(found[path.stem]):
            found[path.stem] = path
    return found


def _rank(path: Path) -> int:
    extension = path.suffix.lower().removeprefix(".")
    return EXTENSIONS.index(extension) if extension in EXTENSIONS else len(EXTENSIONS)


def videos_in(folder: str | os.PathLike, ids: Sequence[str] = ()) -> list[Video]:
    """Return the videos of a folder by name, or those of `ids`; ValueError where one is missing.
    Videos of forgotten sources are left out, and RecordError where `ids` name one. So are files
    whose names cannot serve as ids, with a warning.
    """
    forgotten = forgotten_sources()
    for name in ids:
        forgotten.check(name, "ids")
    files = video_files(folder)
    if odd := [path.name for name, path in files.items() if not is_id(name)]:
        warnings.warn(
            f"{len(odd)} videos are left out, the first is {one_line(odd[0])!r}: rename them to"
            " letters, digits, '_', '-' and '.'",
            stacklevel=2,
        )
    found = {n: path for n, path in files.items() if is_id(n) and n not in forgotten}
    if missing := [name for name in ids if name not in found]:
        raise ValueError(f"{len(missing)} videos are not in {folder}: {', '.join(missing[:5])}")
    if not found:
        raise ValueError(
            f"{folder} holds no video that can be used: give a folder of .{', .'.join(EXTENSIONS)}"
        )
    return [
        Video(video_id=name, path=str(found[name]), captions=captions_beside(str(found[name])))
        for name in (ids or found)
    ]


def curate(
    videos: Iterable[Video],
    output_dir: str | os.PathLike,
    settings: CurationSettings | None = None,
    **how: Unpack[How],
) -> Curated:
    """Curate videos into `output_dir`: `rows.jsonl` in the published schema, ledger and report.

    Run again after a stop, or with other settings: what is done and still holds is kept. `how`
    are the options of `run_stage`.
    """
    settings, videos = settings or CurationSettings(), list(videos)
    with _opened(videos, output_dir, settings, how) as (ledger, how):
        steps = run_all(videos, stages(settings), ledger, **how)
        passages = steps["review_caption"].run.kept
        seen = run_stage(passages, LookAtClip(), ledger, **how)
        questions = steps["review_question"].run.kept
        clips = _clips(passages, questions, settings)
        pairs, rows = near_identical(clips, seen.kept), Path(output_dir, ROWS)
        write_rows(rows, [_row(clip, questions) for clip in clips])
        problems, ran = settings.decisions.problems, list(steps.values())
        note_run(output_dir, ledger, ran, clips, pairs, settings.model, problems)
    runs = {name: step.run for name, step in steps.items()}
    return Curated(clips=clips, questions=questions, steps=runs, pairs=pairs, rows=rows)


def curate_until(
    last: str,
    videos: Iterable[Video],
    output_dir: str | os.PathLike,
    settings: CurationSettings | None = None,
    **how: Unpack[How],
) -> dict[str, StageRun]:
    """Run the stages of a curation up to the one named `last`, and return how each ended, by name.

    `how` is as in `curate`, which goes on from there in the same directory. ValueError where no
    stage has that name.
    """
    settings, videos = settings or CurationSettings(), list(videos)
    chain = stages(settings)
    names = [stage.name for stage in chain]
    if last not in names:
        raise ValueError(f"last is {last!r}: use one of {', '.join(names)}")
    with _opened(videos, output_dir, settings, how) as (ledger, how):
        steps = run_all(videos, chain[: names.index(last) + 1], ledger, **how)
    return {name: step.run for name, step in steps.items()}


@contextmanager
def _opened(
    videos: Sequence[Video], output_dir: str | os.PathLike, settings: CurationSettings, how: How
) -> Iterator[tuple[Ledger, How]]:
    """Hold a curation's directory, note its settings, and yield its ledger, and `how` with an
    engine that is open for all of its stages.
    """
    kept = local_dir(output_dir)
    with claimed(output_dir, "obv curate", {}) as claim:
        is_first = not claim.names
        claim.require([ROWS, LEDGER, SETTINGS, RUNS, REPORT])
        if settings.model and is_first:
            paths = (Path(settings.model.cache), Path(settings.model.budget))
            claim.require(path.name for path in paths if path.name and path.parent == kept)
        write_text(str(Path(output_dir, SETTINGS)), json.dumps(_settings(videos, settings)) + "\n")
        team = opened(how.get("engine", "local"), how.get("num_workers", 0))
        with Ledger(Path(output_dir, LEDGER)) as ledger, team as engine:
            yield ledger, {**how, "engine": engine}


def run_all(
    records: Sequence[Any], chain: Sequence[Stage], ledger: Ledger, **how: Unpack[How]
) -> dict[str, Step]:
    """Run stages one after another, and return what went into each and what came of it, by name.

    A result with `parts` (the passages of a video, the questions of a passage) is replaced by them
    for the next stage.
    """
    steps = {}
    for stage in chain:
        run = run_stage(records, stage, ledger, **how)
        steps[stage.name] = Step(stage=stage, records=list(records), run=run)
        records = [part for result in run.kept for part in getattr(result, "parts", (result,))]
    return steps


def _settings(videos: Sequence[Video], settings: CurationSettings) -> dict[str, Any]:
    """Return what `replay` needs to know; the key of an endpoint is never part of it."""
    return {
        "videos": [to_json(video) for video in videos],
        "segments": to_json(settings.segments),
        "speech": to_json(settings.speech),
        "model": asdict(settings.model) if settings.model else None,
        "blind_check": settings.blind_check,
        "test_share": settings.test_share,
        "seed": settings.seed,
    }


def _clips(
    passages: Sequence[Passage], questions: Sequence[Question], settings: CurationSettings
) -> list[Clip]:
    clips = [
        Clip(
            video_id=passage.video_id,
            start_s=passage.start_s,
            end_s=passage.end_s,
            caption=passage.caption,
            transcript=passage.raw,
            modality=passage.modality,
            region=passage.region,
            split="train",
            qa_pairs=tuple(q.pair for q in questions if q.clip_id == passage.clip_id),
        )
        for passage in passages
    ]
    if settings.test_share:
        _, held = split_by_source(clips, test_share=settings.test_share, seed=settings.seed)
        tested = {clip.clip_id for clip in held}
        clips = [
            Clip(**vars(clip) | {"split": "test"}) if clip.clip_id in tested else clip
            for clip in clips
        ]
    return clips


def _row(clip: Clip, questions: Sequence[Question]) -> dict[str, Any]:
    """Return a clip in the published schema; its questions say where their evidence was said."""
    return {
        "video_id": clip.video_id,
        "video": clip.file_name,
        "timestamp": [clip.start_s, clip.end_s],
        "split": clip.split,
        "caption": clip.transcript,
        "cleaned_caption": clip.caption,
        "modality": clip.modality,
        "region": clip.region,
        "qa_pairs": [
            {
                "question": q.question,
                "options": q.options,
                "answer": q.answer,
                "family": q.family,
                "evidence_words": [q.first_word, q.last_word],
                "evidence_s": [q.start_s, q.end_s],
            }
            for q in questions
            if q.clip_id == clip.clip_id
        ],
    }
