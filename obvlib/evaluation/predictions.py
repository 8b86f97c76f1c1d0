"""Predictions: every example of a benchmark through the training path's own inputs, answered
greedily, one line of JSON each.

A prediction is written as soon as it exists. Running again continues where the last run stopped; a
clip that cannot be read becomes a prediction with status "failed" and the reason, which scoring
counts as wrong.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from obvlib import inputs, media, mini
from obvlib.core import Example, FramePolicy, Prediction, frame_policy
from obvlib.core.files import write_text
from obvlib.core.jsonl import write_rows
from obvlib.core.provenance import hash_code
from obvlib.core.records import from_json, to_json
from obvlib.evaluation import generation
from obvlib.inputs import Video
from obvlib.mini import SeenClip

if TYPE_CHECKING:
    from obvlib.inputs import ModelInput, Visual
    from obvlib.models import Bundle

ReadVisuals = Callable[[Example], Sequence["Visual"]]
# What turns an example into model input and an answer: a change there asks every question again.
INPUT_CODE = (
    frame_policy,
    inputs,
    mini,
    generation,
    media.decode,
    media.prepare,
    media.read,
    media.source,
)


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """How to ask. Greedy decoding, since a score should not depend on a draw."""

    policy: FramePolicy = FramePolicy()
    max_new_tokens: int = 64
    batch_size: int = 8  # examples generated together
    max_prompt_tokens: int = 32_768  # a longer prompt fails with a reason; nothing is cut

    def __post_init__(self) -> None:
        for name in ("max_new_tokens", "batch_size", "max_prompt_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")


def predict(
    bundle: Bundle,
    examples: Sequence[Example],
    out_path: Path,
    config: EvalConfig,
    *,
    read: ReadVisuals | None = None,
    replace: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Prediction]:
    """Answer `examples` and return one Prediction each, in their order; `out_path` (JSON lines)
    holds them as they come.

    `read` turns an example into its visuals; by default its media files are read under
    `config.policy`. An example that has changed since it was answered is answered again. Where
    `out_path` holds predictions of another model or other settings, ValueError, or with `replace`
    they are moved aside.
    """
    _check_unique(examples)
    _claim(out_path, fingerprint(bundle, config), replace)
    digests = {e.example_id: _digest(e) for e in examples}
    answered = {p.example_id: p for p in _still_valid(out_path, digests)}
    waiting = [e for e in examples if e.example_id not in answered]
    with open(out_path, "a", encoding="utf-8") as out:
        for start in range(0, len(waiting), config.batch_size):
            batch = waiting[start : start + config.batch_size]
            for prediction in _answer(bundle, batch, config, read or visuals_reader(config.policy)):
                prediction = dataclasses.replace(
                    prediction, example_hash=digests[prediction.example_id]
                )
                answered[prediction.example_id] = prediction
                out.write(json.dumps(to_json(prediction), ensure_ascii=False) + "\n")
            out.flush()
            if on_progress:
                on_progress(len(examples) - len(waiting) + start + len(batch), len(examples))
    return [answered[e.example_id] for e in examples]


def prompt_input(
    example: Example, visuals: Sequence[Visual], bundle: Bundle, config: EvalConfig
) -> ModelInput:
    """The example as model input: the same turns and encoding that training uses, up to where the
    assistant answers.
    """
    from obvlib.inputs import encode, example_turns

    return encode(
        example_turns(example, visuals),
        bundle.tokenizer,
        bundle.spec,
        add_generation_prompt=True,
        max_tokens=config.max_prompt_tokens,
        name=example.example_id,
    )


def visuals_reader(policy: FramePolicy) -> ReadVisuals:
    """Read an example's media files under `policy`; a text-only question has none."""

    def read(example: Example) -> Sequence[Visual]:
        from obvlib.inputs import Video, fit_image

        if example.media_kind == "video":
            return [Video(*media.clip_frames(path, policy)) for path in example.media]
        return [fit_image(_pixels(path), policy) for path in example.media]

    return read


def _pixels(path: str) -> np.ndarray:
    """A still image file as (H, W, 3) uint8, upright as its EXIF says."""
    import PIL.Image
    import PIL.ImageOps

    with PIL.Image.open(path) as image:
        return np.asarray(PIL.ImageOps.exif_transpose(image).convert("RGB"))


