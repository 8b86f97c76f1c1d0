"""Packed rows on a CPU: one call per sample, samples padded into a batch, or one block mask;
forward and backward, milliseconds.

python tests/benchmarks/attention.py [--threads 1]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from obvlib.models.kernels import loop

HEADS, KEY_HEADS, WIDTH = 4, 2, 32  # the tiny model's


def padded(query, key, value, bounds, longest) -> torch.Tensor:
    """All samples in one batch, padded on the right: under a causal mask nothing sees the padding."""  # noqa: E501
    lengths = bounds.diff().long()
    index = (bounds[:-1, None].long() + torch.arange(longest)).clamp(max=len(query) - 1)
    inside = torch.arange(longest) < lengths[:, None]
    batch = [tensor[index].transpose(1, 2) for tensor in (query, key, value)]
    out = F.scaled_dot_product_attention(*batch, is_causal=True, enable_gqa=True)
    return out.transpose(1, 2)[inside]


def masked(query, key, value, bounds, longest) -> torch.Tensor:
    """One call with a T x T mask."""
    sample = torch.repeat_interleave(torch.arange(len(bounds) - 1), bounds.diff().long())
    mask = (sample[:, None] == sample[None]).tril()
    heads = [
        tensor.transpose(0, 1)[None]
        for tensor in (query, key.repeat_interleave(2, 1), value.repeat_interleave(2, 1))
    ]
    return F.scaled_dot_product_attention(*heads, attn_mask=mask)[0].transpose(0, 1)


def looped(query, key, value, bounds, longest) -> torch.Tensor:
    return loop(query, key, value, bounds.diff().tolist(), causal=True, scale=None)


def milliseconds(
    function: Callable,
    tensors: list[torch.Tensor],
    bounds: torch.Tensor,
    longest: int,
    repeats: int = 9,
) -> float:
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        function(*tensors, bounds, longest).sum().backward()
        taken.append(1000 * (time.perf_counter() - start))
    return min(taken)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    ways = {"loop": looped, "padded": padded, "block mask": masked}
    print(f"{'tokens':>6} {'samples':>7} {'longest':>7}", *(f"{name:>11}" for name in ways))
    for tokens, low, high in ((512, 60, 120), (2048, 60, 120), (2048, 60, 1200), (4096, 60, 120)):
        rng, lengths = np.random.default_rng(0), []
        while sum(lengths) < tokens:
            lengths.append(min(int(rng.integers(low, high)), tokens - sum(lengths)))
        bounds = torch.tensor(np.concatenate([[0], np.cumsum(lengths)]), dtype=torch.int32)
        tensors = [
            torch.randn(tokens, n, WIDTH, requires_grad=True) for n in (HEADS, KEY_HEADS, KEY_HEADS)
        ]
        times = [
            milliseconds(function, tensors, bounds, max(lengths)) for function in ways.values()
        ]
        print(f"{tokens:6} {len(lengths):7} {max(lengths):7}", *(f"{t:11.1f}" for t in times))


if __name__ == "__main__":
    main()
