"""Curation in this process, in a pool of processes and on Ray: one code, one result."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from obvlib import mini
from obvlib.curation import CurationSettings, curate, videos_in
from obvlib.engine import Ledger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
ENGINES = {
    "this process": {},
    "processes": {"num_workers": 2},
    "ray": {"engine": "ray", "num_workers": 2},
}


def ends(folder: Path) -> list[tuple[Any, ...]]:
    """What the ledger says of every item of every stage, but for times."""
    with Ledger(folder / "ledger.sqlite") as ledger:
        rows = ledger.rows()
    names = ("stage", "item_id", "status", "reason", "params", "output")
    return sorted(tuple(repr(row[name]) for name in names) for row in rows)


def test_every_engine_makes_the_same_dataset_and_ledger(tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    shutil.copy(mini.videos_dir() / "mini20.mp4", videos)
    (videos / "broken.mp4").write_bytes(b"no video")
    settings = CurationSettings()
    made, found = {}, {}
    for name, how in ENGINES.items():
        folder = tmp_path / name
        made[name] = curate(videos_in(videos), folder, settings, show_progress=False, **how)
        found[name] = ends(folder)
    first = made["this process"]
    assert first.clips and first.steps["score_frames"].num_failed == 1
    for name in ENGINES:
        assert made[name].rows.read_bytes() == first.rows.read_bytes(), name
        assert found[name] == found["this process"], name
