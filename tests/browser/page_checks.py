"""What is asked of a rendered page. Each check returns what it found wrong, nothing on a good page;
`test_page_checks.py` shows each of them a page that it must not accept.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import html5lib

# The theme's own search buttons: their label differs from the words that they show.
THEME_FAULTS = {"label-content-name-mismatch"}
SEEN = ("color-contrast", "link-in-text-block")  # rules that a colour scheme decides
NUM_LOOKS = 40  # every half second, for pictures that come late
HOSTS = re.compile(r"unpkg\.com|jsdelivr|cdnjs")
LOADED_LINKS = ("stylesheet", "icon", "preload", "shortcut icon")
# elements that must not be written inside others of these, which parsers accept without a word
NESTED = {"a": {"a", "button"}, "button": {"a", "button"}, "label": {"label"}}


class Links(HTMLParser):
    """Addresses that a page loads or leads to, and the places in it that can be pointed at."""

    def __init__(self, text: str):
        super().__init__()
        self.loads, self.leads, self.places = [], [], Counter()
        self.nested, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.places.update({attrs[key] for key in ("id", "name") if attrs.get(key)})
        if tag in NESTED:
            self.nested += [f"<{tag}> in <{o}>" for o in self.open if o in NESTED[tag]]
            self.open.append(tag)
        if tag in ("script", "img", "source", "video", "audio", "iframe") and attrs.get("src"):
            self.loads.append(attrs["src"])
        elif tag == "link" and attrs.get("rel") in LOADED_LINKS:
            self.loads.append(attrs["href"])
        elif tag == "a" and attrs.get("href"):
            self.leads.append(attrs["href"])

    def handle_endtag(self, tag):
        if tag in self.open:
            del self.open[len(self.open) - 1 - self.open[::-1].index(tag)]


@functools.cache
def links_of(path: Path, changed_ns: int) -> Links:
    return Links(path.read_text())


def parsed(path: Path) -> Links:
    """A page's links; pages are read once, since each leads to most others."""
    return links_of(path.resolve(), path.stat().st_mtime_ns)


class Opened:
    """A page in a browser, opened from its file in a colour scheme and a window `width` CSS pixels
    wide, with what it asked for meanwhile: addresses, and those that could not be had.
    """

    def __init__(self, page, path: Path, *, scheme: str = "light", width: int = 1280):
        self.page, self.asked, self.failed = page, {path.as_uri()}, []
        page.on("request", lambda request: self.asked.add(request.url))
        page.on("requestfailed", lambda request: self.failed.append(request.url))
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 900})
        page.add_init_script(
            "window.shift = 0; const add = entry => { window.shift += entry.value; };"
            "new PerformanceObserver(list => list.getEntries().forEach(add))"
            ".observe({type: 'layout-shift', buffered: true})"
        )
        page.goto(path.as_uri())
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(500)


def not_whole(opened: Opened) -> list[str]:
    """Outside requests, script errors, files that are missing, a title that is, and formulas or
    pictures that do not show.
    """
    page, found = opened.page, []
    found += [f"outside request: {url}" for url in page.outside]
    found += [f"script error: {error}" for error in page.errors]
    found += [f"missing: {url}" for url in opened.failed if url not in page.outside]
    if page.locator("main h1").count() == 0:
        found.append("no title")
    unset = "span.math:not(:has(mjx-container)), div.math:not(:has(mjx-container))"
    found += [f"formula not set: {text}" for text in page.locator(unset).all_inner_texts()]
    # a lazy picture that is not in view has not been asked for yet; widgets put theirs in later
    hidden = "img => img.loading !== 'lazy' && (!img.complete || img.naturalWidth === 0)"
    for _ in range(1 if found else NUM_LOOKS):
        pictures = page.evaluate(f"[...document.images].filter({hidden}).map(img => img.src)")
        if not pictures:
            break
        page.wait_for_timeout(500)
    return found + [f"picture does not show: {url[:200]}" for url in pictures]


def hosts(text: str) -> list[str]:
    """Addresses of other hosts that a page would load from, and the names of delivery networks."""
    remote = [
        url
        for url in Links(text).loads
        if urlsplit(url).scheme in ("http", "https") or url.startswith("//")
    ]
    return remote + HOSTS.findall(text)


def broken_links(path: Path) -> list[str]:
    """Links inside the book that lead to no file, or to no place in one."""
    broken = []
    for url in parsed(path).leads:
        parts = urlsplit(url)
        if parts.scheme or url.startswith("//"):
            continue
        target = path.parent / unquote(parts.path) if parts.path else path
        if not target.exists():
            broken.append(url)
        elif parts.fragment and target.suffix == ".html" and target.is_file():
            if unquote(parts.fragment) not in parsed(target).places:
                broken.append(url)
    return broken


def html_faults(text: str) -> list[str]:
    """What the HTML standard calls a parse error (misnested and unclosed elements, attributes given
    twice, misplaced tables and forms), ids given twice, and interactive elements inside each other.
    """
    parser = html5lib.HTMLParser()
    parser.parse(text)
    lines = text.splitlines()
    found = [
        f"line {line}: {code} {details}: {lines[min(line, len(lines)) - 1].strip()[:80]}"
        for (line, _), code, details in parser.errors
    ]
    ids = Counter(re.findall(r'<[a-zA-Z][^>]*?\sid="([^"]*)"', text))
    found += [f"id {name!r} is given {n} times" for name, n in ids.items() if n > 1]
    return found + Links(text).nested


def too_wide(opened: Opened, width: int) -> list[str]:
    """Whether a page scrolls sideways in a window so many CSS pixels wide."""
    opened.page.set_viewport_size({"width": width, "height": 800})
    needed = opened.page.evaluate("document.documentElement.scrollWidth")
    return [f"{needed} px wide in a window of {width}"] if needed > width + 1 else []


def axe_findings(
    page, context: str | None = None, rules: tuple[str, ...] = ()
) -> list[tuple[str, list[str]]]:
    """Serious and critical findings of axe-core (of the `rules` named, else of all) as the page, or
    what matches `context` in it, is shown now.
    """
    import axe_playwright_python.sync_playwright as axe

    options = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    found = axe.Axe().run(page, context=context, options=options).response["violations"]
    return [
        (v["id"], [node["html"][:160] for node in v["nodes"]][:4])
        for v in found
        if v["impact"] in ("serious", "critical") and v["id"] not in THEME_FAULTS
    ]


def weight_bytes(opened: Opened) -> int:
    """Bytes of all files that a page asked for when it was opened, itself included."""
    files = {Path(unquote(urlsplit(url).path)) for url in opened.asked if url.startswith("file://")}
    return sum(file.stat().st_size for file in files if file.is_file())


def layout_shift(opened: Opened) -> float:
    """How far what a reader sees moved while the page loaded (cumulative layout shift)."""
    return opened.page.evaluate("window.shift")
