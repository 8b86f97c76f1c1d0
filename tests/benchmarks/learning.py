"""Whether a mid-size Qwen2-VL learns every question family of the generated corpus from nothing,
the temporal ones included, and what each control leaves of its scores.

    python tests/benchmarks/learning.py --runs "frame by frame" --out learning.json \
        --work /tmp/learning
    python tests/benchmarks/learning.py --runs "1-D positions" --steps 2682 --controls \
        --ask-seconds 40 --until 570 --out positions.json --work /tmp/positions
    python tests/benchmarks/learning.py --tiny --steps 6 --workers 2 --capacity 3000 --askers 2 \
        --test-clips 12 --probe-clips 8 --out try.json --work /tmp/try     a rehearsal on the CPU

A run takes nine minutes of one H200 and 16 cores. Questions alone (main) leave the heart's rate and
the folds' direction at chance; "frame by frame", for 330 s, learns all eleven families
(learning_2026-11-30.json, 2,682 steps), so that the other runs go frame by frame too, for as many
steps. That with 1-D positions took 251 s (learning_positions_2026-12-01.json); unpacked, "options
in one order", "bf16 steps", "cleaned captions" and "raw captions" wait for a GPU.

56 M weights from a seed; rows of conversations about clips that are drawn while it trains; a budget
of seconds or steps that is fixed before the run. The score at its end is the result, reached or
not. The weights are bf16, their fp32 masters are moved by the package's optimizer. Results are
written as they come.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import gc
import itertools
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from learning_rows import Rows, RowStream, family_rows
from learning_scores import Asked, ask_all, score_table

from obvlib.core.provenance import Provenance
from obvlib.inputs import VisionSpec
from obvlib.models import Bundle, attention, tiny_tokenizer
from obvlib.models.bundle import tiny_bundle, tiny_config
from obvlib.models.packed_forward import Fast, install
from obvlib.report import save_result
from obvlib.training.loading import limit_threads, row_of
from obvlib.training.optimizers import MuonAdamW

STARTED = time.time()
TRAIN_SECONDS = 300.0  # of the main run, from its first step after compiling
LEARNING_RATE, WARMUP, WEIGHT_DECAY, MAX_NORM = 1.5e-3, 0.03, 0.01, 1.0
TEXT = dict(
    hidden_size=512, intermediate_size=1536, num_hidden_layers=12, num_attention_heads=8,
    num_key_value_heads=4, initializer_range=0.044,
    rope_parameters={"rope_type": "default", "rope_theta": 1e6, "mrope_section": [8, 12, 12]},
)  # fmt: skip
VISION = dict(
    depth=6, embed_dim=384, hidden_size=512, num_heads=6, mlp_ratio=4, initializer_range=0.05
)
PROBE_SEED, TEST_SEED = 501, 502  # streams of held-out clips: for curves, and for scores
MOMENTS: dict[str, Any] = {"moments": 0.5}
RUNS: dict[str, dict[str, Any]] = {  # what a run changes
    "main": {},
    "frame by frame": MOMENTS,
    "1-D positions": MOMENTS | {"flat": True},
    "unpacked": MOMENTS | {"padded": True},
    "options in one order": MOMENTS | {"fixed": True},
    "bf16 steps": MOMENTS | {"masters": False},
    "cleaned captions": MOMENTS | {"captions": "cleaned"},
    "raw captions": MOMENTS | {"captions": "raw"},
}


def build(seed: int, device: str, tiny: bool) -> Bundle:
    """The model from a seed: in bf16 on a GPU, in float32 on a CPU."""
    from transformers import Qwen2VLForConditionalGeneration

    if tiny:
        return tiny_bundle(seed=seed, device=device)
    tokenizer = tiny_tokenizer()
    config = tiny_config(tokenizer, text_sizes=TEXT, vision_sizes=VISION)
    torch.manual_seed(seed)
    model: Any = Qwen2VLForConditionalGeneration._from_config(config, attn_implementation="sdpa")
    model = model.to(device, torch.bfloat16 if device == "cuda" else torch.float32)
    return Bundle(model=model, tokenizer=tokenizer, name="midsize", revision=f"seed {seed}")


class Masters:
    """The package's optimizer on fp32 copies of the weights, which the model's own follow; without
    copies it moves the model's weights as they are.
    """

    def __init__(self, model: Any, copies: bool):
        self.weights = list(model.parameters())
        moved = copy.deepcopy(model).float() if copies else model
        self.masters = list(moved.parameters()) if copies else []
        self.optimizer = MuonAdamW(moved, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)

    def step(self, rate: float) -> None:
        torch.nn.utils.clip_grad_norm_(self.weights, MAX_NORM)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        for master, weight in zip(self.masters, self.weights, strict=bool(self.masters)):
            master.grad = None if weight.grad is None else weight.grad.float()
        self.optimizer.step()
        if self.masters:
            with torch.no_grad():
                torch._foreach_copy_(self.weights, self.masters)
        for weight in (*self.weights, *self.masters):
            weight.grad = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget:
    """The end of a training: after `steps`, or where that is 0 after `seconds`, of which a late
    start leaves fewer; never later than `until` (time.time).
    """

    steps: int
    seconds: float
    until: float

    def share(self, step: int, began: float) -> float:
        """How much of it is used up, 0 to 1."""
        now = time.time()
        if self.steps:
            return 1.0 if now >= self.until else min(1.0, step / self.steps)
        return min(1.0, (now - began) / max(1.0, min(self.seconds, self.until - began)))


def rate_at(share: float) -> float:
    """Linear warm-up, then half a cosine to zero."""
    if share < WARMUP:
        return LEARNING_RATE * (share + 1e-3) / WARMUP
    return LEARNING_RATE * (1 + math.cos(math.pi * (share - WARMUP) / (1 - WARMUP))) / 2


def moved(row: dict[str, Any], device: str) -> dict[str, Any]:
    return {
        name: value.to(device, non_blocking=True) if torch.is_tensor(value) else value
        for name, value in row.items()
        if name not in ("num_clips", "num_samples")
    }


def loss_of(model: Any, row: dict[str, Any]) -> torch.Tensor:
    if "pixel_values_videos" in row:
        row = row | {"pixel_values_videos": row["pixel_values_videos"].to(model.dtype)}
        return model(**row, use_cache=False).loss
    return model(**row).loss


@torch.no_grad()
def probed(model: Any, rows: dict[str, tuple[dict[str, Any], int]]) -> dict[str, float]:
    """Negative log-probability of the right answer on held-out clips, in nats an answer."""
    return {
        family: round(float(loss_of(model, row)) * len(row["learned_targets"]) / count, 4)
        for family, (row, count) in rows.items()
    }


def install_packed(bundle: Bundle, device: str, row: dict[str, Any]) -> str:
    """Give the model the packed pass and take one step's gradient; where compiling fails, without
    it.
    """
    depth, blocks = len(bundle.model.model.language_model.layers), bundle.model.config.vision_config
    keeps = {"text": ("all",) * depth, "vision": ("all",) * blocks.depth}
    for compiles in (device == "cuda", False):
        try:
            bundle.model.__dict__.pop("forward", None)
            install(bundle.model, bundle.spec, Fast(compiles=compiles, **keeps))
            loss_of(bundle.model, row).backward()
            bundle.model.zero_grad(set_to_none=True)
            return "packed pass, compiled" if compiles else "packed pass"
        except Exception as error:
            if not compiles:
                raise
            print(f"compiling failed: {type(error).__name__}: {error}"[:1500], flush=True)
    raise AssertionError


def train(
    bundle: Bundle, name: str, budget: Budget, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Train in place; return the run's curve and counts."""
    changes = dict(RUNS[name])
    masters = changes.pop("masters", True)
    device, spec = arguments.device, VisionSpec.from_config(bundle.model.config)
    rows = Rows(capacity=arguments.capacity, new_clips=arguments.new_clips, **changes)
    workers = arguments.workers
    loader = torch.utils.data.DataLoader(
        RowStream(rows, bundle.tokenizer, spec), batch_size=1, collate_fn=row_of,
        num_workers=workers, worker_init_fn=limit_threads if workers else None,
        prefetch_factor=3 if workers else None, pin_memory=device == "cuda",
    )  # fmt: skip
    stream: Iterator[dict[str, Any]] = iter(loader)
    probes = {
        family: (moved(row, device), count)
        for family, (row, count) in family_rows(
            arguments.probe_clips, PROBE_SEED, bundle.tokenizer, spec
        ).items()
    }
    way = install_packed(bundle, device, next(iter(probes.values()))[0])
    if rows.padded:
        way = f"the model's own pass, attention {attention.use(bundle.model)} in the vision tower"
    optimizer = Masters(bundle.model, copies=masters and bundle.model.dtype != torch.float32)
    result: dict[str, Any] = {
        "run": name, "way": way, "million_weights": round(bundle.num_parameters / 1e6, 1),
        "workers": workers, "curve": [],
    }  # fmt: skip
    bundle.model.train()
    probed(bundle.model, probes)  # compiles what is not compiled yet
    next(stream)  # every worker has drawn its first clips before the clock starts
    said(f"{name}: {way}, {bundle.num_parameters / 1e6:.1f} M weights; training begins")
    began, waited, tokens, samples, clips = time.time(), 0.0, 0, 0, {}
    losses: list[torch.Tensor] = []
    for step in itertools.count():
        share = budget.share(step, began)
        if share >= 1 or step % arguments.probe_steps == 0:
            seconds = time.time() - began
            point = {
                "step": step, "seconds": round(seconds, 1), "tokens": tokens, "samples": samples,
                "clips": sum(clips.values()), "waited_s": round(waited, 1),
                "loss": round(float(torch.stack(losses).mean()), 4) if losses else None,
            } | probed(bundle.model, probes)  # fmt: skip
            result["curve"].append(point)
            losses = []
            said(json.dumps(point))
            keep_partial(arguments, result)
        if share >= 1:
            break
        asked = time.time()
        row = next(stream)
        waited += time.time() - asked
        clips[step % max(1, workers)] = row["num_clips"]
        samples += row["num_samples"]
        tokens += (
            int(row.get("attention_mask", row["input_ids"]).shape[1])
            if not rows.padded
            else int(row["attention_mask"].sum())
        )
        loss = loss_of(bundle.model, moved(row, device))
        loss.backward()
        losses.append(loss.detach())
        optimizer.step(rate_at(share))
        if step % 4 == 3:
            losses[max(0, len(losses) - 4)].item()  # so that the clock is read when steps are done
    result |= {"steps": step, "train_s": round(time.time() - began, 1), "tokens": tokens,
               "samples": samples, "clips": sum(clips.values())}  # fmt: skip
    bundle.model.__dict__.pop("forward", None)
    return result


