"""Configurations as YAML files, one for each profile, and changes to them from a command line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from obvlib.training.config import unknown_key

SECTIONS = ("frames", "evaluation", "training")  # a change may leave these out

# what the section `book` may cap, and the section that it stands in otherwise
BOOK = {
    "limit": "",
    "questions": "",
    "controls": "",
    "max_new_tokens": "evaluation",
    "save_steps": "training",
    "log_steps": "training",
}


def apply_caps(config: dict[str, Any]) -> None:
    """Take the section `book` out of a configuration; inside a build of the book its caps hold."""
    caps = config.pop("book", None) or {}
    if os.environ.get("OBV_BOOK_RUN"):
        for name, value in caps.items():
            (config.setdefault(BOOK[name], {}) if BOOK[name] else config)[name] = value


def read_config(
    name: str, changes: Sequence[str], known: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return the configuration `name` (a profile, or the path of a YAML file) with `changes`
    ("learning_rate=2e-5", "frames.fps=2").

    `known` lists the settings at the top (under "") and in each section. ValueError names a setting
    that does not exist and the nearest one that does, a value that cannot be read, and a file that
    is not there.
    """
    text, where = _text_of(name)
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{where} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(config, dict):
        raise ValueError(f"{where} holds no settings: start from `obv train --show mini`")
    for change in changes:
        _apply(config, change, known)
    for section, names in known.items():
        part = config if not section else config.get(section) or {}
        if not isinstance(part, dict):
            raise ValueError(f"{where}: {section} is {part!r}; it must hold settings, one a line")
        for key in part:
            if key not in names:
                raise unknown_key(str(key), names, f"{where}{section and ', ' + section}")
    return config


def config_text(name: str) -> str:
    """Return the text of a configuration, with its comments."""
    return _text_of(name)[0]


def _text_of(name: str) -> tuple[str, str]:
    shipped = resources.files("obvlib.training") / "configs" / f"{name}.yaml"
    if "/" not in name and shipped.is_file():
        return shipped.read_text(encoding="utf-8"), f"{name}.yaml"
    if Path(name).is_file():
        return Path(name).read_text(encoding="utf-8"), name
    names = sorted(
        path.name.removesuffix(".yaml")
        for path in (resources.files("obvlib.training") / "configs").iterdir()
    )
    raise ValueError(
        f"config {name!r} is neither a file nor one of {', '.join(names)}: name a YAML file"
    )


def _apply(config: dict[str, Any], change: str, known: Mapping[str, Sequence[str]]) -> None:
    """Set one "section.name=value"; the section may be left out where the name is unique."""
    name, equals, text = change.partition("=")
    if not equals:
        raise ValueError(
            f"{change!r} is not a change: write name=value, such as learning_rate=2e-5"
        )
    section, _, key = name.rpartition(".")
    if not section and key not in known[""]:
        homes = [part for part in SECTIONS if key in known[part]]
        if not homes:
            everything = [name for names in known.values() for name in names]
            raise unknown_key(key, everything, "the configuration")
        section = homes[0]
    if section not in known:
        raise unknown_key(section, known, "the configuration")
    if key not in known[section]:
        raise unknown_key(key, known[section], section or "the configuration")
    part = config.setdefault(section, {}) if section else config
    part[key] = _value(text)


def _value(text: str) -> Any:
    """Read a value as YAML does, and 1e-5 as the number that YAML 1.1 takes for a word."""
    value = yaml.safe_load(text) if text else ""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
