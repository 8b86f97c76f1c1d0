"""The command's own words for settings that are wrong: one line, exit status 1, no traceback."""

import errno
import subprocess
import sys
from collections import Counter

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from obvlib.cli import app
from obvlib.cli.app import fail


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """Relative directories are below a folder of the test's own."""
    monkeypatch.chdir(tmp_path)


SLICE = ["slice", "--dataset", "mini", "--input-dir", "videos", "--output-dir", "clips"]


@pytest.mark.parametrize("command", [["train"], ["evaluate"], SLICE, ["doctor"]])
def test_an_unknown_profile_is_one_line(monkeypatch, command):
    monkeypatch.setenv("OBV_PROFILE", "banana")
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1 and result.stderr.startswith("error: OBV_PROFILE='banana'")
    assert "\n" not in result.stderr.strip()


def test_an_unknown_dataset_names_the_known_ones(monkeypatch, tmp_path):
    monkeypatch.setenv("OBV_DATA", str(tmp_path))
    result = CliRunner().invoke(app, [*SLICE[:2], "nothing", *SLICE[3:]])
    assert (
        result.exit_code == 1
        and "nothing is not a file of rows" in result.stderr
        and "mini" in result.stderr
    )


def test_no_model_yet_says_how_to_get_one(monkeypatch, tmp_path):
    monkeypatch.setenv("OBV_DATA", str(tmp_path))
    monkeypatch.delenv("OBV_PROFILE", raising=False)
    result = CliRunner().invoke(app, ["evaluate"])
    assert result.exit_code == 1 and "run `obv train` first" in result.stderr


@pytest.mark.parametrize(
    ("split", "said"),
    [("tset", "split 'tset' is unknown"), ("validation", "mini has no rows of split 'validation'")],
)
def test_a_split_that_no_row_has_is_an_error(monkeypatch, tmp_path, split, said):
    monkeypatch.setenv("OBV_DATA", str(tmp_path))
    result = CliRunner().invoke(app, [*SLICE, "--split", split])
    assert result.exit_code == 1 and said in result.stderr


def test_bad_settings_are_one_line_and_debug_shows_the_traceback(monkeypatch, tmp_path):
    monkeypatch.setenv("OBV_DATA", str(tmp_path))
    monkeypatch.delenv("OBV_DEBUG", raising=False)
    for extra in (["--num-workers", "0"], ["--output-dir", "videos"]):
        result = CliRunner().invoke(app, [*SLICE, *extra])
        assert (
            result.exit_code == 1
            and result.stderr.startswith("error: ")
            and result.stderr.count("\n") == 1
        )
    monkeypatch.setenv("OBV_DEBUG", "1")
    assert isinstance(CliRunner().invoke(app, [*SLICE, "--num-workers", "0"]).exception, ValueError)


@pytest.mark.parametrize(
    ("command", "old", "new"),
    [
        ("evaluate", "--rows", "--dataset"),
        ("evaluate", "--media", "--input-dir"),
        ("inspect", "--clips-dir", "--input-dir"),
        ("judge measure", "--url", "--endpoint"),
        ("report evaluation", "--training", "--training-dataset"),
        ("report evaluation", "--training-clips", "--training-input-dir"),
    ],
)
def test_an_options_old_name_is_refused_with_the_new_one(command, old, new):
    done = CliRunner().invoke(app, [*command.split(), old, "x"])
    assert done.exit_code == 2 and f"{old} is now {new}" in done.output
    assert new in CliRunner().invoke(app, [*command.split(), "--help"], terminal_width=200).output


def test_one_thing_has_one_name_in_every_command():
    """What a command takes in, writes to and works with is called the same everywhere."""
    names = Counter(
        option.name
        for command in all_commands(get_command(app))
        for option in command.params
        if option.param_type_name == "option"
    )
    assert names["dataset"] >= 5 and names["input_dir"] >= 5 and names["output_dir"] >= 6
    assert names["num_workers"] >= 5 and names["endpoint"] >= 4
    others = {"media", "rows", "clips_dir", "videos_dir", "out_dir", "out", "workers", "url"}
    assert not others & set(names)


def all_commands(group):
    """Yield every command of a group and of the groups in it."""
    for command in group.commands.values():
        if hasattr(command, "commands"):
            yield from all_commands(command)
        else:
            yield command


IN_A_DESTRUCTOR = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits none
from obvlib.cli import app
from obvlib.cli.app import fail

class Held:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)  # Python drops what is raised here

@app.command()
def work():
    Held()
    time.sleep(2)
    print("went on")

app(["work"])
"""


def test_ctrl_c_while_a_destructor_runs_is_not_lost():
    done = subprocess.run(
        [sys.executable, "-c", IN_A_DESTRUCTOR], capture_output=True, text=True, check=False
    )
    assert done.returncode == 130 and "went on" not in done.stdout
    assert "Traceback" not in done.stderr and "run the same command again" in done.stderr


def test_a_full_disk_is_said_with_what_to_do(capsys):
    with pytest.raises(typer.Exit):
        fail(OSError(errno.ENOSPC, "No space left on device"))
    said = capsys.readouterr().err
    assert "No space left" in said and "make room" in said and said.count("\n") == 1
