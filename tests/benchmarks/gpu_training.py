"""Fine-tuning on one GPU from mp4 files that are decoded while it runs, beside the original's stack
without any reading: tokens a second, MFU, memory, and how long the GPU waited.

    python tests/benchmarks/gpu_training.py --out training.json --videos /tmp/videos

Qwen2-VL-2B at full size from its config with random weights. Sources (1280x720, 30 frames a second,
H.264 with sound) are made, and clips cut from them, before the clock starts; every clip is decoded
anew each time that it is shown. Each row is one step; ten warm up.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import datetime
import json
import os
import random
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from gpu_steps import PEAK, build, free_memory, one_step, profiled, useful_flops
from slicing import make_source

from obvlib import media
from obvlib.core import FramePolicy, ranks
from obvlib.inputs import ModelInput, Turn, Video, VisionSpec, encode
from obvlib.models import qwen_tokenizer
from obvlib.models.packed_forward import Fast, install
from obvlib.training.loading import FastRow, limit_threads, row_of
from obvlib.training.masters import MasterAdamW
from obvlib.training.rows import PackedRows

WORDS = "the probe shows a dilated left ventricle with reduced motion of its wall and fluid".split()
# name: seconds of a clip, its most visual tokens, capacity of a row, words of its captions
ROWS = {
    "short clips of 16 s": (16.0, 1_600, 16_640, 40),
    "one clip of 60 s": (60.0, 16_384, 16_128, 220),
}


def _source(job: tuple[str, int]) -> str:
    path, height = job
    torch.set_num_threads(1)
    if not Path(path).exists():
        make_source(Path(path), height, height * 16 // 9, 90)
    return path


def _cut(job: tuple[str, str, float, float]) -> str:
    source, out, start, end = job
    if not Path(out).exists():
        media.slice_clip(source, out, start, end)
    return out


def make_clips(
    directory: Path, num_sources: int, num_clips: int, height: int = 720
) -> dict[float, list[str]]:
    """Clips of each length, cut from sources of 90 s at many places."""
    directory.mkdir(parents=True, exist_ok=True)
    rng, made = random.Random(0), {}
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count() or 1) as pool:
        names = [(f"{directory}/s{i}.mp4", height) for i in range(num_sources)]
        sources = list(pool.map(_source, names))
        for seconds, *_ in ROWS.values():
            jobs = []
            for i in range(num_clips):
                start = rng.uniform(0, 89 - seconds)
                out = f"{directory}/c{seconds:.0f}_{i}.mp4"
                jobs.append((sources[i % num_sources], out, start, start + seconds))
            made[seconds] = list(pool.map(_cut, jobs))
    return made


class Clips:
    """Loads sample i: decodes its clip, and encodes it with a caption as the answer."""

    def __init__(self, paths: list[str], num_words: int, max_visual_tokens: int):
        self.paths, self.num_words = paths, num_words
        self.policy = FramePolicy(max_visual_tokens=max_visual_tokens)
        self.tokenizer, self.spec = qwen_tokenizer(), VisionSpec()

    def load(self, index: int) -> ModelInput:
        frames, times_s = media.clip_frames(Path(self.paths[index % len(self.paths)]), self.policy)
        caption = " ".join(random.Random(index).choices(WORDS, k=self.num_words))
        turns = [
            Turn("user", "What does this video show?", (Video(frames, times_s),)),
            Turn("assistant", caption),
        ]
        return encode(turns, self.tokenizer, self.spec, normalise=False, name=str(index))


def shapes_of(row: dict[str, Any], seconds: float) -> list[tuple[int, ...]]:
    """(frames, height, width, text tokens, learned tokens) of a row's clips, all alike."""
    samples = len(row["text_lengths"])
    frames = 2 * len(row["vision_lengths"]) // samples
    rows, columns = (row["patch_positions"].amax(0) + 1).tolist()
    text = (row["input_ids"].shape[1] - len(row["visual_index"])) // samples - 2
    learned = len(row["learned_targets"]) // samples
    return [(frames, rows * 14, columns * 14, text, learned)] * samples


