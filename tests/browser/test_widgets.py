"""Widgets in a rendered page work without a kernel, a server or a network: a toy book made with
this book's configuration shows it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NEEDS_BOOK = False
ROOT = Path(__file__).resolve().parents[2]
TOC = (
    "format: jb-book\nroot: book/intro\nparts:\n  - caption: Toy\n    chapters:\n      - file:"
    " notebooks/toy\n"
)
PAGE = '''\
---
file_format: mystnb
kernelspec:
  name: python3
---

# Toy

## Widgets

A formula, $x^2$, and some widgets.

```{code-cell} ipython3
import anywidget, ipywidgets, traitlets

class Counter(anywidget.AnyWidget):
    _esm = """
    export default { render({ model, el }) {
      const button = document.createElement("button");
      const show = () => { button.textContent = `count ${model.get("n")}`; };
      button.className = "counter"; show(); model.on("change:n", show);
      button.onclick = () => { model.set("n", model.get("n") + 1); };
      el.append(button);
    } };
    """
    n = traitlets.Int(0).tag(sync=True)

slider, number = ipywidgets.IntSlider(3, description="frames"), ipywidgets.IntText()
link = ipywidgets.jslink((slider, "value"), (number, "value"))
ipywidgets.VBox([slider, number, Counter()])
```
'''


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    """The rendered toy page."""
    root = tmp_path_factory.mktemp("toy")
    shutil.copytree(ROOT / "book", root / "book", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "book/_toc.yml").write_text(TOC)
    (root / "book/intro.md").write_text("# Intro\n")
    (root / "notebooks").mkdir()
    (root / "notebooks/toy.md").write_text(PAGE)
    done = subprocess.run(
        [sys.executable, "book/build.py"], cwd=root, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return root / "_build/html/notebooks/toy.html"


def test_widgets_draw_and_answer_without_a_kernel(toy, page):
    page.goto(toy.as_uri())
    counter = page.locator("button.counter")
    counter.wait_for()
    counter.click()
    counter.click()
    assert counter.inner_text() == "count 2"
    page.locator(".noUi-handle").focus()
    page.keyboard.press("ArrowRight")
    assert (
        page.locator("input[type=number]").input_value()
        == page.locator(".widget-readout").inner_text()
    )
    assert page.locator("mjx-container").count() == 1
    assert (page.outside, page.errors) == ([], [])
