"""Rows by our packing, by TRL's and by the original's, on the same lengths: how many, how many
overflow, how long it takes.

    python tests/benchmarks/packing.py [--original CHECKOUT] [--lengths rows.jsonl] [--count 20000]

TRL is used where it is installed. CHECKOUT is a clone of zou-group/OpenBiomedVid, whose packing is
run as it is (numba is not needed: its decorator is skipped). `--lengths` takes rows with
video_metadata, such as SurgeryVideoQA's.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from obvlib.core.frame_policy import FramePolicy
from obvlib.inputs.packing import lower_bound, pack

CAPACITY = 16_384


def drawn(count: int) -> Iterator[tuple[str, list[int]]]:
    """Lengths of three shapes."""
    rng = np.random.default_rng(0)
    draws = {
        "lognormal": rng.lognormal(7.5, 0.8, count),
        "heavy-tailed": 200 * (1 + rng.pareto(1.1, count)),
        "short": rng.integers(40, 400, count),
    }
    for name, values in draws.items():
        yield name, np.clip(values, 1, CAPACITY).astype(int).tolist()


def real(path: Path) -> list[int]:
    """Tokens of the real clips under our frame policy, with room for a question and its answer."""
    policy, lengths = FramePolicy(), []
    for row in map(json.loads, path.read_text().splitlines()):
        original = row["video_metadata"]["original"]
        num_frames = len(policy.sample_times(original["duration"]))
        size = policy.fit_size(
            original["resolution"]["height"], original["resolution"]["width"], num_frames
        )
        lengths.append(min(CAPACITY, policy.num_visual_tokens(num_frames, *size) + 60))
    return lengths


def trl_way() -> Callable[[list[int]], list[list[int]]]:
    """TRL's best-fit decreasing; it packs token rows, so each item's tokens are its own number."""
    from datasets import Dataset
    from trl.data_utils import pack_dataset

    def packed(lengths: list[int]) -> list[list[int]]:
        rows = [np.full(length, i, dtype=np.int32) for i, length in enumerate(lengths)]
        out = pack_dataset(Dataset.from_dict({"input_ids": rows}), CAPACITY, "bfd")
        return [list(dict.fromkeys(row)) for row in out["input_ids"]]

    return packed


def original_way(checkout: Path) -> Callable[[list[int]], list[list[int]]]:
    """The original's own function, loaded from its checkout."""
    if importlib.util.find_spec("numba") is None:
        sys.modules["numba"] = types.SimpleNamespace(njit=lambda *a, **k: lambda function: function)  # type: ignore[assignment]
    path = (
        checkout / "tore-train/tore_train/data_processors/packing/fast_fast_best_fit_decreasing.py"
    )
    spec = importlib.util.spec_from_file_location("original_packing", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda lengths: module.fast_best_fit_decreasing(lengths, CAPACITY)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--original", type=Path)
    parser.add_argument("--lengths", type=Path)
    parser.add_argument("--count", type=int, default=20_000)
    arguments = parser.parse_args()
    ways: dict[str, Callable[[list[int]], list[list[int]]]] = {
        "ours": lambda lengths: pack(lengths, CAPACITY)
    }
    if importlib.util.find_spec("trl"):
        ways["TRL"] = trl_way()
    if arguments.original:
        ways["original"] = original_way(arguments.original)
    cases = list(drawn(arguments.count))
    if arguments.lengths:
        cases.append(("SurgeryVideoQA", real(arguments.lengths)))
    print(
        f"{'lengths':14s} {'items':>7s} {'bound':>6s} {'way':9s} {'rows':>6s} {'over':>5s}"
        f" {'largest':>8s} {'seconds':>8s}"
    )
    for name, lengths in cases:
        bound = lower_bound(lengths, CAPACITY)
        for way, function in ways.items():
            start = time.perf_counter()
            bins = function(lengths)
            seconds = time.perf_counter() - start
            sums = [sum(lengths[i] for i in items) for items in bins]
            over = sum(s > CAPACITY for s in sums)
            print(
                f"{name:14s} {len(lengths):7d} {bound:6d} {way:9s} {len(bins):6d} {over:5d}"
                f" {max(sums):8d} {seconds:8.2f}"
            )


if __name__ == "__main__":
    main()
