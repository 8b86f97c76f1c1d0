"""What `obv doctor` reports: a line for each part of the machine, and a verdict on each profile."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report. `needed_by` names the profiles that cannot run while `ok` is false;
    empty means optional.
    """

    part: str
    ok: bool
    found: str
    remedy: str = ""
    needed_by: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """All findings, and for every profile the reasons why it cannot run here (none: it can)."""

    findings: tuple[Finding, ...]
    reasons: dict[str, tuple[str, ...]]

    def can_run(self, profile: str) -> bool:
        return not self.reasons[profile]

    def to_dict(self) -> dict:
        profiles = {
            name: {"can_run": not why, "missing": list(why)} for name, why in self.reasons.items()
        }
        return {"profiles": profiles, "findings": [asdict(finding) for finding in self.findings]}


def render(report: Report, profile: str) -> str:
    """Return the report for people: one line a finding, with what to do below what is missing, then
    the profiles.
    """
    lines = []
    for finding in report.findings:
        mark = "ok" if finding.ok else "MISSING" if profile in finding.needed_by else "-"
        lines.append(f"{mark:<8} {finding.part:<16} {finding.found}")
        if not finding.ok:
            who = ", ".join(finding.needed_by) or "optional"
            lines.append(f"{'':25} [{who}] {finding.remedy}")
    lines.append("")
    for name, reasons in report.reasons.items():
        verdict = (
            f"cannot run, because of: {', '.join(dict.fromkeys(reasons))}" if reasons else "can run"
        )
        lines.append(f"{'>' if name == profile else ' '} profile {name:<5} {verdict}")
    return "\n".join(lines)
