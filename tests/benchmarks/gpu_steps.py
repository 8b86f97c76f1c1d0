"""Steps of full fine-tuning on one GPU, Qwen2-VL-2B at full size from its config with random
weights, without a loader: the original's stack and ways to be faster, on the same rows.

    python tests/benchmarks/gpu_steps.py --out steps.json --ways original fast

The original's stack is its nearest equivalent today: torch's varlen attention, all of Liger's
kernels, gradient checkpointing, AdamW on bf16 weights. The fast ways keep fp32 masters. Useful
FLOPs are those of `obvlib.training.planner.row_work`: every product and attention once forward and
twice backward, whatever is computed again or left out, the head at every token.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from obvlib.inputs import ModelInput, VisionSpec, collate, mrope_positions, normalised_on_device
from obvlib.models import MODELS, attention
from obvlib.models.packed_forward import Fast, install
from obvlib.training.loading import FastRow
from obvlib.training.masters import MasterAdamW
from obvlib.training.planner import Sample, Settings, row_work

PEAK = 989e12  # dense bf16 products of an H100 or H200 a second, from the data sheet
START, END, VIDEO, VOCABULARY = 151_652, 151_653, 151_656, 151_936
ROWS = {  # clips of (frames, height, width, text tokens, learned tokens); 1 frame a second
    "ten clips of 16 s": [(16, 308, 504, 72, 36)] * 10,
    "one clip of 60 s": [(60, 448, 896, 256, 96)],
}


def config_2b(tiny: bool = False) -> transformers.Qwen2VLConfig:
    """Qwen2-VL-2B-Instruct's shape; `tiny` has two layers of each, for rehearsals on a CPU."""
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
    text = dict(
        vocab_size=VOCABULARY, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28,
        num_attention_heads=12, num_key_value_heads=2, max_position_embeddings=32768,
        rms_norm_eps=1e-6, rope_parameters=rope, tie_word_embeddings=True,
    )  # fmt: skip
    vision = dict(depth=32, embed_dim=1280, hidden_size=1536, num_heads=16, mlp_ratio=4)
    if tiny:
        text |= dict(hidden_size=256, intermediate_size=1536, num_hidden_layers=2)
        text |= dict(num_attention_heads=2, num_key_value_heads=1)
        vision |= dict(depth=2, embed_dim=160, hidden_size=256, num_heads=2)
    return transformers.Qwen2VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=True
    )


def build(device: str, tiny: bool) -> Any:
    """The model with random weights in bf16."""
    torch.manual_seed(0)
    with torch.device(device):
        model = transformers.Qwen2VLForConditionalGeneration._from_config(
            config_2b(tiny), attn_implementation="sdpa"
        )
    model.config.text_config.use_cache = False
    return model.to(torch.bfloat16).train()


