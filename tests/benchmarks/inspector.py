"""The inspector at the size of the published training set: opening 22,668 rows, filtering them, the
next sample, and a label; in Python, and as JupyterLab shows them in Chromium.

Every figure is measured in several rounds; the minimum and the median are printed, and kept with
--out: python tests/benchmarks/inspector.py [--rows 22668] [--rounds 5] [--browser] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NUM_CLIPS = 12
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
const { table, texts, queries, rounds } = JSON.parse(readFileSync(0));
const columns = decodeTable(table), lower = texts.map((text) => text.toLowerCase());
for (const query of queries) filterSamples(columns, query, { texts: lower });
console.log(JSON.stringify(queries.map((query) => Array.from({ length: rounds }, () => {
  const start = performance.now();
  filterSamples(columns, query, { texts: lower });
  return performance.now() - start;
}))));
"""
CELL = """from obvlib.core import FramePolicy
given = dict(clips_dir="data/clips", timelines={}, policy=FramePolicy(), rater="bench")
widget = obvlib.widgets.inspect("rows.jsonl", **given)
widget"""
WATCH = """window.longest = 0;
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
}).observe({ entryTypes: ["longtask"] })"""


def write_rows(path: Path, num_rows: int) -> None:
    """Rows of the published schema, with captions of 60 words and three or four questions; the
    first `NUM_CLIPS` are the clips of `write_clips`.
    """
    rng = random.Random(0)
    modalities = ("Ultrasound", "CT Imaging", "MRI", "X-ray", "Microscopy", "Other")
    with open(path, "w", encoding="utf-8") as out:
        for number in range(num_rows):
            start_s = rng.randrange(100_000) / 10
            options = {letter: " ".join(rng.choices(WORDS, k=4)) for letter in "ABCD"}
            pair = {"question": " ".join(rng.choices(WORDS, k=12)), "options": options}
            span = [start_s, start_s + rng.uniform(10, 400)]
            has_clip = number < NUM_CLIPS
            row = {
                "video_id": f"v{number}" if has_clip else f"video{number // 8:05d}",
                "timestamp": [0, 30] if has_clip else span,
                "caption": " ".join(rng.choices(WORDS, k=60)),
                "modality": rng.choice(modalities),
                "qa_pairs": [pair | {"answer": "B"}] * rng.choice((3, 4)),
            }
            out.write(json.dumps(row) + "\n")


