"""Executing the book: what a changed input does to the cache, and what a reader of the log sees."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book"))
import build  # noqa: E402

FRONT = """\
---
file_format: mystnb
kernelspec:
  name: python3
---

# A page

"""


def project(tmp_path: Path) -> Path:
    for name in ("obvlib/media.py", "data_manifests/rows.jsonl", "requirements.lock", "notebooks/00_a.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("first")
    return tmp_path


@pytest.mark.parametrize("changed", ["obvlib/media.py", "data_manifests/rows.jsonl", "requirements.lock"])
def test_fingerprint_follows_every_input(tmp_path, changed):
    before = build.fingerprint(project(tmp_path), "mini")
    (tmp_path / changed).write_text("second")
    assert build.fingerprint(tmp_path, "mini") != before


def test_fingerprint_follows_the_profile_and_new_files_but_not_the_notebooks(tmp_path):
    before = build.fingerprint(project(tmp_path), "mini")
    (tmp_path / "notebooks/00_a.md").write_text("second")
    assert build.fingerprint(tmp_path, "mini") == before
    assert build.fingerprint(tmp_path, "gpu") != before
    (tmp_path / "obvlib/new.py").write_text("")
    assert build.fingerprint(tmp_path, "mini") != before


@pytest.mark.parametrize(
    ("printed", "words"),
    [("step 1\nstep 2\n", "step 2"), ("10 %\r20 %\r30 %", "30 %"), ("", "train(config)"), ("\n\n", "train(config)")],
)
def test_last_words_of_a_running_cell(printed, words):
    cell = SimpleNamespace(source="train(config)\nprint()", get=lambda *_: [{"text": printed}])
    assert build.last_words(cell) == words


def run(tmp_path: Path, code: str) -> subprocess.CompletedProcess:
    """Executes a one-cell notebook into a cache as the build does, in a process of its own."""
    notebook = tmp_path / "page.md"
    notebook.write_text(FRONT + f"```{{code-cell}} ipython3\n{textwrap.dedent(code)}\n```\n")
    script = f"""
        import sys; sys.path.insert(0, {str(ROOT / "book")!r})
        import build; from pathlib import Path; from jupyter_cache import get_cache
        build.execute(Path({str(notebook)!r}), get_cache({str(tmp_path / "cache")!r}), "[1/1] page")
    """
    return subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=120)


def test_second_execution_comes_from_the_cache(tmp_path):
    first, second = run(tmp_path, "print(1)"), run(tmp_path, "print(1)")
    assert first.returncode == second.returncode == 0, first.stderr
    assert "done" in first.stdout and "cached" not in first.stdout
    assert "cached" in second.stdout and "done" not in second.stdout


def test_failing_cell_ends_the_build_with_its_traceback(tmp_path):
    done = run(tmp_path, "clip = None\nclip.frames")
    assert done.returncode != 0
    assert "'NoneType' object has no attribute 'frames'" in done.stderr
    assert "FAILED in code cell 1 of page.md" in done.stderr
