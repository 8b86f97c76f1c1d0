"""The mini corpus: small lecture videos with known truth, clips rendered in memory, and a few real medical pictures.

`rows`, `sources` and `videos_dir` open the lecture videos, `training_clips` and `heldout_clips` render in memory, `real_examples` reads
what installed packages ship.
"""

from __future__ import annotations

from typing import Any

_HOMES = {
    "MiniClip": "clips",
    "training_clips": "clips",
    "heldout_clips": "clips",
    "corpus_dir": "corpus",
    "videos_dir": "corpus",
    "rows": "corpus",
    "sources": "corpus",
    "real_examples": "real",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