def said(text: str) -> None:
    print(f"[{time.time() - STARTED:6.1f} s] {text}", flush=True)


def keep_partial(arguments: argparse.Namespace, result: dict[str, Any]) -> None:
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.with_suffix(".partial.json").write_text(json.dumps(result, indent=1) + "\n")


def keep(
    arguments: argparse.Namespace, made: Provenance, scores: list[dict], details: list[dict]
) -> None:
    """Write the scores, with counts and settings beside them, and the curves."""
    title = "A mid-size Qwen2-VL from nothing on timed clips: scores on held-out sources, in %"
    save_result(arguments.out, title=title, rows=scores, provenance=made)
    settings = {k: v for k, v in vars(arguments).items() if not isinstance(v, Path)}
    counts = [{k: v for k, v in run.items() if k != "curve"} for run in details]
    whole = json.loads(arguments.out.read_text()) | {"trainings": counts, "settings": settings}
    arguments.out.write_text(json.dumps(whole, indent=1) + "\n")
    save_result(
        arguments.out.with_name(f"{arguments.out.stem}_curve.json"),
        title="The right answer's negative log-probability on held-out clips while training, nats",
        rows=[{"run": run["run"]} | point for run in details for point in run["curve"]],
        provenance=made,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", nargs="+", default=["main"], choices=list(RUNS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="a folder for models and answers")
    parser.add_argument("--seconds", type=float, default=TRAIN_SECONDS)
    parser.add_argument("--steps", type=int, default=0, help="of each run, in place of seconds")
    parser.add_argument("--until", type=float, default=535.0, help="seconds from the start")
    parser.add_argument("--ask-seconds", type=float, default=125.0, help="kept for each run's test")
    parser.add_argument("--capacity", type=int, default=24_576)
    parser.add_argument("--new-clips", type=int, default=4)
    parser.add_argument("--workers", type=int, default=min(14, (os.cpu_count() or 2) // 2))
    parser.add_argument("--askers", type=int, default=12)
    parser.add_argument("--test-clips", type=int, default=480)
    parser.add_argument("--probe-clips", type=int, default=96)
    parser.add_argument("--probe-steps", type=int, default=100)
    parser.add_argument("--controls", nargs="*", default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commit", default="", help="of the code, where git is not at hand")
    parser.add_argument("--tiny", action="store_true", help="two million weights: a rehearsal")
    arguments = parser.parse_args()
    arguments.device = "cuda" if torch.cuda.is_available() else "cpu"
    made, scores, details = Provenance.collect(seed=arguments.seed), [], []
    if arguments.commit:
        made = dataclasses.replace(made, commit=arguments.commit, dirty=False)
    for place, name in enumerate(arguments.runs):
        left = STARTED + arguments.until - time.time()
        share_s = left / (len(arguments.runs) - place)
        until = time.time() + share_s
        bundle = build(arguments.seed, arguments.device, arguments.tiny)
        budget = Budget(
            steps=arguments.steps, seconds=arguments.seconds, until=until - arguments.ask_seconds
        )
        details.append(train(bundle, name, budget, arguments))
        said("asking")
        asked = Asked(
            num_clips=arguments.test_clips, seed=TEST_SEED, num_processes=arguments.askers,
            until=until - 3, device=arguments.device,
        )  # fmt: skip
        if arguments.controls is not None:
            asked = dataclasses.replace(asked, controls=tuple(arguments.controls))
        gc.collect()
        if (answered := ask_all(bundle, arguments.work / f"run{place}", asked)) is not None:
            scores += score_table(answered, name)
        details[-1] |= {"whole_s": round(time.time() - until + share_s, 1)}
        for row in scores:
            if row["run"] == name:
                said(json.dumps(row))
        keep(arguments, made, scores, details)
        del bundle
        gc.collect()
        if arguments.device == "cuda":
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
