"""`obv inspect`: the inspector in JupyterLab, on a dataset or run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from obvlib.cli.app import app


@app.command()
def inspect(
    path: Annotated[
        str,
        typer.Argument(
            help="A dataset's or benchmark's name, a rows file, or a run's folder; with #ID at its"
            " end that sample first."
        ),
    ] = "mini",
    rater: Annotated[str, typer.Option(help="Whose labels; default: your user name.")] = "",
    input_dir: Annotated[str, typer.Option(help="Where the slices are, if elsewhere.")] = "",
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
) -> None:
    """Look at samples as the model sees them, and label them, in JupyterLab."""
    from obvlib.core import data_root
    from obvlib.core.files import write_text
    from obvlib.widgets.samples import check_source

    source, _, sample = path.partition("#")
    check_source(source)
    source = str(Path(source).resolve()) if Path(source).exists() else source
    options = {"rater": rater, "start": sample, "clips_dir": input_dir}
    notebook = data_root() / "notebooks" / "inspector.ipynb"
    notebook.parent.mkdir(parents=True, exist_ok=True)
    write_text(str(notebook), json.dumps(notebook_of(source, options), indent=1) + "\n")
    command = [sys.executable, "-m", "jupyterlab", str(notebook)]
    command += [] if browser else ["--no-browser"]
    raise typer.Exit(subprocess.run(command, check=False).returncode)


def notebook_of(source: str, options: dict[str, str]) -> dict[str, Any]:
    """Return a notebook of one cell that opens the inspector."""
    given = "".join(f", {name}={value!r}" for name, value in options.items() if value)
    code = f"from obvlib.widgets import inspect\n\ninspect({source!r}{given})"
    text = (
        "Run the cell below (Shift + Enter). Labels are saved as you click, in `labels/` under the"
        " data root; this notebook itself need not be saved."
    )
    cells = [
        {"cell_type": "markdown", "id": "about", "metadata": {}, "source": text},
        {
            "cell_type": "code",
            "id": "inspect",
            "metadata": {},
            "source": code,
            "execution_count": None,
            "outputs": [],
        },
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
