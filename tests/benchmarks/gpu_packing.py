"""One GPU, Qwen2-VL-2B at full size from its config with random weights: packed equals unpacked,
attentions agree, steps timed.

    python tests/benchmarks/gpu_packing.py --out results.json

Needs torch and transformers, no network and no weights. Liger's fused loss and compiled layers are
measured where they work. The JSON is what data_manifests/results keeps and what the planner is
checked against.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import json
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from obvlib.evaluation.generation import generate
from obvlib.inputs import ModelInput
from obvlib.inputs.packing import collate, num_label_tokens
from obvlib.inputs.positions import mrope_positions
from obvlib.models import attention

DEVICE = "cuda"
START, END, VIDEO, VOCABULARY = 151_652, 151_653, 151_656, 151_936


def config_2b(num_layers: int = 28, vision_depth: int = 32) -> transformers.Qwen2VLConfig:
    """Qwen2-VL-2B-Instruct's shape."""
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
    text = dict(
        vocab_size=VOCABULARY,
        hidden_size=1536,
        intermediate_size=8960,
        num_hidden_layers=num_layers,
        num_attention_heads=12,
        num_key_value_heads=2,
        max_position_embeddings=32768,
        rms_norm_eps=1e-6,
        rope_parameters=rope,
        tie_word_embeddings=True,
    )
    vision = dict(depth=vision_depth, embed_dim=1280, hidden_size=1536, num_heads=16, mlp_ratio=4)
    return transformers.Qwen2VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=True
    )


def build(dtype: torch.dtype, choice: str, **shape: int) -> Any:
    """The model on the GPU with an attention for packed rows, or None where that attention is not
    installed.
    """
    torch.manual_seed(0)
    with torch.device(DEVICE):
        model = transformers.Qwen2VLForConditionalGeneration._from_config(
            config_2b(**shape), attn_implementation="sdpa"
        )
    model = model.to(dtype)
    model.config.text_config.use_cache = False
    try:
        attention.use(model, choice)
    except ValueError:
        return None
    return model


