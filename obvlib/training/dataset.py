"""A training set on disk: each clip's conversation, the frames it will be shown and what it costs
in tokens, without one pixel.

`build` runs in parallel, resumes where it stopped, and writes the same bytes for the same clips and
settings: `data/train-*.parquet` and a README.md that is its data card. `load_sample` turns a row
into model input.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Unpack

from obvlib import inputs, media
from obvlib.core import Clip, FramePolicy, frame_policy
from obvlib.core.files import join, local_clip
from obvlib.core.identity import sha256_of
from obvlib.core.locations import local_dir
from obvlib.core.records import to_json
from obvlib.engine import Drop, How, Ledger, Stage, StageRun, claimed, run_stage
from obvlib.inputs import (
    InputError,
    ModelInput,
    Turn,
    Video,
    VisionSpec,
    clip_turns,
    count_tokens,
    encode,
)
from obvlib.manifests import RowProblem, check_contamination, check_file_names, load_card, load_rows
from obvlib.media import MediaError, clip_frames, probe
from obvlib.training import dataset_files, model_parts
from obvlib.training.dataset_files import PARQUET, Message, TrainingRow, write_parquet
from obvlib.training.model_parts import tokenizer_and_spec, tokenizer_digest

STAGE = "build"
# those that test on videos, which training might contain
VIDEO_BENCHMARKS = ("mini", "SurgeryVideoQA", "MIMICEchoQA")
OWN_FILES = ("README.md", "card.json", "ledger.sqlite")


@dataclass(frozen=True, kw_only=True)
class BuildStage(Stage):
    """Clip → TrainingRow, in any process: it carries names and settings, and loads the tokenizer
    where it runs.
    """

    clips_dir: str
    policy: FramePolicy
    model: str = "tiny"  # whose tokenizer and patch sizes count
    max_tokens: int = 16_384  # a row's capacity; longer samples are dropped
    seed: int = 0  # of the describe prompts

    name = STAGE
    result = TrainingRow

    def inputs(self, clip: Clip) -> Sequence[str]:
        return (join(self.clips_dir, clip.file_name),)

    def code(self) -> Sequence[ModuleType]:
        return (frame_policy, media, inputs, model_parts, dataset_files, sys.modules[__name__])

    def params(self) -> dict[str, Any]:
        tokenizer, spec = tokenizer_and_spec(self.model)
        return {
            "policy": self.policy.to_dict(),
            "model": Path(self.model).name,  # where a directory is does not matter
            "tokenizer": tokenizer_digest(tokenizer),
            "vision": dataclasses.asdict(spec),
            "max_tokens": self.max_tokens,
            "seed": self.seed,
        }

    def __call__(self, clip: Clip) -> TrainingRow | Drop:
        if not clip.caption.strip() and not clip.qa_pairs:
            return Drop("neither a caption nor questions: nothing to learn from it")
        path = local_clip(self.clips_dir, clip.file_name)
        times_s, height, width, info = clip_layout(path, self.policy)
        tokenizer, spec = tokenizer_and_spec(self.model)
        turns = clip_turns(
            [Video.blank(times_s, height, width)],
            clip.caption,
            clip.qa_pairs,
            f"{self.seed} {clip.clip_id}",
        )
        try:
            counts = count_tokens(turns, tokenizer, spec, name=clip.clip_id)
        except InputError as error:
            return Drop(str(error))
        if counts.total > self.max_tokens:
            return Drop(f"{counts.total} tokens, a row holds {self.max_tokens}: left out, not cut")
        return TrainingRow(
            clip_id=clip.clip_id,
            video_id=clip.video_id,
            video=clip.file_name,
            dataset=clip.dataset,
            modality=clip.modality,
            region=clip.region,
            duration_s=info.duration_s,
            turns=tuple(Message(role=t.role, text=t.text) for t in turns),
            policy=json.dumps(self.policy.to_dict()),
            num_frames=len(times_s),
            height=height,
            width=width,
            num_tokens=counts.total,
            num_visual_tokens=counts.visual,
            num_label_tokens=counts.learned,
            clip_bytes=info.size_bytes,
            clip_sha256=sha256_of(path),
            row_sha256=row_digest(clip),
        )


def build(
    clips: Iterable[Clip],
    out_dir: str | os.PathLike,
    stage: BuildStage,
    *,
    benchmarks: Mapping[str, Sequence[Any]],
    unchecked: dict[str, str] | None = None,
    **how: Unpack[How],
) -> StageRun:
    """Write the training set of `clips` into `out_dir`, and return what became of them; every drop
    and failure is in its ledger.sqlite.

    `benchmarks` maps names to the clips or examples that are tested on: Contamination (a
    ValueError) if one of their source videos is among `clips`. `unchecked` says which benchmarks
    could not be read, and why: the card repeats it. Clips of a test split are refused too. `how`
    are the options of `run_stage`.
    """
    from obvlib.training.dataset_card import write_card

    out_dir, clips = local_dir(out_dir), list(clips)
    if not clips:
        raise ValueError(
            "clips is empty: a training set needs at least one; check the rows and the split"
        )
    if held_out := [clip for clip in clips if not clip.is_for_training]:
        raise ValueError(
            f"{len(held_out)} clips are of the {held_out[0].split} split, the first is"
            f" {held_out[0].clip_id}: leave them out"
        )
    check_file_names(clips)
    for name in sorted(benchmarks):
        try:
            check_contamination(clips, benchmarks[name])
        except ValueError as error:
            raise type(error)(f"benchmark {name}: {error}") from None
    ids, settings = {clip.clip_id for clip in clips}, stage.params()
    with claimed(out_dir, "obv build", settings) as claim:
        claim.require([PARQUET, *OWN_FILES])
        with Ledger(out_dir / "ledger.sqlite") as ledger:
            run = run_stage(clips, stage, ledger, **how)
            outcomes = [row for row in ledger.rows(STAGE, run.params) if row["item_id"] in ids]
        if not run.kept:
            counted = "; ".join(f"{n} {reason}" for reason, n in run.reasons.most_common(3))
            raise ValueError(f"no clip could be used: {counted}")
        write_parquet(run.kept, out_dir / PARQUET)
        checked = {
            name: len({item.video_id for item in found}) for name, found in benchmarks.items()
        }
        write_card(
            out_dir, run.kept, outcomes, settings, checked=checked, unchecked=unchecked or {}
        )
    return run


def tested_on(names: Sequence[str]) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """Return ({name: rows of the benchmark}, {name: why its rows could not be read}); a row that is
    no clip still counts by its source.
    """
    from obvlib.manifests import HubUnavailable

    benchmarks: dict[str, list[Any]] = {}
    unchecked: dict[str, str] = {}
    for name in names:
        try:
            clips, problems = load_rows(name, split=load_card(name).split or "test")
        except HubUnavailable as error:
            unchecked[name] = str(error)
            continue
        rows: list[Clip | RowProblem] = [*clips, *problems]
        benchmarks[name] = [row for row in rows if row.video_id]
        if not benchmarks[name]:
            del benchmarks[name]
            unchecked[name] = "its rows name no source video"
    return benchmarks, unchecked


def clip_layout(path: Path, policy: FramePolicy) -> tuple[Any, int, int, Any]:
    """Return (times_s, height, width, VideoInfo) of the frames that `clip_frames` will read, from
    the file's headers alone.
    """
    from obvlib.media import METADATA_KEY

    info = probe(path)
    if text := info.metadata.get(METADATA_KEY):
        made = json.loads(text)
        if made["policy"] != policy.to_dict():
            raise MediaError(
                f"{path.name} was prepared with another frame policy: prepare it again with"
                " this one"
            )
        return made["times_s"], info.height, info.width, info
    times_s = policy.sample_times(info.duration_s)
    return times_s, *policy.fit_size(info.height, info.width, len(times_s)), info


def load_sample(
    row: dict[str, Any],
    clips_dir: str | os.PathLike,
    tokenizer: Any,
    spec: VisionSpec,
    *,
    storage_options: dict[str, Any] | None = None,
    normalise: bool = True,
) -> ModelInput:
    """Return a row of the training set as model input; InputError where clip, tokenizer or policy
    are not those that it was built with.

    `clips_dir` is a directory, or a URL such as s3://bucket/clips: a clip is then fetched once and
    kept under the data root.
    """
    policy = FramePolicy.from_dict(json.loads(row["policy"]))
    path = local_clip(clips_dir, row["video"], storage_options)
    if path.is_file() and sha256_of(path) != row["clip_sha256"]:
        raise InputError(
            f"sample {row['clip_id']!r}: clip {row['video']} is not the one that the set was built"
            " from: bring that one back, or build the set again"
        )
    frames, times_s = clip_frames(path, policy)
    visuals = (Video(frames, times_s),)
    turns = [
        Turn(m["role"], m["text"], visuals if i == 0 else ()) for i, m in enumerate(row["turns"])
    ]
    sample = encode(turns, tokenizer, spec, name=row["clip_id"], normalise=normalise)
    if sample.num_tokens != row["num_tokens"]:
        raise InputError(
            f"sample {row['clip_id']!r}: {sample.num_tokens} tokens, {row['num_tokens']} when the"
            " set was built: the clip or the tokenizer has changed; build it again"
        )
    return sample


def row_digest(clip: Clip) -> str:
    """Return the SHA-256 of a clip's row: an edited caption or question makes another."""
    return hashlib.sha256(
        json.dumps(to_json(clip), sort_keys=True, ensure_ascii=False).encode()
    ).hexdigest()
