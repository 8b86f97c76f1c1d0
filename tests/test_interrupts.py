"""Ctrl-C while a library is being loaded: it may answer with an error of its own."""

import subprocess
import sys

PROGRAM = """
import os, signal, time
from obvlib.cli.app import app

@app.command()
def load():
    try:
        if {interrupts}:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
    except KeyboardInterrupt:
        pass
    raise ImportError("initialization failed")

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
app(["load"])
"""


def ended(interrupts):
    program = [sys.executable, "-c", PROGRAM.format(interrupts=interrupts)]
    return subprocess.run(program, capture_output=True, text=True, timeout=120)


def test_an_interrupt_that_a_library_takes_for_its_own_error_is_one_all_the_same():
    done = ended(interrupts=True)
    assert done.returncode == 130
    assert done.stderr == "interrupted: what was done is kept; run the same command again\n"


def test_an_error_without_an_interrupt_stays_one():
    done = ended(interrupts=False)
    assert done.returncode == 1 and "ImportError: initialization failed" in done.stderr
