"""What each profile trains and tests on, and its fine-tuning as one call: the few lines that differ
between mini, gpu and full.

A tiny model that starts from nothing needs more clips than two dozen videos hold. So under `mini`
the lecture segments of the training split are joined by clips that the same generator draws in
memory, from random streams that no held-out clip shares.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obvlib import inputs, media, mini, models
from obvlib.core import (
    Clip,
    Example,
    FramePolicy,
    Provenance,
    data_root,
    frame_policy,
    manifests_dir,
    profile,
)
from obvlib.core.files import write_text
from obvlib.core.jsonl import write_rows
from obvlib.core.provenance import hash_code, hash_files
from obvlib.core.records import to_json
from obvlib.evaluation import EvalConfig
from obvlib.manifests import check_contamination, check_file_names, media_dir
from obvlib.models import load_weights
from obvlib.training import TrainConfig, TrainResult, dataset, run, samples, train

if TYPE_CHECKING:
    from obvlib.models import Bundle


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One profile's choices. Names are those of cards in data_manifests; `limit` keeps a subset of
    the training clips (None: all).
    """

    profile: str
    model: str
    dataset: str
    benchmarks: tuple[str, ...]
    policy: FramePolicy
    evaluation: EvalConfig
    limit: int | None = None

    @property
    def videos_dir(self) -> Path:
        """Where the dataset's source videos lie: shipped for mini, else to be downloaded into the
        data root.
        """
        return (
            manifests_dir() / "mini" / "videos"
            if self.dataset == "mini"
            else data_root() / "videos" / self.dataset.lower()
        )

    @property
    def clips_dir(self) -> Path:
        """Where the dataset's clips are cut to."""
        return media_dir(self.dataset)

    @property
    def run_dir(self) -> Path:
        """Where the fine-tuned model, its predictions and its provenance are kept."""
        return data_root() / "runs" / self.profile

    def train_config(self, seed: int = 0) -> TrainConfig:
        if self.model == "tiny":
            return TrainConfig.mini(self.run_dir, seed=seed)
        return TrainConfig(output_dir=self.run_dir, seed=seed, liger=True)


def recipe(name: str = "") -> Recipe:
    """The recipe of a profile, by default of `OBV_PROFILE`."""
    mini_policy, paper_policy = FramePolicy.mini(), FramePolicy()
    paper = {
        "dataset": "OpenBiomedVid",
        "benchmarks": ("SurgeryVideoQA", "MIMICEchoQA"),
        "policy": paper_policy,
        "evaluation": EvalConfig(policy=paper_policy),
    }
    known = {
        "mini": Recipe(
            profile="mini",
            model="tiny",
            dataset="mini",
            benchmarks=("mini", "real_small"),
            policy=mini_policy,
            evaluation=EvalConfig(policy=mini_policy, max_new_tokens=16, batch_size=64),
        ),
        "gpu": Recipe(profile="gpu", model="qwen2-vl-2b-instruct", limit=500, **paper),
        "full": Recipe(profile="full", model="qwen2-vl-7b-instruct", **paper),
    }
    return known[name or profile()]


def load_model(chosen: Recipe, *, seed: int = 0) -> Bundle:
    """The profile's model before fine-tuning: tiny from `seed` on the CPU, else from the hub in
    bf16 on the GPU.

    HubUnavailable where its files are neither cached nor within reach; RuntimeError where there is
    no GPU for a model that needs one.
    """
    import torch

    from obvlib.models import load

    if chosen.model == "tiny":
        return load("tiny", seed=seed)
    bundle = load(chosen.model, dtype=torch.bfloat16)
    if not torch.cuda.is_available():
        raise RuntimeError(
            f"{bundle.name} needs a CUDA GPU and this machine shows none: see `obv doctor`, or set"
            " OBV_PROFILE=mini"
        )
    bundle.model.to("cuda")
    return bundle


def finetune(
    chosen: Recipe,
    bundle: Bundle,
    clips: Sequence[Clip],
    *,
    tested: Sequence[Example] = (),
    seed: int = 0,
    on_log: Callable[[int, float], None] | None = None,
) -> TrainResult:
    """Train `bundle.model` in place on the cut `clips`, or take the weights of a run that did
    exactly this already.

    "Exactly this" is a hash over clips, settings and obvlib's code, kept in `run_dir/run.json` with
    the provenance; the training questions are written beside it, for the majority answer that
    scores are held against. Contamination (a ValueError) if a source video of `tested` is among
    `clips`.
    """
    check_contamination(clips, tested)
    check_file_names(clips)
    config = chosen.train_config(seed)
    cut = [clip for clip in clips if (chosen.clips_dir / clip.file_name).is_file()]
    if not cut:
        raise ValueError(
            f"none of the {len(clips)} clips is in {chosen.clips_dir}: download the source videos,"
            " then `obv slice`"
        )
    if len(cut) < len(clips):
        warnings.warn(
            f"{len(clips) - len(cut)} of {len(clips)} clips are not in {chosen.clips_dir}: training"
            f" on the other {len(cut)}",
            stacklevel=2,
        )
    key = _key(chosen, config, cut)
    if done := _finished(chosen.run_dir, key):
        load_weights(bundle.model, chosen.run_dir / "model")
        return done
    data = samples.training_samples(
        chosen.model, bundle, cut, chosen.clips_dir, chosen.policy, config, seed
    )
    result = train(config, bundle, data.load, data.lengths(), on_log=on_log)
    write_rows(chosen.run_dir / "training.jsonl", [to_json(pair) for pair in data.qa_pairs()])
    _note(chosen.run_dir, key, seed)
    return result


def _key(chosen: Recipe, config: TrainConfig, cut: Sequence[Clip]) -> str:
    from obvlib.training import optimizers

    settings = {
        "model": chosen.model,
        "policy": chosen.policy.to_dict(),
        "train": config.to_dict() | {"output_dir": ""},
        "asked": [[*parts, share] for parts, share in samples.ASKED.items()],
        "generated": [samples.NUM_GENERATED, samples.NUM_VIEWS],
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    # not the plots
    code = hash_code(frame_policy, inputs, media, mini, models, dataset, optimizers, run, samples)
    digest.update(code.encode())
    digest.update(hash_files(chosen.clips_dir / clip.file_name for clip in cut).encode())
    digest.update(json.dumps([to_json(clip) for clip in cut]).encode())
    return digest.hexdigest()[:16]


def _finished(run_dir: Path, key: str) -> TrainResult | None:
    """The result of a run with this key that ended, else None. What a run with another key left
    gives way.
    """
    note, claim = run_dir / "run.json", run_dir / "started.txt"
    with suppress(OSError, ValueError, KeyError, TypeError):  # not finished, or torn by a kill
        if json.loads(note.read_text())["key"] == key and (run_dir / "model").is_dir():
            return TrainResult.from_json(run_dir / "train.json")
    if not claim.is_file() or claim.read_text() != key:
        for made in ("checkpoints", "model", "after"):
            shutil.rmtree(run_dir / made, ignore_errors=True)
        note.unlink(missing_ok=True)
        run_dir.mkdir(parents=True, exist_ok=True)
        claim.write_text(key)
    return None


def _note(run_dir: Path, key: str, seed: int) -> None:
    run: dict[str, Any] = {
        "key": key,
        "provenance": Provenance.collect(seed=seed, data_hash=key).to_dict(),
    }
    write_text(run_dir / "run.json", json.dumps(run, indent=1) + "\n")
