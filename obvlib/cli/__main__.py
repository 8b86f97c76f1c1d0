"""`python -m obvlib.cli`, which is `obv`."""

from obvlib.cli import app

app()
