"""A run of two processes on the CPU: the same answers and the same steps as one process, rows
without a picture, a sample that one process cannot read, and a process that is killed.
"""

import json
import os
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from safetensors.torch import load_file

from obvlib.training.rows import dealt, imbalance
from tests.rank_worker import answer, run

WORKER = Path(__file__).with_name("rank_worker.py")
ROOT = WORKER.parent.parent


# what `accelerate launch --use_fsdp --fsdp_version 2 …` tells its processes
FSDP2 = {
    "ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_TRANSFORMER_CLS_TO_WRAP": "Qwen2VLDecoderLayer,Qwen2VLVisionBlock",
    "FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT", "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
}  # fmt: skip
ENGINES = {"replicated": {}, "sharded by FSDP2": FSDP2}
# DeepSpeed compiles against the installed torch, so the lock leaves it out; accelerate sets it
# aside where it is told to use the CPU
if find_spec("deepspeed"):
    ENGINES["DeepSpeed's second stage"] = {
        "ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "2",
        "DS_ACCELERATOR": "cpu", "ACCELERATE_USE_CPU": "false",
    }  # fmt: skip


def start(mode, folder, num=2, engine=()):
    """Start the processes of one run."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    } | dict(engine)  # fmt: skip
    started = []
    for rank in range(num):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": num}
        own = {name: str(value) for name, value in place.items()}
        own |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        command = [sys.executable, str(WORKER), mode, str(folder)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        started.append(subprocess.Popen(command, env=shared | own, cwd=ROOT, **pipes))
    return started


def finish(started, limit_s=300):
    """Wait for the processes and return what the first one printed as its result."""
    outputs = [process.communicate(timeout=limit_s)[0] for process in started]
    codes = [process.returncode for process in started]
    assert codes == [0] * len(started), "\n".join(outputs)[-3000:]
    line = next(line for line in outputs[0].splitlines() if line.startswith("RESULT "))
    return json.loads(line.removeprefix("RESULT "))


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The same run by one process, which accumulates two rows a step."""
    return run("rows", tmp_path_factory.mktemp("alone") / "run")


def weights(folder):
    return load_file(Path(folder) / "model" / "model.safetensors")


@pytest.mark.parametrize("engine", list(ENGINES.values()), ids=list(ENGINES))
def test_a_killed_process_ends_the_other_and_two_that_go_on_equal_one(tmp_path, alone, engine):
    from transformers import AutoModelForImageTextToText

    first, second = start("killed", tmp_path / "run", engine=engine)
    assert second.wait(timeout=300) == 9
    began = time.monotonic()
    try:
        assert first.wait(timeout=60) != 0
    finally:
        first.kill()
    assert time.monotonic() - began < 60
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").glob("checkpoint-*"))
    assert kept  # whole ones, from which the next call goes on
    told = finish(start("rows", tmp_path / "run", engine=engine))
    by_deepspeed = "ACCELERATE_USE_DEEPSPEED" in engine
    assert told["pass"] == ("own" if by_deepspeed else "packed")
    assert (told["engine"] == "DEEPSPEED") == by_deepspeed
    assert told["skipped"] == [sample for sample, _ in alone.skipped] == [7]
    assert [step for step, _ in told["losses"]] == [step for step, _ in alone.losses]
    for (_, mine), (_, other) in zip(told["losses"], alone.losses, strict=True):
        assert mine == pytest.approx(other, rel=1e-4)
    mine, other = weights(told["folder"]), weights(alone.folder)
    assert mine.keys() == other.keys()
    saved = AutoModelForImageTextToText.from_pretrained(Path(told["folder"]) / "model")
    assert saved.config.model_type == "qwen2_vl"
    furthest = max(float((mine[name] - other[name]).abs().max()) for name in mine)
    assert furthest < 1e-4  # six steps of 1e-3 moved them by up to 6e-3


def test_rows_of_a_step_are_dealt_so_that_processes_see_as_much():
    rows, visual = [[0], [1], [2], [3], [4]], [900, 100, 800, 200, 50]
    assert dealt(rows, visual, rows_per_step=2, world_size=2) == [[0], [2], [1], [3], [4]]
    assert imbalance(rows, visual, 2) == pytest.approx(1750 / 1025)
    assert imbalance(dealt(rows, visual, 2, 2), visual, 2) == pytest.approx(1050 / 1025)
    assert dealt(rows, visual, 2, 1) == rows and imbalance(rows, visual, 1) == 1


def test_two_processes_give_every_answer_that_one_gives(tmp_path):
    together = finish(start("answer", tmp_path / "two"))
    assert together == answer(tmp_path / "one")
    lines = (tmp_path / "two" / "predictions.jsonl").read_text().splitlines()
    ids = [row["example_id"] for row in map(json.loads, lines) if "example_id" in row]
    assert sorted(ids) == sorted(name for name, *_ in together)  # each asked once
