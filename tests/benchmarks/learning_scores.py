"""Scores of a trained model by family, with every control: the package's own evaluation, run in
several processes that each ask about some of the sources.

A process asks its sources first as they are, then under each control in turn, so that a stop leaves
whole controls behind. What is there is merged by `collected`.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing

from obvlib import evaluation, scoring
from obvlib.evaluation import EvalConfig, Evaluation, load_evaluation, memory_reader
from obvlib.mini import generated_examples
from obvlib.mini.timed import POLICY, timed_clips
from obvlib.models import Bundle, load

CONTROLS = ("no_visual", "shuffled", "reversed", "middle_frame", "other_video", "blank")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    """What to ask: `num_clips` held-out clips of a stream, by `num_processes` until `until`
    (time.time) is reached.
    """

    num_clips: int
    seed: int
    num_processes: int
    until: float
    controls: tuple[str, ...] = CONTROLS
    device: str = "cuda"


def ask_all(bundle: Bundle, folder: Path, asked: Asked) -> Evaluation | None:
    """Ask in `num_processes` processes and return what was answered in time; None if nothing."""
    bundle.save(folder / "model", POLICY)
    context = torch.multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=ask_some, args=(str(folder), asked, number), daemon=True)
        for number in range(asked.num_processes)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(max(0.1, asked.until - time.time()))
    for process in processes:
        if process.is_alive():
            process.terminate()
    return collected([folder / f"part{i}" for i in range(asked.num_processes)])


def ask_some(folder: str, asked: Asked, number: int) -> None:
    """Evaluate one process's share of the sources, and one control after another."""
    torch.set_num_threads(1)
    share = -(-asked.num_clips // asked.num_processes)
    start = number * share
    num = max(0, min(share, asked.num_clips - start))
    clips = list(timed_clips(num, asked.seed, split="heldout", start=start))
    bundle = load(f"{folder}/model", device=asked.device)
    examples, read = generated_examples(clips), memory_reader(clips)
    config = EvalConfig(policy=POLICY, max_new_tokens=16, batch_size=64, num_readers=0)
    for names in ((), *((name,) for name in asked.controls)):
        out = Path(folder) / f"part{number}"
        evaluation.evaluate(bundle, examples, out, config, controls=names, read=read)


def collected(folders: list[Path]) -> Evaluation | None:
    """The parts of one evaluation as one; a control that some part lacks is left out."""
    parts = [load_evaluation(folder) for folder in folders if (folder / "about.json").is_file()]
    if not parts:
        return None
    shared = set.intersection(*(set(part.controls) for part in parts))
    return merged(parts, {name: [part.controls[name] for part in parts] for name in shared})


def merged(parts: list[Evaluation], controls: dict[str, list[Evaluation]]) -> Evaluation:
    return Evaluation(
        about=parts[0].about,
        examples=[example for part in parts for example in part.examples],
        predictions=[prediction for part in parts for prediction in part.predictions],
        verdicts=[verdict for part in parts for verdict in part.verdicts],
        controls={name: merged(some, {}) for name, some in controls.items()},
    )


def score_table(run: Evaluation, name: str) -> list[dict[str, Any]]:
    """One row for each family: the score in % with its interval, the constant answer's, and each
    control's with the interval of the paired difference.
    """
    constant = scoring.majority(run.examples)
    rows = []
    for family, verdicts in scoring.by_family(run.verdicts).items():
        score = scoring.accuracy(verdicts)
        row: dict[str, Any] = {
            "run": name,
            "family": family,
            "questions": score.num,
            "sources": score.num_clusters,
            "score": percent(score.mean),
            "low": percent(score.low),
            "high": percent(score.high),
            "constant": percent(constant[family].accuracy),
        }
        for control in CONTROLS:
            if control not in run.controls:
                continue
            there = scoring.by_family(run.controls[control].verdicts).get(family, [])
            kept = {verdict.example_id for verdict in there}
            taken = scoring.accuracy(there)
            gain = scoring.paired(there, [v for v in verdicts if v.example_id in kept])
            row |= {
                control: percent(taken.mean),
                f"{control}_low": percent(taken.low),
                f"{control}_high": percent(taken.high),
                f"above_{control}_low": percent(gain.low),
                f"above_{control}_high": percent(gain.high),
            }
        rows.append(row)
    return rows


def percent(share: float) -> float:
    return round(100 * share, 1)
