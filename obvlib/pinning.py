"""Pinning: which revision of a hub repository a card means, written down so that a result can be made again."""

from __future__ import annotations

import os
import re

from obvlib.hub import ask
from obvlib.jsonl import RecordError
from obvlib.manifests import load_card
from obvlib.settings import manifests_dir


def pin(name: str) -> tuple[str, str]:
    """Write the newest revision of a card's hub repository into the card; return the revision before ("" if none) and the one now.

    A result made from then on names it, and the same files are read until the card is pinned again. HubUnavailable leaves the card as it is;
    RecordError for a card without a hub repository.
    """
    card = load_card(name)
    if not card.hub_id:
        raise RecordError(f"card {name!r} has no hub_id: only what comes from the hub can be pinned")
    revision = ask(card.hub_id, repo_type="model" if card.kind == "model" else "dataset")
    path = manifests_dir() / "cards" / f"{name.lower()}.yaml"
    text, found = re.subn(r"(?m)^revision:.*$", f'revision: "{revision}"', path.read_text(encoding="utf-8"))
    if found != 1:
        raise RecordError(f"{path} has {found} lines that begin with 'revision:': leave exactly one")
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
    return card.revision or "", revision
