"""`obv forget`: remove a source video and all that was made of it."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from obvlib.cli.app import NONE, app, show


@app.command()
def forget(
    video_id: Annotated[str, typer.Argument(help="The source's id, as rows name it.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
) -> None:
    """Remove a source's files, rows, labels, ledger entries and caches from the data root, and keep
    it from coming back.

    Prints what was removed and what is left to do by hand, as JSON. The exit status is 0 when
    nothing is left, 3 when something is, 1 when the data root holds nothing of the source.
    """
    from obvlib.core import data_root
    from obvlib.engine.forgetting import forget_source

    report = forget_source(video_id, data_root(), dry_run=dry_run)
    show({"dry_run": dry_run, **dataclasses.asdict(report)})
    if not (report.files or report.rows or report.ledger_rows or report.left):
        raise typer.Exit(NONE)
    raise typer.Exit(3 if report.left else 0)
