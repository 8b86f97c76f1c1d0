"""Sphinx extension of this book: everything offline, the notebook as a download, and how each page
was made.

Jupyter Book 1 points to content delivery networks for widgets, MathJax and thebe. Here they come
from `book/_vendor`.
"""

from __future__ import annotations

import html
import json
import os
import shutil
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

BOOK = Path(__file__).resolve().parent.parent
NOTEBOOKS = BOOK.parent / "notebooks"
PROVENANCE = (
    '<aside class="obv-provenance" aria-label="How this page was made"><p>Executed {date} in'
    " {seconds}. Profile <b>{profile}</b>, {versions}, commit {commit}, inputs"
    " {inputs}.</p></aside>"
)


def use_run(app, config) -> None:
    """Reads executed notebooks from the cache that book/build.py filled."""
    run = os.environ.get("OBV_BOOK_RUN")
    if run:
        config.nb_execution_cache_path = str(Path(run) / "cache")


def copy_assets(app, error) -> None:
    """Vendored JavaScript and the derived notebooks become part of the built book."""
    if error or app.builder.format != "html":
        return
    vendor = Path(app.outdir) / "_static/vendor"
    shutil.copytree(BOOK / "_vendor", vendor, dirs_exist_ok=True)
    shutil.copyfile(anywidget_script(), vendor / "anywidget.js")
    downloads = Path(app.outdir) / "_sources/notebooks"
    downloads.mkdir(parents=True, exist_ok=True)
    for path in NOTEBOOKS.glob("*.ipynb"):
        shutil.copyfile(path, downloads / path.name)


def anywidget_script() -> Path:
    """anywidget's AMD module, as the installed package brings it for classic notebooks."""
    files = metadata.files("anywidget") or []
    found = next(file for file in files if file.as_posix().endswith("nbextension/index.js"))
    return Path(found.locate())


def offer_notebook(app, pagename, templatename, context, doctree) -> None:
    """Runs before the theme makes its download menu: executed pages offer the derived notebook."""
    if (NOTEBOOKS.parent / f"{pagename}.ipynb").is_file():
        context["ipynb_source"] = f"{pagename}.ipynb"


def finish_page(app, pagename, templatename, context, doctree) -> None:
    """Runs last: drops thebe's scripts, which name a host; adds the provenance line; mends a role
    that readers aloud trip over.
    """
    context["script_files"] = [
        script for script in context.get("script_files", []) if not is_thebe(script)
    ]
    if "body" in context:
        body = context["body"].replace(
            '<div role="list" class="citation-list">', '<div class="citation-list">'
        )
        body = body.replace(' role="doc-biblioentry">', ">")
        context["body"] = body + provenance_line(app, pagename)


def is_thebe(script) -> bool:
    body = getattr(script, "attributes", {}).get("body") or ""
    return "thebe" in str(getattr(script, "filename", script)) or "THEBE_JS_URL" in body


def provenance_line(app, pagename: str) -> str:
    record = Path(os.environ.get("OBV_BOOK_RUN", "")) / "provenance.json"
    executed = (
        getattr(app.env, "nb_metadata", {}).get(pagename, {}).get("exec_data")
        if record.is_file()
        else None
    )
    if not executed:
        return ""
    facts = json.loads(record.read_text())
    words = {key: html.escape(str(facts[key])) for key in ("profile", "commit", "inputs")}
    words["versions"] = html.escape(
        ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    )
    words["date"] = datetime.fromtimestamp(executed["mtime"], UTC).strftime("%d %B %Y")
    words["seconds"] = f"{executed['runtime']:.0f} s" if executed["runtime"] else "no time recorded"
    return PROVENANCE.format(**words)


def setup(app) -> dict:
    app.connect("config-inited", use_run)
    app.connect("html-page-context", offer_notebook, priority=1)
    app.connect("html-page-context", finish_page, priority=900)
    app.connect("build-finished", copy_assets)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
