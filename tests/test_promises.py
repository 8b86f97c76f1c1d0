"""What no input may do: run code. Unsafe loaders are not called anywhere in the package."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = {
    ("yaml", "load"), ("yaml", "unsafe_load"), ("yaml", "full_load"), ("pickle", "load"),
    ("joblib", "load"), ("os", "system"),
}  # fmt: skip
# the stage that this process has packed itself, on its way to its own workers
OWN_PICKLE = "obvlib/engine/processes.py"


def calls():
    for path in sorted((ROOT / "obvlib").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield path.relative_to(ROOT).as_posix(), node


def dotted(node: ast.expr) -> tuple[str, str]:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.value.id, node.attr
    return "", getattr(node, "id", "")


def test_nothing_unpickles_evaluates_or_loads_tagged_yaml():
    found = [
        (path, call.lineno)
        for path, call in calls()
        if dotted(call.func) in FORBIDDEN
        or dotted(call.func) in {("", "eval"), ("", "exec")}
        or (dotted(call.func) == ("pickle", "loads") and path != OWN_PICKLE)
        or any(keyword.arg in ("trust_remote_code", "allow_pickle") for keyword in call.keywords)
    ]
    assert found == []


def test_weights_are_read_as_weights_only():
    for path, call in calls():
        if dotted(call.func) == ("torch", "load"):
            told = {k.arg: getattr(k.value, "value", None) for k in call.keywords}
            assert told.get("weights_only") is True, (path, call.lineno)


def test_a_tag_in_a_card_is_refused(tmp_path, monkeypatch):
    import yaml

    from obvlib.manifests import load_card

    cards = tmp_path / "data_manifests" / "cards"
    cards.mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    harm = f"!!python/object/apply:pathlib.Path.touch ['{tmp_path}/harm']"
    (cards / "evil.yaml").write_text(f"title: {harm}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(yaml.YAMLError):
        load_card("evil")
    assert not (tmp_path / "harm").exists()
