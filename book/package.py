"""Build the package that the book carries, so that a chapter taken out of it runs by itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NEEDED = ("obvlib", "data_manifests", "pyproject.toml", "README.md", "LICENSE")


def build_wheel(root: Path, directory: Path) -> Path:
    """Build a checkout's wheel as the only file of a directory and return its path; the checkout
    stays as it is, and nothing is fetched.
    """
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "source"), Path(folder, "out")
        source.mkdir()
        for name in NEEDED:
            if (root / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(root / name, source / name, ignore=ignored)
            else:
                shutil.copyfile(root / name, source / name)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
        done = subprocess.run(
            [*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(source)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{done.stdout}{done.stderr}\nthe package could not be built")
        (wheel,) = out.glob("*.whl")
        return Path(shutil.copy(wheel, directory / wheel.name))
