"""The checks that need no test run: lint, format, types, spelling, links between pages, and words
for every figure.

All of them run, and all that is wrong is shown, before the exit status says whether anything was.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = {
    "lint": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "--quiet", "."],
    "types": ["mypy", "--no-error-summary"],
    "spelling": ["codespell_lib", "--toml", "pyproject.toml"],
}
# of each kind of figure, what a reader who does not see it needs
FIGURES = {
    r"^---\nmystnb:.*?\n---": ("alt", "caption", "name"),
    r"^```\{(?:figure|image)\}.*?^```": ("alt",),
    r"!\[\s*\]\([^)]*\)": ("alt",),
}
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


def main() -> None:
    failed = []
    for name, command in COMMANDS.items():
        if subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False).returncode:
            failed.append(name)
    if links := broken_links(ROOT):
        print("links that lead nowhere:", *links, sep="\n  ")
        failed.append("links")
    if figures := figures_without_words(ROOT):
        print("figures without alt text, caption or name:", *figures, sep="\n  ")
        failed.append("figures")
    sys.exit(f"check: {', '.join(failed)} failed" if failed else 0)


if __name__ == "__main__":
    main()
