"""JupyterLab for a test: started on a folder of notebooks, with settings of its own, and opened in
a browser that may reach this machine alone.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = re.compile(r"(https?|ws)://(127\.0\.0\.1|localhost)[:/]|data:|blob:")


def write_notebook(path: Path, cells: Sequence[str]) -> None:
    """Write a notebook of code cells."""
    import nbformat.v4 as v4

    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = v4.new_notebook(
        cells=[v4.new_code_cell(text) for text in cells], metadata={"kernelspec": kernel}
    )
    path.write_text(json.dumps(notebook))


@contextmanager
def jupyterlab(root: Path) -> Iterator[str]:
    """Run JupyterLab in `root`, whose folder `data` is the data root, and yield its address."""
    (root / "data").mkdir(exist_ok=True)
    places = {"RUNTIME_DIR": "run", "CONFIG_DIR": "config"}
    env = os.environ | {f"JUPYTER_{name}": str(root / place) for name, place in places.items()}
    places = {"SETTINGS_DIR": "settings", "WORKSPACES_DIR": "workspaces"}
    env |= {f"JUPYTERLAB_{name}": str(root / place) for name, place in places.items()}
    env |= {"OBV_DATA": str(root / "data"), "PYTHONPATH": str(ROOT), "HOME": str(root)}
    news = root / "settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    news.parent.mkdir(parents=True, exist_ok=True)
    news.write_text('{"fetchNews": "false"}')
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0"]
    command += [f"--ServerApp.root_dir={root}", "--IdentityProvider.token=t"]
    command += ["--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None"]
    with open(root / "lab.log", "w") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=root)
    try:
        yield _address(root, server)
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:  # a busy machine: nothing of it is needed any more
            server.kill()
            server.wait()


def _address(root: Path, server: subprocess.Popen) -> str:
    for _ in range(600):
        for file in (root / "run").glob("jpserver-*.json"):
            return json.loads(file.read_text())["url"]
        assert server.poll() is None, (root / "lab.log").read_text()[-2000:]
        time.sleep(0.2)
    raise AssertionError("JupyterLab did not start:" + (root / "lab.log").read_text()[-2000:])


def new_page(browser: Any) -> Any:
    """Open a page; `outside` lists requests that leave the machine, `errors` its script errors."""
    context = browser.new_context(viewport={"width": 1500, "height": 1000})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.outside, page.errors = [], []
    page.on("pageerror", lambda error: page.errors.append(str(error)))

    def route(route: Any) -> None:
        if HERE.match(route.request.url):
            return route.continue_()
        page.outside.append(route.request.url)
        return route.abort()

    context.route("**/*", route)
    page.set_default_timeout(45_000)
    return page


def open_notebook(page: Any, address: str, end: str = "") -> None:
    """Show `test.ipynb` and wait until its kernel is ready; `end` is put behind the address."""
    page.goto(f"{address}lab/tree/test.ipynb?token=t{end}")
    page.locator("#jp-main-statusbar").get_by_text(re.compile("Idle")).first.wait_for()


def run_all(page: Any) -> None:
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
