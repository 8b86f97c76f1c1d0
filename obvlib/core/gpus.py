"""The machine's NVIDIA GPUs and CUDA versions, as the driver's own program and torch's files name
them, without importing torch.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Gpu:
    """One device; `major` is the first number of its compute capability (8 and newer has bf16)."""

    name: str
    memory_gib: float
    major: int


def are_hidden() -> bool:
    """Return whether the environment hides every device from CUDA programs."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1")


def present() -> list[Gpu]:
    """Return the devices that the driver lists; empty without a driver."""
    listed = nvidia_smi(
        "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits"
    )
    rows = (line.rsplit(", ", 2) for line in listed.splitlines())
    return [Gpu(name, int(mib) / 1024, int(float(capability))) for name, mib, capability in rows]


def fastest_attention(major: int | None) -> str:
    """Return the fastest attention for packed rows that is installed, for a GPU's `major` or a CPU
    (None): flash-attn 4 for Hopper and newer, else torch's varlen kernel; the loop on a CPU.
    """
    if major is None:
        return "loop"
    return "flash4" if major >= 9 and is_installed("flash_attn.cute") else "varlen"


def is_installed(module: str) -> bool:
    """Return whether a module, of a package or not, could be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def nvidia_smi(*args: str) -> str:
    """Return what the driver's program prints, or nothing where there is no driver."""
    try:
        return subprocess.run(
            ["nvidia-smi", *args], capture_output=True, text=True, timeout=5, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def cuda_of_driver() -> str:
    """Return the newest CUDA that the driver serves, from the head of nvidia-smi's table."""
    found = re.search(r"CUDA(?: UMD)? Version: *([\d.]+)", nvidia_smi())
    return found.group(1) if found else ""


def cuda_of_torch() -> str:
    """Return the CUDA that torch was built with, read from its version file; empty for a build
    without.
    """
    spec = importlib.util.find_spec("torch")
    text = Path(spec.origin).with_name("version.py").read_text() if spec and spec.origin else ""
    found = re.search(r"^cuda\b.*= *'([\d.]+)'", text, re.MULTILINE)
    return found.group(1) if found else ""
