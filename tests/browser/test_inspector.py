"""The widgets in JupyterLab, as people use them: a notebook is run, everything is used with mouse
and keyboard, the kernel is killed, and every label is found.
"""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest
from lab import jupyterlab, new_page, open_notebook, run_all, write_notebook
from page_checks import axe_findings
from playwright.sync_api import expect

from obvlib import mini
from obvlib.core.labels import LabelFile
from obvlib.media import packets, slice_clip
from obvlib.widgets import open_samples

NEEDS_BOOK = False
ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "<img src=x onerror='window.hacked=1'><script>window.hacked=2</script>"
CELLS = [
    """import os, numpy as np
from obvlib import mini, widgets
from obvlib.core import Clip, QAPair
from obvlib.training.planner import Sample
from obvlib.widgets.planner_panel import panel
hostile = HOSTILE
pair = QAPair(question=hostile, answer="A", options={"A": hostile, "B": "b"})
more = Clip(video_id="lost", start_s=0, end_s=4, caption=hostile, qa_pairs=(pair,))
print("pid", os.getpid())""",
    """rows = [*mini.rows(), more]
widgets.inspect(rows, clips_dir="clips", videos_dir=mini.videos_dir(), rater="ada")""",
    """grey = [np.full((64, 96, 3), 60 * i, np.uint8) for i in range(3)]
frames = [widgets.FrameItem(item_id=f"f{i}", image=grey[i], score=s)
          for i, s in enumerate((0.95, 0.55, 0.1))]
labeler = widgets.label_frames(frames, rater="ada")
labeler""",
    """tuner = widgets.tune_segments({"v": [0, .7, .7, 0, 0, .9, 0]}, max_gap=1)
tuner""",
    "widgets.review_questions([more], rater='ada')",
    "widgets.review_captions([more], rater='ada')",
    "panel([Sample(num_tokens=4000, grids=((10, 20, 20),))] * 9)",
]  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab's address and its folder, where `clips/` holds the first clip's slice."""
    root = tmp_path_factory.mktemp("lab")
    row = mini.rows()[0]
    (root / "data" / "clips").mkdir(parents=True)
    (root / "clips").symlink_to(root / "data" / "clips")
    source = mini.videos_dir() / f"{row.video_id}.mp4"
    slice_clip(source, root / "clips" / row.file_name, row.start_s, row.end_s)
    write_notebook(root / "test.ipynb", [cell.replace("HOSTILE", repr(HOSTILE)) for cell in CELLS])
    with jupyterlab(root) as address:
        yield address, root


@pytest.fixture(scope="module")
def shots(tmp_path_factory) -> Path:
    """Where screenshots are kept: OBV_SCREENSHOTS, else beside the test's other files."""
    folder = Path(os.environ.get("OBV_SCREENSHOTS") or tmp_path_factory.mktemp("shots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def notebook_page(lab, browser):
    """The notebook, run from top to bottom."""
    page = new_page(browser)
    open_notebook(page, lab[0])
    run_all(page)
    page.locator(".obv-planner").first.wait_for()
    yield page
    page.context.close()


BOB = ("right", "right", "unclear")  # what he says of the first three clips


def cohen(one, two) -> float:
    from sklearn.metrics import cohen_kappa_score

    return cohen_kappa_score(one, two)


def inspector(page):
    return page.locator(".obv-inspector").first


def shown(page, clip_id: str) -> None:
    page.wait_for_function(
        "id => document.querySelector('.obv-inspector')?.dataset.shown === id", arg=clip_id
    )


def decoded(page) -> None:
    page.wait_for_function(
        "document.querySelector('.obv-stage .obv-caption').textContent.includes('decoded frame')"
    )


def held(root: Path, rater: str = "ada") -> dict:
    return LabelFile(rater, root / "data").values()


def saved(page) -> None:
    page.wait_for_function(
        "[...document.querySelectorAll('.obv-saved')].every("
        "x => /saved|no labels/i.test(x.textContent) && !/NOT SAVED|saving/.test(x.textContent))"
    )


def test_the_first_sample_shows_its_frames_words_and_questions(notebook_page, shots):
    page, row = notebook_page, mini.rows()[0]
    inspector(page).scroll_into_view_if_needed()
    shown(page, row.clip_id)
    assert inspector(page).locator(".obv-cell").count() == 8
    assert row.caption in inspector(page).inner_text()
    assert inspector(page).locator(".obv-word").count() > 5
    assert "67 samples" in inspector(page).locator(".obv-count").inner_text()
    inspector(page).screenshot(path=shots / "lab_light.png")


def test_keys_move_between_samples_and_jupyterlab_does_not_take_them(notebook_page):
    page, rows = notebook_page, mini.rows()
    inspector(page).locator(".obv-heading").click()
    inspector(page).focus()
    cells = page.locator(".jp-Cell").count()
    for key, number in (("j", 1), ("ArrowDown", 2), ("k", 1), ("ArrowUp", 0)):
        page.keyboard.press(key)
        shown(page, rows[number].clip_id)
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    assert "Frame 2 of 8" in inspector(page).locator(".obv-stage .obv-caption").inner_text()
    for key in ("d", "d", "a", "b", "x", "z"):
        page.keyboard.press(key)
    assert page.locator(".jp-Cell").count() == cells
    page.keyboard.press("g")
    assert inspector(page).locator(".obv-grid rect").count() == 4


def test_tokens_and_squares_of_the_frame_lead_to_each_other(notebook_page):
    page = notebook_page
    inspector(page).get_by_role("tab", name="Tokens").click()
    inspector(page).locator(".obv-kind-visual").nth(1).wait_for()
    assert inspector(page).get_by_role("button", name=re.compile("<\\|im_start")).count() >= 3
    inspector(page).locator(".obv-grid rect").nth(3).click()
    page.wait_for_function("document.querySelector('.obv-chosen') !== null")
    text = inspector(page).locator("[role=tabpanel]:not([hidden]) .obv-caption").inner_text()
    assert "temporal patch 1, row 2, column 2" in text and "label −100" in text
    inspector(page).get_by_role("tab", name="Questions").click()


def test_the_paused_video_shows_the_frame_that_the_package_decodes(notebook_page):
    page = notebook_page
    inspector(page).get_by_role("button", name=re.compile("^Show the video")).click()
    caption = inspector(page).locator(".obv-stage .obv-caption")
    decoded(page)
    inspector(page).focus()
    page.keyboard.press("ArrowRight")
    decoded(page)
    assert re.search(r"frame \d+ of 73", caption.inner_text())
    page.keyboard.press(" ")
    page.wait_for_function("document.querySelector('.obv-inspector video').currentTime > 1.5")
    page.keyboard.press(" ")
    page.wait_for_function("document.querySelector('.obv-inspector video').paused")
    decoded(page)
    page.keyboard.press("v")
    assert "pixel for pixel" in caption.inner_text()


def test_search_and_filters_find_samples(notebook_page):
    page = notebook_page
    search = inspector(page).locator(".obv-search")
    search.fill("polyp")
    texts = open_samples("mini").texts
    expected = [text for text in texts if "polyp" in text.lower()]
    page.wait_for_function(
        "n => document.querySelector('.obv-count').textContent.startsWith(n + ' of 67')",
        arg=str(len(expected)),
    )
    search.fill("")
    inspector(page).get_by_label("Modality").select_option("Microscopy")
    expected = [row for row in mini.rows() if row.modality == "Microscopy"]
    assert inspector(page).locator(".obv-count").inner_text().startswith(f"{len(expected)} of 67")
    shown(page, expected[0].clip_id)
    inspector(page).get_by_label("Modality").select_option("")


def test_labels_are_on_the_disk_at_a_label_a_second_and_faster(notebook_page, lab):
    page, (_, root), rows = notebook_page, lab, mini.rows()
    page.wait_for_function("document.querySelector('.obv-count').textContent.startsWith('67')")
    inspector(page).locator(".obv-list").evaluate("list => { list.scrollTop = 0; }")
    inspector(page).locator(".obv-rowitem").first.click()
    shown(page, rows[0].clip_id)
    inspector(page).focus()
    started = time.monotonic()
    for key in "1j2j3jf1j1j":
        page.keyboard.press(key)
    seconds = time.monotonic() - started
    saved(page)
    found = held(root)
    expected = ["right", "wrong", "unclear", None, "right"]
    assert [found.get((row.clip_id, "verdict")) for row in rows[:5]] == expected
    assert found[rows[3].clip_id, "flag"] == "no video"
    assert seconds < 5
    page.keyboard.press("u")
    saved(page)
    shown(page, rows[4].clip_id)
    assert (rows[4].clip_id, "verdict") not in held(root)
    page.keyboard.press("n")
    page.keyboard.type(f"j1 {HOSTILE}")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.keyboard.press("m")
    saved(page)
    assert held(root)[rows[4].clip_id, "note"] == f"j1 {HOSTILE}"
    (field,) = [field for item, field in held(root) if item == rows[4].clip_id and "frame" in field]
    assert held(root)[rows[4].clip_id, field]["shown"] == "model"


def test_two_raters_keep_their_own_and_see_where_they_differ(notebook_page, lab):
    page, (_, root), rows = notebook_page, lab, mini.rows()
    bob = LabelFile("bob", root / "data")
    for row, verdict in zip(rows[:3], BOB, strict=True):
        bob.add(row.clip_id, "h", "verdict", verdict)
    run_all(page)
    page.wait_for_function(
        "document.querySelector('.obv-inspector .obv-saved')?.textContent.includes('saved')"
    )
    shown(page, rows[0].clip_id)
    inspector(page).get_by_role("tab", name="Raters").click()
    table = inspector(page).locator(".obv-table")
    page.wait_for_function("document.querySelector('.obv-table') !== null")
    cells = table.locator("tbody tr").first.locator("td").all_inner_texts()
    assert cells[:3] == ["ada and bob", "verdict", "3"] and rows[1].clip_id in cells[4]
    # what bob says from now on shows while the tab is open
    bob.add(rows[3].clip_id, "h", "flag", "private")
    bob.add(rows[3].clip_id, "h", "verdict", "right")
    page.wait_for_function(
        "[...document.querySelectorAll('.obv-table tbody tr')].some("
        "row => row.textContent.startsWith('ada and bobflag1'))"
    )
    kappa = table.locator("tbody tr").first.locator("td").nth(3).inner_text()
    assert float(kappa) == pytest.approx(cohen(("right", "wrong", "unclear"), BOB), abs=0.005)
    assert held(root, "bob")[rows[1].clip_id, "verdict"] == "right"
    assert held(root)[rows[1].clip_id, "verdict"] == "wrong"


def test_hostile_text_is_shown_as_text(notebook_page, shots):
    page = notebook_page
    inspector(page).locator(".obv-search").fill("lost")
    shown_id = "lost_0_4000"
    page.wait_for_function(
        "id => document.querySelector('.obv-heading').textContent === id", arg=shown_id
    )
    inspector(page).get_by_role("tab", name="Questions").click()
    page.wait_for_function(
        "text => document.querySelector('.obv-inspector').textContent.includes(text)", arg=HOSTILE
    )
    page.wait_for_function(
        "document.querySelector('.obv-screen').textContent.includes('download the source video')"
    )
    assert page.evaluate("window.hacked") is None
    inspector(page).screenshot(path=shots / "lab_hostile.png")
    inspector(page).locator(".obv-search").fill("")


def test_frames_are_labelled_the_least_certain_first(notebook_page, lab):
    page, (_, root) = notebook_page, lab
    labeler = page.locator(".obv-labeler").first
    labeler.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('.obv-labeler').dataset.shown === 'f1'")
    labeler.focus()
    page.keyboard.press("1")
    page.wait_for_function("document.querySelector('.obv-labeler').dataset.shown !== 'f1'")
    page.keyboard.press("2")
    page.keyboard.press("u")
    page.keyboard.press("1")
    saved(page)
    found = {item: value for (item, field), value in held(root).items() if field == "medical"}
    assert found["f1"] == "medical" and len(found) == 2 and set(found.values()) == {"medical"}


def test_segments_follow_the_sliders(notebook_page):
    page = notebook_page
    tuner = page.locator(".obv-tuner").first
    tuner.scroll_into_view_if_needed()
    assert tuner.locator(".obv-big").first.inner_text() == "2"
    slider = tuner.get_by_label("Gap, frames")
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert tuner.locator(".obv-big").first.inner_text() == "1"
    tuner.get_by_label("Threshold").evaluate(
        "x => { x.value = 0.8; x.dispatchEvent(new Event('input')); }"
    )
    assert "2.5 s – 2.5 s" in " ".join(tuner.inner_text().split())


def test_questions_are_accepted_edited_and_rejected(notebook_page, lab):
    page, (_, root) = notebook_page, lab
    review = page.locator(".obv-review").first
    review.scroll_into_view_if_needed()
    assert HOSTILE in review.inner_text()
    review.focus()
    page.keyboard.press("e")
    review.get_by_label("Question", exact=True).fill("What is it?")
    review.get_by_label("Option A").fill("b")
    review.get_by_role("button", name="Save the edited question").click()
    assert "options must differ" in review.inner_text()
    review.get_by_label("Option A").fill("a")
    review.get_by_role("button", name="Save the edited question").click()
    saved(page)
    decision = held(root)["lost_0_4000-0", "decision"]
    edited = {"question": "What is it?", "options": {"A": "a", "B": "b"}, "answer": "A"}
    assert decision == {"action": "edit"} | edited
    review.get_by_label("Reject with a reason").select_option("other")
    saved(page)
    assert held(root)["lost_0_4000-0", "decision"] == {"action": "reject", "reason": "other"}


def test_captions_are_edited_and_rejected(notebook_page, lab):
    page, (_, root) = notebook_page, lab
    review = page.get_by_role("group", name="Caption review")
    review.scroll_into_view_if_needed()
    assert HOSTILE in review.inner_text() and page.evaluate("window.hacked") is None
    review.focus()
    page.keyboard.press("e")
    review.get_by_label("Caption", exact=True).fill(" ")
    review.get_by_role("button", name="Save the edited caption").click()
    assert "Fill in the caption" in review.inner_text()
    review.get_by_label("Caption", exact=True).fill("The left ventricle.")
    review.get_by_role("button", name="Save the edited caption").click()
    saved(page)
    decision = held(root)["lost_0_4000", "decision"]
    assert decision == {"action": "edit", "caption": "The left ventricle."}
    assert "The left ventricle." in review.inner_text()
    review.focus()
    page.keyboard.press("r")
    page.keyboard.press("2")
    saved(page)
    assert held(root)["lost_0_4000", "decision"] == {"action": "reject", "reason": "misheard"}


def test_the_planner_answers_its_controls(notebook_page):
    page = notebook_page
    planner = page.locator(".obv-planner").first
    planner.scroll_into_view_if_needed()
    before = planner.locator(".obv-tiles").inner_text()
    planner.get_by_label("GPU", exact=True).select_option("RTX 4090")
    assert planner.locator(".obv-tiles").inner_text() != before


def test_a_deep_link_leads_back_to_the_sample(notebook_page):
    page, row = notebook_page, mini.rows()[7]
    inspector(page).scroll_into_view_if_needed()
    inspector(page).locator(".obv-search").fill(row.clip_id)
    shown(page, row.clip_id)
    inspector(page).focus()
    page.keyboard.press("c")
    page.wait_for_function(
        "document.querySelector('.obv-notices').textContent.includes('#sample=')"
    )
    assert row.clip_id in page.evaluate("navigator.clipboard.readText()")


def test_labels_are_there_when_the_page_is_loaded_again(lab, notebook_page):
    page, (address, _), row = notebook_page, lab, mini.rows()[6]
    inspector(page).locator(".obv-search").fill(row.clip_id)
    shown(page, row.clip_id)
    inspector(page).focus()
    page.keyboard.press("3")
    saved(page)
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_timeout(500)
    open_notebook(page, address, "&reset")
    inspector(page).wait_for()
    inspector(page).locator(".obv-search").fill(row.clip_id)
    shown(page, row.clip_id)
    unclear = inspector(page).get_by_role("button", name=re.compile("unclear"))
    assert unclear.get_attribute("aria-pressed") == "true"


def test_a_link_opens_its_sample(lab, notebook_page):
    page, (address, _), row = notebook_page, lab, mini.rows()[7]
    open_notebook(page, address, f"&reset#sample={row.clip_id}")
    run_all(page)
    shown(page, row.clip_id)


def test_speed_loop_edges_and_marks_by_keys(notebook_page, lab):
    page, (_, root), row = notebook_page, lab, mini.rows()[0]
    inspector(page).locator(".obv-search").fill(row.clip_id)
    shown(page, row.clip_id)
    inspector(page).focus()
    caption = inspector(page).locator(".obv-stage .obv-caption")
    page.keyboard.press("v")
    decoded(page)
    rate = "document.querySelector('.obv-inspector video').playbackRate"
    page.keyboard.press(" ")
    for _ in range(6):
        page.keyboard.press(".")
    page.wait_for_function(f"{rate} === 4")
    # at four times the speed the end of the clip comes soon, and the loop begins again
    page.evaluate("window.turns = 0")
    page.evaluate(
        "document.querySelector('.obv-inspector video').addEventListener('seeked',"
        " () => { window.turns += 1; })"
    )
    page.wait_for_function("window.turns >= 2")
    for _ in range(9):
        page.keyboard.press(",")
    page.wait_for_function(f"{rate} === 0.1")
    page.keyboard.press("m")  # stops on the frame that is marked
    decoded(page)
    saved(page)
    marks = [field for item, field in held(root) if item == row.clip_id and "frame" in field]
    (mark,) = [
        held(root)[row.clip_id, m] for m in marks if held(root)[row.clip_id, m]["shown"] == "video"
    ]
    expect(caption).to_contain_text(f"{mark['time_s']:.3f} s")
    frames = [packet.time_s for packet in packets(root / "clips" / row.file_name)]
    assert min(abs(mark["time_s"] - time_s) for time_s in frames) < 1e-5
    page.keyboard.press("]")
    decoded(page)
    expect(caption).to_contain_text("frame 73 of 73")
    page.keyboard.press("[")
    decoded(page)
    expect(caption).to_contain_text("frame 1 of 73")
    page.keyboard.press("v")
    for _ in range(4):
        page.keyboard.press(".")
    inspector(page).locator(".obv-search").fill("")


def test_it_is_as_good_in_the_dark_and_narrow(notebook_page, shots):
    page = notebook_page
    inspector(page).locator(".obv-search").fill("")
    assert axe_findings(page, ".obv") == []
    page.evaluate(
        "window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
    )
    page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    page.wait_for_timeout(500)
    assert axe_findings(page, ".obv") == []
    dark = page.evaluate("getComputedStyle(document.querySelector('.obv')).backgroundColor")
    assert max(int(n) for n in re.findall(r"\d+", dark)[:3]) < 80
    inspector(page).screenshot(path=shots / "lab_dark.png")
    page.set_viewport_size({"width": 760, "height": 900})
    page.wait_for_timeout(500)
    overflow = "[...document.querySelectorAll('.obv')].some(x => x.scrollWidth > x.clientWidth + 1)"
    assert not page.evaluate(overflow)
    inspector(page).screenshot(path=shots / "lab_dark_narrow.png")
    page.set_viewport_size({"width": 750, "height": 500})  # a window of 1500 px at 200 %
    page.wait_for_timeout(500)
    assert not page.evaluate(overflow)
    note = inspector(page).get_by_label("Note about this sample")
    note.scroll_into_view_if_needed()
    note.focus()
    assert page.evaluate("document.activeElement.ariaLabel") == "Note about this sample"
    page.set_viewport_size({"width": 1500, "height": 1000})


def test_a_killed_kernel_loses_no_label(notebook_page, lab):
    page, (_, root), rows = notebook_page, lab, mini.rows()
    # JupyterLab takes cells that are out of sight out of the page
    page.locator(".jp-WindowedPanel-outer").first.evaluate("panel => panel.scrollTo(0, 0)")
    first = page.locator(".jp-OutputArea").first
    expect(first).to_contain_text(re.compile(r"pid \d+"))
    pid = int(re.search(r"pid (\d+)", first.inner_text()).group(1))
    before = held(root)
    inspector(page).locator(".obv-search").fill(rows[9].clip_id)
    shown(page, rows[9].clip_id)
    inspector(page).focus()
    page.keyboard.press("2")
    saved(page)
    os.kill(pid, signal.SIGKILL)
    expected = before | {(rows[9].clip_id, "verdict"): "wrong"}
    assert held(root) == expected
    labels = LabelFile("ada", root / "data")
    labels.labels()
    assert labels.problems == []
    # what is clicked while no kernel answers is kept in the browser, and saved when one does
    page.keyboard.press("f")
    page.keyboard.press("1")
    kept = "Object.values(localStorage).some(text => text.includes('no video'))"
    assert page.evaluate(kept)
    page.locator(".jp-Dialog").get_by_role("button", name=re.compile("ok", re.I)).click()
    page.locator("#jp-main-statusbar").get_by_text(re.compile("Idle")).first.wait_for()
    run_all(page)
    for _ in range(120):
        if (rows[9].clip_id, "flag") in held(root):
            break
        page.wait_for_timeout(500)
    assert held(root) == expected | {(rows[9].clip_id, "flag"): "no video"}


def test_nothing_left_the_machine_and_no_script_failed(notebook_page):
    assert notebook_page.outside == []
    assert notebook_page.errors == []
