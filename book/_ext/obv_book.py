"""Sphinx extension of this book: everything offline, the notebook as a download, also as a script
and, where the repository has an address, to launch elsewhere; what solutions print, and how each
page was made.

Jupyter Book 1 points to content delivery networks for widgets, MathJax and thebe. Here they come
from `book/_vendor`.
"""

from __future__ import annotations

import html
import json
import os
import posixpath
import re
import shutil
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import jupytext
from docutils import nodes
from docutils.statemachine import StringList
from nbformat.v4 import new_code_cell
from sphinx.util.docutils import SphinxDirective

BOOK = Path(__file__).resolve().parent.parent
NOTEBOOKS = BOOK.parent / "notebooks"
PROVENANCE = (
    '<aside class="obv-provenance" aria-label="How this page was made"><p>Executed {date} in'
    " {seconds} on {device}. Profile <b>{profile}</b>, {versions}, commit {commit}, inputs"
    " {inputs}.{caps}</p>{alone}</aside>"
)
# files that embed-amd.js names, and the theme's of the same icons
ICON_FONTS = {
    "1551f4f60c37af51121f": "fa-solid-900",
    "7a3337626410ca2f4071": "fa-regular-400",
    "d878b0a6a1144760244f": "fa-brands-400",
}
# a script's first line: without it each worker process would begin by running the script again
NOT_AGAIN = 'globals().pop("__file__", None)  # worker processes do not run this script again'
ALONE = (
    '<p>To run this chapter by itself: its notebook (in the download menu), <a href="{href}">the'
    ' package</a>, and <code>pip install "{wheel}[notebooks]"</code>.</p>'
)


def run_folder() -> Path | None:
    """Return what book/build.py left for the renderer, or None where something else renders."""
    name = os.environ.get("OBV_BOOK_RUN")
    return Path(name) if name else None


def executed_pages() -> dict[str, dict | None]:
    """Return for each notebook's page how it was executed, None where it was not."""
    run = run_folder()
    return json.loads((run / "pages.json").read_text()) if run else {}


def use_run(app, config) -> None:
    """Read executed notebooks from the cache that book/build.py filled, and execute no other."""
    if run := run_folder():
        config.nb_execution_cache_path = str(run / "cache")
        config.nb_execution_excludepatterns += [
            f"{page}.*" for page, executed in executed_pages().items() if not executed
        ]


def offer_launch(app, config) -> None:
    """Put buttons that open a chapter elsewhere on its page, where OBV_REPOSITORY says at which
    public address the repository is.
    """
    if address := os.environ.get("OBV_REPOSITORY", "").rstrip("/"):
        config.html_theme_options |= {
            "repository_url": address,
            "repository_branch": "main",
            "use_repository_button": True,
            "use_issues_button": True,
            "launch_buttons": {
                "notebook_interface": "jupyterlab",
                "binderhub_url": "https://mybinder.org",
                "colab_url": "https://colab.research.google.com",
            },
        }


def show_what_solutions_print(app, doctree) -> None:
    """Put below the code of each folded solution what it printed when the page was executed."""
    executed = executed_pages().get(app.env.docname) or {}
    said = {s["code"].strip(): s["printed"] for s in executed.get("solutions", [])}
    for block in list(doctree.findall(nodes.literal_block)):
        if text := said.get(block.astext().strip()):
            output = nodes.literal_block(text, text, language="none", classes=["solution-output"])
            block.parent.insert(block.parent.index(block) + 1, output)


def copy_assets(app, error) -> None:
    """Make vendored JavaScript, and the notebooks as such and as scripts, part of the book."""
    if error or app.builder.format != "html":
        return
    vendor = Path(app.outdir) / "_static/vendor"
    shutil.copytree(BOOK / "_vendor", vendor, dirs_exist_ok=True)
    shutil.copyfile(anywidget_script(), vendor / "anywidget.js")
    script = vendor / "embed-amd.js"
    script.write_text(with_fonts(script.read_text(encoding="utf-8")), encoding="utf-8")
    if package := carried_package():
        shutil.copyfile(package, Path(app.outdir) / "_static" / package.name)
    downloads = Path(app.outdir) / "_sources/notebooks"
    downloads.mkdir(parents=True, exist_ok=True)
    for path in NOTEBOOKS.glob("*.ipynb"):
        shutil.copyfile(path, downloads / path.name)
        notebook = jupytext.read(path)
        notebook.cells.insert(0, new_code_cell(NOT_AGAIN))
        jupytext.write(notebook, downloads / f"{path.stem}.py", fmt="py:percent")


