"""The checks that need no test run: lint, format, types, spelling, and links between pages.

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


def main() -> None:
    failed = []
    for name, command in COMMANDS.items():
        if subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False).returncode:
            failed.append(name)
    if links := broken_links(ROOT):
        print("links that lead nowhere:", *links, sep="\n  ")
        failed.append("links")
    sys.exit(f"check: {', '.join(failed)} failed" if failed else 0)


if __name__ == "__main__":
    main()
