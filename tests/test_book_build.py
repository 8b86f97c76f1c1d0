"""Executing the book: what a changed input does to the cache, and what a reader of the log sees."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book"))
import build  # noqa: E402
import check  # noqa: E402
import execute  # noqa: E402

FRONT = """\
---
file_format: mystnb
kernelspec:
  name: python3
---

# A page

"""


def project(tmp_path: Path) -> Path:
    for name in (
        "obvlib/media.py",
        "data_manifests/rows.jsonl",
        "requirements.lock",
        "notebooks/00_a.md",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("first")
    return tmp_path


@pytest.mark.parametrize(
    "changed", ["obvlib/media.py", "data_manifests/rows.jsonl", "requirements.lock"]
)
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
    [
        ("step 1\nstep 2\n", "step 2"),
        ("10 %\r20 %\r30 %", "30 %"),
        ("", "train(config)"),
        ("\n\n", "train(config)"),
    ],
)
def test_last_words_of_a_running_cell(printed, words):
    cell = SimpleNamespace(source="train(config)\nprint()", get=lambda *_: [{"text": printed}])
    assert execute.last_words(cell) == words


def write(path: Path, *cells: str) -> Path:
    path.write_text(
        FRONT
        + "".join(f"```{{code-cell}} ipython3\n{textwrap.dedent(code)}\n```\n\n" for code in cells)
    )
    return path


def run(tmp_path: Path, *notebooks: Path) -> subprocess.CompletedProcess:
    """Executes notebooks into a cache as the build does, in a process of its own."""
    script = f"""
        import sys; sys.path.insert(0, {str(ROOT / "book")!r})
        import execute; from pathlib import Path; from jupyter_cache import get_cache
        execute.execute_all([Path(name) for name in {list(map(str, notebooks))!r}], get_cache({str(tmp_path / "cache")!r}))
    """  # noqa: E501
    command = [sys.executable, "-c", textwrap.dedent(script)]
    environment = os.environ | {"OBV_DATA": str(tmp_path / "data")}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


def outcomes(done: subprocess.CompletedProcess) -> list[str]:
    assert done.returncode == 0, done.stderr
    return re.findall(r"done|cached", done.stdout)


def test_changed_data_executes_later_chapters_again(tmp_path):
    (tmp_path / "data").mkdir()
    save = (
        "import os, pathlib; (pathlib.Path(os.environ['OBV_DATA']) / 'clips.txt').write_text('{}')"
    )
    first = write(tmp_path / "00_a.md", save.format("one"))
    second = write(tmp_path / "01_b.md", "print('reads the clips')")
    assert outcomes(run(tmp_path, first, second)) == ["done", "done"]
    assert outcomes(run(tmp_path, first, second)) == ["cached", "cached"]
    write(first, save.format("one") + "  # other words, same bytes")
    assert outcomes(run(tmp_path, first, second)) == ["done", "cached"]
    write(first, save.format("two"))
    assert outcomes(run(tmp_path, first, second)) == ["done", "done"]


def test_failing_cell_ends_the_build_with_its_traceback(tmp_path):
    done = run(tmp_path, write(tmp_path / "page.md", "clip = None", "clip.frames"))
    assert done.returncode != 0
    assert "'NoneType' object has no attribute 'frames'" in done.stderr
    assert "FAILED in code cell 2 of page.md" in done.stderr


def toy_book(root: Path, intro: str) -> subprocess.CompletedProcess:
    """Renders a book of one page with this book's configuration."""
    shutil.copytree(
        ROOT / "book", root / "book", ignore=shutil.ignore_patterns("__pycache__", "_vendor")
    )
    (root / "book/_vendor").mkdir()
    (root / "book/_toc.yml").write_text("format: jb-book\nroot: book/intro\n")
    (root / "book/intro.md").write_text(intro)
    return subprocess.run(
        [sys.executable, "book/build.py"], cwd=root, capture_output=True, text=True, timeout=240
    )


def test_index_is_the_last_line(tmp_path):
    done = toy_book(tmp_path, "# Intro\n")
    assert done.returncode == 0, done.stderr
    index = Path(done.stdout.splitlines()[-1])
    assert index == tmp_path / "_build/html/index.html" and index.is_file()


def test_broken_reference_fails_the_build_and_names_page_and_line(tmp_path):
    done = toy_book(tmp_path, "# Intro\n\n{doc}`nowhere`\n")
    assert done.returncode != 0
    assert re.search(r"book/intro\.md:3: WARNING: .*nowhere", done.stdout + done.stderr)
    assert "Rendering failed" in done.stderr


FIGURE = """\
```{code-cell} ipython3
---
mystnb:
  image:
    alt: Two bars.
  figure:
    caption: Bars.
    name: fig-bars
---
plot()
```
"""


@pytest.mark.parametrize(
    ("page", "num_found"),
    [
        (FIGURE, 0),
        (FIGURE.replace("    alt: Two bars.\n", ""), 1),
        (FIGURE.replace("Two bars.", ""), 1),
        (FIGURE.replace("    name: fig-bars\n", ""), 1),
        ("```{figure} a.svg\n:alt: A line.\n\nWords.\n```\n", 0),
        ("```{figure} a.svg\n\nWords.\n```\n", 1),
        ("![](a.svg)\n", 1),
        ("![A line](a.svg)\n", 0),
    ],
)
def test_figure_without_words_is_found(tmp_path, page, num_found):
    (tmp_path / "book").mkdir()
    (tmp_path / "book/page.md").write_text(page)
    assert len(check.figures_without_words(tmp_path)) == num_found


def test_link_that_leads_nowhere_is_found(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book/page.md").write_text("[here](page.md) and [there](gone.md)\n")
    assert check.broken_links(tmp_path) == ["book/page.md: gone.md"]
