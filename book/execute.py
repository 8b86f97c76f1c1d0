"""Executes notebooks into the cache that the renderer reads, one after the other, with visible
progress.

A chapter may read what an earlier one wrote under the data root. So when an executed notebook
changes files there, the cached outputs of all later ones are dropped. The folded solutions of its
exercises run after a notebook's own cells, in the same kernel; what they print is kept beside it.

A chapter has a budget of seconds on two idle cores of a known speed. The machine that builds may be
slower and busy, so its clock is no judge: `needed_seconds` tells from processor time how long the
chapter takes there at the very least.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import textwrap
import threading
import time
import zlib
from pathlib import Path

HEARTBEAT_S = 15.0
# Seconds on two idle cores: of a chapter, of any other, of the book. A cell may take twice as long
# as the whole book should, so that a busy machine still builds it; one that hangs ends the build.
# With real models and data (the other profiles) a cell may take days.
BUDGET_S = {"00_quickstart": 300}
OTHER_BUDGET_S = 120
BOOK_BUDGET_S = 900
CORES = 2
CELL_TIMEOUT_S = 1800 if os.environ.get("OBV_PROFILE", "mini") == "mini" else None
# Processor seconds of `speed_probe` where the budgets were set (an idle Xeon, Python 3.11), and how
# many times as slow a machine they allow for.
PROBE_S, MAX_SLOWNESS = 0.019, 4.0
# Runs last in a kernel: processor time of the thread that ran the cells, and of it all, with
# processes that have ended.
TOLD_TIME = re.compile(r"\[[\d.]+, [\d.]+\]")  # a thread of the chapter may print there, too
TELL_TIME = "import json, os, time; print(json.dumps([time.thread_time(), sum(os.times()[:4])]))"
SOLUTION = re.compile(r"^ *```python\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
LARGE_BYTES = 64 * 2**20
# Times and progress are in these; what later chapters show must not depend on them alone.
NOT_COMPARED = (".db", ".sqlite", ".sqlite3", ".db-wal", ".db-shm", ".log")


def execute_all(notebooks: list[Path], cache, provenance: dict | None = None) -> None:
    """Execute in reading order what the cache lacks; `provenance` says how, on each page."""
    for number, path in enumerate(notebooks):
        label = f"[{number + 1}/{len(notebooks)}] {path.stem:<24}"
        if (known := cached(path, cache)) is not None:
            print(f"{label}  cached (took {known['execution_seconds']:.0f} s)", flush=True)
            continue
        before = contents()
        execute(path, cache, label, provenance or {})
        if contents() != before:
            forget(notebooks[number + 1 :], cache)


def contents() -> dict[str, str]:
    """Return what lies under the data root: file names and hashes of their bytes; of large files
    their size and time of change.
    """
    root = Path(os.environ.get("OBV_DATA", "data"))
    files = (path for path in root.rglob("*") if path.is_file() and path.suffix not in NOT_COMPARED)
    return {str(path.relative_to(root)): state(path) for path in files}


def state(path: Path) -> str:
    found = path.stat()
    if found.st_size > LARGE_BYTES:
        return f"{found.st_size} bytes at {found.st_mtime_ns}"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def forget(notebooks: list[Path], cache) -> None:
    """Drop the cached outputs of these notebooks, in whichever version."""
    names = {str(path) for path in notebooks}
    for record in cache.list_cache_records():
        if record.uri in names:
            cache.remove_cache(record.pk)


def cached(path: Path, cache) -> dict | None:
    """Return what the cache says of a notebook's execution: seconds, provenance, solutions with
    what they printed; None where it lacks the notebook or its solutions are other ones by now.
    """
    notebook = read_notebook(path)
    try:
        data = cache.match_cache_notebook(notebook).data
    except KeyError:
        return None
    same = [s["code"] for s in data.get("solutions", [])] == solutions(notebook)
    return data if same and "needed_seconds" in data else None


def solutions(notebook) -> list[str]:
    """Return the code of the folded solutions in a notebook's section of exercises."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    section = re.search(r"^## Exercises$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(code) for code in SOLUTION.findall(section[1] if section else "")]


def printed(cell) -> str:
    """Return what a cell printed and returned, as text."""
    parts = [
        output.get("text", "") or output.get("data", {}).get("text/plain", "")
        for output in cell.outputs
        if output.get("name") != "stderr"
    ]
    return "".join(part if part.endswith("\n") else part + "\n" for part in parts if part).rstrip()


def speed_probe() -> float:
    """Return the processor seconds of a piece of work that is always the same, the least of three:
    waiting for a core is not counted.
    """
    data, found = bytes(range(256)) * 40_000, []  # 10 MB: more than a core's own cache
    for _ in range(3):
        start_s, total = time.thread_time(), 0
        for number in range(500_000):
            total += number & 7
        zlib.compress(data[::-1][: 1 << 20], 6)
        found.append(time.thread_time() - start_s)
    return min(found)