def run_row(name: str, paths: list[str], arguments: argparse.Namespace) -> dict[str, Any]:
    seconds, max_visual_tokens, capacity, num_words = ROWS[name]
    device = "cpu" if arguments.tiny else "cuda"
    num_steps = arguments.warm + arguments.steps + 4
    clips = Clips(paths, num_words, max_visual_tokens)
    longest = max(clips.load(i).num_tokens for i in range(8)) + 4  # captions differ by a few tokens
    per_row = max(1, capacity // longest)
    rows = [[step * per_row + i for i in range(per_row)] for step in range(num_steps)]
    make = FastRow(clips.spec.image_token_id, clips.spec.video_token_id)
    loader = torch.utils.data.DataLoader(
        PackedRows(rows, clips.load, make=make),
        batch_size=1, collate_fn=row_of, num_workers=arguments.workers,
        pin_memory=device == "cuda", worker_init_fn=limit_threads,
        prefetch_factor=3 if arguments.workers else None,
    )  # fmt: skip
    waiting = iter(loader)
    model = build(device, arguments.tiny)
    fit = ("products",) * arguments.text_products
    depth = model.config.text_config.num_hidden_layers
    text = (*fit, *("most",) * depth)[:depth]
    choice = Fast(attention=arguments.attention, compiles=device == "cuda", text=text)
    install(model, clips.spec, choice)
    optimizer = MasterAdamW(model.parameters(), lr=1e-5)
    losses, waits, num_tokens, learned = [], [], 0, 0

    def step() -> torch.Tensor:
        nonlocal num_tokens, learned, shown
        began = time.perf_counter()
        shown = next(waiting)
        waits.append(time.perf_counter() - began)
        num_tokens += shown["input_ids"].shape[1]
        learned += len(shown["learned_targets"])
        row = {
            key: value.to(device, non_blocking=True) if torch.is_tensor(value) else value
            for key, value in shown.items()
        }
        return one_step(model, row, optimizer)

    shown: dict[str, Any] = {}
    for _ in range(arguments.warm):
        step()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    num_tokens = learned = 0
    waits.clear()
    started = time.perf_counter()
    for _ in range(arguments.steps):
        losses.append(step())
    values = [float(loss) for loss in losses]
    step_s = (time.perf_counter() - started) / arguments.steps
    useful = useful_flops(shapes_of(shown, seconds))
    only = useful_flops(shapes_of(shown, seconds), head_at_learned_only=True)
    tokens = num_tokens / arguments.steps
    result = {
        "row": name, "steps": arguments.steps, "warm_up": arguments.warm, "step_s": step_s,
        "tokens_a_row": tokens, "fill": tokens / capacity,
        "learned_a_row": learned / arguments.steps,
        "tokens_per_s": tokens / step_s, "mfu": useful / step_s / PEAK,
        "mfu_head_at_learned_only": only / step_s / PEAK,
        "waited_for_rows_s_a_step": sum(waits) / len(waits), "first_loss": values[0],
        "last_loss": values[-1], "attention": arguments.attention, "workers": arguments.workers,
        "text_layers_that_keep_products": arguments.text_products,
    }  # fmt: skip
    if device == "cuda":
        result["reserved_gib"] = torch.cuda.max_memory_reserved() / 2**30
        result["profile"] = profiled(step)
        result["idle_share"] = result["profile"]["idle_s"] / result["profile"]["span_s"]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--videos", type=Path, required=True)
    parser.add_argument("--make-only", action="store_true")
    parser.add_argument("--attention", default="auto")
    parser.add_argument("--workers", type=int, default=ranks.num_readers())
    parser.add_argument("--text-products", type=int, default=0)
    parser.add_argument("--sources", type=int, default=8)
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--warm", type=int, default=10)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--tiny", action="store_true", help="a rehearsal on the CPU")
    arguments = parser.parse_args()
    clips = make_clips(arguments.videos, arguments.sources, arguments.clips)
    if arguments.make_only:
        return
    results = {
        "date": datetime.date.today().isoformat(), "torch": torch.__version__,
        "transformers": transformers.__version__, "rows": [],
    }  # fmt: skip
    for name, (seconds, *_) in ROWS.items():
        try:
            results["rows"].append(run_row(name, clips[seconds], arguments))
        except Exception as error:
            results["rows"].append(
                {"row": name, "failed": f"{type(error).__name__}: {error}"[:600]}
            )
        last = results["rows"][-1]
        print({k: v for k, v in last.items() if k != "profile"}, flush=True)
        print(last.get("profile", {}).get("groups_s", ""), flush=True)
        arguments.out.write_text(json.dumps(results, indent=1) + "\n")
        free_memory()


if __name__ == "__main__":
    main()
