"""Each check of a rendered page, shown a page that is good but for one thing: it says so, and it
says nothing of the good page.
"""

from __future__ import annotations

from pathlib import Path

import page_checks
import pytest
from page_checks import Opened

NEEDS_BOOK = False
GOOD = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>A page</title></head>
<body><main><h1 id="top">A page</h1><p>Some <a href="#top">words</a>.</p></main></body></html>
"""


def with_added(tmp_path: Path, addition: str) -> Path:
    path = tmp_path / "page.html"
    path.write_text(GOOD.replace("</main>", f"{addition}</main>"))
    return path


@pytest.mark.parametrize(
    ("addition", "words"),
    [
        ("", ""),
        ('<img alt="" src="https://example.org/a.png">', "outside request: https://example.org/"),
        ("<script>throw new Error('broken')</script>", "script error: broken"),
        ('<img alt="" src="gone.png">', "missing: file:"),
        ('<span class="math">x</span>', "formula not set: x"),
        ('<img alt="" src="data:image/png;base64,AAAA">', "picture does not show"),
    ],
)
def test_what_opening_a_page_shows(page, tmp_path, monkeypatch, addition, words):
    monkeypatch.setattr(page_checks, "NUM_LOOKS", 2)
    found = page_checks.not_whole(Opened(page, with_added(tmp_path, addition)))
    assert any(words in line for line in found) if words else found == []


def test_page_without_a_title_is_found(page, tmp_path):
    path = with_added(tmp_path, "")
    path.write_text(path.read_text().replace("h1", "p"))
    assert page_checks.not_whole(Opened(page, path)) == ["no title"]


@pytest.mark.parametrize(
    ("addition", "num_found"),
    [
        ("", 0),
        ('<a href="https://example.org/">leads there, loads nothing</a>', 0),
        ('<script src="https://example.org/a.js"></script>', 1),
        ('<link rel="stylesheet" href="//example.org/a.css">', 1),
        ("<script>const from = 'https://unpkg.com/thebe'</script>", 1),
    ],
)
def test_host_to_load_from_is_found(tmp_path, addition, num_found):
    assert len(page_checks.hosts(with_added(tmp_path, addition).read_text())) == num_found


@pytest.mark.parametrize(
    ("addition", "broken"),
    [
        ('<a href="page.html#top">here</a>', []),
        ('<a href="gone.html">there</a>', ["gone.html"]),
        ('<a href="page.html#gone">there</a>', ["page.html#gone"]),
        ('<a href="#gone">there</a>', ["#gone"]),
    ],
)
def test_link_to_nothing_is_found(tmp_path, addition, broken):
    assert page_checks.broken_links(with_added(tmp_path, addition)) == broken


@pytest.mark.parametrize(
    ("addition", "words"),
    [
        ("<p>one</p>", ""),
        ("<p>one</p></p>", "unexpected-end-tag"),
        ("<b><p>one</b></p>", "adoption-agency"),
        ("<div>one", "too-early"),
        ("<table><p>one</p></table>", "implies"),
        ('<p class="a" class="b">one</p>', "duplicate-attribute"),
        ('<p id="top">one</p>', "id 'top' is given 2 times"),
        ('<a href="#top"><button>one</button></a>', "<button> in <a>"),
    ],
)
def test_invalid_html_is_found(tmp_path, addition, words):
    found = page_checks.html_faults(with_added(tmp_path, addition).read_text())
    assert any(words in line for line in found) if words else found == []


@pytest.mark.parametrize(("width_px", "num_found"), [(300, 0), (900, 1)])
def test_page_that_scrolls_sideways_is_found(page, tmp_path, width_px, num_found):
    path = with_added(tmp_path, f'<div style="width: {width_px}px">one</div>')
    assert len(page_checks.too_wide(Opened(page, path), 390)) == num_found


@pytest.mark.parametrize(
    ("addition", "finding"),
    [
        ("", None),
        ('<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">', "image-alt"),
        ('<p style="color: #aaa; background: #fff">faint</p>', "color-contrast"),
        ("<button></button>", "button-name"),
    ],
)
def test_what_a_reader_cannot_use_is_found(page, tmp_path, addition, finding):
    found = page_checks.axe_findings(Opened(page, with_added(tmp_path, addition)).page)
    assert [name for name, _ in found] == ([finding] if finding else [])


def test_colours_are_judged_in_the_scheme_that_is_asked_for(page, tmp_path):
    faint = "<style>@media (prefers-color-scheme: dark) { p { color: #eee } }</style>"
    path = with_added(tmp_path, faint)
    assert page_checks.axe_findings(Opened(page, path).page) == []
    found = page_checks.axe_findings(Opened(page, path, scheme="dark").page, rules=page_checks.SEEN)
    assert [name for name, _ in found] == ["color-contrast"]


def test_weight_counts_everything_that_is_loaded(page, tmp_path):
    (tmp_path / "large.js").write_text("//" + "x" * 1_000_000)
    path = with_added(tmp_path, '<script src="large.js"></script>')
    assert page_checks.weight_bytes(Opened(page, path)) == 1_000_002 + path.stat().st_size


def test_words_that_move_while_loading_are_found(page, tmp_path):
    still = with_added(tmp_path, "<p>one</p>")
    assert page_checks.layout_shift(Opened(page, still)) == 0
    late = (
        "<div id='late'></div><p style='height: 300px'>moves</p><script>setTimeout(() => {"
        " document.getElementById('late').style.height = '300px' }, 200)</script>"
    )
    assert page_checks.layout_shift(Opened(page, with_added(tmp_path, late))) > 0.1
