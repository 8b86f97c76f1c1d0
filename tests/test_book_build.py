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

import jupytext
import nbformat
import pytest
from jupyter_cache import get_cache
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book"))
import build  # noqa: E402
import check  # noqa: E402
import execute  # noqa: E402
import package  # noqa: E402

FRONT = """\
---
file_format: mystnb
kernelspec:
  name: python3
---

# A page

"""
JUPYTEXT = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
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


def run(tmp_path: Path, *notebooks: Path, timeout_s: int = 60) -> subprocess.CompletedProcess:
    """Executes notebooks into a cache as the build does, in a process of its own."""
    script = f"""
        import sys; sys.path.insert(0, {str(ROOT / "book")!r})
        import execute; from pathlib import Path; from jupyter_cache import get_cache
        execute.CELL_TIMEOUT_S = {timeout_s}
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


SOLVED = """\
## Exercises

1. Add one.

   ````{admonition} Solution
   :class: dropdown

   ```python
   print(value + 1)
   ```
   ````

## Further reading

```python
not_a_solution()
```
"""


def test_solutions_run_after_the_cells_and_what_they_print_is_kept(tmp_path):
    page = write(tmp_path / "page.md", "value = 1")
    page.write_text(page.read_text() + SOLVED)
    assert outcomes(run(tmp_path, page)) == ["done"]
    (solution,) = execute.cached(page, get_cache(str(tmp_path / "cache")))["solutions"]
    assert solution == {"code": "print(value + 1)\n", "printed": "2"}
    assert outcomes(run(tmp_path, page)) == ["cached"]
    page.write_text(page.read_text().replace("value + 1", "value + 2"))
    assert outcomes(run(tmp_path, page)) == ["done"]


def test_failing_solution_ends_the_build(tmp_path):
    page = write(tmp_path / "page.md", "other = 1")
    page.write_text(page.read_text() + SOLVED)
    done = run(tmp_path, page)
    assert done.returncode != 0
    assert "name 'value' is not defined" in done.stderr
    assert "FAILED in solution 1 of page.md" in done.stderr


def test_cell_over_its_time_ends_the_build(tmp_path):
    page = write(tmp_path / "page.md", "import time", "time.sleep(60)")
    done = run(tmp_path, page, timeout_s=1)
    assert done.returncode != 0
    assert re.search(r"timed out .* after 1 seconds", done.stderr)
    assert "FAILED in code cell 2 of page.md" in done.stderr


WORKS = "import time\nwhile time.process_time() < 3: pass"  # the kernel's start included
WAITS = "import time; time.sleep(3)"


@pytest.mark.parametrize(
    ("busiest_s", "total_s", "slowness", "needed_s"),
    [
        (100.0, 110.0, 1.0, 100.0),  # one thread after the other
        (100.0, 300.0, 1.0, 150.0),  # no two cores do more
        (100.0, 110.0, 2.0, 50.0),  # the machine is half as fast
        (100.0, 110.0, 0.5, 100.0),  # a fast one is not held against the chapter
        (100.0, 110.0, 100.0, 25.0),  # nor does a probe gone wrong excuse everything
    ],
)
def test_time_that_a_chapter_needs(busiest_s, total_s, slowness, needed_s):
    assert execute.needed_seconds(busiest_s, total_s, slowness) == needed_s


def test_what_a_chapter_needs_is_work_and_not_waiting(tmp_path, monkeypatch):
    pages = [write(tmp_path / "a.md", WAITS), write(tmp_path / "b.md", WORKS)]
    run(tmp_path, *pages)
    cache = get_cache(str(tmp_path / "cache"))
    waits, works = (execute.cached(page, cache) for page in pages)
    assert waits["execution_seconds"] > 3 and execute.over_budget(pages, cache) == []
    assert waits["needed_seconds"] < 0.8 * works["needed_seconds"]
    budget_s = 0.9 * works["needed_seconds"]
    monkeypatch.setattr(execute, "OTHER_BUDGET_S", budget_s)
    assert execute.over_budget(pages, cache) == [
        f"b: {works['needed_seconds']:.1f} s of {budget_s} s"
    ]
    monkeypatch.setattr(execute, "BOOK_BUDGET_S", 0.1)
    assert execute.over_budget(pages, cache)[1].startswith("all 2 chapters: ")


def test_chapter_over_its_budget_fails_the_build(tmp_path):
    (tmp_path / "notebooks").mkdir()
    write(tmp_path / "notebooks/a.md", "value = 41")
    toc = "parts:\n  - caption: Toy\n    chapters:\n      - file: notebooks/a\n"
    done = toy_book(tmp_path, "# Intro\n", toc, budget="OTHER_BUDGET_S = 120")
    assert done.returncode != 0
    assert re.search(r"over budget [^\n]+\n  a: [\d.]+ s of 0.01 s", done.stderr)
    assert (tmp_path / "_build/html/notebooks/a.html").is_file()  # to read all the same


def test_a_downloaded_notebook_runs_with_the_package_that_the_book_carries(tmp_path):
    """The wheel's own files serve, far from any checkout; what it needs is installed already."""
    wheel = package.build_wheel(ROOT, tmp_path / "package")
    site, desk = tmp_path / "site", tmp_path / "desk"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site)]
    subprocess.run([*pip, str(wheel)], check=True, timeout=120)
    desk.mkdir()
    notebook = nbformat.read(ROOT / "notebooks/06_statistics.ipynb", as_version=4)
    told = "import obvlib; print(obvlib.__file__, obvlib.core.manifests_dir())"
    notebook.cells.append(nbformat.v4.new_code_cell(told))
    environment = os.environ | {"PYTHONPATH": str(site)}
    environment.pop("OBV_DATA", None)
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(desk)}})
    client.execute(env=environment)
    code, data = notebook.cells[-1].outputs[0]["text"].split()
    assert code == str(site / "obvlib/__init__.py")
    assert data == str(site / "obvlib/data_manifests")


