"""Prompts read ahead: clips are decoded and cut into patches in processes of their own while the
model answers.

Threads would not do: a thread that walks through packets holds the interpreter, and the one that
launches the GPU's kernels waits for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from obvlib.core import Example
    from obvlib.inputs import ModelInput

MakePrompt = Callable[["Example"], "ModelInput"]


def read_ahead(
    examples: Sequence[Example], make_prompt: MakePrompt, num_readers: int
) -> Iterator[ModelInput | str]:
    """Yield each example's prompt, or in one line what went wrong, in order.

    Each of `num_readers` processes has at most two prompts ready; with 0 a prompt is made when it
    is asked for.
    """
    import torch
    from torch.utils.data import DataLoader

    prompts: Any = _Prompts(examples, make_prompt)
    loader = DataLoader(
        prompts,
        batch_size=None,
        collate_fn=_as_tensors,
        num_workers=min(num_readers, len(examples)),
        generator=torch.Generator(),  # a seed is drawn, and not from the caller's
    )
    yield from map(_as_arrays, loader)


class _Prompts:
    """Prompts by their place."""

    def __init__(self, examples: Sequence[Example], make_prompt: MakePrompt) -> None:
        self.examples, self.make_prompt = examples, make_prompt

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> ModelInput | str:
        try:
            return self.make_prompt(self.examples[index])
        except Exception as error:  # one bad clip never ends a run
            return said(error)


def said(error: Exception) -> str:
    """The error in one line of at most 500 characters, with its kind where that says more."""
    text = " ".join(str(error).split())
    if not isinstance(error, (ValueError, OSError)) or not text:
        text = f"{type(error).__name__}: {text}"
    return text[:500]


def _as_tensors(prompt: Any) -> Any:
    """A prompt whose arrays are tensors, which go from process to process in shared memory."""
    import torch

    return _with(prompt, np.ndarray, torch.from_numpy)


def _as_arrays(prompt: Any) -> ModelInput | str:
    """A prompt with arrays again; nothing is copied."""
    import torch

    return _with(prompt, torch.Tensor, torch.Tensor.numpy)


def _with(prompt: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    if isinstance(prompt, str):
        return prompt
    fields = {f.name: getattr(prompt, f.name) for f in dataclasses.fields(prompt)}
    return dataclasses.replace(
        prompt, **{name: change(v) for name, v in fields.items() if isinstance(v, kind)}
    )