def fingerprint(bundle: Bundle, config: EvalConfig) -> str:
    """A short hash of the weights, of every setting that can change an answer, and of the code that
    makes the model's input.
    """
    digest = hashlib.sha256(hash_code(*INPUT_CODE).encode())
    for name, tensor in sorted(bundle.model.state_dict().items()):
        digest.update(name.encode())
        digest.update(
            str(
                (
                    tensor.shape,
                    tensor.dtype,
                    tensor.double().sum().item(),
                    tensor.double().norm().item(),
                )
            ).encode()
        )
    settings = {
        "policy": config.policy.to_dict(),
        "max_new_tokens": config.max_new_tokens,
        "max_prompt": config.max_prompt_tokens,
    }
    digest.update(json.dumps(settings, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def _answer(
    bundle: Bundle, batch: list[Example], config: EvalConfig, read: ReadVisuals
) -> Iterator[Prediction]:
    from obvlib.evaluation.generation import generate

    prompts: list[tuple[Example, ModelInput]] = []
    for example in batch:
        try:
            prompts.append((example, prompt_input(example, read(example), bundle, config)))
        except (ValueError, OSError) as error:
            yield Prediction(
                example_id=example.example_id,
                response="",
                status="failed",
                reason=str(error) or type(error).__name__,
            )
    if not prompts:
        return
    replies = generate(
        bundle.model,
        [prompt for _, prompt in prompts],
        max_new_tokens=config.max_new_tokens,
        eos_token_ids=[bundle.tokenizer.eos_token_id],
        pad_token_id=bundle.tokenizer.pad_token_id,
    )
    for (example, prompt), reply in zip(prompts, replies, strict=True):
        yield Prediction(
            example_id=example.example_id,
            response=bundle.tokenizer.decode(reply, skip_special_tokens=True).strip(),
            num_prompt_tokens=len(prompt.input_ids),
            num_new_tokens=len(reply),
        )


def _check_unique(examples: Sequence[Example]) -> None:
    seen: set[str] = set()
    for example in examples:
        if example.example_id in seen:
            raise ValueError(
                f"example_id {example.example_id!r} stands twice in {example.benchmark}; make ids"
                " unique"
            )
        seen.add(example.example_id)


def _claim(out_path: Path, mark: str, replace: bool) -> None:
    """Note beside the predictions what made them; refuse to mix them with those of other weights or
    settings, or move those aside.
    """
    out_path.parent.mkdir(parents=True, exist_ok=True)
    note = out_path.with_name(out_path.name + ".made_by")
    found = note.read_text() if note.exists() else "unknown"
    if out_path.exists() and found != mark:
        if not replace:
            raise ValueError(
                f"{out_path} holds predictions of another model or other settings (fingerprint"
                f" {found}, now {mark}): choose another output folder, or remove that file"
            )
        os.replace(out_path, out_path.with_name(f"{out_path.stem}.{found}{out_path.suffix}"))
    if found != mark:
        write_text(note, mark)


def _still_valid(path: Path, digests: dict[str, str]) -> list[Prediction]:
    """The predictions already written whose example is unchanged. Others, and a line cut short by a
    killed run, leave the file.
    """
    if not path.exists():
        return []
    written = path.read_bytes()
    whole = written[: written.rfind(b"\n") + 1]
    found = []
    for number, line in enumerate(whole.split(b"\n")[:-1], start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(
                f"{path}, line {number}: not JSON ({error}); remove the line, and its question is"
                " asked again"
            ) from None
        found.append(from_json(Prediction, row, f"{path}, line {number}"))
    valid = [p for p in found if digests.get(p.example_id, p.example_hash) == p.example_hash]
    if len(valid) < len(found) or whole != written:
        write_rows(path, [to_json(p) for p in valid])
    return valid


def _digest(example: Example) -> str:
    """What was asked: the row, and the size of each media file that is there."""
    sizes = [Path(path).stat().st_size if Path(path).is_file() else None for path in example.media]
    return hashlib.sha256(
        json.dumps([to_json(example), sizes], sort_keys=True).encode()
    ).hexdigest()[:16]


def memory_reader(clips: Iterable[SeenClip]) -> Callable[[Example], list[Any]]:
    """A `read` for `evaluate.predict` whose media are clips in memory."""
    by_name = {clip.name: Video(clip.frames, clip.times_s) for clip in clips}
    return lambda example: [by_name[name] for name in example.media]
