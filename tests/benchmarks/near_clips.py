"""How alike near-identical and different clips look, on the mini corpus.

    python tests/benchmarks/near_clips.py [--clips 40] [--out FILE]

Near pairs are constructed: a clip, and the same clip written again in another size, compressed
harder, brighter, or without its outer fiftieth. Not near are all pairs of different clips. The
limit of `obvlib.media.looks` has to part the first from the second.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from obvlib import mini
from obvlib.core import Provenance
from obvlib.inputs.vision import resize
from obvlib.media import Encoding, correlations, look_at, write_video
from obvlib.media.looks import MIN_CORRELATION
from obvlib.report import save_result

SIDE = 224


def brighter(frames: np.ndarray) -> np.ndarray:
    return (frames.astype(np.float32) * 0.9 + 12).astype(np.uint8)


def cropped(frames: np.ndarray) -> np.ndarray:
    rows, columns = (size // 50 for size in frames.shape[1:3])
    inner = frames[:, rows:-rows, columns:-columns]
    return resize(np.ascontiguousarray(inner), SIDE, SIDE)


COPIES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int]] = {
    "crf 35": (lambda frames: frames, 35),
    "half the size, crf 28": (lambda frames: resize(frames, SIDE // 2, SIDE // 2), 28),
    "120x214 px, crf 40": (lambda frames: resize(frames, 120, 214), 40),
    "brighter, crf 23": (brighter, 23),
    "a fiftieth off each side, crf 28": (cropped, 28),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--out")
    given = parser.parse_args()
    clips = [*mini.heldout_clips(2, 0), *mini.generated_clips(given.clips, seed=5)]
    frames = [resize(clip.frames, SIDE, SIDE) for clip in clips]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        looks = [look_at(write_video(path, one, 2.0)) for one in frames]
        rows = []
        for name, (change, crf) in COPIES.items():
            alike = []
            for one, look in zip(frames, looks, strict=True):
                copy = look_at(write_video(path, change(one), 2.0, encoding=Encoding(crf=crf)))
                alike.append(float(correlations(look[None], copy[None])[0, 0]))
            rows.append(row(f"a copy, {name}", alike))
    every = correlations(np.stack(looks), np.stack(looks))
    pairs = itertools.combinations(range(len(looks)), 2)
    rows.append(row("different clips", [float(every[pair]) for pair in pairs]))
    for one in rows:
        print(one)
    if given.out:
        title = f"How alike clips look, limit {MIN_CORRELATION}"
        save_result(given.out, title=title, rows=rows, provenance=Provenance.collect(seed=5))


def row(what: str, alike: list[float]) -> dict[str, object]:
    return {
        "pairs": what,
        "number": len(alike),
        "lowest": round(min(alike), 4),
        "median": round(float(np.median(alike)), 4),
        "highest": round(max(alike), 4),
        "called near": sum(value >= MIN_CORRELATION for value in alike),
    }


if __name__ == "__main__":
    main()
