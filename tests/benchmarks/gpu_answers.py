"""Questions answered per second on long clips, decoding included: the project's `predict` beside
the original's way (qwen-vl-utils with decord at its 2 frames a second, the family's video processor
and one `generate` a question) and beside the project's own parts used one by one.

    python tests/benchmarks/gpu_answers.py OUT.json                  a GPU, Qwen2-VL-2B's size
    python tests/benchmarks/gpu_answers.py OUT.json --rehearse       a CPU, the tiny model

    pip install decord                                              needed by the original's way

Weights are random: speed does not depend on what they say. All ways answer with as many tokens at
most; "one by one" sees the same frames as `predict`, so that only how the work is arranged differs,
while "original" also sees twice the frames. `times` is relative to it. The share of the time
in which the GPU idles is sampled by nvidia-smi.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch

from obvlib import media
from obvlib.core import Example, FramePolicy, Provenance
from obvlib.evaluation import EvalConfig, end_tokens, generate, predict, prompt_input
from obvlib.evaluation.visuals import visuals_reader
from obvlib.models import Bundle, tiny_bundle
from obvlib.report import save_result


def clips(folder: Path, num: int, seconds: int, height: int, width: int) -> list[Example]:
    """Examples about `num` moving clips of that length at 30 fps."""
    rng = np.random.default_rng(0)
    examples = []
    for i in range(num):
        base = rng.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
        picture = np.repeat(np.repeat(base, 8, 0), 8, 1)
        frames = (np.roll(picture, (t, 2 * t), (0, 1)) for t in range(seconds * 30))
        path = folder / f"{i}.mp4"
        media.write_video(path, np.stack(list(frames)), 30.0)
        examples.append(
            Example(
                example_id=f"q{i}",
                benchmark="speed",
                video_id=f"v{i}",
                question="What is shown in this clip?",
                answer="noise",
                media=(str(path),),
            )
        )
    return examples


def full_size() -> Bundle:
    """Qwen2-VL-2B's architecture with random weights in bf16 on the GPU, and the tiny tokenizer,
    whose ids the config names.
    """
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    tiny = tiny_bundle()
    config = tiny.model.config
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
    text = config.text_config.to_dict() | dict(
        vocab_size=151_936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28,
        num_attention_heads=12, num_key_value_heads=2, rope_parameters=rope, layer_types=None,
    )  # fmt: skip
    vision = dict(depth=32, embed_dim=1280, hidden_size=1536, num_heads=16, mlp_ratio=4)
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    config = Qwen2VLConfig(
        text_config=text,
        vision_config=vision,
        tie_word_embeddings=True,
        **{name: getattr(config, name) for name in names},
    )
    with torch.device("cuda"):
        model = Qwen2VLForConditionalGeneration._from_config(config, attn_implementation="sdpa")
    model = model.to(torch.bfloat16)
    return dataclasses.replace(tiny, model=model, name="qwen2-vl-2b, random weights")


class Idle:
    """The share of samples, every 0.2 s, in which the GPU did nothing."""

    def __enter__(self) -> Idle:
        self.samples: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def share(self) -> float | None:
        """None where there is no GPU."""
        return float(np.mean([s == 0 for s in self.samples])) if self.samples else None

    def _watch(self) -> None:
        query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not self._stop.wait(0.2) and torch.cuda.is_available():
            self.samples.append(float(subprocess.check_output(query, text=True).split()[0]))


def one_by_one(bundle: Bundle, examples: list[Example], config: EvalConfig) -> None:
    """The original's arrangement: read, then answer, then the next."""
    read = visuals_reader(config.policy)
    for example in examples:
        prompt = prompt_input(example, read(example), bundle, config)
        generate(
            bundle.model,
            [prompt],
            max_new_tokens=config.max_new_tokens,
            eos_token_ids=end_tokens(bundle),
        )


def original(bundle: Bundle, examples: list[Example], config: EvalConfig) -> None:
    """The original's way, written with the libraries that it calls."""
    os.environ.setdefault("FORCE_QWENVL_VIDEO_READER", "decord")
    from qwen_vl_utils import process_vision_info
    from transformers import Qwen2VLVideoProcessor

    processor, tokenizer = Qwen2VLVideoProcessor(), bundle.tokenizer
    model, device = bundle.model, bundle.model.device
    for example in examples:
        asked = [{"type": "video", "video": example.media[0]}]
        _, (frames,) = process_vision_info([{"role": "user", "content": asked}])
        seen = processor(videos=[frames], do_sample_frames=False, return_tensors="pt")
        num_tokens = int(seen["video_grid_thw"].prod()) // processor.merge_size**2
        shown = f"<|vision_start|>{'<|video_pad|>' * num_tokens}<|vision_end|>{example.question}"
        text = f"<|im_start|>user\n{shown}<|im_end|>\n<|im_start|>assistant\n"
        ids = tokenizer(text, return_tensors="pt")["input_ids"].to(device)
        model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            mm_token_type_ids=2 * (ids == bundle.spec.video_token_id).int(),
            pixel_values_videos=seen["pixel_values_videos"].to(device, model.dtype),
            video_grid_thw=seen["video_grid_thw"].to(device),
            max_new_tokens=config.max_new_tokens,
            do_sample=False,
        )


WAYS = {"original": original, "one by one": one_by_one}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--num", type=int, default=24)
    parser.add_argument("--readers", type=int, nargs="+", default=[1, 4, 12])
    args = parser.parse_args()
    seconds, height, width = (4, 120, 160) if args.rehearse else (60, 720, 1280)
    policy = FramePolicy.mini() if args.rehearse else FramePolicy()
    bundle = tiny_bundle() if args.rehearse else full_size()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        examples = clips(Path(folder), args.num, seconds, height, width)
        config = EvalConfig(policy=policy, max_new_tokens=32, batch_size=8)
        for answer in WAYS.values():
            answer(bundle, examples[:1], config)  # warm
        ways = [(way, 1) for way in WAYS] + [("predict", n) for n in args.readers]
        for way, readers in ways:
            chosen = dataclasses.replace(config, num_readers=readers)
            start = time.perf_counter()
            with Idle() as idle:
                if way in WAYS:
                    WAYS[way](bundle, examples, chosen)
                else:
                    out = Path(folder) / f"{readers}.jsonl"
                    predict(bundle, examples, out, chosen)
            spent = time.perf_counter() - start
            rate = len(examples) / spent
            rows.append({"way": way, "readers": readers, "questions_per_s": round(rate, 3)})
            rows[-1] |= {"idle": idle.share, "times": round(rate / rows[0]["questions_per_s"], 2)}
            print(json.dumps(rows[-1]))
    title = f"Answers per second, {bundle.name}, clips of {seconds} s at {width}x{height}"
    save_result(args.out, title=title, rows=rows, provenance=Provenance.collect(seed=0))


if __name__ == "__main__":
    main()
