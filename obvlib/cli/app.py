"""The application behind `obv`: what every command shares, and errors in one line.

A command is a few lines around the library, whose heavy parts are imported only when it runs.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from typing import Any, NoReturn

import typer
import typer.core

from obvlib.manifests import HubUnavailable

ORDER = (
    "doctor pin download curate slice prepare probe build train evaluate judge rescore ask report"
    " inspect replay forget"
).split()


class OneLineErrors(typer.core.TyperGroup):
    """Show what a user can mend in one line and exit with 1; `OBV_DEBUG=1` shows the traceback."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in the order in which data passes through them."""
        known = super().list_commands(ctx)
        return sorted(known, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (HubUnavailable, OSError, ValueError, sqlite3.DatabaseError) as error:
            if os.environ.get("OBV_DEBUG"):
                raise
            fail(error)


app = typer.Typer(
    help="From educational biomedical videos to a fine-tuned vision-language model.",
    no_args_is_help=True,
    cls=OneLineErrors,
)


@app.callback()
def main() -> None:
    """From educational biomedical videos to a fine-tuned model and scores that can be believed."""
    from obvlib.core import settings

    settings.profile()
    settings.data_root()


def show(value: dict[str, Any]) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=1, ensure_ascii=False))


def fail(error: Exception | str) -> NoReturn:
    """Print the error in one line and exit with status 1."""
    print(f"error: {error}", file=sys.stderr)
    raise typer.Exit(1)
