"""Attention kernels on one GPU at the shapes of Qwen2-VL-2B's towers: time forward and backward,
and the error against fp32.

    python tests/benchmarks/gpu_attention.py --out attention.json

A kernel that is not installed, or fails, is a result too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import triton

from obvlib.models import kernels

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
        row["gradient_errors"] = [_error(a[few], b) for a, b in zip(made, grads, strict=True)]
    return row


def _error(ours: torch.Tensor, right: torch.Tensor) -> float:
    return float((ours.float() - right).norm() / right.norm())


def table(choices: list[str]) -> Iterator[dict[str, Any]]:
    for name, shape in SHAPES.items():
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
    arguments = parser.parse_args()
    rows = []
    for row in table(arguments.kernels):
        rows.append(row)
        print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
