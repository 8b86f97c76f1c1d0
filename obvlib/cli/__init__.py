"""The command `obv`.

In: command lines. Out: one sentence for each outcome, and an exit status.
"""

from obvlib.cli import evaluation, inspecting, machine, slicing, training
from obvlib.cli.app import app

__all__ = ["app", "evaluation", "inspecting", "machine", "slicing", "training"]