def needed_seconds(busiest_s: float, total_s: float, slowness: float) -> float:
    """Return how long a chapter takes at least on CORES idle cores of the known speed: not less
    than its busiest thread works, nor than all its work shared evenly among the cores.
    """
    return max(busiest_s, total_s / CORES) / min(max(slowness, 1.0), MAX_SLOWNESS)


def over_budget(notebooks: list[Path], cache) -> list[str]:
    """Return one line for each chapter that needs more than its budget, and one for the book."""
    found, book_s = [], 0.0
    for path in notebooks:
        if data := cached(path, cache):
            budget_s, needed_s = BUDGET_S.get(path.stem, OTHER_BUDGET_S), data["needed_seconds"]
            book_s += needed_s
            if needed_s > budget_s:
                found.append(f"{path.stem}: {needed_s:.1f} s of {budget_s} s")
    if book_s > BOOK_BUDGET_S:
        found.append(f"all {len(notebooks)} chapters: {book_s:.1f} s of {BOOK_BUDGET_S} s")
    return found


def read_notebook(path: Path):
    """Return the notebook as the renderer reads it, so that both look under the same key in the
    cache.
    """
    from myst_nb.core.read import read_myst_markdown_notebook

    return read_myst_markdown_notebook(path.read_text(), add_source_map=True, path=path)


class Progress:
    """One printed line per notebook, and while a cell runs one line every HEARTBEAT_S seconds with
    its last words.
    """

    def __init__(self, label: str, num_cells: int):
        self.label, self.num_cells = label, num_cells
        self.start_s = time.monotonic()
        self.cell, self.cell_number = None, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Progress:
        self.say(f"{self.num_cells} code cells")
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join()

    def say(self, words: str) -> None:
        print(f"{self.label}  {time.monotonic() - self.start_s:5.0f} s  {words}", flush=True)

    def on_cell(self, cell, cell_index) -> None:
        if cell.cell_type == "code":
            self.cell, self.cell_number = cell, self.cell_number + 1

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            self.say(f"cell {self.cell_number}/{self.num_cells}  {last_words(self.cell)}")


def last_words(cell, width: int = 90) -> str:
    """Return the last non-empty line that a running cell has printed, or its first line of code."""
    if cell is None:
        return "starting the kernel"
    printed = "".join(output.get("text", "") for output in cell.get("outputs", []))
    lines = [line.split("\r")[-1].strip() for line in printed.rstrip("\r\n ").split("\n")]
    said = next((line for line in reversed(lines) if line), "")
    return (said or cell.source.strip().split("\n")[0])[:width]


def execute(path: Path, cache, label: str, provenance: dict) -> None:
    """Execute one notebook and its solutions into the cache. A failing cell, or one that takes
    longer than CELL_TIMEOUT_S, ends the build with its traceback.
    """
    from jupyter_cache.base import CacheBundleIn
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from nbformat.v4 import new_code_cell

    notebook = read_notebook(path)
    own_cells = notebook.cells
    solved = [new_code_cell(code) for code in solutions(notebook)]
    num_cells = sum(cell.cell_type == "code" for cell in own_cells) + len(solved)
    told = new_code_cell(TELL_TIME)
    notebook.cells = [*own_cells, *solved, told]
    probes = [speed_probe()]
    with Progress(label, num_cells) as progress:
        client = NotebookClient(
            notebook,
            timeout=CELL_TIMEOUT_S,
            record_timing=False,  # times in the cells' metadata would change the cache's key
            resources={"metadata": {"path": str(path.parent)}},
            extra_arguments=["--log-level=40"],
            on_cell_execute=progress.on_cell,
        )
        try:
            client.execute()
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            beyond = progress.cell_number - (num_cells - len(solved))
            where = f"solution {beyond}" if beyond > 0 else f"code cell {progress.cell_number}"
            sys.exit(f"\n{error}\n{label}  FAILED in {where} of {path.name}")
        probes.append(speed_probe())
        busiest_s, total_s = json.loads(TOLD_TIME.search(printed(told))[0])
        data = {
            "execution_seconds": time.monotonic() - progress.start_s,
            "needed_seconds": needed_seconds(busiest_s, total_s, max(probes) / PROBE_S),
            "provenance": provenance,
            "solutions": [{"code": cell.source, "printed": printed(cell)} for cell in solved],
        }
        progress.say("done")
    notebook.cells = own_cells
    bundle = CacheBundleIn(notebook, str(path), data=data)
    cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
    # KeyError here would mean that the renderer executes it again
    cache.match_cache_notebook(read_notebook(path))
