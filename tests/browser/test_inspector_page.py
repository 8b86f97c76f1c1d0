"""The rendered inspector chapter: its widgets work without a kernel, in light and dark, narrow and
wide, at twice the size of text, and for those who hear the page.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from conftest import HTML
from page_checks import SEEN, axe_findings

PAGE = HTML / "notebooks/15_inspector.html"
pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="needs the rendered book: make book")


@pytest.fixture
def chapter(page):
    """The chapter, its first inspector showing a sample."""
    page.goto(PAGE.as_uri())
    page.wait_for_function("document.querySelector('.obv-inspector')?.dataset.shown")
    page.evaluate("localStorage.clear()")
    yield page
    assert (page.outside, page.errors) == ([], [])


def first(page, name: str = "inspector"):
    return page.locator(f".obv-{name}").first


def test_frames_tokens_and_questions_show_without_a_kernel(chapter):
    view = first(chapter)
    assert view.locator(".obv-cell").count() == 8
    sizes = "all => all.map(img => img.naturalWidth)"
    assert view.locator(".obv-cell img").evaluate_all(sizes) == [56] * 8
    view.focus()
    chapter.keyboard.press("ArrowRight")
    assert "Frame 2 of 8" in view.locator(".obv-stage .obv-caption").inner_text()
    chapter.keyboard.press("g")
    view.locator(".obv-grid rect").last.click()
    assert view.get_by_role("tab", name="Tokens").get_attribute("aria-selected") == "true"
    view.locator(".obv-kind-visual").nth(1).wait_for()
    view.locator(".obv-grid rect").last.click()
    assert "temporal patch 1, row 2, column 2" in view.inner_text()
    before = view.locator(".obv-heading").inner_text()
    chapter.keyboard.press("j")
    assert view.locator(".obv-heading").inner_text() != before


def test_an_embedded_slice_plays_and_pauses_on_a_named_frame(chapter):
    view = first(chapter)
    view.get_by_role("button", name=re.compile("^Show the video")).click()
    view.focus()
    chapter.keyboard.press(" ")
    chapter.wait_for_function("document.querySelector('.obv-inspector video').currentTime > 0.8")
    chapter.keyboard.press(" ")
    chapter.wait_for_function("document.querySelector('.obv-inspector video').paused")
    assert re.search(r"Video · frame \d+ of \d+", view.locator(".obv-stage").inner_text())


def test_search_filter_and_labels_without_a_kernel(chapter):
    view = first(chapter)
    total = view.locator(".obv-rowitem").count()
    view.locator(".obv-search").fill("no such words")
    assert "No sample matches" in view.inner_text()
    view.locator(".obv-search").fill("")
    assert view.locator(".obv-rowitem").count() == total
    view.focus()
    chapter.keyboard.press("1")
    chapter.keyboard.press("f")
    assert "2 wrong caption" in view.locator(".obv-labels").inner_text()
    chapter.keyboard.press("2")
    assert "2 kept in this browser" in view.locator(".obv-saved").inner_text()
    view.get_by_role("button", name="Flagged").click()
    assert view.locator(".obv-rowitem").count() == 1
    view.get_by_role("button", name="Flagged").click()
    with chapter.expect_download() as found:
        view.get_by_label("Export labels").select_option("jsonl")
    lines = Path(found.value.path()).read_text().splitlines()
    assert len(lines) == 2 and '"new":"right"' in lines[0]
    chapter.reload()
    chapter.wait_for_function("document.querySelector('.obv-inspector')?.dataset.shown")
    assert "2 kept in this browser" in first(chapter).locator(".obv-saved").inner_text()


def test_a_deep_link_opens_its_sample(chapter):
    view = first(chapter)
    wanted = view.locator(".obv-rowitem").nth(3).inner_text().strip()
    chapter.goto(f"{PAGE.as_uri()}?again#sample={wanted}")
    chapter.wait_for_function(
        "id => document.querySelector('.obv-heading')?.textContent === id", arg=wanted
    )


def test_the_list_is_sorted_and_r_shows_any_of_it(chapter):
    view = first(chapter)
    listed = view.locator(".obv-rowitem").all_inner_texts()
    order = view.get_by_label("Sort", exact=True)
    order.select_option(index=1)
    assert sorted(view.locator(".obv-rowitem").all_inner_texts()) == sorted(listed)
    assert view.locator(".obv-rowitem").all_inner_texts() != listed
    order.select_option(index=0)
    assert view.locator(".obv-rowitem").all_inner_texts() == listed
    view.focus()
    shown = set()
    for _ in range(30):
        chapter.keyboard.press("r")
        shown.add(view.locator(".obv-heading").inner_text())
    assert 1 < len(shown) and shown <= {text.strip() for text in listed}


def test_two_runs_stand_side_by_side(chapter):
    view = chapter.locator(".obv-inspector").nth(1)
    view.scroll_into_view_if_needed()
    names = view.locator(".obv-answer b").all_inner_texts()
    assert {"before", "after"} <= set(names)
    assert view.locator(".obv-rule").first.inner_text().startswith("read by ")
    view.get_by_label("Answer").select_option("wrong")
    assert re.match(r"\d+ of \d+ samples", view.locator(".obv-count").inner_text())


def test_labeler_tuner_review_and_dashboard_work_without_a_kernel(chapter):
    labeler = first(chapter, "labeler")
    labeler.scroll_into_view_if_needed()
    shown = labeler.get_attribute("data-shown")
    labeler.focus()
    chapter.keyboard.press("1")
    chapter.wait_for_function(
        "id => document.querySelector('.obv-labeler').dataset.shown !== id", arg=shown
    )
    assert "1 of 6 labelled" in labeler.inner_text()
    tuner = first(chapter, "tuner")
    before = tuner.locator(".obv-tiles").inner_text()
    tuner.get_by_label("Threshold").focus()
    for _ in range(30):
        chapter.keyboard.press("ArrowRight")
    assert tuner.locator(".obv-tiles").inner_text() != before
    review = first(chapter, "review")
    review.focus()
    chapter.keyboard.press("a")
    assert "1 decided" in review.inner_text()
    chapter.keyboard.press("r")
    assert "1 not supported by what was said" in review.locator(".obv-caption").inner_text()
    chapter.keyboard.press("2")
    assert "2 decided" in review.inner_text()
    chapter.keyboard.press("k")
    assert "reject: answerable without the video" in review.locator(".obv-caption").inner_text()
    board, view = first(chapter, "dashboard"), chapter.locator(".obv-inspector").last
    bar = board.locator(".obv-bars button").nth(1)
    value = bar.locator("span").first.inner_text()
    bar.click()
    assert view.get_by_label("Modality").input_value() == value
    bar.click()
    assert view.get_by_label("Modality").input_value() == ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_widget_is_accessible_and_fits(page, scheme, width):
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(PAGE.as_uri())
    page.wait_for_function("document.querySelector('.obv-inspector')?.dataset.shown")
    for tab in ("Tokens", "Raters", "Lineage"):
        first(page).get_by_role("tab", name=tab).click()
        page.wait_for_timeout(300)
        assert axe_findings(page, ".obv", SEEN if scheme == "dark" else ()) == []
    overflow = "[...document.querySelectorAll('.obv')].filter(x => x.scrollWidth > x.clientWidth)"
    assert page.evaluate(f"{overflow}.map(x => x.className)") == []
    if folder := os.environ.get("OBV_SCREENSHOTS"):
        for name in ("inspector", "labeler", "tuner", "review", "dashboard"):
            first(page, name).screenshot(path=f"{folder}/page_{name}_{scheme}_{width}.png")


def test_twice_the_size_leaves_everything_in_reach(page):
    """A window of half the width is what 200 % zoom gives; text twice as large is the other way."""
    page.set_viewport_size({"width": 640, "height": 450})
    page.goto(PAGE.as_uri())
    page.wait_for_function("document.querySelector('.obv-inspector')?.dataset.shown")
    page.add_style_tag(content=".obv { font-size: 26px !important; }")
    overflow = "[...document.querySelectorAll('.obv')].some(x => x.scrollWidth > x.clientWidth)"
    assert not page.evaluate(overflow)
    note = first(page).get_by_label("Note about this sample")
    note.scroll_into_view_if_needed()
    note.fill("reached")


def test_focus_goes_through_a_widget_in_reading_order(chapter):
    first(chapter).locator(".obv-search").focus()
    seen = []
    for _ in range(60):
        chapter.keyboard.press("Tab")
        seen.append(chapter.evaluate("document.activeElement.outerHTML.slice(0, 300)"))
    places = [
        next(i for i, html in enumerate(seen) if mark in html)
        for mark in ("obv-list", "Previous sample", "Show the frames", "obv-strip", 'role="tab"')
    ]
    assert places == sorted(places)


def test_to_do_shows_what_has_no_verdict_yet(chapter):
    view = first(chapter)
    count = view.locator(".obv-count")
    total = int(count.inner_text().split()[0])
    view.focus()
    chapter.keyboard.press("2")
    assert count.inner_text().startswith(f"{total} samples")
    view.get_by_role("button", name="To do").click()
    assert count.inner_text().startswith(f"{total - 1} of {total} samples")
    assert "1 judged" in view.locator(".obv-saved").inner_text()
