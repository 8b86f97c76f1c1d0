"""Run tests under every supported Python that this machine has, each in an environment of its own
with the newest releases that pyproject.toml allows.

usage: pythons.py TESTS...
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUPPORTED = ("3.11", "3.12", "3.13")


def version_of(python: str) -> str:
    """Return the version that an interpreter says it is, "" where the name runs nothing."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def interpreters() -> dict[str, str]:
    """Return an interpreter for each supported version: by name, or one of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [f"python{version}" for version in SUPPORTED] + ["python3"]
    candidates += [str(path) for path in sorted(pyenv.glob("*/bin/python"))]
    found: dict[str, str] = {}
    for python in candidates:
        if (version := version_of(python)) in SUPPORTED:
            found.setdefault(version, python)
    return dict(sorted(found.items()))


def main() -> None:
    results = {}
    for version, python in interpreters().items():
        venv = ROOT / f".venv-{version}"
        environment = os.environ | {"OBV_VENV": str(venv), "LOCK": "newest"}
        made = (venv / ".installed").exists()
        if not made:
            made = (
                subprocess.run([python, "book/install.py"], cwd=ROOT, env=environment).returncode
                == 0
            )
            if made:
                (venv / ".installed").touch()
        tests = [str(venv / "bin/python"), "-m", "pytest", "-q", *sys.argv[1:]]
        passed = made and subprocess.run(tests, cwd=ROOT).returncode == 0
        results[version] = "passed" if passed else "failed" if made else "could not be installed"
    for version, result in results.items():
        print(f"Python {version}: {result}")
    sys.exit(0 if results and set(results.values()) == {"passed"} else 1)


if __name__ == "__main__":
    main()
