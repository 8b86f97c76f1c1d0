"""`python -m obvlib.cli`, which is `obv`."""

from obvlib.cli.app import app

app()
