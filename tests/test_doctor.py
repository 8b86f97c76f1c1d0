"""`obv doctor`: each line's verdict and remedy, the verdict on a profile, and that it is quick."""

from __future__ import annotations

import json
import socket
import time

import pytest
from typer.testing import CliRunner

from obvlib.cli import doctor, hardware, software
from obvlib.cli.app import app
from obvlib.cli.findings import Finding, Report
from obvlib.core import gpus
from obvlib.core.gpus import Gpu

FINE = Finding(part="Python", ok=True, found="3.11")
NO_GPU = Finding(
    part="GPU", ok=False, found="no driver", remedy="get one", needed_by=("gpu", "full")
)
NO_RAY = Finding(part="ray", ok=False, found="not installed", remedy="pip install ray")


@pytest.fixture
def machine(monkeypatch):
    """A machine that can run mini alone, whatever the tests run on."""
    reasons = {"mini": (), "gpu": ("GPU",), "full": ("GPU",)}
    monkeypatch.setattr(
        doctor, "examine", lambda: Report(findings=(FINE, NO_GPU, NO_RAY), reasons=reasons)
    )
    monkeypatch.delenv("OBV_PROFILE", raising=False)


def run(*args: str):
    return CliRunner().invoke(app, ["doctor", *args])


def test_exit_status_follows_the_chosen_profile(machine, monkeypatch):
    assert run().exit_code == 0
    assert run("--profile", "gpu").exit_code == 1
    monkeypatch.setenv("OBV_PROFILE", "full")
    assert run().exit_code == 1


def test_unknown_profile_is_a_usage_error(machine):
    result = run("--profile", "tpu")
    assert result.exit_code == 2
    assert "mini, gpu, full" in result.output


def test_text_says_what_to_do_and_marks_only_what_the_profile_needs(machine):
    lines = run().output.splitlines()
    assert lines[0].split() == ["ok", "Python", "3.11"]
    assert lines[1].split() == ["-", "GPU", "no", "driver"]
    assert lines[2].strip() == "[gpu, full] get one"
    assert lines[4].strip() == "[optional] pip install ray"
    assert lines[-3:] == [
        "> profile mini  can run",
        "  profile gpu   cannot run, because of: GPU",
        "  profile full  cannot run, because of: GPU",
    ]
    assert run("--profile", "gpu").output.splitlines()[1].startswith("MISSING")


def test_json_holds_the_same(machine):
    report = json.loads(run("--json").output)
    assert report["profile"] == "mini"
    assert report["profiles"]["gpu"] == {"can_run": False, "missing": ["GPU"]}
    assert report["findings"][1] == {
        "part": "GPU",
        "ok": False,
        "found": "no driver",
        "remedy": "get one",
        "needed_by": ["gpu", "full"],
    }


@pytest.mark.parametrize(
    ("memory_gib", "major", "num_gpus", "needed_by"),
    [
        (80, 9, 1, ("full",)),
        (80, 9, 8, ()),
        (12, 8, 1, ("gpu", "full")),
        (80, 7, 4, ("gpu", "full")),
    ],
)
def test_gpu_needs_bf16_memory_and_company(memory_gib, major, num_gpus, needed_by):
    finding = hardware.describe_gpu(Gpu("H100", memory_gib, major), num_gpus)
    assert finding.needed_by == needed_by
    assert finding.ok is (needed_by == ())
    assert ("no bf16" in finding.found) is (major < 8)


@pytest.mark.parametrize(("gib", "short"), [(5, ("mini", "gpu")), (6, ("gpu",)), (16, ())])
def test_too_little_room_names_the_profiles(gib, short):
    finding = hardware.sized("memory", gib, {"mini": 6, "gpu": 16}, "add some")
    assert (finding.ok, finding.needed_by) == (not short, short)
    assert all(name in finding.remedy for name in short)


def test_missing_package_group_names_what_lacks():
    finding = software.package_group("parts", ("numpy", "no-such-thing"), "mini", ("mini",))
    assert not finding.ok
    assert finding.found == "lacks no-such-thing"
    assert finding.remedy == "pip install -e .[mini]"


