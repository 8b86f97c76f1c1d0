"""Weak scaling of `obv train` on one machine: the same rows a device on 1, 2, 4 … GPUs, replicated,
sharded by FSDP2 or by DeepSpeed, from mp4 files that are decoded while it runs.

    python tests/benchmarks/gpu_scaling.py --work /tmp/work --out scaling.json --devices 1 2

Clips and the model are made before by `gpu_obv_train.py --make`. An optimizer step holds the same
rows whatever the number of devices (one device accumulates them), so the losses of the first steps
agree. Efficiency is tokens a second and device over those of one device.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FSDP2 = (
    "--use_fsdp --fsdp_version 2 --fsdp_auto_wrap_policy TRANSFORMER_BASED_WRAP"
    " --fsdp_transformer_layer_cls_to_wrap Qwen2VLDecoderLayer,Qwen2VLVisionBlock"
    " --fsdp_reshard_after_forward true --fsdp_cpu_ram_efficient_loading false"
).split()

ENGINES = {
    "replicated": ["--multi_gpu"],
    "fsdp2": FSDP2,
    "zero2": ["--use_deepspeed", "--zero_stage", "2"],  # needs `pip install deepspeed`
}


def command(num: int, engine: str, arguments: argparse.Namespace, out: Path) -> list[str]:
    """The command of one run."""
    rows = [f"rows_per_step={max(arguments.devices) // num}", *arguments.changes]
    run = [
        str(HERE / "gpu_obv_train.py"), "--work", str(arguments.work), "--out", str(out),
        "--model", arguments.model, "--rows", arguments.row, "--warm", str(arguments.warm),
        "--steps", str(arguments.steps), "--changes", *rows,
    ]  # fmt: skip
    if num == 1:
        return [sys.executable, *run]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", str(num)]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    return [*launch, *ENGINES[engine], *run]


def measure(num: int, engine: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run on `num` devices and return what it measured."""
    out = arguments.work / f"scaling-{arguments.model}-{engine}-{num}.json"
    devices = ",".join(map(str, range(num)))
    environment = os.environ | ({"CUDA_VISIBLE_DEVICES": devices} if arguments.picks else {})
    result: dict[str, Any] = {"devices": num, "engine": engine}
    try:
        done = subprocess.run(
            command(num, engine, arguments, out), env=environment, timeout=arguments.limit,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        (found,) = json.loads(out.read_text()) if out.is_file() else ({"failed": ""},)
        if "failed" in found:
            found["log"] = done.stdout[-3000:]
    except subprocess.TimeoutExpired as error:
        found = {"failed": f"stopped after {error.timeout} s", "log": str(error.stdout)[-3000:]}
    return result | found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=["replicated", "fsdp2"])
    parser.add_argument("--model", default="2b")
    parser.add_argument("--row", default="short")
    parser.add_argument("--warm", type=int, default=6)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--limit", type=float, default=300, help="seconds a run may take")
    parser.add_argument("--changes", nargs="*", default=[])
    parser.add_argument("--cpu", dest="picks", action="store_false", help="a rehearsal")
    arguments = parser.parse_args()
    results: list[dict[str, Any]] = []
    for num in sorted(arguments.devices):
        for engine in ["alone"] if num == 1 else arguments.engines:
            found = measure(num, engine, arguments)
            alone = next((r for r in results if r["devices"] == 1 and "tokens_per_s" in r), None)
            if alone and "tokens_per_s" in found:
                found["efficiency"] = found["tokens_per_s"] / num / alone["tokens_per_s"]
            results.append(found)
            print({k: v for k, v in found.items() if k != "said"}, flush=True)
            arguments.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
