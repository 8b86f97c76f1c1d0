"""Clips as training samples: which questions a conversation holds, encoded only when a row asks for
it.

Two kinds with one face (`load(i)`, `lengths()`, `qa_pairs()`): the mini profile's, which talk about
each clip several times with other questions and another order of options, and those of a training
set that `obvlib.training.dataset` wrote.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from obvlib.core import Clip, FramePolicy, QAPair, ranks
from obvlib.core.jsonl import read_object
from obvlib.core.locations import join
from obvlib.core.provenance import hash_files
from obvlib.core.records import to_json
from obvlib.inputs import Video, encode, num_tokens, question_turns
from obvlib.media import clip_frames
from obvlib.mini import SeenClip, generated_clips
from obvlib.training.sample_costs import Sample, samples_of

if TYPE_CHECKING:
    from obvlib.inputs import ModelInput, Turn
    from obvlib.models import Bundle
    from obvlib.training.config import TrainConfig

# Clips drawn in memory; with fewer the smallest findings are learned by heart instead of by sight.
NUM_GENERATED = 3_000
NUM_VIEWS = 7  # conversations about each clip
# What a conversation asks, in this order, and how often it is drawn. The letter of a finding's
# class comes before words that would give it away, and every question comes first in some
# conversations, as it does in the test.
ASKED = {
    ("class", "finding"): 0.5,
    ("finding",): 0.1,
    ("class in words",): 0.05,
    ("modality", "region"): 0.175,
    ("region", "modality"): 0.175,
}
# Questions that the frames cannot answer teach guessing, and a tiny model forgets its other lessons
# over it. Eight frames in five to nine seconds are fewer than two a beat, and nothing tells the
# model how far apart they are. Evaluation asks all the same.
NOT_OBSERVABLE = ("heart_rate",)
# every other family asks for the class of the clip's finding
NOT_A_CLASS = ("modality", "region", "finding")


class Samples(Protocol):
    """What a run needs to know of its data."""

    def load(self, index: int) -> ModelInput: ...

    def lengths(self) -> list[int]: ...

    def costs(self) -> list[Sample]: ...

    def qa_pairs(self) -> Iterator[QAPair]: ...

    def facts(self) -> dict[str, Any]: ...


def training_samples(
    model: str,
    bundle: Bundle,
    clips: Sequence[Clip],
    clips_dir: Path | str,
    policy: FramePolicy,
    config: TrainConfig,
    seed: int,
) -> Samples:
    """Return the training samples of cut `clips`: views for the tiny model, with generated clips
    beside them; else a built training set.
    """
    from obvlib.training.passes import packed_pass

    normalise = packed_pass(bundle, config) is None  # else patches travel as bytes
    if model == "tiny":
        seen = [
            *segment_clips(clips, Path(clips_dir), policy),
            *generated_clips(NUM_GENERATED, seed=seed),
        ]
        return Views(seen, bundle, seed=seed, normalise=normalise)
    return Built(model, bundle, clips, clips_dir, policy, config, normalise=normalise)


class Views:
    """Sample i is view i // len(clips) of clip i % len(clips)."""

    def __init__(
        self,
        clips: Sequence[SeenClip],
        bundle: Bundle,
        *,
        num_views: int = NUM_VIEWS,
        seed: int = 0,
        normalise: bool = True,
    ):
        self.clips, self.num_views, self.seed = clips, num_views, seed
        self.normalise = normalise
        self.tokenizer, self.spec = bundle.tokenizer, bundle.spec

    def turns(self, index: int) -> list[Turn]:
        """Return one of the ways of `ASKED`, with options in a new order each time."""
        view, place = divmod(index, len(self.clips))
        clip = self.clips[place]
        rng = random.Random(f"{self.seed}/{view}/{clip.name}")
        pairs = [pair for pair in clip.qa_pairs if pair.family not in NOT_OBSERVABLE]
        way = rng.choices(list(ASKED), list(ASKED.values()))[0]
        asked = [pair for part in way for pair in _part(part, pairs)] or rng.sample(
            pairs, len(pairs)
        )
        return question_turns(
            [Video(clip.frames, clip.times_s)], [shuffled(pair, rng) for pair in asked]
        )

    def load(self, index: int) -> ModelInput:
        return encode(
            self.turns(index),
            self.tokenizer,
            self.spec,
            name=self.clips[index % len(self.clips)].name,
            normalise=self.normalise,
        )

    def lengths(self) -> list[int]:
        """Return the tokens of every sample, counted without touching pixels."""
        return [
            num_tokens(self.turns(i), self.tokenizer, self.spec)
            for i in range(len(self.clips) * self.num_views)
        ]

    def costs(self) -> list[Sample]:
        """Return nothing: a CPU's peak is not known, so neither is a share of it."""
        return []

    def facts(self) -> dict[str, Any]:
        """Return the counts that the run's note and card repeat."""
        return {
            "counts": {"clips": len(self.clips), "samples": len(self.clips) * self.num_views},
            "left_out": [],
        }

    def qa_pairs(self) -> Iterator[QAPair]:
        return (
            pair
            for clip in self.clips
            for pair in clip.qa_pairs
            if pair.family not in NOT_OBSERVABLE
        )


