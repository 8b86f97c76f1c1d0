"""What every test shares: the only reasons for which a test may be skipped."""

from collections.abc import Iterator

import pytest

# A plain machine with `make test`'s environment skips for these reasons and no other; any other
# skip fails, since a guard that silently never runs guards nothing.
SKIPS = ("needs a CUDA device", "needs Chromium", "needs transformers 4.57.6")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(listed in reason for listed in SKIPS):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped ({reason}): only {SKIPS} are allowed"
    return report
