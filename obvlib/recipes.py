"""What each profile trains and tests on, and its fine-tuning as one call. The choices themselves
stand in `obvlib/training/configs`, one YAML file a profile.

A tiny model that starts from nothing needs more clips than two dozen videos hold. So under `mini`
the lecture segments of the training split are joined by clips that the same generator draws in
memory, from random streams that no held-out clip shares.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obvlib import inputs, media, mini
from obvlib.core import Clip, Example, FramePolicy, data_root, frame_policy, manifests_dir, profile
from obvlib.core.files import write_text
from obvlib.core.jsonl import write_rows
from obvlib.core.provenance import hash_code
from obvlib.core.records import to_json
from obvlib.engine import Drop
from obvlib.evaluation import CONTROLS, EvalConfig, control_names
from obvlib.manifests import card_names, check_contamination, check_file_names, load_card, media_dir
from obvlib.models import ModelShape
from obvlib.training import (
    TrainConfig,
    TrainResult,
    Watchers,
    dataset,
    model_parts,
    planner,
    run,
    runs,
    sample_costs,
    samples,
)
from obvlib.training.config_files import BOOK, apply_caps, read_config
from obvlib.training.runs import Run

if TYPE_CHECKING:
    from obvlib.models import Bundle

CURRENT = "current.txt"  # in a recipe's first folder: the run that was asked for last


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One configuration's choices. Names are those of cards in data_manifests; `limit` keeps a
    subset of the training clips, `questions` the first of each benchmark (None: all).
    """

    profile: str
    model: str
    dataset: str
    benchmarks: tuple[str, ...]
    policy: FramePolicy
    evaluation: EvalConfig
    limit: int | None = None
    questions: int | None = None
    controls: tuple[str, ...] = tuple(CONTROLS)  # of those that a chapter would run
    frame_encoder: str = "efficientnet-lite0"  # what chapter 02 fits its head on
    speech_model: str = "whisper-base"  # what chapter 03 compares
    clips: str = ""  # directory or URL of the cut clips; empty: where `obv slice` puts them
    training: dict[str, Any] = field(default_factory=dict)  # settings of TrainConfig

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
    def clips_dir(self) -> Path | str:
        """Where the dataset's clips are: a directory, or a URL such as s3://bucket/clips."""
        if "://" in self.clips:
            return self.clips
        return Path(self.clips) if self.clips else media_dir(self.dataset)

    @property
    def run_dir(self) -> Path:
        """The folder of this recipe's first run; others lie beside it (`obvlib.training.runs`)."""
        return data_root() / "runs" / self.profile

    @property
    def current_run(self) -> Path:
        """The folder of the run that was asked for last."""
        pointer = self.run_dir / CURRENT
        name = pointer.read_text().strip() if pointer.is_file() else self.run_dir.name
        return self.run_dir.with_name(name)

    def train_config(self, seed: int = 0) -> TrainConfig:
        """Return the training settings, with a seed."""
        return TrainConfig(**{"output_dir": self.run_dir, "seed": seed, **self.training})


def _names(kind: type, *but: str) -> list[str]:
    return [f.name for f in dataclasses.fields(kind) if f.name not in but]


def settings() -> dict[str, list[str]]:
    """Return the settings that a configuration file may hold: at its top, and in each section."""
    return {
        "": [*_names(Recipe, "profile", "policy"), "frames", "book"],
        "frames": _names(FramePolicy),
        "evaluation": _names(EvalConfig, "policy"),
        "training": _names(TrainConfig),
        "book": list(BOOK),
    }


def book_caps(name: str) -> dict[str, Any]:
    """Return the caps that a configuration sets for a build of the book."""
    return read_config(name, (), settings()).get("book") or {}