class Table:
    """The measured figures: times in ms of each round, by what was measured."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(self, what: str, times_ms: Sequence[float], limit_ms: float | None = None) -> None:
        row = {
            "what": what,
            "min_ms": round(min(times_ms), 1),
            "median_ms": round(statistics.median(times_ms), 1),
            "rounds": len(times_ms),
            "wanted_ms": limit_ms,
        }
        self.rows.append(row)
        print(f"{what:44} {row['min_ms']:9.1f} {row['median_ms']:9.1f} ms", flush=True)


def rounds_of(
    function: Callable[[], Any], num_rounds: int, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    times = []
    for _ in range(num_rounds):
        start = clock()
        function()
        times.append(1000 * (clock() - start))
    return times


def measure_rows(table: Table, path: Path, num_rounds: int) -> None:
    """Open the rows, make what the page is sent, and filter it with node."""
    from obvlib.widgets import open_samples
    from obvlib.widgets.base import as_bytes

    samples = open_samples(path)
    table.add(
        f"open {len(samples):,} rows", rounds_of(lambda: open_samples(path), num_rounds), 2000
    )
    table.add("the same, processor time", rounds_of(
        lambda: open_samples(path), num_rounds, time.process_time), 2000)  # fmt: skip
    table.add("the table for the page", rounds_of(lambda: as_bytes(samples.table()), num_rounds))
    table.add("the texts for its search", rounds_of(lambda: as_bytes(samples.texts), num_rounds))
    if node := shutil.which("node"):
        module = (ROOT / "obvlib/widgets/static/logic.mjs").as_uri()
        given = {"table": samples.table(), "texts": samples.texts, "queries": QUERIES}
        done = subprocess.run(
            [node, "--input-type=module", "-e", FILTER % module],
            input=json.dumps(given | {"rounds": num_rounds}), capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        for query, times_ms in zip(QUERIES, json.loads(done.stdout), strict=True):
            words = ", ".join(f"{name} {value}" for name, value in query.items())
            table.add(f"filter: {words}", times_ms, 150)


def write_clips(folder: Path, num_clips: int) -> list[Any]:
    """Slices of 720p of 30 s, each a file of its own."""
    import numpy as np

    from obvlib.core import Clip
    from obvlib.media import Encoding, write_video

    rng = np.random.default_rng(0)
    still = rng.integers(0, 255, (720, 1280, 3), np.uint8)
    clips = [Clip(video_id=f"v{i}", start_s=0, end_s=30) for i in range(num_clips)]
    frames = (np.roll(still, 2 * i, axis=1) // 2 + 60 for i in range(30 * 24))
    folder.mkdir(parents=True, exist_ok=True)
    first = write_video(folder / clips[0].file_name, frames, 24, encoding=Encoding(crf=30))
    for clip in clips[1:]:
        shutil.copy(first, folder / clip.file_name)
    return clips


def measure_samples(table: Table, folder: Path, num_rounds: int) -> None:
    """Show samples one after the other, read cold and read ahead, and label one."""
    from obvlib.core import FramePolicy
    from obvlib.core.labels import LabelFile
    from obvlib.widgets import inspect

    clips = write_clips(folder / "data/clips", NUM_CLIPS)
    given = {"policy": FramePolicy(), "timelines": {}, "rater": "bench"}
    widget = inspect(clips, clips_dir=folder / "data/clips", **given)
    widget.send = lambda *_: None
    ids = [clip.clip_id for clip in clips]
    num_rounds = min(num_rounds, NUM_CLIPS - 1)
    left = iter(ids[1:])
    cold = rounds_of(lambda: widget.pictures(next(left)).strip, num_rounds)
    table.add("a random sample of 720p, 30 s: frames", cold)
    shown = iter(ids[1:])
    ahead = rounds_of(lambda: widget.pictures(next(shown)).strip, num_rounds)
    table.add("the next sample, read ahead: frames", ahead, 300)
    for what, limit_ms, clock in (
        ("a random sample: its first frame", 300, time.perf_counter),
        ("the same, processor time", None, time.process_time),
    ):
        shown = iter(ids[1:])
        first = rounds_of(
            lambda left=shown: widget.on_first_frame({"id": next(left)}), num_rounds, clock
        )
        table.add(what, first, limit_ms)
    shown = iter(ids[1:])
    detail = rounds_of(lambda: widget.on_show({"id": next(shown), "next": []}), num_rounds)
    table.add("the next sample: texts", detail, 300)
    file = LabelFile("bench")
    names = iter(range(num_rounds * 20))
    table.add("a label, on the disk", rounds_of(
        lambda: file.add(f"i{next(names)}", "h", "flag", "x"), num_rounds * 20))  # fmt: skip


def measure_page(table: Table, folder: Path, num_rounds: int) -> None:
    """The same rows in JupyterLab: from the start of the cell to the first sample, filters typed
    and chosen, samples stepped through, and the longest stretch in which the page did not answer.
    """
    sys.path.insert(0, str(ROOT / "tests/browser"))
    from conftest import FLAGS, find_chromium
    from lab import jupyterlab, new_page, open_notebook, run_all, write_notebook
    from playwright.sync_api import sync_playwright

    write_notebook(folder / "test.ipynb", ["import obvlib.widgets", CELL])
    listed, opened, longest, filters = [], [], [], []
    firsts, steps = [], []
    with sync_playwright() as playwright, jupyterlab(folder) as address:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        page = new_page(browser)
        open_notebook(page, address)
        run_all(page)
        root, nav = page.locator(".obv-inspector"), page.locator(".obv-browser")
        for _ in range(num_rounds):
            root.wait_for()
            page.evaluate("document.querySelector('.obv-inspector').remove()")
            page.evaluate(WATCH)
            start = time.perf_counter()
            run_all(page)
            page.wait_for_function("document.querySelector('.obv-rowitem')")
            listed.append(1000 * (time.perf_counter() - start))
            page.wait_for_function("document.querySelector('.obv-inspector').dataset.shown")
            opened.append(1000 * (time.perf_counter() - start))
            page.wait_for_function("document.querySelector('.obv-browser').dataset.searchable")
            for text in ("effusion ventricle", "valve", ""):
                root.locator(".obv-search").fill(text)
                filters.append(float(nav.get_attribute("data-filter-ms")))
            root.get_by_label("Modality").select_option("MRI")
            filters.append(float(nav.get_attribute("data-filter-ms")))
            root.get_by_label("Modality").select_option("")
            longest.append(page.evaluate("window.longest"))
        root.locator(".obv-rowitem").first.click()
        page.wait_for_timeout(2500)
        root.focus()
        for _ in range(min(num_rounds, NUM_CLIPS - 3)):
            before = root.get_attribute("data-shown")
            page.keyboard.press("j")
            page.wait_for_function(
                "id => document.querySelector('.obv-inspector').dataset.shown !== id", arg=before
            )
            firsts.append(float(root.get_attribute("data-first-ms")))
            steps.append(float(root.get_attribute("data-shown-ms")))
            page.wait_for_timeout(1500)  # a person looks; the next ones are read ahead
        table.add("JupyterLab: from running the cell to the list", listed, 2000)
        table.add(
            "JupyterLab: from there to the first frames",
            [a - b for a, b in zip(opened, listed, strict=True)],
        )
        table.add("JupyterLab: a filter in the page", filters, 150)
        table.add("JupyterLab: next sample, its first frame", firsts, 300)
        table.add("JupyterLab: next sample, all 30 model frames", steps)
        table.add("JupyterLab: longest task of the page", longest)
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=22_668)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--browser", action="store_true", help="measure in JupyterLab too")
    parser.add_argument("--out", help="keep the figures in this file")
    given = parser.parse_args()
    table = Table()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["OBV_DATA"] = str(folder / "data")
        write_rows(folder / "rows.jsonl", given.rows)
        measure_rows(table, folder / "rows.jsonl", given.rounds)
        measure_samples(table, folder, given.rounds)
        if given.browser:
            measure_page(table, folder, given.rounds)
    if given.out:
        from obvlib.core import Provenance
        from obvlib.report import save_result

        title = f"The inspector on {given.rows:,} rows, ms"
        save_result(given.out, title=title, rows=table.rows, provenance=Provenance.collect(seed=0))


if __name__ == "__main__":
    main()