def toy_book(
    root: Path, intro: str, toc: str = "", budget: str = ""
) -> subprocess.CompletedProcess:
    """Renders a book of one page, and those of `toc`, with this book's configuration; the `budget`
    named, a line of `execute.py`, is lowered to 0.01 s.
    """
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "book", root / "book", ignore=ignored, dirs_exist_ok=True)
    if budget:
        script = (ROOT / "book/execute.py").read_text()
        assert f"\n{budget}\n" in script
        lowered = budget.split(" = ")[0] + " = 0.01"
        (root / "book/execute.py").write_text(script.replace(f"\n{budget}\n", f"\n{lowered}\n"))
    (root / "book/_toc.yml").write_text(f"format: jb-book\nroot: book/intro\n{toc}")
    (root / "book/intro.md").write_text(intro)
    return subprocess.run(
        [sys.executable, "book/build.py"], cwd=root, capture_output=True, text=True, timeout=240
    )


def test_pages_show_what_solutions_printed_how_they_were_made_and_how_long_it_took(tmp_path):
    (tmp_path / "notebooks").mkdir()
    page = write(tmp_path / "notebooks/a.md", "value = 41")
    page.write_text(page.read_text() + SOLVED)
    toc = "parts:\n  - caption: Toy\n    chapters:\n      - file: notebooks/a\n"
    done = toy_book(tmp_path, "# Intro\n\n```{chapter-times}\n```\n", toc)
    assert done.returncode == 0, done.stdout + done.stderr
    intro = (tmp_path / "_build/html/book/intro.html").read_text()
    (cells,) = re.findall(r"<tbody>(.*?)</tbody>", intro, re.DOTALL)
    said = re.sub(r"<[^>]+>|\s+", " ", cells).split()
    assert re.fullmatch(r"A page (\d+) 1 of 1 chapters \1", " ".join(said))
    text = (tmp_path / "_build/html/notebooks/a.html").read_text()
    assert re.search(r'<div class="solution-output[^>]*>.*?<pre>.*42', text, re.DOTALL)
    assert re.search(r"Executed \d\d \w+ \d+ in \d+ s on CPU \([^)]+\)\. Profile <b>mini</b>", text)


