"""Curation of the mini corpus, measured: speed by stage with models loaded, what the ledger costs,
20,000 replies replayed from the cache, and every accuracy that its ground truth allows.

What the ledger costs is of processor time. Each of the four parts is kept in FILE once it is
measured, so the same command goes on after a stop:
python tests/benchmarks/curation.py FILE [--lectures 8] [--items 20000] [--work-dir FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from obvlib import mini
from obvlib.core import Provenance
from obvlib.curation import CurationSettings, curate, stages, videos_in
from obvlib.curation.measures import boundary_errors, overlap, plain_words, segment_f1, word_edits
from obvlib.curation.run import Curated, run_all
from obvlib.engine import Ledger, Stage, Workers
from obvlib.report import save_result
from obvlib.report.curation import funnel_rows, load_curation

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


class Table:
    """The measured figures, each with what was asked for."""

    def __init__(self) -> None:
        self.part = ""
        self.rows: list[dict[str, Any]] = []

    def add(self, what: str, value: Any, asked: str = "") -> None:
        value = round(value, 3) if isinstance(value, float) else value
        self.rows.append({"part": self.part, "what": what, "value": value, "asked": asked})
        print(f"{what:60} {value!s:>10}  {asked}", flush=True)


class Clock:
    """Seconds, and processor seconds, that a stage's own work takes within a run."""

    def __init__(self, stage: Stage) -> None:
        self.spent, self.work = np.zeros(2), stage.run_group
        object.__setattr__(stage, "run_group", self.run_group)

    def run_group(self, records: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """What the stage's own `run_group` yields."""
        results = iter(self.work(list(records)))
        while True:
            before = now()
            try:
                found = next(results)
            except StopIteration:
                return
            finally:
                self.spent += now() - before
            yield found


def now() -> np.ndarray:
    """Seconds, and processor seconds of this process."""
    return np.array([time.perf_counter(), time.process_time()])


def measure_speed(table: Table, folder: Path) -> None:
    """Curate three lectures one by one after one that loads the networks, and clock every stage.
    What the stages do not take themselves is the ledger's and the engine's.
    """
    sources = mini.sources("test")[:4]
    whole, split = np.zeros(2), dict[str, np.ndarray]()
    for source in sources:
        videos = videos_in(mini.videos_dir(), [source.video_id])
        chain = stages(CurationSettings())
        clocks = {stage.name: Clock(stage) for stage in chain}
        before = now()
        with Ledger(folder / f"{source.video_id}.sqlite") as ledger:
            run_all(videos, chain, ledger, show_progress=False)
        if source is not sources[0]:
            whole += now() - before
            split = {name: split.get(name, 0) + clock.spent for name, clock in clocks.items()}
    video_s = sum(source.duration_s for source in sources[1:])
    work = sum(split.values(), np.zeros(2))
    table.add("minutes of video a minute of one processor", float(video_s / whole[1]))
    for stage, spent in split.items():
        if spent[1] > 0.002 * whole[1]:
            table.add(f"   {stage}: share of the processor's time", float(spent[1] / whole[1]))
    table.add("slowdown by the ledger, %", float(100 * (whole[1] / work[1] - 1)), "at most 5")


def measure_pace(table: Table, num_lectures: int, folder: Path) -> None:
    """Curate lectures in two worker processes after two that load the networks. Wall time, which
    means something on a machine that was idle when it began.
    """
    load = os.getloadavg()[0]
    sources = (mini.sources("test") + mini.sources("train"))[: num_lectures + 2]
    with Workers(2) as workers:
        for some in (sources[:2], sources[2:]):
            videos = videos_in(mini.videos_dir(), [source.video_id for source in some])
            chain, began = stages(CurationSettings()), time.perf_counter()
            with Ledger(folder / f"pace_{some[0].video_id}.sqlite") as ledger:
                run_all(videos, chain, ledger, show_progress=False, engine=workers)
            wall_s = time.perf_counter() - began
    video_s = sum(source.duration_s for source in sources[2:])
    what = f"minutes of video a minute of wall time, two processes, {num_lectures} lectures"
    table.add(what, video_s / wall_s, "at least 4")
    table.add("   processes that ran or waited on the machine when it began", round(load, 1))


def measure_cache(table: Table, num_items: int, folder: Path) -> None:
    """Ask a server on loopback, then replay from the cache without one."""
    from local_llm import Reply, completion, serve_in_turn

    from obvlib.curation.language_model import Observable
    from obvlib.llm import Cache, Endpoint, Prompt, ask_all

    prompts = [Prompt(user=f"caption {i}", credentialed=False) for i in range(num_items)]
    cache = Cache(folder / "replies.sqlite")
    good = Reply(completion('{"observable": true, "reason": "an echo loop"}'))
    with serve_in_turn(good) as server:
        asked = Endpoint(url=server.url, model="m", num_workers=4)
        list(ask_all(prompts, Observable, asked, cache=cache))
    before = time.perf_counter()
    answers = list(ask_all(prompts, Observable, asked, cache=cache))
    wall_s = time.perf_counter() - before
    if not all(answer.cached and answer.status == "answered" for answer in answers):
        raise RuntimeError("an answer did not come from the cache: the figure would mean nothing")
    table.add(f"{num_items:,} cached replies replayed, s", wall_s, "under 60 for 20,000")


def measure_scores(table: Table, folder: Path) -> None:
    """Curate the whole corpus and compare with how it was made."""
    made = curate(videos_in(mini.videos_dir()), folder / "run", show_progress=False)
    sources = mini.sources()
    true = {
        s.video_id: [(p.start_s, p.end_s) for p in s.parts if p.kind == "imaging"] for s in sources
    }
    table.part = "segments"
    kept = made.steps["keep_segment"].kept
    f1, off_s = [], []
    for source in sources:
        mine = [(k.start_s, k.end_s) for k in kept if k.video_id == source.video_id]
        f1.append(segment_f1(mine, true[source.video_id]))
        off_s += boundary_errors(mine, true[source.video_id])
    table.add("segment F1 at IoU 0.5, mean of lectures (looks seen)", float(np.mean(f1)))
    table.add("boundary error, mean s", float(np.mean(off_s)))
    table.add("boundary error, 95th percentile s", float(np.percentile(off_s, 95)))
    table.part = "words"
    heard = {video.video_id: video.words for video in made.steps["narrate"].kept}
    for split in ("train", "test"):
        wrong = number = 0
        for source in mini.sources(split):
            said = plain_words(" ".join(w.text for w in source.words))
            found = plain_words(" ".join(w.text for w in heard.get(source.video_id, ())))
            wrong, number = wrong + word_edits(said, found), number + len(said)
        table.add(f"word error, lectures of {split}", wrong / number, "at most 0.20")
    table.part = "captions"
    measure_labels(table, made)
    table.part = "funnel"
    for row in funnel_rows(load_curation(folder / "run")):
        ends = {name: row[name] for name in ("done", "dropped", "refused", "failed") if row[name]}
        ended = ", ".join(f"{n} {name}" for name, n in ends.items())
        table.add(f"{row['stage']}: of {row['items']}", ended)


def measure_labels(table: Table, made: Curated) -> None:
    """Keep or drop, modality and region of passages that show one part of a lecture."""
    parts = {s.video_id: [p for p in s.parts if p.kind == "imaging"] for s in mini.sources()}
    rows = {(c.video_id, round(c.start_s, 1)): c for c in mini.rows()}
    labelled = {p.clip_id: p for p in made.steps["label_caption"].kept}
    right: dict[str, list[bool]] = {"relevance": [], "modality": [], "region": []}
    for passage in made.steps["keep_segment"].kept:
        span = (passage.start_s, passage.end_s)
        near = [p for p in parts[passage.video_id] if overlap(span, (p.start_s, p.end_s)) > 0.5]
        if not near:
            continue
        found = labelled.get(passage.clip_id)
        right["relevance"].append((found is not None) == near[0].observable)
        row = rows.get((passage.video_id, round(near[0].start_s, 1)))
        if found and row:
            right["modality"].append(found.modality == row.modality)
            right["region"].append(found.region == row.region)
    for name, hits in right.items():
        table.add(f"{name} right, of {len(hits)} passages", float(np.mean(hits)))


def main() -> None:
    """Measure the parts that FILE lacks, and keep each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="keep the figures in this file")
    parser.add_argument("--lectures", type=int, default=8, help="whose curation is timed")
    parser.add_argument("--items", type=int, default=20_000, help="replayed from the cache")
    parser.add_argument("--work-dir", type=Path, help="curate the whole corpus in this folder")
    given = parser.parse_args()
    table = Table()
    if given.file.is_file():
        table.rows = json.loads(given.file.read_text(encoding="utf-8"))["rows"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts: dict[str, Callable[[], None]] = {
            "cache": partial(measure_cache, table, given.items, folder),
            "pace": partial(measure_pace, table, given.lectures, folder),
            "speed": partial(measure_speed, table, folder),
            "segments": partial(measure_scores, table, given.work_dir or folder),
        }
        for part, measure in parts.items():
            if part in {row["part"] for row in table.rows}:
                print(f"{part}: measured before")
                continue
            table.part = part
            measure()
            title = "Curation of the mini corpus"
            kept = Provenance.collect(seed=0)
            save_result(given.file, title=title, rows=table.rows, provenance=kept)


if __name__ == "__main__":
    main()