def recipe(name: str = "", changes: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a profile (by default of `OBV_PROFILE`) or of a YAML file, with
    `changes` such as "learning_rate=2e-5"; under the caps of its `book` where the book is built.

    ValueError names what is wrong in it.
    """
    name = name or profile()
    config = read_config(name, changes, settings())
    apply_caps(config)
    for needed in ("model", "dataset", "benchmarks"):
        if not config.get(needed):
            raise ValueError(f"config {name} names no {needed}: add it, as in mini.yaml")
    policy = FramePolicy(**config.pop("frames", None) or {})
    evaluation = EvalConfig(policy=policy, **config.pop("evaluation", None) or {})
    training = config.pop("training", None) or {}
    made = Recipe(
        profile=Path(name).stem,
        policy=policy,
        evaluation=evaluation,
        training=training,
        benchmarks=tuple(config.pop("benchmarks")),
        controls=control_names(",".join(config.pop("controls", None) or CONTROLS)),
        **config,
    )
    made.train_config()  # checks every setting now
    return made


def load_model(chosen: Recipe, *, seed: int = 0, trained: str | Path = "") -> Bundle:
    """Load the recipe's model before fine-tuning, or the `trained` one of a folder: tiny from
    `seed` on the CPU, any other as `models.load_on_gpu`.
    """
    from obvlib import models

    if chosen.model == "tiny":
        return models.load(str(trained) or "tiny", seed=seed)
    return models.load_on_gpu(str(trained) or chosen.model)


def finetune(
    chosen: Recipe,
    bundle: Bundle,
    clips: Sequence[Clip],
    *,
    tested: Sequence[Example] = (),
    seed: int = 0,
    on_log: Callable[[int, float], None] | None = None,
    watchers: Watchers | None = None,
) -> TrainResult:
    """Train `bundle.model` in place on the cut `clips`, or take the weights of a run that did
    exactly this already; `result.folder` is the run's.

    "Exactly this" is a key over clips, settings and the code that matters. What the run's folder
    holds is written in `obvlib.training.runs`; the training questions are beside it
    (training.jsonl), for the majority answer that scores are held against. Contamination (a
    ValueError) if a source video of `tested` is among `clips`.
    """
    check_contamination(clips, tested)
    watchers = watchers or Watchers(on_log=on_log)
    config = chosen.train_config(seed)
    cut = cut_clips(chosen, clips)
    opened = open_run(chosen, bundle, clips, seed=seed)
    with run.held(opened, watchers):
        if done := run.finished(opened, bundle):
            return done
        here = dataclasses.replace(config, output_dir=opened.folder)
        data = samples.training_samples(
            chosen.model, bundle, cut, chosen.clips_dir, chosen.policy, here, seed
        )
        asked = [to_json(pair) for pair in data.qa_pairs()]
        write_rows(opened.folder / "training.jsonl", asked)
        learned = run.TrainingData(
            load=data.load,
            lengths=data.lengths(),
            costs=data.costs(),
            policy=chosen.policy,
            facts=_facts(chosen, data, len(clips) - len(cut)),
        )
        return run.train_in(opened, config, bundle, learned, watchers)


def cut_clips(chosen: Recipe, clips: Sequence[Clip]) -> list[Clip]:
    """Return the clips whose files are there, with a warning that counts the others; ValueError
    where none is.
    """
    check_file_names(clips)
    if "://" in chosen.clips:
        return list(clips)
    cut = [clip for clip in clips if (Path(chosen.clips_dir) / clip.file_name).is_file()]
    if not cut:
        raise ValueError(
            f"none of the {len(clips)} clips is in {chosen.clips_dir}: download the source videos,"
            " then `obv slice`"
        )
    if len(cut) < len(clips):
        warnings.warn(
            f"{len(clips) - len(cut)} of {len(clips)} clips are not in {chosen.clips_dir}: training"
            f" on the other {len(cut)}",
            stacklevel=3,
        )
    return cut


def open_run(chosen: Recipe, bundle: Bundle, clips: Sequence[Clip], *, seed: int = 0) -> Run:
    """Return the run that `finetune` with these arguments trains or has trained, and make it the
    recipe's current one.
    """
    from obvlib.core import ranks

    config = chosen.train_config(seed)
    asked = None
    if ranks.is_first():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `finetune` says what is missing
            cut = cut_clips(chosen, clips)
        asked = run.asked_of(
            config, bundle, samples.data_hash(chosen.model, chosen.policy, cut, chosen.clips_dir)
        )
        asked["code"] += hash_code(frame_policy, inputs, media, mini, dataset, model_parts, samples)
    opened = run.open_run(config, asked)
    if ranks.is_first():
        write_text(str(config.output_dir / CURRENT), opened.folder.name + "\n")
    return opened


def planned_costs(
    chosen: Recipe, clips: Sequence[Clip], seed: int
) -> tuple[list[planner.Sample], TrainConfig, ModelShape]:
    """Return what a plan needs: the samples' costs, the settings, the model's sizes. No weight of a
    large model is loaded; its tokenizer and configuration are.
    """
    config, cut = chosen.train_config(seed), cut_clips(chosen, clips)
    parts = model_parts.parts_of(chosen.model)
    shape = ModelShape.from_config(chosen.model, parts.config)
    if chosen.model == "tiny":
        bundle = load_model(chosen, seed=seed)
        data = samples.training_samples(
            "tiny", bundle, cut, chosen.clips_dir, chosen.policy, config, seed
        )
        return [planner.Sample(num_tokens=n) for n in data.lengths()], config, shape
    stage = dataset.BuildStage(
        clips_dir=str(chosen.clips_dir),
        policy=chosen.policy,
        model=chosen.model,
        max_tokens=config.capacity_tokens,
        seed=seed,
    )
    rows = [made for clip in cut if not isinstance(made := stage(clip), Drop)]
    sizes = (parts.spec.patch_size, parts.spec.temporal_patch_size)
    return sample_costs.samples_of([dataclasses.asdict(row) for row in rows], *sizes), config, shape


def ready_model(chosen: Recipe, named: str = "") -> str:
    """Return the directory or name of the model to evaluate: `named`, else that of the current run.

    ValueError, with the remedy, where it belongs to a run that is not finished or is damaged.
    """
    folder = Path(named).parent if named else chosen.current_run
    if not named and not folder.is_dir():
        raise ValueError(
            f"no fine-tuned model in {folder}: run `obv train` first, or name one with --model"
        )
    if not named or (folder / runs.CLAIM).is_file():
        runs.check_ready(folder)
    return named or str(folder / runs.MODEL)


def _facts(chosen: Recipe, data: samples.Samples, num_missing: int) -> dict[str, Any]:
    """Return what the run's note and its model card say of the data."""
    facts = data.facts()
    if num_missing:
        missing = ["missing", "the clip's file is not there", num_missing]
        facts["left_out"] = [missing, *facts.get("left_out", [])]
    if chosen.model.lower() in card_names():  # a directory has none
        facts["license"] = load_card(chosen.model).license.lower()
    facts["dataset"] = chosen.dataset
    return facts
