"""The application behind `obv`: what every command shares, and errors in one line.

A command is a few lines around the library, whose heavy parts are imported only when it runs.
"""

from __future__ import annotations

import _thread
import json
import os
import signal
import sqlite3
import sys
import threading
import warnings
from functools import partial
from typing import Any, NoReturn

import typer
import typer.core

from obvlib.cli.options import RENAMED
from obvlib.core.files import DISK_ERRNOS
from obvlib.core.messages import one_line
from obvlib.engine import StageStopped
from obvlib.manifests import HubUnavailable

ORDER = (
    "doctor pin download curate slice prepare probe build train evaluate judge rescore ask report"
    " inspect replay forget"
).split()


ALL, NONE, SOME, INTERRUPTED = 0, 1, 3, 130  # exit statuses; 2 is a wrong use of the command
MAX_ERROR = 500  # characters of an error on the terminal
FAR_LIBRARIES = ("aiohttp", "botocore", "fsspec", "s3fs")  # whose errors are those of connections


class OneLineErrors(typer.core.TyperGroup):
    """Show what a user can mend in one line and exit with 1; `OBV_DEBUG=1` shows the traceback."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in the order in which data passes through them."""
        known = super().list_commands(ctx)
        return sorted(known, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))

    def make_context(self, *args: Any, **settings: Any) -> Any:
        try:
            return super().make_context(*args, **settings)
        except KeyboardInterrupt as error:
            interrupted(error)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            interrupted(error)
        except Exception as error:
            if getattr(signal.getsignal(signal.SIGINT), "came", False):
                interrupted(KeyboardInterrupt())
            if new := RENAMED.get(name := getattr(error, "option_name", "")):
                raise typer.BadParameter(f"{name} is now {new}", ctx) from None
            if os.environ.get("OBV_DEBUG") or not _can_be_mended(error):
                raise
            fail(error)


def _can_be_mended(error: Exception) -> bool:
    """Return whether an error says what a user can do: a wrong value, a file, a connection."""
    kinds = (HubUnavailable, OSError, ValueError, sqlite3.DatabaseError, StageStopped)
    return isinstance(error, kinds) or type(error).__module__.partition(".")[0] in FAR_LIBRARIES


class NotedInterrupts:
    """Python's own handler of Ctrl-C, which remembers that it came: a library that is being loaded
    may end with an ImportError for it.
    """

    came = False

    def __call__(self, *_: Any) -> NoReturn:
        self.came = True
        raise KeyboardInterrupt


class OneLineInterrupts(typer.Typer):
    """End with one line and status 130 also where Ctrl-C comes before a command runs, while a
    library is loaded, or while a destructor runs.
    """

    def __call__(self, *args: Any, **settings: Any) -> Any:
        sys.unraisablehook = interrupt_again
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, NotedInterrupts())
        try:
            return super().__call__(*args, **settings)
        except KeyboardInterrupt as error:
            try:
                interrupted(error)
            except typer.Exit as end:
                sys.exit(end.exit_code)


def interrupt_again(lost: Any) -> None:
    """Ask once more for an interrupt that Python dropped, since it came while a destructor ran."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        threading.Timer(0.05, _thread.interrupt_main).start()
    else:
        sys.__unraisablehook__(lost)


app = OneLineInterrupts(
    help="From educational biomedical videos to a fine-tuned vision-language model.",
    no_args_is_help=True,
    cls=OneLineErrors,
)


@app.callback()
def main(ctx: typer.Context) -> None:
    """From educational biomedical videos to a fine-tuned model and scores that can be believed."""
    from obvlib.core import settings

    # threads that wait for each other sleep: on two cores, one of them busy with something else, a
    # training step of the mini recipe took 0.7 s instead of 3.8 s, and alone no longer than before
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    ctx.call_on_close(partial(setattr, warnings, "formatwarning", warnings.formatwarning))
    warnings.formatwarning = in_one_line
    settings.profile()
    settings.data_root()


def in_one_line(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """Return a warning as a user reads it: the place in the code helps only those who wrote it."""
    kind = "note" if category is UserWarning else category.__name__
    return f"{kind}: {one_line(message, MAX_ERROR)}\n"


def show(value: dict[str, Any]) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=1, ensure_ascii=False))


def fail(error: Exception | str) -> NoReturn:
    """Print the error in one line and exit with status 1. Of a disk without room the system names
    neither the place, where many files are written, nor what to do.
    """
    is_full = isinstance(error, OSError) and error.errno in DISK_ERRNOS
    advice = ": make room or make it writable, and run the same command again" if is_full else ""
    print(f"error: {one_line(error, MAX_ERROR)}{advice}", file=sys.stderr)
    raise typer.Exit(NONE)


def interrupted(error: KeyboardInterrupt) -> NoReturn:
    """Print what an interrupt says, or how to go on, and exit with status 130."""
    said = str(error) or "interrupted: what was done is kept; run the same command again"
    print(one_line(said, MAX_ERROR), file=sys.stderr)
    raise typer.Exit(INTERRUPTED) from None


def leave(num_made: int, num_asked: int) -> NoReturn:
    """Exit with the status that tells whether all, some or none of what was asked for is there."""
    if not num_asked:
        fail(
            "there are no rows: the file is empty, or the split has none; check what was downloaded"
        )
    raise typer.Exit(ALL if num_made == num_asked else SOME if num_made else NONE)