def sample(shape: tuple[int, ...], seed: int, raw: bool) -> ModelInput:
    """A clip of noise between random words, the last of them learned."""
    num_frames, height, width, num_text, num_learned = shape
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 150_000, num_text)
    grid = np.array([[num_frames // 2, height // 14, width // 14]])
    pixels = rng.integers(0, 256, (int(grid.prod()), 1176), dtype=np.uint8)
    video = [START, *[VIDEO] * (int(grid.prod()) // 4), END]
    ids = np.concatenate([words[:14], video, words[14:]])
    labels = np.full(len(ids), -100)
    labels[-num_learned:] = ids[-num_learned:]
    positions, delta = mrope_positions(ids, video_grid_thw=grid)
    return ModelInput(
        input_ids=ids, labels=labels, position_ids=positions, rope_delta=delta,
        pixel_values_videos=pixels if raw else (pixels.astype(np.float32) - 128) / 70,
        video_grid_thw=grid,
    )  # fmt: skip


def useful_flops(shapes: list[tuple[int, ...]], head_at_learned_only: bool = False) -> float:
    """Of one step on one row."""
    grids = [(f // 2, h // 14, w // 14) for f, h, w, *_ in shapes]
    samples = [
        Sample(num_tokens=t * h * w // 4 + shape[3] + 2, grids=((t, h, w),))
        for shape, (t, h, w) in zip(shapes, grids, strict=True)
    ]
    model = MODELS["qwen2-vl-2b"]
    work = row_work(samples, model, Settings(num_gpus=1)).useful
    spared = sum(s.num_tokens for s in samples) - sum(shape[4] for shape in shapes)
    return work - 6 * model.head_weights * spared * head_at_learned_only


def original(model: Any, shapes: list) -> tuple[dict, Any]:
    """The original's stack: a row for the model, and its optimizer."""
    from liger_kernel.transformers import apply_liger_kernel_to_qwen2_vl

    apply_liger_kernel_to_qwen2_vl(model=model)
    attention.use(model, "varlen")
    model.gradient_checkpointing_enable({"use_reentrant": False})
    row = collate([sample(shape, i, raw=False) for i, shape in enumerate(shapes)])
    row["pixel_values_videos"] = row["pixel_values_videos"].bfloat16()
    row = {name: tensor.to(model.device) for name, tensor in row.items()}
    row |= attention.row_arguments(row["position_ids"]) | {"use_cache": False}
    return row, torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)


def fast(model: Any, shapes: list, choice: Fast) -> tuple[dict, Any]:
    """The project's fast pass and masters."""
    install(model, VisionSpec.from_config(model.config), choice)
    make = FastRow(model.config.image_token_id, model.config.video_token_id)
    row = make([sample(shape, i, raw=True) for i, shape in enumerate(shapes)])
    row = {n: t.to(model.device) if torch.is_tensor(t) else t for n, t in row.items()}
    return row, MasterAdamW(model.parameters(), lr=1e-5)


def keeps(model: Any, text: int, vision: int, base: str = "most") -> dict[str, tuple[str, ...]]:
    """The first `text` layers and `vision` blocks keep products, the others what `base` says."""
    config = model.config
    sizes = (config.text_config.num_hidden_layers, config.vision_config.depth)
    words = [
        ("all",) * n + (base,) * (size - n) for n, size in zip((text, vision), sizes, strict=True)
    ]
    return {"text": words[0], "vision": words[1]}


def one_step(model: Any, row: dict, optimizer: Any) -> torch.Tensor:
    loss = model(**row).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.detach()


def timed(step: Callable[[], torch.Tensor], num_warm: int, num_steps: int) -> dict[str, Any]:
    """Seconds a step over `num_steps` in a row after warming up, and the memory it took."""
    cuda = torch.cuda.is_available()
    began = time.perf_counter()
    for _ in range(num_warm):
        loss = step()
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    for _ in range(num_steps):
        loss = step()
    last = float(loss)
    result = {"step_s": (time.perf_counter() - started) / num_steps, "loss": last}
    result["warm_up_s"] = started - began
    if cuda:
        result["reserved_gib"] = torch.cuda.max_memory_reserved() / 2**30
        result["allocated_gib"] = torch.cuda.max_memory_allocated() / 2**30
    return result


GROUPS = (  # name, words in a kernel's name; the first that fits
    ("attention", ("flash", "fmha", "sdpa", "attn", "Flash", "cudnn_generated")),
    ("optimizer and rotation", ("_kernel_0d", "adam", "_kernel")),
    ("products", ("gemm", "nvjet", "cutlass", "xmma", "splitK", "cublas", "sm90")),
    ("fused elementwise", ("triton",)),
    ("copies", ("Memcpy", "Memset")),
)


def profiled(step: Callable[[], torch.Tensor]) -> dict[str, Any]:
    """Where the GPU's time of one step goes, by groups of kernels, and when it was idle."""
    from torch.profiler import ProfilerActivity, profile

    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as made:
        step()
        step()
        torch.cuda.synchronize()
    return summed(made)


def free_memory() -> None:
    """Let go of what the last row held, on the GPU too."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def summed(made: Any, num_steps: int = 2) -> dict[str, Any]:
    """A profile of so many steps as seconds a step: in all, busy, idle, by groups of kernels, by
    kernel.
    """
    unit = 1e6 * num_steps
    events = [e for e in made.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    spans = sorted((e.time_range.start, e.time_range.end) for e in events)
    busy, last = 0.0, spans[0][0]
    for start, end in spans:
        busy += max(0.0, end - max(start, last))
        last = max(last, end)
    groups: dict[str, float] = {}
    names: dict[str, float] = {}
    for event in events:
        took = (event.time_range.end - event.time_range.start) / unit
        words = ((g, w) for g, ws in GROUPS for w in ws)
        group = next((g for g, w in words if w in event.name), "other")
        groups[group] = groups.get(group, 0.0) + took
        names[event.name[:110]] = names.get(event.name[:110], 0.0) + took
    whole, busy = (last - spans[0][0]) / unit, busy / unit
    top = dict(sorted(names.items(), key=lambda item: -item[1])[:45])
    times = {"span_s": whole, "busy_s": busy, "idle_s": whole - busy}
    return times | {"groups_s": groups, "kernels_s": top}


def run_way(way: str, name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Time one way on one row: "original", or kernel:text layers:vision blocks with products."""
    shapes = ROWS[name] if not arguments.tiny else [(4, 56, 84, 40, 8)] * 3
    device = "cpu" if arguments.tiny else "cuda"
    model = build(device, arguments.tiny)
    if way == "original":
        row, optimizer = original(model, shapes)
    else:
        kernel, text, vision = way.split(":")
        fitted = keeps(model, int(text), int(vision))
        choice = Fast(attention=kernel, compiles=not arguments.tiny, **fitted)
        row, optimizer = fast(model, shapes, choice)

    def step() -> torch.Tensor:
        return one_step(model, row, optimizer)

    tokens = row["input_ids"].shape[1]
    result = {"way": way, "row": name, "tokens": tokens}
    result |= timed(step, arguments.warm, arguments.steps)
    result["tokens_per_s"] = tokens / result["step_s"]
    result["mfu"] = useful_flops(shapes) / result["step_s"] / PEAK
    result["mfu_head_at_learned_only"] = useful_flops(shapes, True) / result["step_s"] / PEAK
    if arguments.profile and device == "cuda":
        result["profile"] = profiled(step)
    return result


def parity(kernel: str, tiny: bool) -> dict[str, Any]:
    """Loss and gradient of the fast pass, and as a yardstick those of the model's own pass in bf16
    with torch's varlen attention, against the model's own pass in fp32.
    """
    device = "cpu" if tiny else "cuda"
    shapes = [(8, 112, 168, 40, 20), (16, 308, 504, 72, 36), (4, 224, 280, 60, 30)]
    model = build(device, tiny)
    parts = [sample(shape, number, raw=True) for number, shape in enumerate(shapes)]
    towers = {"vision": model.model.visual, "text": model.model.language_model}
    made: dict[str, Any] = {}
    for name in ("fp32", "own", "fast"):
        model.to(torch.float32 if name == "fp32" else torch.bfloat16)
        if name == "fast":
            choice = Fast(attention=kernel, compiles=not tiny)
            install(model, VisionSpec.from_config(model.config), choice)
            row = FastRow(model.config.image_token_id, model.config.video_token_id)(parts)
        else:
            attention.use(model, "loop" if tiny or name == "fp32" else "varlen")
            row = collate(parts) | {"use_cache": False}
            values = normalised_on_device(row["pixel_values_videos"], VisionSpec())
            row["pixel_values_videos"] = values.to(model.dtype)
        row = {n: t.to(device) if torch.is_tensor(t) else t for n, t in row.items()}
        loss = model(**row).loss
        loss.backward()
        gradients = {
            part: torch.cat([w.grad.float().flatten() for w in tower.parameters()])
            for part, tower in towers.items()
        }
        made[name] = float(loss.detach()), gradients
        model.zero_grad(set_to_none=True)
    loss, right = made.pop("fp32")
    return {"way": f"parity {kernel}", "loss_fp32": loss} | {
        name: {"loss": loss}
        | {p: float((gradients[p] - right[p]).norm() / right[p].norm()) for p in towers}
        for name, (loss, gradients) in made.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--ways", nargs="+", default=["original", "auto:0:0"])
    parser.add_argument("--rows", nargs="+", default=list(ROWS))
    parser.add_argument("--warm", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--tiny", action="store_true", help="a rehearsal on the CPU")
    arguments = parser.parse_args()
    results = []
    for way in arguments.ways:
        for name in arguments.rows:
            try:
                if way.startswith("parity:"):
                    results.append(parity(way.split(":")[1], arguments.tiny))
                else:
                    results.append(run_way(way, name, arguments))
            except Exception as error:
                message = f"{type(error).__name__}: {error}"[:600]
                results.append({"way": way, "row": name, "failed": message})
            shown = {k: v for k, v in results[-1].items() if k != "profile"}
            print(shown, results[-1].get("profile", {}).get("groups_s", ""), flush=True)
            arguments.out.write_text(json.dumps(results, indent=1) + "\n")
            free_memory()


if __name__ == "__main__":
    main()
