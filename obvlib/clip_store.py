"""Clips that lie elsewhere, fetched once: training reads each of them many times."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from obvlib.settings import data_root


def local_clip(clips_dir: str | os.PathLike, video: str, storage_options: dict[str, Any] | None = None) -> Path:
    """The clip's file on this machine. From a URL (s3://bucket/clips; fsspec's options) it is copied under the data root, whole or not at all."""
    text = os.fspath(clips_dir)
    if "://" not in text:
        return Path(text) / video
    import fsspec

    kept = data_root() / "cache" / "clips" / hashlib.sha256(text.encode()).hexdigest()[:16] / video
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_name(f".{os.getpid()}.{video}")
        with fsspec.open(f"{text.rstrip('/')}/{video}", **(storage_options or {})) as far, open(partial, "wb") as near:
            shutil.copyfileobj(far, near)
        os.replace(partial, kept)
    return kept
