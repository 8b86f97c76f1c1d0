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


# the numbers of the page "What is promised" are those of stored results

KILLS = {
    "command": "command", "num_kills": "kills", "num_ends": "ends compared",
    "num_different": "ends that differed", "num_torn_files": "torn files seen after a kill",
}  # fmt: skip
PAGE = (ROOT / "book" / "promises.md").read_text(encoding="utf-8")
SHOWN = {
    "kills": KILLS,
    "long_kills": KILLS,
    "interrupts": {
        "command": "command", "num_kills": "interrupts", "num_ends": "ends compared",
        "num_different": "ends that differed", "num_wrong_exits": "other exit status than 130",
    },
    "many_clips": {"command": "command", "num_clips": "clips", "peak_mb": "peak, MB"},
    "attacks": {
        "kind": "kind", "num_scripts": "scripts",
        "num_shown_before": "show their fault, 2026-11-25", "num_shown_now": "show it now",
        "num_further": "further attempts",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SHOWN)
def test_the_page_shows_the_newest_stored_result(name):
    from obvlib.report.results import load_result

    path = max((ROOT / "data_manifests" / "results").glob(f"{name}_*.json"))
    result, columns = load_result(path), SHOWN[name]
    lines = [f"| {' | '.join(columns.values())} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(str(row[key]) for key in columns)} |" for row in result["rows"]]
    assert "\n".join(lines) in PAGE, "\n".join(lines)
    assert f"(S{result['label'][1:]}.)" in PAGE, result["label"]


def test_the_kills_and_attacks_found_nothing_that_is_left():
    from obvlib.report.results import load_result

    results = ROOT / "data_manifests" / "results"
    kills, long, interrupts = (
        load_result(max(results.glob(f"{name}_*.json")))["rows"]
        for name in ("kills", "long_kills", "interrupts")
    )
    names = "slice prepare build download curate evaluate".split()
    commands = sorted(f"obv {name}" for name in names)
    for rows in (kills + long, interrupts):
        assert sorted(row["command"] for row in rows) == commands
        assert all(row["num_kills"] >= 20 for row in rows)
        assert not any(row["num_different"] or row["num_wrong_exits"] for row in rows)
    attacks = load_result(max(results.glob("attacks_*.json")))["rows"]
    assert all(row["num_shown_now"] == 0 for row in attacks)
