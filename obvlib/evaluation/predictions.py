"""Predictions: every example of a benchmark through the training path's own inputs, answered
greedily, one line of JSON each.

A prediction is written as soon as it exists, and running again continues where the last run
stopped. What could not be answered says why: the medium was never there ("not_obtained"), cannot be
read now ("away"), or is there and cannot be used ("failed"). All three are tried again by the next
run.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obvlib.core import Example, FramePolicy, Prediction, ranks
from obvlib.evaluation.answer_file import AnswerFile, opened
from obvlib.evaluation.fingerprints import fingerprint_of
from obvlib.evaluation.generation import end_tokens, reply
from obvlib.evaluation.likelihood import option_logprobs
from obvlib.evaluation.reading_ahead import read_ahead, said
from obvlib.evaluation.visuals import NamedReader, ReadVisuals, visuals_reader
from obvlib.inputs import encode, example_turns

if TYPE_CHECKING:
    from obvlib.inputs import ModelInput, VisionSpec, Visual
    from obvlib.models import Bundle

NEVER_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """How to ask. Greedy decoding, since a score should not depend on a draw."""

    policy: FramePolicy = FramePolicy()
    max_new_tokens: int = 64
    batch_size: int = 8  # examples generated together; changes no answer
    max_prompt_tokens: int = 32_768  # a longer prompt fails with a reason; nothing is cut
    # processes that read media while the model answers; None: as many as the cores allow beside a
    # GPU, none where the model needs the cores itself
    num_readers: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_new_tokens", "batch_size", "max_prompt_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.num_readers is not None and self.num_readers < 0:
            raise ValueError(f"num_readers is {self.num_readers}; it must be at least 0")


def fingerprint(bundle: Bundle, config: EvalConfig) -> str:
    """Return a short hash of weights, tokenizer, end tokens, of every setting that can change an
    answer, and of the code that makes the model's input. The same on any number of threads.
    """
    settings = {
        "policy": config.policy.to_dict(),
        "max_new_tokens": config.max_new_tokens,
        "max_prompt": config.max_prompt_tokens,
    }
    return fingerprint_of(bundle, settings)


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
    `config.policy`. An example whose words or media have changed since it was answered is asked
    again; a corrected reference or a moved folder asks nothing. Where `out_path` holds predictions
    of another model or other settings, ValueError, or with `replace` they are moved aside. Under
    `accelerate launch` each process answers its share of the examples.
    """
    _check_unique(examples)
    reader: Any = read if read is not None else visuals_reader(config.policy)
    if not hasattr(reader, "identity"):
        reader = NamedReader(reader)
    mark = fingerprint(bundle, config)
    with ranks.first_alone(opened, out_path, mark, replace=replace) as file:
        answers = file or AnswerFile(out_path)
        asked = [_ask(example, reader) for example in examples]
        hashes = {a.example.example_id: a.hash for a in asked}
        if ranks.is_first():
            held = answers.settle(hashes)
            answers.note_seen(a.example.example_id for a in asked if a.is_there)
            answers.append(_unanswered(asked, held, answers.seen()))
        ranks.barrier()
        held = answers.read(hashes)
        waiting = [a for a in asked if a.is_there and not _is_answered(held, a)]
        num_done = len(asked) - len(waiting)
        ranks.barrier()  # nobody answers before all have read, or their shares would differ
        for count, batch in _answered(bundle, ranks.share(waiting), config, reader):
            answers.append(p for p in batch if p != held.get(p.example_id))
            if on_progress and ranks.is_first():
                on_progress(min(len(asked), num_done + count * ranks.world_size()), len(asked))
        ranks.barrier()
        if ranks.is_first():
            answers.settle(hashes)
        ranks.barrier()
        held = answers.read(hashes)
    return [held[example.example_id] for example in examples]


def prompt_input(
    example: Example, visuals: Sequence[Visual], bundle: Bundle, config: EvalConfig
) -> ModelInput:
    """Return the example as model input: the same turns and encoding that training uses, up to
    where the assistant answers.
    """
    return _encoded(example, visuals, bundle.tokenizer, bundle.spec, config, normalise=True)


@dataclass(frozen=True)
class _Asked:
    """An example, the hash of what is asked ("words.media"), and why it cannot be, if so."""

    example: Example
    hash: str
    status: str = "ok"
    reason: str = ""

    @property
    def is_there(self) -> bool:
        return self.status == "ok"


def _ask(example: Example, reader: Any) -> _Asked:
    parts = [example.question, example.options, example.media_kind]
    words = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    try:
        return _Asked(example, f"{words}.{reader.identity(example)}")
    except OSError as error:
        status = "not_obtained" if error.errno in NEVER_THERE else "away"
        return _Asked(example, f"{words}.?", status, said(error))
    except ValueError as error:
        return _Asked(example, f"{words}.?", "failed", said(error))


