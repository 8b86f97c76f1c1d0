"""What every test shares: the only reasons for which a test may be skipped, and how many threads a
test may take where several processes share the tests.
"""

import os
from collections.abc import Iterator

import pytest

if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))

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
