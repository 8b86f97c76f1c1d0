"""Questions answered per second on long clips, decoding included: the project's `predict` beside
the original's way (qwen-vl-utils with decord at its 2 frames a second, the family's video processor
and one `generate` a question) and beside the project's own parts used one by one.

    python tests/benchmarks/gpu_answers.py OUT.json                  a GPU, Qwen2-VL-2B's size
    python tests/benchmarks/gpu_answers.py OUT.json --rehearse       a CPU, the tiny model

    pip install decord                                              needed by the original's way

Weights are random: speed does not depend on what they say. All ways answer with as many tokens at
most; "one by one" sees the same frames as `predict`, so that only how the work is arranged differs,
while the original's sees twice the frames. The original's way runs twice: with the model as
transformers has it, and with its patch embedding as one product (see
`obvlib.models.patch_product`), as a version of torch without that fault would run it; `times` is
relative to the faster. `predict` is timed whole, fingerprint included, and, as
`later_questions_per_s`, from its first batch on. The share of the time in which no kernel
runs is from torch's profiler. The last row says how long the parts of one answer take.

Measured on 2026-11-30 (one H200, 16 cores, gpu_answers_2026-11-30.json): the original 0.181 a
second with its patch embedding as a product, `predict` with twelve readers 1.01 with everything and
1.22 from its first batch on, 5.6 and 6.7 times as many; earlier the same day the original 0.190 and
0.195, the project's parts one by one 0.375.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_steps import summed

from obvlib import media
from obvlib.core import Example, FramePolicy, Provenance, ranks
from obvlib.evaluation import EvalConfig, end_tokens, generate, predict, prompt_input
from obvlib.evaluation.visuals import visuals_reader
from obvlib.models import Bundle, tiny_bundle
from obvlib.models.patch_product import multiply_patches
from obvlib.report import save_result

WAYS = ["original", "original, product", "one by one", "parts", "predict"]
NUM_FILES = 4  # different clips, each of them under many names


def moving(seed: int, num_frames: int, height: int, width: int) -> Iterator[np.ndarray]:
    """A picture of blocks that moves by a pixel a frame."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    picture = np.repeat(np.repeat(base, 8, 0), 8, 1)
    return (np.roll(picture, (t, 2 * t), (0, 1)) for t in range(num_frames))


def write_clip(path: Path, seed: int, seconds: int, height: int, width: int) -> None:
    media.write_video(path, moving(seed, seconds * 30, height, width), 30.0)


def clips(folder: Path, num: int, seconds: int, height: int, width: int) -> list[Example]:
    """Examples about `num` clips of that length at 30 fps."""
    sources = [folder / f"source_{i}.mp4" for i in range(NUM_FILES)]
    with ProcessPoolExecutor(NUM_FILES) as pool:
        made = [
            pool.submit(write_clip, path, seed, seconds, height, width)
            for seed, path in enumerate(sources)
        ]
        for one in made:
            one.result()
    examples = []
    for i in range(num):
        path = folder / f"{i}.mp4"
        path.hardlink_to(sources[i % NUM_FILES])
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
    model = model.to(torch.bfloat16).eval()
    return dataclasses.replace(tiny, model=model, name="qwen2-vl-2b, random weights")


class Idle:
    """How long something took, and in which share of that no kernel ran on the GPU: torch's
    profiler, whose own end is not part of it.
    """

    def __enter__(self) -> Idle:
        self.took_s = 0.0
        self.share: float | None = None  # where there is no GPU
        self._profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
        self._began = time.perf_counter()
        if torch.cuda.is_available():
            self._profile.start()
        return self

    def __exit__(self, *_: object) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.took_s = time.perf_counter() - self._began
        if torch.cuda.is_available():
            self._profile.stop()
            self.share = round(1 - summed(self._profile, num_steps=1)["busy_s"] / self.took_s, 3)


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


