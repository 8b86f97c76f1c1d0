"""Every rendered page, opened from its file: whole, valid, light, accessible, and asking nobody
(`page_checks.py`).
"""

from __future__ import annotations

import re

import page_checks
import pytest
from conftest import HTML, WRITTEN, pages
from page_checks import Opened

MAX_PAGE_MB = 12  # what opening one page reads, formulas' and widgets' scripts included
MAX_SHIFT = 0.1  # "good" by the web vitals' measure
EXECUTED = [name for name in pages() if name.startswith("notebooks/")]


@pytest.mark.parametrize("name", pages())
def test_page_is_whole_asks_nobody_weighs_little_and_stays_where_it_is(page, name):
    opened = Opened(page, HTML / name)
    assert page_checks.not_whole(opened) == []
    assert page_checks.weight_bytes(opened) < MAX_PAGE_MB * 1e6
    if name in WRITTEN:
        assert page_checks.layout_shift(opened) < MAX_SHIFT
        assert page_checks.axe_findings(page) == []


@pytest.mark.parametrize("name", pages())
def test_page_names_no_host_to_load_from(name):
    assert page_checks.hosts((HTML / name).read_text()) == []


@pytest.mark.parametrize("name", pages())
def test_page_is_valid_html(name):
    assert page_checks.html_faults((HTML / name).read_text()) == []


@pytest.mark.parametrize("name", pages())
def test_links_inside_the_book_lead_somewhere(name):
    assert page_checks.broken_links(HTML / name) == []


@pytest.mark.parametrize("name", EXECUTED)
def test_executed_page_says_how_it_was_made_and_offers_its_notebook(name):
    text = (HTML / name).read_text()
    assert re.search(
        r"Executed \d\d \w+ 20\d\d in \d+ s on [^.]+\. Profile <b>\w+</b>, Python [\d.]+, torch"
        r" [\d.]+, transformers [\d.]+, commit",
        text,
    )
    notebook = name.removesuffix(".html") + ".ipynb"
    assert (HTML / "_sources" / notebook).is_file()
    assert f"_sources/{notebook}" in text
    script = notebook.removesuffix(".ipynb") + ".py"
    assert f"_sources/{script}" in text
    compile((HTML / "_sources" / script).read_text(), script, "exec")
    (package,) = (HTML / "_static").glob("*.whl")
    assert f"_static/{package.name}" in text


def test_search_finds_a_page_without_a_server(page):
    page.goto((HTML / "search.html").as_uri() + "?q=ledger")
    page.wait_for_selector("#search-results li a")
    assert page.locator("#search-results li a").count() >= 1
    assert page.outside == []


def test_index_leads_to_the_first_page(page):
    page.goto((HTML / "index.html").as_uri())
    page.wait_for_url("**/book/intro.html")
    assert page.locator("main h1").first.inner_text().startswith("The OpenBiomedVid Book")


def test_page_that_is_not_there_leads_to_the_first_one(page):
    """Servers show 404.html under the address that was asked for, at any depth."""
    shown = {"body": (HTML / "404.html").read_text(), "content_type": "text/html"}
    for asked in ("notebooks/gone.html", "book/deep/gone.html"):
        page.route((HTML / asked).as_uri(), lambda route: route.fulfill(**shown))
        page.goto((HTML / asked).as_uri())
        assert page.locator("#start").evaluate("a => a.href") == f"{HTML.as_uri()}/"
