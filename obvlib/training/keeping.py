"""What the packed pass keeps of each layer for the backward pass, chosen from the GPU's memory, and
what a step of it is computed to need.

Keeping more spares computing it again. Layers are given more, or less, in the order of the time
that a gigabyte spares: text layers keep all their products first, then vision blocks; where even
the usual ("most") is too much, vision blocks keep their input alone, then text layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from obvlib.models import ModelShape
from obvlib.training.config import TrainConfig
from obvlib.training.planner import FROZEN_BYTES, WEIGHTS, Settings, trained_parameters

FRAGMENTS = 1.03  # reserved over allocated memory, measured up to 1.02


class Keeps(NamedTuple):
    """A word of `obvlib.models.packed_layers.KEEPS` for each layer, and the peak in 10^9 bytes."""

    text: tuple[str, ...]
    vision: tuple[str, ...]
    peak_gb: float

    def told(self) -> str:
        """Say it in a few words."""
        parts = []
        for name, words in (("text layers", self.text), ("vision blocks", self.vision)):
            counts = {word: words.count(word) for word in dict.fromkeys(words)}
            parts.append(f"{name} keep " + " and ".join(f"{w} ({n})" for w, n in counts.items()))
        return f"{', '.join(parts)}, {self.peak_gb:.0f} GB computed"


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What the memory of a step follows from: the model's sizes, how it is trained, and (tokens,
    patches) of each row.
    """

    shape: ModelShape
    config: TrainConfig
    settings: Settings
    rows: Sequence[tuple[int, int]]

    def fitted(self, budget_gb: float) -> Keeps:
        """Return the fastest choice that is computed to stay within `budget_gb`; where none does,
        the one that needs least.
        """
        text, vision = ["most"] * self.shape.num_layers, ["most"] * self.shape.vision_depth
        if not self.config.gradient_checkpointing:
            return self._keeps(["all"] * len(text), ["all"] * len(vision))
        found = self._keeps(text, vision)
        lowers = found.peak_gb > budget_gb
        for words in (vision, text) if lowers else (text, vision):
            for place in range(len(words)):
                words[place] = "none" if lowers else "products"
                then = self._keeps(text, vision)
                if not lowers and then.peak_gb > budget_gb:
                    return found
                found = then
                if lowers and then.peak_gb <= budget_gb:
                    return found
        return found

    def _keeps(self, text: Sequence[str], vision: Sequence[str]) -> Keeps:
        return Keeps(tuple(text), tuple(vision), self.peak_gb(text, vision))

    def peak_gb(self, text: Sequence[str], vision: Sequence[str]) -> float:
        """Return the largest memory that a step reserves, in 10^9 bytes: weights, optimizer, what
        is kept, and the widest moment of a layer.
        """
        a_token = sum(kept_of_text(self.shape, word) for word in text)
        a_patch = sum(kept_of_vision(self.shape, word) for word in vision)
        a_patch += 4 * 1176  # bytes of this row and the next, and normalised values
        kept = max(
            tokens * a_token
            + patches * a_patch
            + 8 * max(tokens * self.shape.intermediate, patches * self.shape.vision_mlp)
            for tokens, patches in self.rows
        )
        return FRAGMENTS * (self.held_bytes() + kept) / 1e9

    def held_bytes(self) -> float:
        """Return the bytes of weights, optimizer state and gradients when a backward pass begins:
        with several rows a step, the gradients of the rows before are there.
        """
        trained = trained_parameters(self.shape, self.settings)
        weight, state, gradient = WEIGHTS[self.settings.weights]
        frozen = FROZEN_BYTES * (self.shape.num_parameters - trained)
        num = self.settings.num_gpus
        if self.settings.shards_optimizer:  # layers are gathered in turn, in bf16
            gathered = 2 * 2 * self.shape.head_weights
            return frozen + (weight + state + gradient) * trained / num + gathered
        copies = (self.config.rows_per_step > 1) + (num > 1)  # the engine's buckets are a copy
        return frozen + (weight + state + gradient * copies) * trained


def kept_of_text(shape: ModelShape, word: str) -> float:
    """Return the bytes a token that a text layer keeps."""
    narrow = 2 * (5 * shape.hidden + 2 * shape.kv_width) + 64
    products = narrow + 4 * shape.intermediate
    known = {"none": 2 * shape.hidden, "most": narrow, "products": products}
    return known.get(word, products + 4 * shape.intermediate + 4 * shape.hidden)


def kept_of_vision(shape: ModelShape, word: str) -> float:
    """Return the bytes a patch that a vision block keeps."""
    narrow = 2 * 6 * shape.vision_width + 64
    products = narrow + 2 * shape.vision_mlp
    known = {"none": 2 * shape.vision_width, "most": narrow, "products": products}
    return known.get(word, products + 2 * shape.vision_mlp + 4 * shape.vision_width)
