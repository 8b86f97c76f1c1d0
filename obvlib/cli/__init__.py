"""The command `obv`.

In: command lines. Out: one sentence for each outcome, and an exit status.
"""

import sys

try:  # the imports take most of a second, in which Ctrl-C shows no traceback either
    from obvlib.cli import (
        access,
        curation,
        evaluation,
        forgetting,
        inspecting,
        judging,
        machine,
        slicing,
        training,
    )
    from obvlib.cli.app import app
except KeyboardInterrupt:
    print("interrupted before anything was done: run the same command again", file=sys.stderr)
    sys.exit(130)

__all__ = [
    "access",
    "app",
    "curation",
    "evaluation",
    "forgetting",
    "inspecting",
    "judging",
    "machine",
    "slicing",
    "training",
]
