"""Endless rows of conversations about timed clips, drawn in the loader's worker processes while the
GPU computes: each worker draws new clips for every row and talks about those it has.
"""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from obvlib.core import QAPair
from obvlib.inputs import IGNORE, ModelInput, Video, VisionSpec, encode, question_turns
from obvlib.inputs.turns import describe_turns
from obvlib.mini import SeenClip
from obvlib.mini.questions import YES_NO_FAMILY, caption
from obvlib.mini.render import Truth
from obvlib.mini.timed import MOMENTS, timed_clips
from obvlib.training.loading import FastRow
from obvlib.training.samples import shuffled

sys.path.append(str(Path(__file__).resolve().parents[2] / "data_manifests/mini/make"))
import script  # noqa: E402  (the lecturers' words)

EASY = ("modality", "region")
IN_WORDS = "finding"
# How a conversation is drawn. The class in letters comes before words that would give it away, and
# every question comes first in some conversations, as it does in the test.
WORDS_ALONE, HARD_ONLY, WORDS_LAST = 0.12, 0.6, 0.3
MAX_QUESTIONS = 3
SLOW_ONLY = 0.5  # of the conversations are about what goes frame by frame, where rows do
CLASSES = ("ejection_fraction", *YES_NO_FAMILY.values())  # families that ask for the finding


@dataclass(frozen=True, kw_only=True)
class Rows:
    """How rows are made. `flat` numbers training positions 0, 1, 2 … in all three dimensions;
    `padded` gives each sample a row of its own in a batch that is padded to the longest; `fixed`
    leaves options in one order. With `captions` half of the conversations about single scenes ask
    for a description instead: "cleaned" ones, or "raw" ones as a lecturer speaks. `moments` is the
    share of conversations about hearts and colons that go through the clip frame by frame; with it
    those clips are drawn more often.
    """

    seed: int = 0
    capacity: int = 24_576  # tokens of a row, which is a step
    first_clips: int = 24  # of each worker, before its first row
    new_clips: int = 4  # for each row
    max_clips: int = 6_000  # that a worker keeps
    flat: bool = False
    padded: bool = False
    fixed: bool = False
    captions: str = ""
    moments: float = 0.0


class RowStream(torch.utils.data.IterableDataset):
    """Rows for the packed pass, or padded batches for the model's own."""

    def __init__(self, rows: Rows, tokenizer: Any, spec: VisionSpec):
        self.rows, self.tokenizer, self.spec = rows, tokenizer, spec

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = torch.utils.data.get_worker_info()
        number, step = (worker.id, worker.num_workers) if worker else (0, 1)
        rows, rng = self.rows, random.Random(f"{self.rows.seed}/{number}")
        told = {"moments": rows.moments > 0}
        new = timed_clips(10**9, rows.seed, start=number, step=step, **told)
        clips = list(itertools.islice(new, rows.first_clips))
        make = FastRow(self.spec.image_token_id, self.spec.video_token_id, self.spec.merge_size)
        drawn = len(clips)
        while True:
            samples, room = [], rows.capacity
            timed = [clip for clip in clips if rows.moments and is_timed(clip)]
            while True:
                slow = timed if timed and rng.random() < SLOW_ONLY else clips
                sample = self.sample(rng.choice(slow), rng)
                if sample.num_tokens > room:
                    break
                samples.append(sample)
                room -= sample.num_tokens
            row = padded(samples) if rows.padded else make(samples)
            yield row | {"num_clips": drawn, "num_samples": len(samples)}
            clips = [*clips, *itertools.islice(new, rows.new_clips)][-rows.max_clips :]
            drawn += rows.new_clips

    def sample(self, clip: SeenClip, rng: random.Random) -> ModelInput:
        """One conversation about a clip, as model input."""
        visuals = [Video(clip.frames, clip.times_s)]
        if self.rows.captions and len(clip.qa_pairs) > 1 and rng.random() < 0.5:
            said = spoken(clip, rng) if self.rows.captions == "raw" else described(clip, rng)
            turns = describe_turns(visuals, said, rng.random())
        else:
            pairs = conversation(clip, rng, self.rows)
            turns = question_turns(visuals, pairs)
        made = encode(turns, self.tokenizer, self.spec, name=clip.name, normalise=self.rows.padded)
        if self.rows.flat:
            made = replace(made, position_ids=np.tile(np.arange(made.num_tokens), (3, 1)))
        return made


def is_timed(clip: SeenClip) -> bool:
    return any(pair.family == MOMENTS for pair in clip.qa_pairs)