def test_chapters_are_offered_as_scripts_and_launched_elsewhere_where_there_is_an_address(
    tmp_path, monkeypatch
):
    (tmp_path / "notebooks").mkdir()
    page = paired(tmp_path / "notebooks", "print(seed)")
    toc = "parts:\n  - caption: Toy\n    chapters:\n      - file: notebooks/page\n"
    monkeypatch.setenv("OBV_REPOSITORY", "https://github.com/somebody/a-book/")
    done = toy_book(tmp_path, "# Intro\n", toc)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / "_build/html/notebooks/page.html").read_text()
    place = f"somebody/a-book/{{}}main{{}}notebooks/{page.stem}.ipynb"
    assert "https://mybinder.org/v2/gh/" + place.format("", "?urlpath=lab/tree/") in text
    assert "colab.research.google.com/github/" + place.format("blob/", "/") in text
    script = tmp_path / f"_build/html/_sources/notebooks/{page.stem}.py"
    assert "__file__" in script.read_text()  # its worker processes do not run it again
    assert "print(seed)" in script.read_text() and f"_sources/notebooks/{script.name}" in text
    monkeypatch.delenv("OBV_REPOSITORY")
    assert toy_book(tmp_path, "# Intro\n", toc).returncode == 0
    assert "mybinder" not in (tmp_path / "_build/html/notebooks/page.html").read_text()


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


def paired(tmp_path: Path, *cells: str) -> Path:
    """A small notebook that is right: a cell of parameters, others, and its derived half."""
    path = tmp_path / "page.md"
    parameters = "```{code-cell} ipython3\n:tags: [parameters]\n\nseed = 0\n```\n\n"
    path.write_text(JUPYTEXT + write(path, *cells).read_text().replace(FRONT, parameters))
    jupytext.write(jupytext.read(path), path.with_suffix(".ipynb"))
    return path


def test_faulty_notebook_is_found(tmp_path):
    page = paired(tmp_path, "print(seed)")
    assert check.notebook_faults(page) == []
    derived = page.with_suffix(".ipynb")
    notebook = nbformat.read(derived, as_version=4)
    notebook.cells[-1].execution_count = 1
    nbformat.write(notebook, derived)
    assert check.notebook_faults(page) == ["page.ipynb holds outputs: make sync"]
    notebook.cells[-1].update(execution_count=None, source="print(1)")
    nbformat.write(notebook, derived)
    (fault,) = check.notebook_faults(page)
    assert fault.startswith("page.ipynb differs: make sync")
    derived.unlink()
    assert check.notebook_faults(page) == ["page.ipynb is missing: make sync"]


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("a = 1\n" * 17, "17 lines in the cell of 'a = 1'"),
        (f"a = '{'x' * 80}'", "wider than 77"),
        ("import os\n" * 17, ""),
        ("glue('seed', seed)", "glue in a cell that shows"),
    ],
)
def test_cell_that_does_not_fit_the_page_is_found(tmp_path, cell, words):
    found = check.notebook_faults(paired(tmp_path, cell))
    assert any(words in line for line in found) if words else found == []


def test_notebook_without_parameters_is_found(tmp_path):
    page = paired(tmp_path, "print(0)")
    page.write_text(page.read_text().replace(":tags: [parameters]\n\n", ""))
    jupytext.write(jupytext.read(page), page.with_suffix(".ipynb"))
    assert check.notebook_faults(page) == ["page.md needs one cell tagged parameters"]


def test_link_that_leads_nowhere_is_found(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book/page.md").write_text("[here](page.md) and [there](gone.md)\n")
    assert check.broken_links(tmp_path) == ["book/page.md: gone.md"]


def test_checks_run_side_by_side_and_all_that_fail_are_named(capfd):
    commands = {
        "right": ["json.tool", "--help"],
        "wrong": ["json.tool", "--no-such-option"],
        "missing": ["no_such_module"],
    }
    assert check.failures(commands) == ["wrong", "missing"]
    shown = capfd.readouterr().out
    assert shown.index("show this help") < shown.index("--no-such-option") < shown.index("no_such_")
