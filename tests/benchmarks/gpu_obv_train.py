"""`obv train` itself on GPUs, from mp4 files that are decoded while it runs: tokens a second, MFU,
memory, how long it waited for clips, and where a step's time goes.

    python tests/benchmarks/gpu_obv_train.py --work /tmp/work --out train.json --rows short long
    accelerate launch --num_processes 2 tests/benchmarks/gpu_obv_train.py --work /tmp/work …

The command's own code runs, with a configuration file, from reading it to the optimizer's steps;
after the measured ones it is stopped, so that no checkpoint of tens of gigabytes is written. Models
are made at full size from their configurations with random weights (`--make`), which serves for
speed and memory. Sources are 1280x720, 30 frames a second, H.264 with sound; each row is one step,
unless `rows_per_step` is changed.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from gpu_steps import PEAK, config_2b, free_memory, summed
from gpu_training import ROWS, WORDS, make_clips
from transformers import TrainerCallback

from obvlib.cli import train_run
from obvlib.core import ranks
from obvlib.core.jsonl import write_rows
from obvlib.training import forecast
from obvlib.training import trainer as trainers

NAMES = {"short": "short clips of 16 s", "long": "one clip of 60 s"}
SAMPLES_A_ROW = {"short": 10, "long": 1}


class Measured(Exception):
    """Ends a run that has been measured."""


class Timed(TrainerCallback):
    """Times the steps after warming up, profiles two more, and ends the run."""

    def __init__(self, warm: int, steps: int, profile: bool) -> None:
        self.warm, self.steps, self.profile = warm, steps, profile
        self.speed: Any = None
        self.began = self.waited = 0.0
        self.found: dict[str, Any] = {}
        self.profiler: Any = None

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        step = state.global_step
        if step == self.warm - 1:  # from here on nothing is read back from the GPU
            state.logging_steps = 1_000_000
        if step == self.warm:
            _synchronize(reset=True)
            self.began, self.waited = time.perf_counter(), self.speed.waited_s
        elif step == self.warm + self.steps:
            _synchronize()
            self._note((time.perf_counter() - self.began) / self.steps)
            if not (self.profile and torch.cuda.is_available()):
                raise Measured
            self.profiler = torch.profiler.profile(
                activities=[torch.profiler.ProfilerActivity.CUDA]
            )
            self.profiler.start()
        elif step == self.warm + self.steps + 2:
            torch.cuda.synchronize()
            self.profiler.stop()
            self.found["profile"] = summed(self.profiler)
            raise Measured

    def _note(self, step_s: float) -> None:
        speed, size = self.speed, self.speed.rows_per_step
        rows = slice(self.warm * size, (self.warm + self.steps) * size)
        tokens = sum(speed.tokens[rows]) / self.steps
        useful = sum(speed.flops[rows]) / self.steps
        self.found = {
            "steps": self.steps, "warm_up": self.warm, "step_s": step_s,
            "rows_a_step": size, "tokens_a_step": tokens, "tokens_per_s": tokens / step_s,
            "mfu": useful / step_s / PEAK / speed.num_devices, "devices": speed.num_devices,
            "waited_for_rows_s_a_step": (speed.waited_s - self.waited) / self.steps,
        }  # fmt: skip
        if torch.cuda.is_available():
            self.found["reserved_gib"] = torch.cuda.max_memory_reserved() / 2**30
            self.found["allocated_gib"] = torch.cuda.max_memory_allocated() / 2**30


def _synchronize(reset: bool = False) -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        if reset:
            torch.cuda.reset_peak_memory_stats()


def make_model(directory: Path, size: str) -> None:
    """Write a model of full size with random weights, or one of two layers."""
    import transformers

    from obvlib.core import FramePolicy
    from obvlib.models import Bundle, qwen_tokenizer

    config = config_2b(tiny=size == "tiny")
    if size == "7b":
        config.text_config.hidden_size, config.text_config.intermediate_size = 3584, 18_944
        config.text_config.num_attention_heads = 28
        config.text_config.num_key_value_heads = 4
        config.text_config.vocab_size = 152_064
        config.vision_config.hidden_size = 3584
        config.text_config.tie_word_embeddings = config.tie_word_embeddings = False
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = transformers.Qwen2VLForConditionalGeneration._from_config(
            config, dtype=torch.bfloat16
        )
    tokenizer: Any = qwen_tokenizer()
    bundle = Bundle(model=model, tokenizer=tokenizer, name=size, revision="random weights")
    bundle.save(directory, FramePolicy())


def make_rows(work: Path, kind: str, paths: list[str]) -> None:
    """Write the rows of a data set of clips with captions of random words."""
    import random

    seconds, _, _, num_words = ROWS[NAMES[kind]]
    rows = []
    for number, path in enumerate(paths):
        caption = " ".join(random.Random(number).choices(WORDS, k=num_words)).capitalize() + "."
        rows.append({
            "video_id": f"{kind}{number:04}", "timestamp": [0.0, seconds],
            "video": Path(path).name, "caption": caption,
        })  # fmt: skip
    write_rows(work / f"{kind}.jsonl", rows)


def write_config(work: Path, kind: str, model: str, changes: list[str]) -> None:
    """Write a configuration whose rows hold the ten longest clips, or the longest one."""
    from obvlib import recipes

    config: dict[str, Any] = {
        "model": str(work / model), "dataset": str(work / f"{kind}.jsonl"),
        "benchmarks": ["mini"], "clips": str(work / "videos"),
    }  # fmt: skip
    config["frames"] = {"max_visual_tokens": ROWS[NAMES[kind]][1]}
    config["training"] = {
        "rows_per_step": 1, "num_epochs": 40, "log_steps": 1, "save_steps": 100_000,
        "tracker": "none",
    }  # fmt: skip
    path = work / f"{kind}-{model}.yaml"
    path.write_text(yaml.safe_dump(config))
    recipe = recipes.recipe(str(path), changes)
    costs, *_ = recipes.planned_costs(recipe, train_run.training_clips(recipe), 0)
    longest = sorted((cost.num_tokens for cost in costs), reverse=True)
    capacity = sum(longest[: SAMPLES_A_ROW[kind]])
    config["training"]["capacity_tokens"] = capacity
    path.write_text(yaml.safe_dump(config))


def run_row(work: Path, kind: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run `obv train` on one kind of rows and return what was measured."""
    from obvlib import recipes
    from obvlib.models import load

    path = work / f"{kind}-{arguments.model}.yaml"
    if ranks.is_first():
        write_config(work, kind, arguments.model, arguments.changes)
    ranks.barrier()
    timed = Timed(arguments.warm, arguments.steps, arguments.profile)
    own_speed, own_watch = forecast.speed, trainers.Watch
    said: list[str] = []
    losses: list[float] = []

    def speed(*given: Any) -> Any:
        timed.speed = own_speed(*given)
        return timed.speed

    def watch(*given: Any) -> Any:
        own = own_watch(*given)

        def on_log(args: Any, state: Any, control: Any, logs: Any = None, **rest: Any) -> None:
            if logs and "loss" in logs:
                losses.append(logs["loss"])
            own.on_log(args, state, control, logs=logs, **rest)

        timed.on_log = on_log  # type: ignore[method-assign]
        return timed

    if not torch.cuda.is_available():  # a rehearsal
        recipes.load_model = lambda chosen, seed: load(chosen.model, dtype=torch.float32)
    forecast.speed, trainers.Watch = speed, watch  # type: ignore[assignment, misc]
    began = time.perf_counter()
    own_say = train_run.Bar.say
    train_run.Bar.say = lambda self, text: (said.append(text), own_say(self, text))[1]  # type: ignore
    try:
        train_run.run(
            str(path), arguments.changes, seed=0, dry_run=False, gpu="", show=False
        )  # fmt: skip
    except Measured:
        pass
    finally:
        forecast.speed, trainers.Watch, train_run.Bar.say = own_speed, own_watch, own_say
    capacity = yaml.safe_load(path.read_text())["training"]["capacity_tokens"]
    found = {"row": NAMES[kind], "model": arguments.model, "changes": arguments.changes}
    found |= timed.found | {"seconds_in_all": time.perf_counter() - began, "said": said}
    found["first_losses"] = losses
    found["fill"] = found["tokens_a_step"] / found["rows_a_step"] / capacity
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="models, clips, runs")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--make", nargs="*", default=[], help="models to make: tiny 2b 7b; clips")
    parser.add_argument("--rows", nargs="*", default=[], choices=list(NAMES))
    parser.add_argument("--model", default="2b")
    parser.add_argument("--changes", nargs="*", default=[], help="as on obv train's command line")
    parser.add_argument("--sources", type=int, default=8)
    parser.add_argument("--clips", type=int, default=50)
    parser.add_argument("--height", type=int, default=720, help="of the sources, 16 to 9")
    parser.add_argument("--warm", type=int, default=10)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    for what in arguments.make:
        if what == "clips":
            counts = (arguments.sources, arguments.clips, arguments.height)
            made = make_clips(work / "videos", *counts)
            for kind, name in NAMES.items():
                make_rows(work, kind, made[ROWS[name][0]])
        else:
            make_model(work / what, what)
    results = []
    for kind in arguments.rows:
        try:
            found = run_row(work, kind, arguments)
        except Exception as error:
            found = {"row": NAMES[kind], "failed": f"{type(error).__name__}: {error}"[:900]}
        results.append(found)
        if ranks.is_first():
            print({k: v for k, v in found.items() if k not in ("profile", "said")}, flush=True)
            print(found.get("profile", {}).get("groups_s", ""), flush=True)
            if arguments.out:
                arguments.out.write_text(json.dumps(results, indent=1) + "\n")
        free_memory()


if __name__ == "__main__":
    main()