def sample(num_frames: int, height: int, width: int, num_text: int, seed: int) -> ModelInput:
    """A clip of noise between random words; the last quarter of the words is learned."""
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 150_000, num_text)
    ids, pixels, grid = words, None, None
    if num_frames:
        grid = np.array([[num_frames // 2, height // 14, width // 14]])
        pixels = rng.standard_normal((int(grid.prod()), 3 * 2 * 14 * 14), dtype=np.float32)
        ids = np.concatenate(
            [words[:14], [START], np.full(int(grid.prod()) // 4, VIDEO), [END], words[14:]]
        )
    labels = np.full(len(ids), -100)
    labels[-(num_text // 4) :] = ids[-(num_text // 4) :]
    positions, delta = mrope_positions(ids, video_grid_thw=grid)
    return ModelInput(
        input_ids=ids,
        labels=labels,
        position_ids=positions,
        rope_delta=delta,
        pixel_values_videos=pixels,
        video_grid_thw=grid,
    )


def to_gpu(row: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.to(DEVICE) for name, tensor in row.items()}


def free() -> None:
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


def mixed_samples() -> list[ModelInput]:
    """Long and short, one longer in time than in space, one of text alone: 2,300 tokens."""
    shapes = [
        (16, 168, 224, 60),
        (40, 56, 56, 40),
        (8, 280, 392, 90),
        (0, 0, 0, 200),
        (24, 112, 168, 120),
        (2, 56, 84, 20),
    ]
    return [sample(*shape, seed=i) for i, shape in enumerate(shapes)]


def loss_and_gradient(
    model: Any, rows: list[list[ModelInput]], autocast: bool
) -> tuple[float, list[torch.Tensor]]:
    """Loss per label token over all rows, and the gradients of every parameter, in float32."""
    model.zero_grad(set_to_none=True)
    count, total = sum(num_label_tokens(s.labels) for row in rows for s in row), 0.0
    for row in rows:
        with torch.autocast(DEVICE, torch.bfloat16, enabled=autocast):
            loss = model(**to_gpu(collate(row)), use_cache=False, num_items_in_batch=count).loss
        loss.backward()
        total += float(loss.detach())
    gradients = [p.grad.detach().float().clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad(set_to_none=True)
    return total, gradients


def difference(a: list[torch.Tensor], b: list[torch.Tensor]) -> float:
    """Norm of the difference of two gradients over the norm of the second."""
    apart = sum(float((x - y).double().square().sum()) for x, y in zip(a, b, strict=True))
    whole = sum(float(y.double().square().sum()) for y in b)
    return (apart / whole) ** 0.5


def parity(dtype: torch.dtype, choice: str, autocast: bool = False) -> dict[str, Any] | None:
    """Packed against one sample at a time, and as a yardstick one sample at a time against the same
    in another order.
    """
    model = build(dtype, choice)
    if model is None:
        return None
    samples = mixed_samples()
    packed_loss, packed = loss_and_gradient(model, [samples], autocast)
    loss, gradient = loss_and_gradient(model, [[s] for s in samples], autocast)
    _, reordered = loss_and_gradient(model, [[s] for s in samples[::-1]], autocast)
    norms = [sum(float(g.double().square().sum()) for g in gs) ** 0.5 for gs in (packed, gradient)]
    return {
        "dtype": "autocast bfloat16" if autocast else str(dtype).removeprefix("torch."),
        "attention": choice,
        "tokens": sum(s.num_tokens for s in samples),
        "loss_packed": packed_loss,
        "loss_unpacked": loss,
        "loss_relative": abs(packed_loss - loss) / loss,
        "gradient_norm_relative": abs(norms[0] - norms[1]) / norms[1],
        "gradient_relative": difference(packed, gradient),
        "reordered_gradient_relative": difference(reordered, gradient),
    }


def isolation() -> dict[str, Any]:
    """Logits of the other samples after one sample's pixels and words were changed (bf16, varlen)."""  # noqa: E501
    model, samples = build(torch.bfloat16, "varlen"), mixed_samples()
    changed = [*samples[:2], sample(8, 280, 392, 90, seed=99), *samples[3:]]
    with torch.no_grad():
        before, after = (
            model(**to_gpu(collate(row)), use_cache=False).logits[0].cpu()
            for row in (samples, changed)
        )
    bounds = np.cumsum([s.num_tokens for s in samples])
    same = [
        bool((a == b).all())
        for a, b in zip(
            before.tensor_split(bounds[:-1].tolist()),
            after.tensor_split(bounds[:-1].tolist()),
            strict=True,
        )
    ]
    return {"changed_sample": 2, "logits_bitwise_equal": same}


def generation() -> dict[str, Any]:
    """Step by step with the cache against one forward over the whole, for a video longer in time
    than in space.
    """
    out: dict[str, Any] = {}
    for dtype in (torch.float32, torch.bfloat16):
        model = build(dtype, "sdpa").eval()
        prompts = [sample(40, 56, 56, 30, 1), sample(8, 112, 168, 50, 2)]
        answers = generate(model, prompts, max_new_tokens=16, eos_token_ids=[-1])
        agree = []
        for prompt, answer in zip(prompts, answers, strict=True):
            ids = np.concatenate([prompt.input_ids, answer])
            positions, delta = mrope_positions(ids, video_grid_thw=prompt.video_grid_thw)
            whole = ModelInput(
                input_ids=ids,
                labels=ids,
                position_ids=positions,
                rope_delta=delta,
                pixel_values_videos=prompt.pixel_values_videos,
                video_grid_thw=prompt.video_grid_thw,
            )
            with torch.no_grad():
                logits = model(**to_gpu(collate([whole])), use_cache=False).logits[
                    0, prompt.num_tokens - 1 : -1
                ]
            agree.append(float((logits.argmax(-1).cpu() == torch.tensor(answer)).float().mean()))
        out[str(dtype).removeprefix("torch.")] = {"steps": 16, "tokens_equal_to_one_pass": agree}
        del model
        free()
    return out


ROWS = {  # name: samples of (frames, height, width, text tokens); 1 fps
    "one clip of 60 s": [(60, 448, 896, 24)],
    "ten clips of 16 s": [(16, 308, 504, 66)] * 10,
    "one clip of 420 s": [(420, 196, 308, 24)],
    "32 short clips": [(8, 224, 308, 120)] * 32,
    "8k row": [(16, 308, 504, 66)] * 5,
    "4k row": [(16, 308, 504, 66)] * 2,
    "text alone": [(0, 0, 0, 512)] * 16,
}


def steps(
    model: Any, optimizer: Any, specs: list[tuple[int, ...]], num_steps: int = 2
) -> dict[str, Any]:
    """Shortest time of a whole training step on one row, and the peak of allocated memory."""
    samples = [sample(*spec, seed=i) for i, spec in enumerate(specs)]
    row = to_gpu(collate(samples))
    row |= attention.row_arguments(row["position_ids"])
    if "pixel_values_videos" in row:
        row["pixel_values_videos"] = row["pixel_values_videos"].bfloat16()
    free()
    times = []
    for _ in range(num_steps + 1):
        torch.cuda.synchronize()
        start = time.perf_counter()
        loss = model(**row, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    patches = 0 if "video_grid_thw" not in row else int(row["video_grid_thw"].prod(-1).sum())
    return {
        "tokens": row["input_ids"].shape[1],
        "patches": patches,
        "samples": specs,
        "step_s": float(np.min(times[1:])),
        "peak_gb": torch.cuda.max_memory_allocated() / 1e9,
        "loss": float(loss.detach()),
    }


STACKS = (  # liger's fused loss, compiled layers, frozen vision, which rows
    (True, False, False, list(ROWS)),
    (False, False, False, ["one clip of 60 s", "8k row", "4k row"]),
    (True, False, True, ["one clip of 60 s", "8k row"]),
    (True, True, False, ["ten clips of 16 s", "one clip of 60 s"]),
)


def use_liger(on: bool) -> None:
    """Liger's fused linear cross-entropy on or off; it replaces the class's forward for all models."""  # noqa: E501
    cls = transformers.Qwen2VLForConditionalGeneration
    if not on:
        cls.forward = PLAIN_FORWARD
        return
    from liger_kernel.transformers import apply_liger_kernel_to_qwen2_vl as apply_liger

    apply_liger(
        rope=False, rms_norm=False, layer_norm=False, swiglu=False, fused_linear_cross_entropy=True
    )


PLAIN_FORWARD = transformers.Qwen2VLForConditionalGeneration.forward


def stacks() -> Iterator[dict[str, Any]]:
    """Step times for each row under each stack; a stack or row that does not run here is a result
    too.
    """
    for liger, compiled, freeze, rows in STACKS:
        name = (
            "varlen"
            + " + liger loss" * liger
            + " + compiled" * compiled
            + " + frozen vision" * freeze
        )
        model = optimizer = trained = block = None
        try:
            use_liger(liger)
            model = build(torch.bfloat16, "varlen").train()
            model.gradient_checkpointing_enable({"use_reentrant": False})
            model.model.visual.requires_grad_(not freeze)
            for block in (
                [*model.model.language_model.layers, *model.model.visual.blocks] if compiled else []
            ):
                block.compile(dynamic=True)
            trained = [p for p in model.parameters() if p.requires_grad]
            optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
            for row in rows:
                try:
                    yield {"stack": name, "row": row, **steps(model, optimizer, ROWS[row])}
                except torch.OutOfMemoryError:
                    yield {"stack": name, "row": row, "failed": "out of memory"}
                    optimizer.zero_grad(set_to_none=True)
        except Exception as error:
            yield {"stack": name, "failed": f"{type(error).__name__}: {error}"[:400]}
        del model, optimizer, trained, block
        free()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--commit", default="")
    parser.add_argument(
        "--budget-s",
        type=float,
        default=300,
        help="stop before the next measurement after this many seconds",
    )
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "what": "packing on one GPU, Qwen2-VL-2B from config, random weights",
        "date": datetime.date.today().isoformat(),
        "commit": arguments.commit,
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "steps": [],
        "parity": [],
    }

    def save() -> None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")

    began = time.perf_counter()

    def spent() -> bool:
        result["wall_s"] = time.perf_counter() - began
        save()
        return result["wall_s"] > arguments.budget_s

    result["isolation"] = isolation()
    print(result["isolation"])
    cases = [(torch.float32, "loop", False), (torch.float32, "varlen", True)]
    cases += [(torch.bfloat16, choice, False) for choice in ("varlen", "sdpa", "flash2", "flash4")]
    for case in cases:
        free()
        if spent() or (row := parity(*case)) is None:
            continue
        result["parity"].append(row)
        keys = (
            "loss_relative",
            "gradient_norm_relative",
            "gradient_relative",
            "reordered_gradient_relative",
        )
        print(
            f"parity {row['dtype']:18s} {row['attention']:7s} {row['loss_packed']:.5f}",
            *(f"{k} {row[k]:.2e}" for k in keys),
        )
    free()
    for row in stacks():
        result["steps"].append(row)
        print({k: v for k, v in row.items() if k != "samples"}, flush=True)
        if spent():
            break
    free()
    if not spent():
        use_liger(False)
        result["generation"] = generation()
        print(result["generation"])
    spent()
    print(f"{result['wall_s']:.0f} s in all")


if __name__ == "__main__":
    main()
