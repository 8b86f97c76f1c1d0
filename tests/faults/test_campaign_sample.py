"""A seeded sample of the campaigns, in every `make test`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

slow = pytest.mark.slow
pytestmark = pytest.mark.timeout(1200)  # several whole runs of a command, on a slow machine too


@pytest.mark.parametrize(
    "command",
    ["slice", "download", *(pytest.param(name, marks=slow) for name in ("evaluate", "curate"))],
)
def test_a_few_kills_end_as_the_undisturbed_run(command):
    script = Path(__file__).parent / "campaign_kills.py"
    line = [sys.executable, str(script), "--kills", "2", "--seed", "7", "--commands", command]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    counted = json.loads(done.stdout)["commands"]
    assert all(row["num_kills"] >= 2 and row["num_torn_files"] == 0 for row in counted.values())
