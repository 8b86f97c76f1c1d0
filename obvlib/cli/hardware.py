"""What the machine has: Python, processor, memory, GPUs and disk.

The driver's own program describes the GPUs, so that nothing heavy is imported.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

from obvlib.cli.findings import Finding
from obvlib.core import data_root, gpus
from obvlib.core.settings import PROFILES

GIB = 1024**3
# Rough needs. Memory of the mini profile is the peak of its fine-tuning with room to spare; disk
# holds weights, checkpoints and videos.
MIN_MEMORY_GIB = {"mini": 6, "gpu": 16, "full": 64}
MIN_DISK_GIB = {"mini": 1, "gpu": 50, "full": 2000}
# Full fine-tuning of the 2B model on rows of 16,384 tokens took 23 to 25 GB with gradient
# checkpointing on an H100.
MIN_GPU_GIB = 24
MIN_GPUS = {"gpu": 1, "full": 2}
LARGE = PROFILES[1:]  # the profiles that need a GPU


def machine() -> list[Finding]:
    version = platform.python_version()
    python = Finding(
        part="Python",
        ok=sys.version_info >= (3, 11),
        found=version,
        remedy="install Python 3.11",
        needed_by=PROFILES,
    )
    cpu = Finding(
        part="CPU",
        ok=True,
        found=f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
    )
    return [
        python,
        cpu,
        sized("memory", memory_gib(), MIN_MEMORY_GIB, "use a machine with more memory"),
    ]


def memory_gib() -> float:
    """Return the physical memory, or this container's limit where that is smaller."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else "max"
    return min(total, int(text) if text.isdigit() else total) / GIB


def sized(
    part: str, gib: float, needs_gib: dict[str, int], remedy: str, where: str = ""
) -> Finding:
    """Return a finding: fine, or the names of the profiles for which `gib` is too little."""
    short = tuple(name for name, need in needs_gib.items() if gib < need)
    wanted = ", ".join(f"{name} about {needs_gib[name]} GiB" for name in short)
    return Finding(
        part=part,
        ok=not short,
        found=f"{gib:.0f} GiB{where}",
        remedy=f"{remedy}: {wanted}",
        needed_by=short,
    )


def disk() -> Finding:
    """Return the free room under the data root, measured at its nearest existing parent."""
    try:
        root = data_root()
    except ValueError as error:
        return Finding(
            part="disk",
            ok=False,
            found=str(error),
            remedy="unset or change OBV_DATA",
            needed_by=PROFILES,
        )
    existing = next(path for path in (root, *root.parents) if path.is_dir())
    if not os.access(existing, os.W_OK):
        remedy = "set OBV_DATA to a directory that you may write to"
        return Finding(
            part="disk",
            ok=False,
            found=f"{existing} is read-only",
            remedy=remedy,
            needed_by=PROFILES,
        )
    free_gib = shutil.disk_usage(existing).free / GIB
    return sized(
        "disk", free_gib, MIN_DISK_GIB, "point OBV_DATA at a larger disk", f" free for {root}"
    )


def gpu_findings() -> list[Finding]:
    """Return one line for each device, and whether torch fits the driver."""
    devices = [] if gpus.are_hidden() else gpus.present()
    if not devices:
        found = "hidden by CUDA_VISIBLE_DEVICES" if gpus.are_hidden() else "no NVIDIA driver"
        remedy = "the mini profile needs none; gpu and full need an NVIDIA GPU and its driver"
        return [Finding(part="GPU", ok=False, found=found, remedy=remedy, needed_by=LARGE)]
    described = [describe_gpu(gpu, len(devices), index) for index, gpu in enumerate(devices)]
    return [*described, cuda(gpus.cuda_of_driver(), gpus.cuda_of_torch())]


def training() -> Finding:
    """Return what a fine-tuning that sets nothing takes on this machine, as its first line says
    too.
    """
    devices = [] if gpus.are_hidden() else gpus.present()
    attention = gpus.fastest_attention(devices[0].major if devices else None)
    rest = "layers compiled, bf16 products, fp32 masters" if devices else "nothing compiled, fp32"
    return Finding(
        part="fine-tuning", ok=True, found=f"attention {attention}, packed pass, {rest}, Liger off"
    )


def cuda(driver: str, torch: str) -> Finding:
    """Return whether torch's CUDA runs on this driver: a driver serves its own major version and
    older ones.
    """
    ok = bool(torch) and (not driver or int(driver.split(".")[0]) >= int(torch.split(".")[0]))
    found = f"driver for {driver or 'an unknown version'}, torch built with {torch or 'none'}"
    remedy = "update the driver, or install a torch that is built for it"
    return Finding(part="CUDA", ok=ok, found=found, remedy=remedy, needed_by=LARGE)


def describe_gpu(gpu: gpus.Gpu, num_gpus: int, index: int = 0) -> Finding:
    """Examine precision: Qwen2-VL needs bf16: in fp16 it generates exclamation marks."""
    bf16 = gpu.major >= 8
    found = f"{gpu.name}, {gpu.memory_gib:.0f} GiB, {'bf16' if bf16 else 'no bf16'}"
    short = tuple(profile for profile, need in MIN_GPUS.items() if num_gpus < need)
    remedy = f"full is laid out for {MIN_GPUS['full']} GPUs and more"
    if not bf16 or gpu.memory_gib < MIN_GPU_GIB:
        short = LARGE
        remedy = (
            f"fine-tuning the 2B model needs bf16 (Ampere or newer) and about {MIN_GPU_GIB} GiB"
        )
    return Finding(part=f"GPU {index}", ok=not short, found=found, remedy=remedy, needed_by=short)