def conversation(clip: SeenClip, rng: random.Random, rows: Rows) -> list[QAPair]:
    """Up to three of a clip's questions, options in a new order each time, and in some of those
    that have one a frame-by-frame answer before or after them.
    """
    moments = [pair for pair in clip.qa_pairs if pair.family == MOMENTS]
    pairs = [pair for pair in clip.qa_pairs if pair.family != MOMENTS]
    asked = _asked(rng.sample(pairs, len(pairs)), rng, fixed=rows.fixed)
    if not moments or rng.random() >= rows.moments:
        return asked
    return [*moments, *asked] if rng.random() < 0.5 else [*asked, *moments]


def _asked(pairs: list[QAPair], rng: random.Random, *, fixed: bool) -> list[QAPair]:
    words = [pair for pair in pairs if pair.family == IN_WORDS]
    closed = [pair for pair in pairs if pair.family != IN_WORDS]
    if words and rng.random() < WORDS_ALONE:
        return words
    hard = [pair for pair in closed if pair.family not in EASY]
    if hard and rng.random() < HARD_ONLY:
        closed = hard
    if words and rng.random() < WORDS_LAST:
        closed = [*closed[: MAX_QUESTIONS - 1], *words]
    ordered = in_one_order if fixed else shuffled
    return [ordered(pair, rng) for pair in closed[:MAX_QUESTIONS]]


def truth_of(clip: SeenClip) -> Truth:
    """What a single scene shows, read back from its questions."""
    answers = {pair.family: pair.answer_text for pair in clip.qa_pairs}
    (finding,) = (answers[name] for name in CLASSES if name in answers)
    return Truth(kind="", region=answers["region"], finding=finding)


def described(clip: SeenClip, rng: random.Random) -> str:
    """A cleaned caption."""
    return caption(truth_of(clip), np.random.default_rng(rng.randrange(2**32)))


def spoken(clip: SeenClip, rng: random.Random) -> str:
    """The words over the picture as a recogniser would write them: what is seen, with fillers, and
    in half of them a sentence about something else.
    """
    truth, drawn = truth_of(clip), np.random.default_rng(rng.randrange(2**32))
    told = script.narration(truth.region, truth.finding, drawn)
    other = rng.choice((*script.BRIDGES, *script.UNOBSERVABLE))
    return f"{other} {told}" if rng.random() < 0.5 else told


def in_one_order(pair: QAPair, rng: random.Random) -> QAPair:
    """The same question with its options in the order of the alphabet: the letter stands for the
    text.
    """
    if not pair.options:
        return pair
    options = dict(zip(sorted(pair.options), sorted(pair.options.values()), strict=True))
    answer = next(letter for letter, text in options.items() if text == pair.answer_text)
    return replace(pair, options=options, answer=answer)


def padded(samples: list[ModelInput]) -> dict[str, Any]:
    """Samples side by side (B, L), padded on the right to the longest, as keyword arguments of the
    model's own forward pass.
    """
    longest = max(sample.num_tokens for sample in samples)
    shape = (len(samples), longest)
    ids, labels = np.zeros(shape, np.int64), np.full(shape, IGNORE)
    mask, positions = np.zeros(shape, np.int64), np.zeros((3, *shape), np.int64)
    for i, sample in enumerate(samples):
        end = sample.num_tokens
        ids[i, :end], labels[i, :end], mask[i, :end] = sample.input_ids, sample.labels, 1
        positions[:, i, :end] = sample.position_ids
    batch = {
        "input_ids": ids,
        "labels": labels,
        "attention_mask": mask,
        "position_ids": positions,
        "pixel_values_videos": np.concatenate([s.pixel_values_videos for s in samples]),
        "video_grid_thw": np.concatenate([s.video_grid_thw for s in samples]),
    }
    return {name: torch.from_numpy(value) for name, value in batch.items()}


def family_rows(
    num_clips: int, seed: int, tokenizer: Any, spec: VisionSpec
) -> dict[str, tuple[dict[str, Any], int]]:
    """A row for each family, and how many answers it holds: one question about each of `num_clips`
    held-out clips that has one. For curves while training; scores are taken on other clips.
    """
    make = FastRow(spec.image_token_id, spec.video_token_id, spec.merge_size)
    samples: dict[str, list[ModelInput]] = {}
    for clip in timed_clips(num_clips, seed, split="heldout"):
        for pair in clip.qa_pairs:
            turns = question_turns([Video(clip.frames, clip.times_s)], pair)
            made = encode(turns, tokenizer, spec, name=clip.name, normalise=False)
            samples.setdefault(pair.family, []).append(made)
    return {family: (make(some), len(some)) for family, some in sorted(samples.items())}
