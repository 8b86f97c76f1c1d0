"""Write requirements.lock: every package of every extra that the book and its tests need, with
hashes, and no address of any index.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from install import EXTRAS, WITHOUT_DEPENDENCIES

ROOT = Path(__file__).resolve().parent.parent
# Held on purpose: torch with CUDA 13 wheels that also serve the CPU, and the transformers release
# whose inner workings the tests know.
PINS = ("torch==2.14.1", "torchvision==0.29.1", "transformers==5.23.0")
QUIET = "--quiet --max-rounds 100 --strip-extras --allow-unsafe --no-config --generate-hashes"
NO_ADDRESS = "--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options"


def command(upgrade: bool) -> list[str]:
    pins = [word for pin in PINS for word in ("--upgrade-package", pin)]
    flags = [*QUIET.split(), *NO_ADDRESS.split(), *(["--upgrade"] if upgrade else []), *pins]
    return [
        sys.executable,
        "-m",
        "piptools",
        "compile",
        *flags,
        "--extra",
        EXTRAS,
        "-o",
        "requirements.lock",
        "pyproject.toml",
    ]


def alone(pin: str) -> str:
    """Return the lock's lines for a package that is installed without what it depends on."""
    with tempfile.TemporaryDirectory() as directory:
        fetch = ["-m", "pip", "download", "--quiet", "--no-deps", "--dest", directory, pin]
        subprocess.run([sys.executable, *fetch], check=True)
        digests = [
            hashlib.sha256(path.read_bytes()).hexdigest() for path in Path(directory).iterdir()
        ]
    return f"{pin} \\\n" + " \\\n".join(f"    --hash=sha256:{digest}" for digest in digests) + "\n"


def main() -> None:
    print("Resolving; this takes a few minutes", flush=True)
    environment = os.environ | {"CUSTOM_COMPILE_COMMAND": "make lock"}
    compiled = command("--upgrade" in sys.argv)
    if status := subprocess.run(compiled, cwd=ROOT, env=environment, check=False).returncode:
        sys.exit(status)
    with (ROOT / "requirements.lock").open("a") as lock:
        lock.writelines(map(alone, WITHOUT_DEPENDENCIES))


if __name__ == "__main__":
    main()
