"""Every rendered page, opened from its file: no outside request, no script error, nothing missing,
formulas set, links that lead somewhere.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from conftest import HTML, pages

# The widgets' style sheet names icon fonts that the theme brings under another name; search asks
# for excerpts, which files cannot give.
EXPECTED_MISSING = re.compile(r"/@jupyter-widgets/.*\.(woff2?|ttf)$")
# The theme's own search buttons: their label differs from the words that they show.
THEME_FAULTS = {"label-content-name-mismatch"}


class Links(HTMLParser):
    """Addresses that a page loads or leads to, and the places in it that can be pointed at."""

    def __init__(self, text: str):
        super().__init__()
        self.loads, self.leads, self.places = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.places |= {attrs[key] for key in ("id", "name") if attrs.get(key)}
        if tag in ("script", "img", "source", "video", "audio", "iframe") and attrs.get("src"):
            self.loads.append(attrs["src"])
        elif tag == "link" and attrs.get("rel") in (
            "stylesheet",
            "icon",
            "preload",
            "shortcut icon",
        ):
            self.loads.append(attrs["href"])
        elif tag == "a" and attrs.get("href"):
            self.leads.append(attrs["href"])


PARSED: dict[str, Links] = {}


def parsed(name: str) -> Links:
    if name not in PARSED:
        PARSED[name] = Links((HTML / name).read_text())
    return PARSED[name]


@pytest.mark.parametrize("name", pages())
def test_page_is_whole_and_asks_nobody(page, name):
    failed = []
    page.on("requestfailed", lambda request: failed.append(request.url))
    page.goto((HTML / name).as_uri())
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)
    assert page.outside == []
    assert page.errors == []
    assert [url for url in failed if not EXPECTED_MISSING.search(url)] == []
    assert page.locator("main h1").count() >= 1
    assert (
        page.locator(
            "span.math:not(:has(mjx-container)), div.math:not(:has(mjx-container))"
        ).count()
        == 0
    )
    # a lazy picture that is not in view has not been asked for yet
    hidden = "img => img.loading !== 'lazy' && (!img.complete || img.naturalWidth === 0)"
    # widgets put their pictures in after the page has loaded
    page.wait_for_function(f"[...document.images].filter({hidden}).length === 0", timeout=20_000)


@pytest.mark.parametrize("name", pages())
def test_page_names_no_host_to_load_from(name):
    assert [
        url
        for url in parsed(name).loads
        if urlsplit(url).scheme in ("http", "https") or url.startswith("//")
    ] == []
    assert not re.search(r"unpkg\.com|jsdelivr|cdnjs", (HTML / name).read_text())


@pytest.mark.parametrize("name", pages())
def test_links_inside_the_book_lead_somewhere(name):
    broken = []
    for url in parsed(name).leads:
        parts = urlsplit(url)
        if parts.scheme or url.startswith("//"):
            continue
        target = (HTML / name).parent / unquote(parts.path) if parts.path else HTML / name
        if not target.exists():
            broken.append(url)
        elif parts.fragment and target.suffix == ".html" and target.is_file():
            if (
                unquote(parts.fragment)
                not in parsed(target.resolve().relative_to(HTML).as_posix()).places
            ):
                broken.append(url)
    assert broken == []


@pytest.mark.parametrize("name", [name for name in pages() if name.startswith("notebooks/")])
def test_executed_page_says_how_it_was_made_and_offers_its_notebook(name):
    text = (HTML / name).read_text()
    assert re.search(
        r"Executed \d\d \w+ 20\d\d in \d+ s\. Profile <b>\w+</b>, torch [\d.]+, transformers"
        r" [\d.]+, commit",
        text,
    )
    notebook = name.removesuffix(".html") + ".ipynb"
    assert (HTML / "_sources" / notebook).is_file()
    assert f"_sources/{notebook}" in text


@pytest.mark.parametrize("name", pages()[:-2])
def test_page_fits_a_phone(page, name):
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto((HTML / name).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 391


@pytest.mark.parametrize("name", pages()[:-2])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_is_accessible(page, name, scheme):
    import axe_playwright_python.sync_playwright as axe

    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.goto((HTML / name).as_uri())
    page.wait_for_load_state("networkidle")
    found = axe.Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    serious = [
        v for v in found if v["impact"] in ("serious", "critical") and v["id"] not in THEME_FAULTS
    ]
    assert [(v["id"], [node["html"][:160] for node in v["nodes"]][:4]) for v in serious] == []


def test_search_finds_a_page_without_a_server(page):
    page.goto((HTML / "search.html").as_uri() + "?q=ledger")
    page.wait_for_selector("#search-results li a")
    assert page.locator("#search-results li a").count() >= 1
    assert page.outside == []


def test_index_leads_to_the_first_page(page):
    page.goto((HTML / "index.html").as_uri())
    page.wait_for_url("**/book/intro.html")
    assert page.locator("main h1").first.inner_text().startswith("The OpenBiomedVid Book")
