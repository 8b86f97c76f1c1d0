"""Attention kernels on one GPU at the shapes of Qwen2-VL-2B's towers: time forward and backward,
and the error against fp32.

    python tests/benchmarks/gpu_attention.py --out attention.json

A kernel that is not installed, or fails, is a result too. "flash4 own" is flash-attn 4's own
backward pass where the project takes cuDNN's, "flash4 padded" the same with heads filled up with
zeros to a multiple of 32.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import triton

from obvlib.models import flash, kernels

# name: samples, length, heads, key heads, size of a head, causal
SHAPES = {
    "vision, ten clips of 16 s": (80, 792, 16, 16, 80, False),
    "vision, one clip of 60 s": (30, 2048, 16, 16, 80, False),
    "text, ten samples": (10, 1656, 12, 2, 128, True),
    "text, one sample": (1, 15_616, 12, 2, 128, True),
}


def tensors(shape: tuple, dtype: torch.dtype = torch.bfloat16) -> list[torch.Tensor]:
    """Random query, key, value and output gradient."""
    samples, length, heads, key_heads, dim, _ = shape
    sizes = [(samples * length, h, dim) for h in (heads, key_heads, key_heads, heads)]
    return [torch.randn(size, device="cuda", dtype=dtype) for size in sizes]


def flash4_own(gradient: torch.Tensor, saved: flash.Saved, seen: flash.Seen) -> Any:
    """flash-attn 4's backward pass of equally long samples, whatever the size of a head."""
    from flash_attn.cute.interface import _flash_attn_bwd

    _, number, length = seen.spans.runs()[0]
    query, key, value, out, softmax = saved
    batch = [t.unflatten(0, (number, length)) for t in (query, key, value, out, gradient)]
    logs = softmax.unflatten(1, (number, length)).transpose(0, 1).contiguous()
    made = _flash_attn_bwd(*batch, logs, seen.scale, seen.causal)[:3]
    return [part.flatten(0, 1) for part in made]


def flash4_padded(gradient: torch.Tensor, saved: flash.Saved, seen: flash.Seen) -> Any:
    dim = saved.query.shape[-1]
    wide = [F.pad(t, (0, -dim % 32)) for t in (gradient, *saved[:4])]
    made = flash4_own(wide[0], flash.Saved(*(*wide[1:], saved.softmax)), seen)
    return [part[..., :dim].contiguous() for part in made]


for name, backward in (("flash4 own", flash4_own), ("flash4 padded", flash4_padded)):
    flash.FORWARD[name], flash.BACKWARD[name] = flash.flash4_forward, backward


def measure(kernel: str, shape: tuple) -> dict[str, Any]:
    samples, length, heads, _, dim, causal = shape
    host = torch.arange(samples + 1, dtype=torch.int32) * length
    where = (host.cuda(), host, 0, causal, dim**-0.5, kernel)
    query, key, value, gradient = tensors(shape)
    out, softmax = kernels.attend(query, key, value, *where)
    saved = (gradient, query, key, value, out, softmax)
    made = kernels.attend_backward(*saved, *where)
    few = slice(0, length if length < 4096 else 1024)
    row = {
        "forward_ms": triton.testing.do_bench(
            lambda: kernels.attend(query, key, value, *where), warmup=5, rep=40
        ),
        "backward_ms": triton.testing.do_bench(
            lambda: kernels.attend_backward(*saved, *where), warmup=5, rep=60
        ),
    }
    work = 4 * samples * length**2 * heads * dim * (0.5 if causal else 1)
    row["forward_tflops"] = work / row["forward_ms"] / 1e9
    row["backward_tflops"] = 2.5 * work / row["backward_ms"] / 1e9
    if samples > 1:
        ends = torch.tensor([0, length], dtype=torch.int32)
        first = (ends.cuda(), ends, 0, causal, dim**-0.5, "loop")
        parts = [tensor[few].float() for tensor in (query, key, value)]
        right, _ = kernels.attend(*parts, *first)
        grads = kernels.attend_backward(gradient[few].float(), *parts, right, right, *first)
        row["error"] = _error(out[few], right)
        for name, mine, wanted in zip(("query", "key", "value"), made, grads, strict=True):
            row[f"{name}_gradient_error"] = _error(mine[few], wanted)
    return row


def _error(ours: torch.Tensor, right: torch.Tensor) -> float:
    return float((ours.float() - right).norm() / right.norm())


def table(choices: list[str], shapes: list[str]) -> Iterator[dict[str, Any]]:
    for name in shapes:
        shape = SHAPES[name]
        for kernel in choices:
            row = {"shape": name, "kernel": kernel}
            try:
                row |= measure(kernel, shape)
            except Exception as error:
                row["failed"] = f"{type(error).__name__}: {error}"[:300]
            yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kernels", nargs="+", default=["varlen", "cudnn", "flash4"])
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES))
    arguments = parser.parse_args()
    rows = []
    for row in table(arguments.kernels, arguments.shapes):
        rows.append(row)
        print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
