"""Opens the rendered book from its files in a headless Chromium that must not reach any network."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HTML = Path(__file__).resolve().parents[2] / "_build/html"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
FLAGS += ["--disable-component-update", "--disable-sync"]


def find_chromium() -> str | None:
    """Return the system's Chromium, or playwright's own, which is installed first in CI."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    if not own.exists() and os.environ.get("CI"):
        install = [sys.executable, "-m", "playwright", "install", "chromium"]
        with contextlib.suppress(subprocess.SubprocessError):
            subprocess.run(install, check=False, timeout=180, capture_output=True)
    return str(own) if own.exists() else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a browser and, unless its module says NEEDS_BOOK = False, the rendered book
    where one of them is missing.
    """
    items = [item for item in items if Path(__file__).parent in item.path.parents]
    has_book, has_browser = (HTML / "index.html").is_file(), find_chromium() is not None
    for item in items:
        item.add_marker(pytest.mark.browser)
        if getattr(item.module, "NEEDS_BOOK", True) and not has_book:
            reason = "needs Chromium and the rendered book: make book"
            item.add_marker(pytest.mark.skip(reason=reason))
        elif not has_browser:
            reason = "needs Chromium: apt-get install chromium, or playwright install chromium"
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A page whose `outside` lists every address that it asked for beyond the book's own files, and
    `errors` its script errors.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.outside, page.errors = [], []
    page.on("pageerror", lambda error: page.errors.append(str(error)))

    def route(route):
        url = route.request.url
        if url.startswith(("file://", "data:", "blob:")):
            return route.continue_()
        page.outside.append(url)
        return route.abort()

    context.route("**/*", route)
    yield page
    context.close()


def pages() -> list[str]:
    """Every rendered page, as a path under the book's root."""
    found = sorted(path.relative_to(HTML).as_posix() for path in HTML.glob("*/*.html"))
    named = [name for name in found if not name.startswith("_")]
    return [*named, "404.html", "search.html", "genindex.html"]


WRITTEN = pages()[:-2]  # not those that Sphinx makes: the search and the index
