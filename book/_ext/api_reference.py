"""The reference of `obvlib` and `obv`, written from docstrings and help texts at each build.

A room's face (`__all__` of its `__init__`) is what the reference lists. Docstrings are Markdown.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any

WIDTH = 77  # of a signature on a page
MARK = "% the rooms stand here"


def rooms() -> list[ModuleType]:
    """Return obvlib's rooms in the order in which data flows, as its docstring names them."""
    import obvlib

    there = {name for _, name, is_package in pkgutil.iter_modules(obvlib.__path__) if is_package}
    said = inspect.getdoc(obvlib).replace(",", " ").replace(";", " ").split()
    ordered = [name for name in dict.fromkeys(said) if name in there]
    return [importlib.import_module(f"obvlib.{name}") for name in ordered]


def reference() -> str:
    """Return all rooms and all commands, as Markdown."""
    return "\n\n".join([*(room_text(room) for room in rooms()), commands_text()])


def room_text(room: ModuleType) -> str:
    """Return a room's heading, what flows in and out, and each name of its face."""
    parts = [f"## {room.__name__}", words(room, room.__name__)]
    for name in sorted(room.__all__, key=str.lower):
        parts += [f"### {name}", *name_text(getattr(room, name), f"{room.__name__}.{name}")]
    return "\n\n".join(parts)


def name_text(value: Any, name: str) -> list[str]:
    """Return a function or class with its signature and docstring, a module with its functions, or
    a value as it is.
    """
    if inspect.ismodule(value):
        return [words(value, name), "\n".join(public_lines(value))]
    if not callable(value):
        return [f"```python\n{value!r}\n```"]
    return [f"```python\n{signature(value)}\n```", words(value, name)]


def public_lines(module: ModuleType) -> list[str]:
    """Return one line for each documented function and class that a module defines."""
    own = [
        (name, value)
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    ]
    return [
        f"- `{name}`: {' '.join(words(value, name).split(chr(10) * 2)[0].split())}"
        for name, value in own
        if inspect.isfunction(value) or inspect.isclass(value)
    ]


def words(value: Any, name: str) -> str:
    """Return a docstring, its examples as code; ValueError where there is none, or only the one
    that dataclasses make up.
    """
    said = inspect.getdoc(value) or ""
    if not said or (inspect.isclass(value) and said.startswith(f"{value.__name__}(")):
        raise ValueError(f"{name} has no docstring: say in one what it is")
    paragraphs = said.split("\n\n")
    return "\n\n".join(f"```pycon\n{p}\n```" if p.startswith(">>>") else p for p in paragraphs)


def signature(value: Any) -> str:
    """Return a call as it is written, one parameter a line where it is long."""
    name = value.__name__
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return name
    parts, kinds = [], inspect.Parameter
    for parameter in found.parameters.values():
        if parameter.kind is kinds.KEYWORD_ONLY and "*" not in "".join(parts):
            parts.append("*")
        stars = {kinds.VAR_POSITIONAL: "*", kinds.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        kind = "" if parameter.annotation is kinds.empty else f": {spelled(parameter.annotation)}"
        default = "" if parameter.default is kinds.empty else f" = {shown(parameter.default)}"
        parts.append(f"{stars}{parameter.name}{kind}{default}")
    result = found.return_annotation
    end = "" if inspect.isclass(value) or result is kinds.empty else f" -> {spelled(result)}"
    line = f"{name}({', '.join(parts)}){end}"
    if len(line) <= WIDTH:
        return line
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){end}"


def spelled(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "Any")


def shown(default: Any) -> str:
    text = repr(default)
    return "..." if text.startswith("<") or len(text) > 40 else text


def commands_text() -> str:
    """Return each command of `obv` with its help and options."""
    import typer

    from obvlib.cli import app

    parts = ["## obv", "What `obv COMMAND --help` says, in the order of the data."]
    for path, command in commands(typer.main.get_command(app), "obv"):
        parts += [f"### {path}", inspect.cleandoc(command.help or "")]
        rows = [f"| {option} | {what} |" for option, what in map(described, command.params) if what]
        if rows:
            parts.append("\n".join(["| option | meaning |", "|---|---|", *rows]))
    return "\n\n".join(parts)


def commands(group: Any, path: str) -> list[tuple[str, Any]]:
    """Return (words to type, command) for a group's commands, also those of groups in it."""
    found = []
    for name in group.list_commands(None):
        command = group.commands[name]
        if hasattr(command, "commands"):
            found += commands(command, f"{path} {name}")
        else:
            found.append((f"{path} {name}", command))
    return found


def described(parameter: Any) -> tuple[str, str]:
    """Return (how an argument or option is written, what it means), "" where no help says it."""
    names = [*parameter.opts, *parameter.secondary_opts]
    if parameter.param_type_name == "argument":
        names = [parameter.name.upper()]
    meaning = (getattr(parameter, "help", "") or "").replace("|", "\\|")
    return ", ".join(f"`{name}`" for name in names), meaning


def write_reference(app, docname: str, source: list[str]) -> None:
    if MARK in source[0]:
        source[0] = source[0].replace(MARK, reference())


def setup(app) -> dict:
    app.connect("source-read", write_reference)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
