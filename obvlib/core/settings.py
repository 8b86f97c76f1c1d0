"""Where things live and which profile runs: the only two settings that every part shares, read from
the environment when asked.

`OBV_PROFILE` chooses how large a run is, `OBV_DATA` where everything that a run makes is put.
Nothing is created or read at import.
"""

from __future__ import annotations

import os
from pathlib import Path

PROFILES = ("mini", "gpu", "full")


def profile() -> str:
    """Return the run's profile: "mini" (CPU, offline, the default), "gpu" (one GPU, a subset) or
    "full" (paper scale), from `OBV_PROFILE`.
    """
    name = os.environ.get("OBV_PROFILE", "").strip() or "mini"
    if name not in PROFILES:
        raise ValueError(
            f"OBV_PROFILE={name!r} is not a profile: set it to one of {', '.join(PROFILES)}, or"
            " unset it for mini"
        )
    return name


def project_root() -> Path:
    """Return the checkout that holds `data_manifests/`: the one around the working directory, else
    the one that obvlib is imported from.
    """
    root = _find_root()
    if root is None:
        raise ValueError(
            f"no project with data_manifests/ around {Path.cwd()} or the installed obvlib: "
            "run inside a checkout of the book, or install it from one with `pip install -e .`"
        )
    return root


def manifests_dir() -> Path:
    """Return the small committed data: dataset cards, the mini corpus, the paper's numbers, stored
    results. Outside a checkout those that an installed wheel carries.
    """
    carried = Path(__file__).resolve().parents[1] / "data_manifests"
    if _find_root() is None and carried.is_dir():
        return carried
    return project_root() / "data_manifests"


def data_root() -> Path:
    """Return the directory under which a run keeps everything it makes: `OBV_DATA`, else `data/` of
    the project (of the working directory outside one).

    It may not exist yet: it is made when something is written. A file of that name is an error,
    since nothing could be written below it.
    """
    text = os.environ.get("OBV_DATA", "").strip()
    root = Path(text).expanduser().absolute() if text else (_find_root() or Path.cwd()) / "data"
    if root.exists() and not root.is_dir():
        raise ValueError(
            f"OBV_DATA={str(root)!r} is a file: point it at a directory, existing or not"
        )
    return root


def _find_root() -> Path | None:
    here, package = Path.cwd(), Path(__file__).resolve().parent
    for directory in (here, *here.parents, package.parents[1]):
        if (directory / "data_manifests").is_dir() and (directory / "pyproject.toml").is_file():
            return directory
    return None
