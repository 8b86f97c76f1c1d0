"""What this machine can run, what is missing, and what to do about it: the examination behind `obv
doctor`, in at most five seconds.
"""

from __future__ import annotations

from obvlib.cli import hardware, software
from obvlib.cli.findings import Report
from obvlib.core.settings import PROFILES


def examine() -> Report:
    """Examine the machine, in the order in which findings are shown."""
    findings = (
        *hardware.machine(),
        *hardware.gpu_findings(),
        hardware.training(),
        *software.video(),
        *software.packages(),
        software.corpus(),
        hardware.disk(),
        software.hub(),
    )
    reasons = {
        name: tuple(f.part for f in findings if not f.ok and name in f.needed_by)
        for name in PROFILES
    }
    return Report(findings=findings, reasons=reasons)
