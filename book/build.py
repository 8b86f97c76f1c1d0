"""Executes the book's notebooks with visible progress, then renders the book with warnings as
errors.

Executed notebooks go into the cache that the renderer reads. The cache and the data that a run
makes live under a directory named by a hash of everything the outputs depend on besides the
notebook itself (package, manifests, lock, profile): a changed module never leaves an old output on
a page, and an unchanged one is never executed twice.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import execute
import package
import yaml

from obvlib.core.provenance import device_name

ROOT = Path(__file__).resolve().parent.parent
INPUTS = ("obvlib", "data_manifests", "requirements.lock")


def fingerprint(root: Path, profile: str) -> str:
    """Hash of the file names and contents that notebook outputs depend on, and of the profile."""
    digest = hashlib.sha256(profile.encode())
    for name in INPUTS:
        base = root / name
        files = sorted(p for p in base.rglob("*") if p.is_file()) if base.is_dir() else [base]
        for path in files:
            if path.exists() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(root)).encode() + b"\0")
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def toc_notebooks(root: Path) -> list[Path]:
    """Return the notebooks of the table of contents, in reading order."""
    toc = yaml.safe_load((root / "book/_toc.yml").read_text())
    files = [chapter["file"] for part in toc.get("parts", []) for chapter in part["chapters"]]
    return [root / f"{name}.md" for name in files if name.startswith("notebooks/")]


def provenance(root: Path, profile: str, data_hash: str) -> dict:
    """Return what the foot of a page says about its execution."""

    def git(*args: str) -> str:
        done = subprocess.run(["git", *args], cwd=root, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = " with local changes" if git("status", "--porcelain", "--untracked-files=no") else ""
    versions = {name: version for name in ("torch", "transformers") if (version := installed(name))}
    return {
        "profile": profile,
        "device": device_name(),
        "commit": (git("rev-parse", "--short=10", "HEAD") or "unknown") + changed,
        "versions": {"Python": platform.python_version()} | versions,
        "inputs": data_hash,
        "caps": caps(root, profile),
    }


def caps(root: Path, profile: str) -> dict:
    """Return what the profile's configuration caps where the book is built."""
    path = root / f"obvlib/training/configs/{profile}.yaml"
    return yaml.safe_load(path.read_text()).get("book") or {} if path.is_file() else {}


def installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def render(root: Path, *, is_strict: bool) -> int:
    """Render every page, showing pages and warnings; return the exit status. Warnings are errors if
    `is_strict`.
    """
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(root)]
    command += ["--path-output", str(root), "--config", str(root / "book/_config.yml")]
    command += ["--toc", str(root / "book/_toc.yml")]
    command += ["-W", "--keep-going"] if is_strict else []
    environment = os.environ | {"NO_COLOR": "1"}
    process = subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if (
            line.startswith(("reading sources", "writing output... [", "build ", "Executing"))
            or "WARNING" in line
        ):
            print(f"  {line.rstrip()}", flush=True)
    return process.wait()


def prepare_environment(run: Path, profile: str) -> None:
    """Return the environment of the kernels and of the renderer: this run's cache and, in the mini
    profile, its own data and no hub. The other profiles read what was downloaded.
    """
    data = str(run / "data") if profile == "mini" else os.environ.get("OBV_DATA")
    os.environ["OBV_DATA"] = data or str(ROOT / "data")
    os.environ.update(
        OBV_PROFILE=profile,
        OBV_BOOK_RUN=str(run),
        TOKENIZERS_PARALLELISM="false",
        PYDEVD_DISABLE_FILE_VALIDATION="1",
    )
    # threads that wait for each other sleep instead of spinning: a busy machine then takes
    # a third to two thirds of the time (measured on matrix products, two cores, load 9)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if profile == "mini":
        os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
    Path(os.environ["OBV_DATA"]).mkdir(parents=True, exist_ok=True)


def over_budget_words(lines: list[str]) -> str | None:
    """Return what ends the build where chapters need more time than they may; None if none does."""
    if not lines:
        return None
    what = "\n  ".join(["over budget (seconds on two idle cores):", *lines])
    return f"{what}\nmake what is slow there cheaper; the budgets stand in book/execute.py"


def remove_old_runs(run: Path, keep: int = 3) -> None:
    """Keep this run's directory and the newest others, `keep` in all."""
    others = sorted(
        (p for p in run.parent.iterdir() if p != run), key=lambda p: p.stat().st_mtime, reverse=True
    )
    for path in others[keep - 1 :]:
        shutil.rmtree(path, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--no-render", action="store_true", help="execute only")
    parser.add_argument(
        "--only", metavar="NAME", help="execute only the notebooks whose name contains NAME"
    )
    args = parser.parse_args()
    from jupyter_cache import get_cache

    start_s, profile = time.monotonic(), os.environ.get("OBV_PROFILE", "mini")
    inputs = fingerprint(ROOT, profile)
    run = ROOT / "_build/runs" / inputs
    prepare_environment(run, profile)
    cache = get_cache(str(run / "cache"))
    notebooks = [path for path in toc_notebooks(ROOT) if not args.only or args.only in path.name]
    print(f"Executing {len(notebooks)} notebooks, profile {profile}, inputs {inputs}", flush=True)
    execute.execute_all(notebooks, cache, provenance(ROOT, profile, inputs))
    every = {f"notebooks/{path.stem}": execute.cached(path, cache) for path in toc_notebooks(ROOT)}
    (run / "pages.json").write_text(json.dumps(every, indent=1))
    remove_old_runs(run)
    over = execute.over_budget(notebooks, cache) if profile == "mini" else []
    if args.no_render:
        sys.exit(over_budget_words(over))
    if (ROOT / "pyproject.toml").is_file():
        package.build_wheel(ROOT, run / "package")
    print(f"Rendering after {time.monotonic() - start_s:.0f} s", flush=True)
    if lacking := [page for page, executed in every.items() if not executed]:
        print(f"{len(lacking)} other chapters are shown as never executed, warnings are no errors")
    if status := render(ROOT, is_strict=not lacking):
        sys.exit(f"Rendering failed with status {status}; the warnings above name page and line")
    index = ROOT / "_build/html/index.html"
    print(f"Book ready after {time.monotonic() - start_s:.0f} s\n{index}", flush=True)
    sys.exit(over_budget_words(over))


if __name__ == "__main__":
    main()
