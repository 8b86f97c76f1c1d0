"""Opens the rendered book from its files in a headless Chromium that must not reach any network."""

from __future__ import annotations

import shutil
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
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


def pytest_collection_modifyitems(items) -> None:
    """Everything here needs a browser and the built book; what is missing is said in the skip's
    reason.
    """
    if find_chromium() is None:
        reason = "no Chromium: apt-get install chromium"
    elif not (HTML / "index.html").is_file():
        reason = "the book is not built: make book"
    else:
        reason = None
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if reason:
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
    return [name for name in found if not name.startswith("_")] + ["search.html", "genindex.html"]