def with_fonts(script: str) -> str:
    """Return ipywidgets' script, with the theme's icon fonts in place of its own, which are not
    shipped; `widgets.js` says where they are.
    """
    for name, font in ICON_FONTS.items():
        script, found = re.subn(rf'\b\w+\.p\+"{name}\.woff2"', f'obvFonts+"{font}.woff2"', script)
        if not found:
            raise ValueError(f"embed-amd.js names no font {name}: adapt ICON_FONTS to its version")
    return script


def carried_package() -> Path | None:
    """Return the wheel that book/build.py made of this checkout."""
    run = run_folder()
    return next((run / "package").glob("*.whl"), None) if run else None


def anywidget_script() -> Path:
    """Return anywidget's AMD module, as the installed package brings it for classic notebooks."""
    files = metadata.files("anywidget") or []
    found = next(file for file in files if file.as_posix().endswith("nbextension/index.js"))
    return Path(found.locate())


def offer_notebook(app, pagename, templatename, context, doctree) -> None:
    """Let executed pages offer the derived notebook; run before the theme's download menu."""
    if (NOTEBOOKS.parent / f"{pagename}.ipynb").is_file():
        context["ipynb_source"] = f"{pagename}.ipynb"


def offer_script(context) -> None:
    """Add a notebook's script to the download menu, after the notebook."""
    for group in context.get("header_buttons", []):
        buttons = group.get("buttons", []) if group.get("label") == "download-buttons" else []
        if buttons and buttons[0]["text"] == ".ipynb":
            address = buttons[0]["url"].removesuffix(".ipynb") + ".py"
            words = {"text": ".py", "tooltip": "Download script", "label": "download-script-button"}
            buttons.insert(1, buttons[0] | words | {"url": address})


def finish_page(app, pagename, templatename, context, doctree) -> None:
    """Run last: drop thebe's scripts, which name a host; add the provenance line, and the script of
    a notebook to its downloads; mend a role that readers aloud trip over.
    """
    offer_script(context)
    context["script_files"] = [
        script for script in context.get("script_files", []) if not is_thebe(script)
    ]
    if "body" in context:
        body = context["body"].replace(
            '<div role="list" class="citation-list">', '<div class="citation-list">'
        )
        body = body.replace(' role="doc-biblioentry">', ">")
        context["body"] = body + provenance_line(app, pagename)


class ChapterTimes(SphinxDirective):
    """`{chapter-times}`: how long each chapter took when this book was executed."""

    def run(self) -> list[nodes.Node]:
        if run := run_folder():
            self.env.note_dependency(str(run / "pages.json"))
        table = nodes.container()
        self.state.nested_parse(StringList(times_table(executed_pages())), 0, table)
        return table.children


def times_table(pages: dict[str, dict | None]) -> list[str]:
    """Return the lines of a table of the chapters' times in seconds and of their sum."""
    times_s = {page: executed["execution_seconds"] for page, executed in pages.items() if executed}
    if not times_s:
        return ["(No chapter of this book was executed.)"]
    rows = [f"| {{doc}}`/{page}` | {time_s:.0f} |" for page, time_s in times_s.items()]
    total = f"| {len(times_s)} of {len(pages)} chapters | {sum(times_s.values()):.0f} |"
    return ["| chapter | seconds |", "|---|---:|", *rows, total]


def is_thebe(script) -> bool:
    body = getattr(script, "attributes", {}).get("body") or ""
    return "thebe" in str(getattr(script, "filename", script)) or "THEBE_JS_URL" in body


def provenance_line(app, pagename: str) -> str:
    executed = executed_pages().get(pagename)
    if not executed:
        return ""
    facts = executed["provenance"]
    names = ("profile", "device", "commit", "inputs")
    words = {key: html.escape(str(facts[key])) for key in names}
    words["versions"] = html.escape(
        ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    )
    noted = app.env.nb_metadata.get(pagename, {}).get("exec_data", {})
    words["date"] = datetime.fromtimestamp(noted["mtime"], UTC).strftime("%d %B %Y")
    words["seconds"] = f"{executed['execution_seconds']:.0f} s"
    capped = [f"{name.replace('_', ' ')} {value}" for name, value in facts.get("caps", {}).items()]
    words["caps"] = html.escape(f" Capped: {', '.join(capped)}." if capped else "")
    words["alone"] = ""
    if package := carried_package():
        href = f"{posixpath.relpath('_static', posixpath.dirname(pagename))}/{package.name}"
        words["alone"] = ALONE.format(href=href, wheel=package.name)
    return PROVENANCE.format(**words)


def setup(app) -> dict:
    app.add_directive("chapter-times", ChapterTimes)
    app.connect("config-inited", use_run)
    app.connect("config-inited", offer_launch)
    app.connect("doctree-read", show_what_solutions_print)
    app.connect("html-page-context", offer_notebook, priority=1)
    app.connect("html-page-context", finish_page, priority=900)
    app.connect("build-finished", copy_assets)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
