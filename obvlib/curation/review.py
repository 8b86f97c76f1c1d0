"""People in the loop: what they are shown first, and their decisions, which override the machine's.

Decisions come from label files (`core.labels`), one a rater. Where raters differ the latest holds.
A decision belongs to the item as the rater saw it: if the item has changed since, it no longer
applies. The ledger records the hash of every label file that a stage used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from obvlib.core.labels import Label, hash_item, label_files, read_labels, standing
from obvlib.core.provenance import hash_files
from obvlib.core.records import to_json
from obvlib.curation.passages import Passage, Question
from obvlib.curation.stages import ScoredVideo
from obvlib.engine import Drop
from obvlib.engine.stages import Stage

FRAME_FIELD, DECISION_FIELD = "medical", "decision"
MEDICAL, OTHER = "medical", "other"


class Decision(NamedTuple):
    """What a rater set a field of an item to, and the hash of the item as it then was."""

    item_id: str
    field: str
    item_hash: str
    value: Any


@dataclass(frozen=True)
class Decisions:
    """The decisions of all raters, the hash of each rater's file, and what could not be read."""

    rows: tuple[Decision, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    problems: tuple[str, ...] = ()

    def of(self, field: str) -> dict[tuple[str, str], Any]:
        """Return (item id, item hash) → value for a field."""
        return {(row.item_id, row.item_hash): row.value for row in self.rows if row.field == field}


def read_decisions(root: str | os.PathLike | None = None) -> Decisions:
    """Return what raters decided, from the label files under `root` (default: the data root).

    Lines and files that cannot be read are left out and named in `problems`.
    """
    held: list[Label] = []
    hashes, problems = [], []
    for rater, path in label_files(root).items():
        try:
            read = read_labels(path)
            hashes.append((rater, hash_files([path])))
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
            continue
        problems += read.problems
        held += [label for labels in _by_look(read.labels) for label in standing(labels).values()]
    found = {}
    for label in sorted(held, key=lambda label: label.at):
        decision = Decision(label.item_id, label.field, label.item_hash, label.new)
        found[decision[:3]] = decision
    return Decisions(tuple(found.values()), tuple(hashes), tuple(problems))


def _by_look(labels: Sequence[Label]) -> list[list[Label]]:
    """Return the labels by the item as the rater saw it: one of an edited caption leaves the edit
    in force.
    """
    looks: dict[str, list[Label]] = {}
    for label in labels:
        looks.setdefault(label.item_hash, []).append(label)
    return list(looks.values())


@dataclass(frozen=True, kw_only=True)
class ReviewStage(Stage):
    """A stage that applies people's decisions and changes nothing else."""

    decisions: Decisions = Decisions()

    def params(self) -> dict[str, Any]:
        return {"label_files": dict(self.decisions.files)}


@dataclass(frozen=True, kw_only=True)
class ReviewFrames(ReviewStage):
    """Give a frame that a person labelled the score 1 or 0."""

    name: ClassVar[str] = "review_frames"

    def __call__(self, scored: ScoredVideo) -> ScoredVideo:
        scores = list(scored.scores)
        for (item_id, _), value in self.decisions.of(FRAME_FIELD).items():
            video_id, _, ms = item_id.rpartition("@")
            if video_id != scored.video_id or not ms.isdigit() or value not in (MEDICAL, OTHER):
                continue
            index = round(int(ms) / 1000 / scored.step_s)
            if index < len(scores):
                scores[index] = float(value == MEDICAL)
        return replace(scored, scores=tuple(scores))


@dataclass(frozen=True, kw_only=True)
class ReviewCaption(ReviewStage):
    """Drop a caption that a person rejected, and take over one that a person edited."""

    name: ClassVar[str] = "review_caption"

    def __call__(self, passage: Passage) -> Passage | Drop:
        known = self.decisions.of(DECISION_FIELD)
        while decision := known.pop((passage.clip_id, hash_item(passage.caption)), None):
            if _action(decision) == "reject":
                return _rejected(decision)
            if _action(decision, caption=str) == "edit":  # which may have been reviewed again
                passage = replace(passage, caption=decision["caption"])
        return passage


@dataclass(frozen=True, kw_only=True)
class ReviewQuestion(ReviewStage):
    """Drop a question that a person rejected, and take over one that a person edited."""

    name: ClassVar[str] = "review_question"

    def key(self, record: Question) -> str:
        return record.question_id

    def __call__(self, question: Question) -> Question | Drop:
        known = {
            item_hash: decision
            for (item_id, item_hash), decision in self.decisions.of(DECISION_FIELD).items()
            if item_id.rpartition("-")[0] == question.clip_id
        }
        while decision := known.pop(hash_item(to_json(question.pair)), None):
            if _action(decision) == "reject":
                return _rejected(decision)
            if _action(decision, question=str, answer=str, options=dict) == "edit":
                edited = {name: decision[name] for name in ("question", "answer", "options")}
                question = replace(question, **edited)
        return question


def _action(decision: Any, **wanted: type) -> str:
    """Return what a decision does, or "" where its fields are not of the types that are wanted."""
    if not isinstance(decision, dict):
        return ""
    fits = all(isinstance(decision.get(name), kind) for name, kind in wanted.items())
    return str(decision.get("action", "")) if fits else ""


def _rejected(decision: dict[str, Any]) -> Drop:
    return Drop(f"rejected by a person: {decision.get('reason') or 'no reason given'}")


def frame_id(video_id: str, time_s: float) -> str:
    """Return the item id of a frame in label files."""
    return f"{video_id}@{round(time_s * 1000)}"


def unsure_frames(
    videos: Sequence[ScoredVideo], threshold: float, num_per_video: int
) -> list[tuple[str, float, float]]:
    """Return (video id, seconds, score) of the frames whose scores are nearest `threshold`, at most
    `num_per_video` of each video, the least sure first.
    """
    found = []
    for video in videos:
        away = np.abs(np.array(video.scores) - threshold)
        for index in np.argsort(away, kind="stable")[:num_per_video].tolist():
            found.append((video.video_id, index * video.step_s, video.scores[index]))
    return sorted(found, key=lambda row: abs(row[2] - threshold))


def sampled(
    items: Sequence[Any], stratum: Callable[[Any], str], num_per_stratum: int, seed: int = 0
) -> list[Any]:
    """Return up to `num_per_stratum` items of each stratum, drawn without replacement from a seed,
    so that a rare modality is reviewed as often as a common one.
    """
    strata: dict[str, list[Any]] = {}
    for item in items:
        strata.setdefault(stratum(item), []).append(item)
    rng = np.random.default_rng(seed)
    chosen = []
    for name in sorted(strata):
        group = strata[name]
        chosen += [group[i] for i in sorted(rng.permutation(len(group))[:num_per_stratum])]
    return chosen
