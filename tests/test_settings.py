"""The two shared settings: validated, read when asked, and nothing created on the way."""

import subprocess
import sys
from pathlib import Path

import pytest

import obvlib
from obvlib.core import settings

CHECKOUT = Path(obvlib.__file__).resolve().parent.parent


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.delenv("OBV_DATA", raising=False)
    monkeypatch.delenv("OBV_PROFILE", raising=False)
    root = tmp_path / "project"
    (root / "data_manifests").mkdir(parents=True)
    (root / "pyproject.toml").touch()
    (root / "notebooks").mkdir()
    monkeypatch.chdir(root / "notebooks")
    return root


def test_profile_defaults_to_mini(project):
    assert settings.profile() == "mini"


@pytest.mark.parametrize("name", ["mini", "gpu", "full"])
def test_profile_is_read_when_asked(project, monkeypatch, name):
    monkeypatch.setenv("OBV_PROFILE", name)
    assert settings.profile() == name


def test_an_empty_profile_is_unset(project, monkeypatch):
    monkeypatch.setenv("OBV_PROFILE", " ")
    assert settings.profile() == "mini"


@pytest.mark.parametrize("name", ["GPU", "tiny", "mini,gpu"])
def test_an_unknown_profile_names_the_choices(project, monkeypatch, name):
    monkeypatch.setenv("OBV_PROFILE", name)
    with pytest.raises(ValueError, match=f"OBV_PROFILE='{name}'.*mini, gpu, full"):
        settings.profile()


def test_data_is_beside_the_manifests_and_is_not_created(project):
    assert settings.data_root() == project / "data"
    assert not (project / "data").exists()
    assert settings.project_root() == project
    assert settings.manifests_dir() == project / "data_manifests"


def test_obv_data_wins(project, monkeypatch, tmp_path):
    monkeypatch.setenv("OBV_DATA", str(tmp_path / "big disk"))
    assert settings.data_root() == tmp_path / "big disk"
    assert settings.project_root() == project


def test_a_relative_obv_data_becomes_absolute_and_home_is_known(project, monkeypatch):
    monkeypatch.setenv("OBV_DATA", "runs")
    assert settings.data_root() == project / "notebooks" / "runs"
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("OBV_DATA", "~/runs")
    assert settings.data_root() == Path("/home/somebody/runs")


def test_a_file_cannot_be_the_data_root(project, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("OBV_DATA", str(tmp_path / "file"))
    with pytest.raises(ValueError, match="is a file"):
        settings.data_root()


def test_outside_a_project_the_checkout_of_obvlib_serves(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert settings.project_root() == CHECKOUT
    assert settings.manifests_dir().name == "data_manifests"


def test_without_any_checkout_the_error_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.delenv("OBV_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        settings, "__file__", str(tmp_path / "site-packages" / "obvlib" / "core" / "settings.py")
    )
    with pytest.raises(ValueError, match="pip install -e"):
        settings.project_root()
    assert settings.data_root() == tmp_path / "data"


def test_importing_obvlib_loads_nothing_heavy():
    code = (
        "import sys, obvlib; print(sorted({'numpy', 'torch', 'transformers', 'av', 'matplotlib'} &"
        " set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=CHECKOUT, check=True
    )
    assert result.stdout.strip() == "[]"
