"""Chapters of the book executed one after another under the gpu profile, as the book's build
executes them; what became of each is written down as it ends.

A chapter counts as executed on a GPU if its kernel allocated memory there.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book"))
# Runs in each kernel after every cell, as an IPython start-up file.
STARTUP = """
def _note(result):
    import json, os, sys
    torch = sys.modules.get("torch")
    used = torch.cuda.max_memory_allocated() if torch and torch.cuda.is_initialized() else 0
    with open(os.environ["OBV_CHAPTER_USE"], "w") as file:
        json.dump({"gpu_bytes": used}, file)

get_ipython().events.register("post_run_cell", _note)
"""


def run_lane(names: list[str], run: Path, out: Path, until_s: float) -> None:
    """Execute chapters by name until `until_s` (of time.time()); `out` holds a row for each."""
    import build
    import execute
    from jupyter_cache import get_cache

    build.prepare_environment(run, "gpu")
    cache = get_cache(str(run / "cache"))
    startup = out.with_suffix("") / "profile_default/startup"
    startup.mkdir(parents=True, exist_ok=True)
    (startup / "use.py").write_text(STARTUP)
    os.environ["IPYTHONDIR"] = str(out.with_suffix(""))
    rows: list[dict[str, Any]] = []
    facts = build.provenance(ROOT, "gpu", run.name)
    for name in names:
        row: dict[str, Any] = {"chapter": name}
        left_s = until_s - time.time()
        if left_s < 20:
            row |= {"executed": "no", "why": "no time was left", "seconds": 0.0}
        else:
            execute.CELL_TIMEOUT_S = int(left_s)
            row |= executed(name, execute, cache, facts)
        rows.append(row)
        partial = out.with_suffix(".partial")
        partial.write_text(json.dumps(rows, indent=1))
        os.replace(partial, out)
        print({k: v for k, v in row.items() if k != "numbers"}, flush=True)


def executed(name: str, execute: Any, cache: Any, facts: dict) -> dict[str, Any]:
    """Execute one chapter; how that went, and the numbers that its page would show."""
    path, started = ROOT / f"notebooks/{name}.md", time.perf_counter()
    use = Path(os.environ["IPYTHONDIR"]) / f"{name}.json"
    os.environ["OBV_CHAPTER_USE"] = str(use)
    why = ""
    try:
        if not execute.cached(path, cache):
            execute.execute(path, cache, name, facts)
    except (SystemExit, Exception) as error:  # whatever it is, it is written down
        why = plain(str(error)) or type(error).__name__
    used = json.loads(use.read_text())["gpu_bytes"] if use.is_file() else 0
    seconds = time.perf_counter() - started
    if not why:  # of the execution, also where an earlier run did it
        seconds = execute.cached(path, cache)["execution_seconds"]
    row = {"executed": "no" if why else "GPU" if used else "CPU only", "why": why[-1500:]}
    row |= {"seconds": round(seconds, 1), "gpu_gb": round(used / 1e9, 2)}
    if not why:
        record = cache.match_cache_notebook(execute.read_notebook(path))
        found = cache.get_cache_bundle(record.pk).nb
        row |= {"numbers": glued(found), "said": said(found, execute)}
    return row


def plain(text: str) -> str:
    """Text without a terminal's colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).strip()


def glued(notebook: Any) -> dict[str, str]:
    """The values that a page's text is made with, by name."""
    found = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            named = output.get("metadata", {}).get("scrapbook", {}).get("name")
            if named:
                found[named] = output["data"].get("text/plain", "")[:80].strip("'")
    return found


def said(notebook: Any, execute: Any) -> list[str]:
    """The first and the last line that each cell printed."""
    texts = [execute.printed(cell) for cell in notebook.cells if cell.cell_type == "code"]
    lines = [text.splitlines() for text in texts if text]
    return [" … ".join(dict.fromkeys(line[:100] for line in (some[0], some[-1]))) for some in lines]
