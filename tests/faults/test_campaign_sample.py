"""A seeded sample of the campaigns, in every `make test`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_a_few_kills_end_as_the_undisturbed_run():
    script = Path(__file__).parent / "campaign_kills.py"
    command = [sys.executable, str(script), "--kills", "2", "--seed", "7"]
    command += ["--commands", "slice"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    counted = json.loads(done.stdout)["commands"]
    assert all(row["num_kills"] >= 2 and row["num_torn_files"] == 0 for row in counted.values())
