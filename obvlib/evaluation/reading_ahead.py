"""Prompts read ahead: clips are decoded and cut into patches in processes of their own while the
model answers.

Threads would not do: a thread that walks through packets holds the interpreter, and the one that
launches the GPU's kernels waits for it. Nor would torch's DataLoader: when one of its processes
dies, of a codec that crashes or of memory that ran out, it raises wherever the main thread is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

import numpy as np

from obvlib.engine.processes import watch_parent

if TYPE_CHECKING:
    from obvlib.core import Example
    from obvlib.inputs import ModelInput

MakePrompt = Callable[["Example"], "ModelInput"]
HELD = 2  # examples that a process has in hand, their prompts made or not


def read_ahead(
    examples: Sequence[Example], make_prompt: MakePrompt, num_readers: int
) -> Iterator[ModelInput | str]:
    """Yield each example's prompt, or in one line what went wrong, in order.

    Each of `num_readers` processes has at most two examples in hand; with 0, and in a process that
    may not start others, a prompt is made when it is asked for. What a process had in hand when it
    died is given to others one by one, so that only the example at fault fails.
    """
    num_readers = min(num_readers, len(examples))
    if num_readers < 1 or multiprocessing.current_process().daemon:
        yield from (_made(make_prompt, example) for example in examples)
        return
    readers = [_Reader(make_prompt) for _ in range(num_readers)]
    waiting = deque(range(len(examples)))
    found: dict[int, ModelInput | str] = {}
    suspects: set[int] = set()  # in hand when a process died
    try:
        for place in range(len(examples)):
            while place not in found:
                for reader in readers:
                    while waiting and reader.takes(waiting[0], place, suspects, num_readers):
                        reader.give(waiting.popleft(), examples)
                wait([reader.pipe for reader in readers if reader.places])
                for at, reader in enumerate(readers):
                    found |= reader.fetched()
                    if reader.is_gone:
                        readers[at] = _Reader(make_prompt)
                        found |= _given_back(reader, waiting, suspects)
            yield found.pop(place)
    finally:
        for reader in readers:
            reader.end()


class _Reader:
    """A process that makes prompts of the examples it is given, in turn."""

    def __init__(self, make_prompt: MakePrompt) -> None:
        import torch.multiprocessing  # with it tensors go from process to process in shared memory

        context: Any = torch.multiprocessing.get_context()
        self.pipe, theirs = context.Pipe()
        arguments = (theirs, make_prompt, os.getpid())
        self.process = context.Process(target=_read, args=arguments, daemon=True)
        self.process.start()
        theirs.close()
        self.places: deque[int] = deque()  # of what it was given and has not brought
        self.is_gone = False

    def takes(self, place: int, wanted: int, suspects: set[int], num_readers: int) -> bool:
        """Return whether it may be given this example now: few are in hand, and a suspect is
        alone.
        """
        if place - wanted >= HELD * num_readers or len(self.places) >= HELD:
            return False
        return not self.places or suspects.isdisjoint((place, self.places[0]))

    def give(self, place: int, examples: Sequence[Example]) -> None:
        self.places.append(place)
        with contextlib.suppress(OSError):  # it has died, as `fetched` will find
            self.pipe.send(examples[place])

    def fetched(self) -> dict[int, ModelInput | str]:
        """Return what it has brought, by place."""
        found: dict[int, ModelInput | str] = {}
        try:
            while self.places and self.pipe.poll():
                prompt = _as_arrays(self.pipe.recv())
                found[self.places.popleft()] = prompt
        except (EOFError, OSError):
            self.is_gone = True
        return found

    def end(self) -> int | None:
        """End the process; return its exit code if it had ended by itself."""
        self.pipe.close()
        self.process.join(timeout=1 if self.is_gone else 0)
        code: int | None = self.process.exitcode
        self.process.kill()
        self.process.join()
        return code


def _given_back(
    reader: _Reader, waiting: deque[int], suspects: set[int]
) -> dict[int, ModelInput | str]:
    """Put back what a process that died had in hand; the example that was alone in a second one
    fails.
    """
    code, places = reader.end(), list(reader.places)
    if places and places[0] in suspects:
        return {places[0]: f"the process that read it died, twice (exit code {code})"}
    suspects.update(places)
    waiting.extendleft(sorted(places, reverse=True))
    return {}


def _read(pipe: Any, make_prompt: MakePrompt, parent: int) -> None:
    """Live a reader's life, until its pipe closes or its parent is gone."""
    import torch

    watch_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to answer
    torch.set_num_threads(1)
    with contextlib.suppress(EOFError, OSError):
        while True:
            pipe.send(_as_tensors(_made(make_prompt, pipe.recv())))


def _made(make_prompt: MakePrompt, example: Example) -> ModelInput | str:
    try:
        return make_prompt(example)
    except Exception as error:  # one bad clip never ends a run
        return said(error)


def said(error: Exception) -> str:
    """Return the error in one line of at most 500 characters, with its kind where that says
    more.
    """
    text = " ".join(str(error).split())
    if not isinstance(error, (ValueError, OSError)) or not text:
        text = f"{type(error).__name__}: {text}"
    return text[:500]


def _as_tensors(prompt: Any) -> Any:
    """Return a prompt whose arrays are tensors, which go from process to process in shared
    memory.
    """
    import torch

    return _with(prompt, np.ndarray, torch.from_numpy)


def _as_arrays(prompt: Any) -> ModelInput | str:
    """Return a prompt with arrays again; nothing is copied."""
    import torch

    return _with(prompt, torch.Tensor, torch.Tensor.numpy)


def _with(prompt: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    if isinstance(prompt, str):
        return prompt
    fields = {f.name: getattr(prompt, f.name) for f in dataclasses.fields(prompt)}
    return dataclasses.replace(
        prompt, **{name: change(v) for name, v in fields.items() if isinstance(v, kind)}
    )
