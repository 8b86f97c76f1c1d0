"""One process of a run of several, for tests/test_ranks.py: python rank_worker.py MODE FOLDER.

Modes: "answer" (predictions), "rows" (a row of text alone and a sample that cannot be read),
"killed" (the second process ends without a word after two steps).
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
from accelerate.state import AcceleratorState

from obvlib.core import Example, ranks
from obvlib.evaluation import EvalConfig, predict
from obvlib.inputs import Turn, Video, encode
from obvlib.models import tiny_bundle
from obvlib.training import TrainConfig, passes
from obvlib.training.run import train

NUM_SAMPLES, TEXT_ALONE, BROKEN = 12, (2, 5), 7


def samples(bundle):
    rng, made = np.random.default_rng(0), []
    for number in range(NUM_SAMPLES):
        frames = rng.integers(0, 256, (4, 56, 56, 3), dtype=np.uint8)
        visuals = () if number in TEXT_ALONE else (Video(frames, np.arange(4.0)),)
        turns = [
            Turn("user", f"Question {number}?", visuals),
            Turn("assistant", "word " * (30 if number in TEXT_ALONE else number + 1)),
        ]
        made.append(encode(turns, bundle.tokenizer, bundle.spec))
    return made


class Data:
    """Loads samples, one of which cannot be read."""

    def __init__(self, bundle, breaks):
        self.samples, self.breaks = samples(bundle), breaks

    def load(self, index):
        if self.breaks and index == BROKEN:
            raise OSError("clip 7 cannot be read")
        return self.samples[index]


class Killer:
    """Ends the second process after two steps."""

    def __init__(self, mode):
        self.active = mode == "killed" and os.environ.get("RANK") == "1"
        self.num_loaded = 0

    def load(self, index, data):
        self.num_loaded += 1
        if self.active and self.num_loaded == 4:
            os._exit(9)
        return data.load(index)


def run(mode, folder):
    """Train for six steps of two rows, spread over the processes."""
    bundle = tiny_bundle()
    data = Data(bundle, breaks=mode != "whole")
    killer = Killer(mode)
    config = TrainConfig.mini(
        Path(folder),
        capacity_tokens=max(s.num_tokens for s in data.samples),
        rows_per_step=2 // ranks.world_size(),
        gradient_checkpointing=True,
        learning_rate=1e-3,
        optimizer="adamw",
        save_steps=1,
        log_steps=1,
        num_workers=0,
        tracker="none",
        max_skipped_share=0.5,
    )
    lengths = [s.num_tokens for s in data.samples]
    taken = passes.packed_pass(bundle, config)
    result = train(config, bundle, lambda index: killer.load(index, data), lengths)
    if ranks.is_first():
        skipped = [sample for sample, _ in result.skipped]
        told = {"losses": result.losses, "skipped": skipped, "folder": str(result.folder)}
        told["pass"] = "packed" if taken else "own"
        told["engine"] = str(AcceleratorState().distributed_type.value)
        print("RESULT " + json.dumps(told), flush=True)
    return result


def answer(folder):
    """Answer a dozen questions, each about frames of its own."""
    data = np.random.default_rng(0).integers(0, 256, (NUM_SAMPLES, 4, 56, 56, 3), dtype=np.uint8)
    videos = {str(number): Video(frames, np.arange(4.0)) for number, frames in enumerate(data)}
    examples = [
        Example(example_id=name, benchmark="mini", video_id=name, question=f"Question {name}?",
                answer="Yes", media=(f"{name}.mp4",))
        for name in videos
    ]  # fmt: skip
    config = EvalConfig(batch_size=1, max_new_tokens=3)
    answers = predict(
        tiny_bundle(), examples, Path(folder) / "predictions.jsonl", config,
        read=lambda example: [videos[example.example_id]],
    )  # fmt: skip
    told = [[a.example_id, a.response, a.status] for a in answers]
    if ranks.is_first():
        print("RESULT " + json.dumps(told), flush=True)
    return told


if __name__ == "__main__":
    mode, folder = sys.argv[1:]
    answer(folder) if mode == "answer" else run(mode, folder)