class Batches:
    """When each batch of a run ended, and how many examples were done."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, int]] = []

    def __call__(self, num_done: int, _: int) -> None:
        self.ends.append((time.perf_counter(), num_done))

    @property
    def rate(self) -> float | None:
        """Questions a second after the first batch."""
        (first_s, before), (last_s, after) = self.ends[0], self.ends[-1]
        return round((after - before) / (last_s - first_s), 3) if after > before else None


def timed(bundle: Bundle, prompts: list[Any], num_tokens: int) -> float:
    """Seconds of one `generate` of so many tokens."""
    start = time.perf_counter()
    generate(bundle.model, prompts, max_new_tokens=num_tokens, eos_token_ids=())
    return time.perf_counter() - start


def parts(bundle: Bundle, example: Example, config: EvalConfig) -> dict[str, float]:
    """Seconds of reading a clip on all cores, of its prompt, and of a token of one and of eight."""
    start = time.perf_counter()
    visuals = visuals_reader(config.policy)(example)
    read_s = time.perf_counter() - start
    prompt = prompt_input(example, visuals, bundle, config)
    encode_s = time.perf_counter() - start - read_s
    timed(bundle, [prompt], 1)
    prompt_s = timed(bundle, [prompt], 1)
    token_s = (timed(bundle, [prompt], 9) - prompt_s) / 8
    eight = [prompt] * 8
    of_eight_s = (timed(bundle, eight, 9) - timed(bundle, eight, 1)) / 8
    found = {
        "read_s": read_s, "encode_s": encode_s, "prompt_s": prompt_s, "token_s": token_s,
        "token_of_eight_s": of_eight_s, "prompt_tokens": prompt.num_tokens,
    }  # fmt: skip
    return {name: round(value, 4) for name, value in found.items()}


def predicted(
    bundle: Bundle,
    examples: list[Example],
    config: EvalConfig,
    folder: Path,
    readers: int,
    base: float,
) -> dict[str, Any]:
    """The row of `predict` with so many reading processes; `times` is relative to `base`."""
    batches, chosen = Batches(), dataclasses.replace(config, num_readers=readers)
    with Idle() as idle:
        found = predict(bundle, examples, folder / f"{readers}.jsonl", chosen, on_progress=batches)
    rate = len(examples) / idle.took_s
    failed = [p.reason for p in found if p.status != "ok"]
    return {
        "way": "predict", "readers": readers, "questions_per_s": round(rate, 3),
        "later_questions_per_s": batches.rate, "times": round(rate / base, 2) if base else None,
        "idle": idle.share, "failed": len(failed), "reason": failed[0] if failed else "",
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS, help="in this order")
    parser.add_argument("--few", type=int, default=4, help="questions of the ways one by one")
    parser.add_argument("--num", type=int, default=64, help="questions of predict")
    parser.add_argument("--readers", type=int, nargs="+", default=[ranks.num_readers()])
    args = parser.parse_args()
    size = (4, 120, 160) if args.rehearse else (60, 720, 1280)
    policy = FramePolicy.mini() if args.rehearse else FramePolicy()
    config = EvalConfig(policy=policy, max_new_tokens=32, batch_size=8)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        examples = clips(Path(folder), args.num, *size)
        bundle = tiny_bundle() if args.rehearse else full_size()
        title = f"Answers per second, {bundle.name}, clips of {size[0]} s at {size[2]}x{size[1]}"

        def keep(row: dict[str, Any]) -> None:
            rows.append(row)
            print(json.dumps(row), flush=True)
            save_result(args.out, title=title, rows=rows, provenance=Provenance.collect(seed=0))

        few = examples[: args.few]
        for way in args.ways:
            if way == "parts":
                keep({"way": "parts of an answer"} | parts(bundle, examples[0], config))
            elif way == "predict":
                rates = [row["questions_per_s"] for row in rows if "original" in row["way"]]
                for readers in args.readers:
                    best = max(rates, default=0)
                    keep(predicted(bundle, examples, config, Path(folder), readers, best))
            else:
                if way == "original, product":
                    multiply_patches(bundle.model)
                answer = one_by_one if way == "one by one" else original
                answer(bundle, few[:1], config)  # warm
                with Idle() as idle:
                    answer(bundle, few, config)
                rate = len(few) / idle.took_s
                keep({"way": way, "questions_per_s": round(rate, 4), "idle": idle.share})


if __name__ == "__main__":
    main()
