"""The inspector at the size of the published training set: opening 22,668 rows, filtering them, the
next sample, and a label.

python tests/benchmarks/inspector.py [--rows 22668]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
WORDS = "the heart valve shows a small effusion in this view of left atrium and ventricle".split()
QUERIES = (
    {"text": "effusion ventricle"},
    {"facets": {"modality": "MRI"}},
    {"facets": {"modality": "MRI"}, "text": "no such words", "sort": "seconds"},
    {"sort": "seconds", "descending": True},
)
FILTER = """
import { readFileSync } from "node:fs";
import { decodeTable, filterSamples } from "%s";
const { table, texts, queries } = JSON.parse(readFileSync(0));
const columns = decodeTable(table), lower = texts.map((text) => text.toLowerCase());
for (const query of queries) filterSamples(columns, query, { texts: lower });
console.log(JSON.stringify(queries.map((query) => {
  const start = performance.now();
  const found = filterSamples(columns, query, { texts: lower });
  return [performance.now() - start, found.length];
})));
"""


def write_rows(path: Path, num_rows: int) -> None:
    """Rows of the published schema, with captions of 60 words and three or four questions."""
    rng = random.Random(0)
    modalities = ("Ultrasound", "CT Imaging", "MRI", "X-ray", "Microscopy", "Other")
    with open(path, "w", encoding="utf-8") as out:
        for number in range(num_rows):
            start_s = rng.randrange(100_000) / 10
            options = {letter: " ".join(rng.choices(WORDS, k=4)) for letter in "ABCD"}
            pair = {"question": " ".join(rng.choices(WORDS, k=12)), "options": options}
            row = {
                "video_id": f"video{number // 8:05d}",
                "timestamp": [start_s, start_s + rng.uniform(10, 400)],
                "caption": " ".join(rng.choices(WORDS, k=60)),
                "modality": rng.choice(modalities),
                "qa_pairs": [pair | {"answer": "B"}] * rng.choice((3, 4)),
            }
            out.write(json.dumps(row) + "\n")


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = function()
    return 1000 * (time.perf_counter() - start), result


def measure_rows(folder: Path, num_rows: int) -> None:
    from obvlib.widgets import open_samples
    from obvlib.widgets.base import as_bytes

    path = folder / "rows.jsonl"
    write_rows(path, num_rows)
    bare_ms, _ = timed(lambda: [json.loads(line) for line in open(path, "rb")])
    open_ms, samples = timed(lambda: open_samples(path))
    table_ms, table = timed(lambda: as_bytes(samples.table()))
    texts_ms, texts = timed(lambda: as_bytes(samples.texts))
    print(f"open {num_rows:,} rows        {open_ms:8.0f} ms   bare json.loads {bare_ms:.0f} ms")
    print(f"table for the page      {table_ms:8.0f} ms   {len(table) / 1e6:.1f} MB")
    print(
        f"texts for the search    {texts_ms:8.0f} ms   {len(texts) / 1e6:.1f} MB, sent afterwards"
    )
    if node := shutil.which("node"):
        module = (ROOT / "obvlib/widgets/static/logic.mjs").as_uri()
        given = {"table": samples.table(), "texts": samples.texts, "queries": QUERIES}
        command = [node, "--input-type=module", "-e", FILTER % module]
        done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True)
        for query, (spent_ms, found) in zip(QUERIES, json.loads(done.stdout), strict=True):
            print(f"filter                  {spent_ms:8.1f} ms   {found:,} found by {query}")


def measure_samples(folder: Path) -> None:
    """Show samples one after the other: slices of 720p of 30 s, read cold and read ahead."""
    import numpy as np

    from obvlib.core import Clip, FramePolicy
    from obvlib.core.labels import LabelFile
    from obvlib.media import write_video
    from obvlib.widgets import inspect

    rng = np.random.default_rng(0)
    still = rng.integers(0, 255, (720, 1280, 3), np.uint8)
    clips = [Clip(video_id=f"v{i}", start_s=0, end_s=30) for i in range(6)]
    frames = (np.roll(still, 2 * i, axis=1) // 2 + 60 for i in range(30 * 24))
    first = write_video(folder / clips[0].file_name, frames, 24, crf=30)
    for clip in clips[1:]:
        shutil.copy(first, folder / clip.file_name)
    widget = inspect(clips, clips_dir=folder, policy=FramePolicy(), timelines={}, rater="bench")
    widget.send = lambda *_: None
    cold_ms, _ = timed(lambda: widget.pictures(clips[0].clip_id).strip)
    detail_ms, _ = timed(lambda: widget.on_show({"id": clips[1].clip_id, "next": []}))
    widget.pictures(clips[1].clip_id)
    ahead_ms, strip = timed(lambda: widget.pictures(clips[1].clip_id).strip)
    kilobytes = sum(map(len, strip)) / 1000
    print(f"next sample: texts      {detail_ms:8.0f} ms")
    print(
        f"next sample: frames     {ahead_ms:8.0f} ms   read ahead; {len(strip)}, {kilobytes:.0f} kB"
    )
    print(f"random sample: frames   {cold_ms:8.0f} ms   720p, 30 s")
    file = LabelFile("bench")
    label_ms, _ = timed(lambda: [file.add(f"i{i}", "h", "flag", i) for i in range(200)])
    print(f"label                   {label_ms / 200:8.1f} ms   on the disk, mean of 200")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=22_668)
    num_rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as name:
        os.environ["OBV_DATA"] = name
        measure_rows(Path(name), num_rows)
        measure_samples(Path(name))


if __name__ == "__main__":
    main()