def _unanswered(
    asked: Sequence[_Asked], held: dict[str, Prediction], seen: set[str]
) -> Iterator[Prediction]:
    """Return one line for each example whose media cannot be read and that has no answer from
    before.
    """
    for a in asked:
        before = held.get(a.example.example_id)
        if a.is_there or (before is not None and before.status == "ok"):
            continue
        was_there = a.example.example_id in seen
        status = "away" if a.status == "not_obtained" and was_there else a.status
        prediction = _failure(a, a.reason, status)
        if prediction != before:
            yield prediction


def _is_answered(held: dict[str, Prediction], asked: _Asked) -> bool:
    before = held.get(asked.example.example_id)
    return before is not None and before.status == "ok"


def _answered(
    bundle: Bundle, asked: Sequence[_Asked], config: EvalConfig, reader: Any
) -> Iterator[tuple[int, list[Prediction]]]:
    """Return (examples done so far, predictions) batch by batch; media are read ahead while the
    model answers.
    """
    batch: list[tuple[_Asked, ModelInput]] = []
    failed: list[Prediction] = []
    make_prompt = partial(_prompt, reader, bundle.tokenizer, bundle.spec, config)
    prompts = read_ahead([a.example for a in asked], make_prompt, _num_readers(bundle, config))
    for count, (a, prompt) in enumerate(zip(asked, prompts, strict=True), start=1):
        if isinstance(prompt, str):
            failed.append(_failure(a, prompt))
        else:
            batch.append((a, prompt))
        if len(batch) == config.batch_size or count == len(asked):
            yield count, failed + _replies(bundle, batch, config)
            batch, failed = [], []


def _num_readers(bundle: Bundle, config: EvalConfig) -> int:
    if config.num_readers is not None:
        return config.num_readers
    return ranks.num_readers() if bundle.model.device.type == "cuda" else 0


def _prompt(
    reader: Any, tokenizer: Any, spec: VisionSpec, config: EvalConfig, example: Example
) -> ModelInput:
    """Return an example's prompt with patches as bytes, to be normalised where the model is."""
    return _encoded(example, reader(example), tokenizer, spec, config, normalise=False)


def _encoded(
    example: Example,
    visuals: Sequence[Visual],
    tokenizer: Any,
    spec: VisionSpec,
    config: EvalConfig,
    *,
    normalise: bool,
) -> ModelInput:
    return encode(
        example_turns(example, visuals),
        tokenizer,
        spec,
        add_generation_prompt=True,
        max_tokens=config.max_prompt_tokens,
        name=example.example_id,
        normalise=normalise,
    )


def _replies(
    bundle: Bundle, batch: Sequence[tuple[_Asked, ModelInput]], config: EvalConfig
) -> list[Prediction]:
    """Return one prediction each. A batch that fails is asked again in halves, so that what fails
    alone is recorded and the rest is answered.
    """
    if not batch:
        return []
    try:
        replies = reply(
            bundle.model,
            [prompt for _, prompt in batch],
            max_new_tokens=config.max_new_tokens,
            eos_token_ids=end_tokens(bundle),
            pad_token_id=bundle.tokenizer.pad_token_id,
        )
    except Exception as error:  # out of memory, most of all
        if len(batch) == 1:
            return [_failure(batch[0][0], said(error))]
        replies = None
    if replies is None:
        _free_memory()
        half = len(batch) // 2
        return [*_replies(bundle, batch[:half], config), *_replies(bundle, batch[half:], config)]
    return [
        Prediction(
            example_id=a.example.example_id,
            response=bundle.text_of(tokens),
            num_prompt_tokens=prompt.num_tokens,
            num_new_tokens=len(tokens),
            example_hash=a.hash,
            option_logprobs=option_logprobs(a.example, logits, bundle.tokenizer),
        )
        for (a, prompt), tokens, logits in zip(
            batch, replies.tokens, replies.first_logits, strict=True
        )
    ]


def _free_memory() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _failure(asked: _Asked, reason: str, status: str = "failed") -> Prediction:
    return Prediction(
        example_id=asked.example.example_id,
        response="",
        status=status,
        reason=reason,
        example_hash=asked.hash,
    )


def _check_unique(examples: Sequence[Example]) -> None:
    seen: set[str] = set()
    for example in examples:
        if example.example_id in seen:
            raise ValueError(
                f"example_id {example.example_id!r} appears twice in {example.benchmark}; make ids"
                " unique"
            )
        seen.add(example.example_id)
