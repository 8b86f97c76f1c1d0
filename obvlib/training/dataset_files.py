"""The file of a training set: its rows, written, opened from disk, the hub or S3, and uploaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obvlib.core.files import replacing

PARQUET = "data/train-00000-of-00001.parquet"


@dataclass(frozen=True, kw_only=True)
class Message:
    """One turn of text; the clip is shown before the first."""

    role: str
    text: str


@dataclass(frozen=True, kw_only=True)
class TrainingRow:
    """One sample. `clip_id` leads back to the source and on to the run; `policy` is the frame
    policy's JSON, asserted on reading.
    """

    clip_id: str
    video_id: str
    video: str
    dataset: str
    modality: str
    region: str
    duration_s: float
    turns: tuple[Message, ...]
    policy: str
    num_frames: int
    height: int
    width: int
    num_tokens: int
    num_visual_tokens: int
    num_label_tokens: int
    clip_bytes: int
    clip_sha256: str
    row_sha256: str


def training_set(location: str | os.PathLike, storage_options: dict[str, Any] | None = None) -> Any:
    """Return the rows as a `datasets.Dataset`, from a directory, a hub id ("owner/name"), or a URL
    such as s3://bucket/set (with fsspec's options).
    """
    from datasets import Dataset, load_dataset

    text = os.fspath(location)
    if "://" in text:
        import fsspec

        with fsspec.open(f"{text.rstrip('/')}/{PARQUET}", **(storage_options or {})) as file:
            import pyarrow.parquet

            return Dataset(pyarrow.parquet.read_table(file))
    if (Path(text) / PARQUET).is_file():
        return Dataset.from_parquet(str(Path(text) / PARQUET), keep_in_memory=True)
    return load_dataset(text, split="train")


def push(out_dir: str | os.PathLike, repo_id: str) -> str:
    """Upload a training set (rows and card, no ledger, no video) to the hub as a private dataset;
    return its address.
    """
    from huggingface_hub import HfApi

    HfApi().create_repo(repo_id, repo_type="dataset", private=True, exist_ok=True)
    patterns = ["README.md", "data/*.parquet"]
    HfApi().upload_folder(
        repo_id=repo_id, repo_type="dataset", folder_path=str(out_dir), allow_patterns=patterns
    )
    return f"https://huggingface.co/datasets/{repo_id}"


def write_parquet(rows: Sequence[TrainingRow], path: Path) -> None:
    """Write the rows as one file, whole or not at all."""
    from datasets import Dataset, Features, Value

    kinds = {"int": Value("int64"), "float": Value("float64"), "str": Value("string")}
    fields = {name: str(f.type) for name, f in TrainingRow.__dataclass_fields__.items()}
    features = Features({name: kinds.get(kind) for name, kind in fields.items() if name != "turns"})
    features["turns"] = [{"role": Value("string"), "text": Value("string")}]
    table = {name: [getattr(row, name) for row in rows] for name in features if name != "turns"}
    table["turns"] = [[{"role": m.role, "text": m.text} for m in row.turns] for row in rows]
    with replacing(path) as partial:
        Dataset.from_dict(table, features=features).to_parquet(str(partial))
