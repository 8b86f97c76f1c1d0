"""The checks that take seconds: lint, format, types, spelling, links between pages, words for
every figure, and notebooks in pairs that hold no outputs and fit their page.

They run side by side, and all that is wrong is shown, before the exit status says whether anything
was. Test files on the command line run as one more of them.

usage: check.py [TESTS...]
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = {
    "lint": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "--quiet", "."],
    "types": ["mypy", "--no-error-summary"],
    # scripts that no test runs: whether they call the package as it is now
    "calls": ["mypy", "--no-error-summary", "--config-file=book/calls.ini"],
    "spelling": ["codespell_lib", "--toml", "pyproject.toml"],
}
# of each kind of figure, what a reader who does not see it needs
FIGURES = {
    r"^---\nmystnb:.*?\n---": ("alt", "caption", "name"),
    r"^```\{(?:figure|image)\}.*?^```": ("alt",),
    r"!\[\s*\]\([^)]*\)": ("alt",),
}
# At a window of 1280 px a cell shows 77 characters, a solution, which is indented, about 70.
CELL_LINES, CELL_WIDTH, SOLUTION_WIDTH = 16, 77, 70
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s#]+)")


def broken_links(root: Path) -> list[str]:
    """Return "page: target" for every relative link of a markdown page that leads nowhere."""
    pages = [*root.glob("*.md"), *root.glob("book/*.md"), *root.glob("notebooks/*.md")]
    found = []
    for page in pages:
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            near = page.parent / target
            if not near.exists() and not near.with_suffix(".md").exists():
                found.append(f"{page.relative_to(root)}: {target}")
    return found


def figures_without_words(root: Path) -> list[str]:
    """Return "page:line" for every figure that lacks alt text, and every executed one that lacks a
    caption or a name.
    """
    found = []
    for page in [*root.glob("book/*.md"), *root.glob("notebooks/*.md")]:
        text = page.read_text(encoding="utf-8")
        for kind, needed in FIGURES.items():
            for match in re.finditer(kind, text, re.MULTILINE | re.DOTALL):
                if not all(re.search(rf"^\s*:?{n}: *\S", match[0], re.MULTILINE) for n in needed):
                    line = text.count("\n", 0, match.start()) + 1
                    found.append(f"{page.relative_to(root)}:{line}")
    return found


def notebook_faults(path: Path) -> list[str]:
    """Return what is wrong with a notebook, given its MyST file: an .ipynb that is missing, differs
    or holds outputs, no cell of parameters or several, glue that readers would see, cells and
    lines that do not fit the page.
    """
    import jupytext
    from jupytext.compare import NotebookDifference, compare_notebooks

    source, derived, found = jupytext.read(path), path.with_suffix(".ipynb"), []
    if not derived.is_file():
        return [f"{derived.name} is missing: make sync"]
    notebook = jupytext.read(derived)
    if any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells):
        found.append(f"{derived.name} holds outputs: make sync")
    try:
        compare_notebooks(notebook, source, fmt="md:myst", raise_on_first_difference=True)
    except NotebookDifference as difference:
        found.append(f"{derived.name} differs: make sync ({str(difference).splitlines()[0]})")
    cells = [cell for cell in source.cells if cell.cell_type == "code"]
    if sum("parameters" in cell.metadata.get("tags", []) for cell in cells) != 1:
        found.append(f"{path.name} needs one cell tagged parameters")
    for cell in cells:
        if "glue(" in cell.source and "remove-cell" not in cell.metadata.get("tags", []):
            found.append(f"{path.name}: glue in a cell that shows: give it one tagged remove-cell")
    solutions = [code for cell in source.cells for code in blocks(cell)]
    for code, width in [(c.source, CELL_WIDTH) for c in cells] + [
        (code, SOLUTION_WIDTH) for code in solutions
    ]:
        lines, first = code.splitlines(), code.partition("\n")[0]
        if len(lines) > CELL_LINES and not first.startswith(("import ", "from ")):
            found.append(f"{path.name}: {len(lines)} lines in the cell of {first!r}")
        found += [f"{path.name}: wider than {width}: {line}" for line in lines if len(line) > width]
    return found


def blocks(cell) -> list[str]:
    """Return the Python blocks in a cell of text: those of solutions."""
    if cell.cell_type != "markdown":
        return []
    found = re.findall(r"^ *```python\n(.*?)^ *```$", cell.source, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(code) for code in found]


def failures(commands: dict[str, list[str]]) -> list[str]:
    """Run modules side by side, show what each said in turn, and return the names of those that
    failed.
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    started = {
        name: subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, **pipes)
        for name, command in commands.items()
    }
    for process in started.values():
        print(process.communicate()[0], end="", flush=True)
    return [name for name, process in started.items() if process.returncode]


def main() -> None:
    tests = {"tests": ["pytest", "-q", *sys.argv[1:]]} if sys.argv[1:] else {}
    failed = failures(COMMANDS | tests)
    if links := broken_links(ROOT):
        print("links that lead nowhere:", *links, sep="\n  ")
        failed.append("links")
    if figures := figures_without_words(ROOT):
        print("figures without alt text, caption or name:", *figures, sep="\n  ")
        failed.append("figures")
    if faults := [f for path in sorted(ROOT.glob("notebooks/*.md")) for f in notebook_faults(path)]:
        print("notebooks:", *faults, sep="\n  ")
        failed.append("notebooks")
    sys.exit(f"check: {', '.join(failed)} failed" if failed else 0)


if __name__ == "__main__":
    main()
