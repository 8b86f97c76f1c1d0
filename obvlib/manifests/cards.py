"""Cards: what is known about a dataset, a benchmark or a model before its files are opened, and the
hub revision it is pinned to.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field

from obvlib.core import Clip, RecordError, manifests_dir
from obvlib.core.files import write_text
from obvlib.core.records import from_json
from obvlib.manifests.hub import ask

ACCESS = ("shipped", "package", "public", "credentialed")


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is known about a dataset, a benchmark or a model before its files are opened.

    `revision` None means unpinned, and so is every result made from it. `access`: "shipped" with
    the project, in an installed "package", "public" on the hub, or "credentialed" (its data may not
    leave this machine without permission).
    """

    name: str
    title: str
    kind: str
    license: str
    access: str
    hub_id: str = ""
    hub_config: str = ""
    revision: str | None = None
    split: str = ""
    homepage: str = ""
    description: str = ""
    how_made: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("kind", self.kind, ("dataset", "benchmark", "model")),
            ("access", self.access, ACCESS),
        ):
            if value not in allowed:
                raise RecordError(
                    f"card {self.name!r}: {name} {value!r} is not one of {', '.join(allowed)}"
                )


def card_names() -> list[str]:
    """Return the names that `load_card` knows."""
    return sorted(path.stem for path in (manifests_dir() / "cards").glob("*.yaml"))


def load_card(name: str) -> Card:
    """Return the card of that name, in any case; RecordError lists the known names, or names the
    field that the file gets wrong.
    """
    import yaml

    path = manifests_dir() / "cards" / f"{name.lower()}.yaml"
    if name.lower() not in card_names():
        raise RecordError(f"no card named {name!r}: there are {', '.join(card_names())}")
    row = yaml.safe_load(path.read_text(encoding="utf-8"))
    return from_json(Card, {"name": path.stem, **row}, f"cards/{path.name}")


def counts_of(clips: Iterable[Clip]) -> dict[str, float]:
    """Return the counts that a card states: clips, source videos, hours, QA pairs."""
    clips = list(clips)
    return {
        "clips": len(clips),
        "videos": len({clip.video_id for clip in clips}),
        "hours": round(math.fsum(clip.duration_s for clip in clips) / 3600, 4),
        "qa_pairs": sum(len(clip.qa_pairs) for clip in clips),
    }


def warn_of_differences(card: Card, counts: dict[str, float]) -> None:
    """Warn where rows count differently (by more than 1 %) from what their card states: another
    revision, or rows that were dropped.
    """
    apart = [
        f"{name} {counts[name]:g} instead of {stated:g}"
        for name, stated in card.counts.items()
        if name in counts and abs(counts[name] - stated) > 0.01 * stated
    ]
    if apart:
        warnings.warn(
            f"{card.title}: the rows differ from the card: {', '.join(apart)}; look at the"
            " revision",
            stacklevel=3,
        )


def pin(name: str) -> tuple[str, str]:
    """Write the newest revision of a card's hub repository into the card; return the revision
    before ("" if none) and the one now.

    A result made from then on names it, and the same files are read until the card is pinned again.
    HubUnavailable leaves the card as it is; RecordError for a card without a hub repository.
    """
    card = load_card(name)
    if not card.hub_id:
        raise RecordError(
            f"card {name!r} has no hub_id: only what comes from the hub can be pinned"
        )
    revision = ask(card.hub_id, repo_type="model" if card.kind == "model" else "dataset")
    path = manifests_dir() / "cards" / f"{name.lower()}.yaml"
    text, found = re.subn(
        r"(?m)^revision:.*$", f'revision: "{revision}"', path.read_text(encoding="utf-8")
    )
    if found != 1:
        raise RecordError(
            f"{path} has {found} lines that begin with 'revision:': leave exactly one"
        )
    write_text(path, text)
    return card.revision or "", revision