class Built:
    """The samples of a training set on disk, built where it is not yet (see
    `obvlib.training.dataset`).
    """

    def __init__(
        self,
        model: str,
        bundle: Bundle,
        clips: Sequence[Clip],
        clips_dir: Path | str,
        policy: FramePolicy,
        config: TrainConfig,
        *,
        normalise: bool = True,
    ):
        from obvlib.training.dataset import VIDEO_BENCHMARKS, BuildStage, build, tested_on
        from obvlib.training.dataset_files import training_set

        out_dir = config.output_dir / "training_set"
        stage = BuildStage(
            clips_dir=str(clips_dir),
            policy=policy,
            model=model,
            max_tokens=config.capacity_tokens,
            seed=config.seed,
        )
        if ranks.is_first():
            benchmarks, unchecked = tested_on(VIDEO_BENCHMARKS)
            build(
                clips,
                out_dir,
                stage,
                benchmarks=benchmarks,
                unchecked=unchecked,
                num_workers=ranks.num_readers()
                if config.num_workers is None
                else config.num_workers,
            )
        ranks.barrier()
        self.rows, self.clips, self.clips_dir = training_set(out_dir), clips, clips_dir
        self.card = read_object(out_dir / "card.json")
        self.tokenizer, self.spec = bundle.tokenizer, bundle.spec
        self.normalise = normalise
        if ranks.is_first() and (said := self.said()):
            warnings.warn(said, stacklevel=1)

    def said(self) -> str:
        """Return what a user must know: clips that could not be used, with reasons, and benchmarks
        that could not be checked; empty where there is nothing.
        """
        left_out, unchecked = self.card["left_out"], self.card["benchmarks_not_checked"]
        parts = [f"{count} {status}: {reason}" for status, reason, count in left_out]
        lost = sum(count for _, _, count in left_out)
        told = f"{lost} of {len(self.clips)} clips could not be used ({'; '.join(parts)})"
        names = [
            f"{name} was not checked for shared videos: {why}" for name, why in unchecked.items()
        ]
        return "; ".join([*([told] if lost else []), *names])

    def load(self, index: int) -> ModelInput:
        from obvlib.training.dataset import load_sample

        return load_sample(
            self.rows[index], self.clips_dir, self.tokenizer, self.spec, normalise=self.normalise
        )

    def lengths(self) -> list[int]:
        return list(self.rows["num_tokens"])

    def costs(self) -> list[Sample]:
        """Return tokens and patch grid of every sample."""
        return samples_of(self.rows, self.spec.patch_size, self.spec.temporal_patch_size)

    def facts(self) -> dict[str, Any]:
        """Return what the set's own card says."""
        names = ("counts", "left_out", "benchmarks_checked", "benchmarks_not_checked", "sha256")
        return {name: self.card[name] for name in names}

    def qa_pairs(self) -> Iterator[QAPair]:
        return (pair for clip in self.clips for pair in clip.qa_pairs)


def _part(part: str, pairs: Sequence[QAPair]) -> list[QAPair]:
    """Return the questions that a part of `ASKED` stands for. Yes/no questions have no class in
    words and are asked as they are.
    """
    if not part.startswith("class"):
        return [pair for pair in pairs if pair.family == part]
    classes = [pair for pair in pairs if pair.family not in NOT_A_CLASS]
    if part == "class in words":
        return [replace(pair, options=None, answer=pair.answer_text) for pair in classes]
    return classes


def shuffled(pair: QAPair, rng: random.Random) -> QAPair:
    """Return the same question with its options in another order; an open question as it is."""
    if not pair.options:
        return pair
    texts = rng.sample(list(pair.options.values()), len(pair.options))
    options = dict(zip(sorted(pair.options), texts, strict=True))
    answer = next(letter for letter, text in options.items() if text == pair.answer_text)
    return replace(pair, options=options, answer=answer)


def segment_clips(
    clips: Iterable[Clip], clips_dir: Path, policy: FramePolicy
) -> Iterator[SeenClip]:
    """Cut lecture segments as the model sees them, read the way evaluation reads them."""
    for clip in clips:
        frames, times_s = clip_frames(clips_dir / clip.file_name, policy)
        yield SeenClip(name=clip.clip_id, frames=frames, times_s=times_s, qa_pairs=clip.qa_pairs)


def data_hash(
    model: str, policy: FramePolicy, clips: Sequence[Clip], clips_dir: str | os.PathLike
) -> str:
    """Return a digest of all that samples are made from: clips, rows and how they are asked."""
    digest = hashlib.sha256()
    parts = {
        "model": model,
        "policy": policy.to_dict(),
        "asked": [[*parts, share] for parts, share in ASKED.items()],
        "generated": [NUM_GENERATED, NUM_VIEWS],
        "rows": [to_json(clip) for clip in clips],
    }
    digest.update(json.dumps(parts, sort_keys=True).encode())
    files = [join(os.fspath(clips_dir), clip.file_name) for clip in clips]
    digest.update(hash_files(files).encode())
    return digest.hexdigest()[:16]