def test_offline_hub_says_so_at_once(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert software.hub().found == "HF_HUB_OFFLINE is set"
    (tmp_path / "hub/models--Qwen--Qwen2-VL-2B-Instruct/snapshots/abc").mkdir(parents=True)
    assert software.hub().ok


def test_silent_address_is_given_up_in_time():
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, never answers
        start_s = time.monotonic()
        assert not software.answers(f"http://127.0.0.1:{server.getsockname()[1]}", timeout_s=0.3)
        assert time.monotonic() - start_s < 1.5
    assert not software.answers("no address at all")


def test_unusable_data_root_is_a_finding_and_no_crash(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OBV_DATA", str(tmp_path / "file"))
    finding = hardware.disk()
    assert not finding.ok and "file" in finding.found
    monkeypatch.setenv("OBV_DATA", str(tmp_path / "not/yet/there"))
    assert "GiB free" in hardware.disk().found


def test_missing_ffmpeg_program_blocks_no_profile(monkeypatch):
    monkeypatch.setattr(software.shutil, "which", lambda name: None)
    program = next(finding for finding in software.video() if finding.part == "ffmpeg program")
    assert not program.ok and program.needed_by == ()
    assert "yt-dlp" in program.remedy


def test_pyav_brings_the_codecs_that_the_book_needs():
    pyav = next(finding for finding in software.video() if finding.part == "PyAV")
    assert pyav.ok, pyav.found


def test_whole_examination_is_quick(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    start_s = time.monotonic()
    report = doctor.examine()
    assert time.monotonic() - start_s < 5
    assert set(report.reasons) == {"mini", "gpu", "full"}


SMI = "NVIDIA H100 80GB HBM3, 81559, 9.0\nTesla V100, 16384, 7.0"
TABLE = "| NVIDIA-SMI 570.1    Driver Version: 570.1    CUDA Version: 12.8     |"


def test_gpus_are_read_from_the_driver(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpus, "nvidia_smi", lambda *args: SMI if args else TABLE)
    monkeypatch.setattr(gpus, "cuda_of_torch", lambda: "13.0")
    h100, v100, cuda = hardware.gpu_findings()
    assert (h100.ok, h100.found) == (True, "NVIDIA H100 80GB HBM3, 80 GiB, bf16")
    assert (v100.ok, v100.found) == (False, "Tesla V100, 16 GiB, no bf16")
    assert (cuda.ok, cuda.found) == (False, "driver for 12.8, torch built with 13.0")


@pytest.mark.parametrize(
    ("listed", "flash4", "found"),
    [
        ("", True, "attention loop, packed pass, nothing compiled, fp32, Liger off"),
        (SMI, True, "attention flash4, packed pass, layers compiled, bf16 products, fp32 masters,"
         " Liger off"),
        (SMI, False, "attention varlen, packed pass, layers compiled, bf16 products, fp32 masters,"
         " Liger off"),
    ],
)  # fmt: skip
def test_what_a_run_would_take_is_said(monkeypatch, listed, flash4, found):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpus, "nvidia_smi", lambda *args: listed)
    monkeypatch.setattr(gpus, "is_installed", lambda module: flash4)
    assert hardware.training().found == found


def test_hidden_gpus_are_said_to_be_hidden(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (finding,) = hardware.gpu_findings()
    assert (finding.ok, finding.found) == (False, "hidden by CUDA_VISIBLE_DEVICES")


@pytest.mark.parametrize(
    ("driver", "torch", "ok"),
    [("13.0", "13.0", True), ("13.1", "12.8", True), ("12.8", "13.0", False), ("13.0", "", False)],
)
def test_driver_serves_its_own_cuda_and_older_ones(driver, torch, ok):
    assert hardware.cuda(driver, torch).ok is ok


def test_cuda_of_the_installed_torch_is_what_torch_says():
    import torch

    assert gpus.cuda_of_torch() == (torch.version.cuda or "")
