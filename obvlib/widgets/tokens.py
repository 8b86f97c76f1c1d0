"""A sample's conversation as the model reads it: every token with its kind, label and positions,
and which frames and which square of them each visual token stands for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from obvlib import inputs
from obvlib.core import Clip, Example
from obvlib.inputs import IGNORE, Image, Turn, Video, VisionSpec
from obvlib.widgets.pictures import Pictures

KINDS = ("text", "special", "visual", "learned")  # of a token, by number


def turns_of(record: Clip | Example, pictures: Pictures | None, seed: int | str) -> list[Turn]:
    """Return the turns that training (a clip) or evaluation (a question) makes of the sample."""
    visuals: list[Video | Image] = []
    if pictures is not None:
        visuals = [
            Image(pictures.frames[0])
            if pictures.place.is_image
            else Video(pictures.frames, pictures.times_s)
        ]
    if isinstance(record, Example):
        return inputs.question_turns(visuals, record, answer=False)
    return inputs.clip_turns(visuals, record.caption, record.qa_pairs, seed)


def token_view(
    turns: Sequence[Turn], tokenizer: Any, spec: VisionSpec, *, asks: bool
) -> dict[str, Any]:
    """Return tokens for the browser. A ValueError of `encode` says why there are none."""
    sample = inputs.encode(turns, tokenizer, spec, add_generation_prompt=asks)
    ids, labels = sample.input_ids, sample.labels
    visual = np.isin(ids, (spec.image_token_id, spec.video_token_id))
    kinds = np.where(np.isin(ids, _special_ids(tokenizer, spec)), 1, 0)
    kinds = np.where(labels != IGNORE, 3, kinds)
    kinds = np.where(visual, 2, kinds)
    texts = tokenizer.convert_ids_to_tokens(ids[~visual].tolist())
    shown = iter(_readable(tokenizer, ids[~visual].tolist(), texts))
    return {
        "ids": ids.tolist(),
        "texts": ["" if is_visual else next(shown) for is_visual in visual],
        "kinds": kinds.tolist(),
        "learned": (labels != IGNORE).astype(int).tolist(),
        "positions": sample.position_ids.tolist(),
        "rope_delta": sample.rope_delta,
        "runs": _runs(visual, sample, spec),
        "num_learned": int((labels != IGNORE).sum()),
        "num_visual": int(visual.sum()),
    }


def _special_ids(tokenizer: Any, spec: VisionSpec) -> list[int]:
    names = ["<|im_start|>", "<|im_end|>"]
    brackets = [spec.vision_start_token_id, spec.vision_end_token_id]
    return [*tokenizer.all_special_ids, *tokenizer.convert_tokens_to_ids(names), *brackets]


def _readable(tokenizer: Any, ids: list[int], texts: list[str]) -> list[str]:
    """Return each token's text; the bytes of half a character are written as the tokenizer stores
    them.
    """
    decoded = (tokenizer.decode([token]) for token in ids)
    return [raw if "\ufffd" in text else text for text, raw in zip(decoded, texts, strict=True)]


def _runs(visual: np.ndarray, sample: Any, spec: VisionSpec) -> list[dict[str, int]]:
    """Return each stretch of visual tokens: where it starts, which temporal patch it begins with,
    and how many patches, rows and columns of tokens it spans.
    """
    grids = [g for g in (sample.image_grid_thw, sample.video_grid_thw) if g is not None]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], visual.astype(int), [0]])))
    runs, first = [], 0
    for start, end in edges.reshape(-1, 2).tolist():
        _, height, width = (int(n) for n in grids[0][0])
        rows, columns = height // spec.merge_size, width // spec.merge_size
        count = (end - start) // (rows * columns)
        runs.append(
            {"start": start, "first": first, "count": count, "rows": rows, "columns": columns}
        )
        first += count
    return runs
