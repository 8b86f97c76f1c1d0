"""M-RoPE: the three positions (time, height, width) of every token, by the rule that Qwen2-VL was
trained with.

Text counts on all three axes together; a picture or video spreads over them; what follows starts at
the largest position so far, plus one. A row of two words, a video of 3 temporal patches of 1 x 2
tokens, and one word:

    token   the  end  v    v    v    v    v    v    word
    time    0    1    2    2    3    3    4    4    5
    height  0    1    2    2    2    2    2    2    5
    width   0    1    2    3    2    3    2    3    5

Newer libraries start the last word at 2 + max(1, 2) = 4, inside the video, while they go on
counting from 5 when they generate. Hence our own rule, computed once and used in training and
generation alike. `rope_delta` is what to add to a token's index to continue after the row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

IMAGE_TOKEN_ID, VIDEO_TOKEN_ID = 151_655, 151_656  # Qwen2-VL's


def mrope_positions(
    input_ids: Sequence[int] | np.ndarray,
    image_grid_thw: Sequence[Sequence[int]] | np.ndarray | None = None,
    video_grid_thw: Sequence[Sequence[int]] | np.ndarray | None = None,
    *,
    image_token_id: int = IMAGE_TOKEN_ID,
    video_token_id: int = VIDEO_TOKEN_ID,
    merge_size: int = 2,
    time_steps: Sequence[float] | None = None,
) -> tuple[np.ndarray, int]:
    """Return positions (3, L) int64 of one unpadded sequence, and its rope_delta.

    Grids are (n, 3) in patches (time, height, width), in the order of their placeholders.
    `time_steps` gives each video's distance between temporal patches in positions (Qwen2.5-VL:
    seconds per patch times tokens per second; default 1). For Qwen3-VL, whose videos are single
    frames between timestamps, pass a grid (1, h, w) for each frame. Raises ValueError where
    placeholders and grids do not match.

    Source: `get_rope_index` of transformers 4.57.6; equal to it on every case of the tests.
    """
    ids = np.asarray(input_ids, dtype=np.int64).ravel()
    if len(ids) == 0:
        raise ValueError("input_ids is empty: a sequence needs at least one token")
    images, videos = (
        _grids(image_grid_thw, "image_grid_thw"),
        _grids(video_grid_thw, "video_grid_thw"),
    )
    steps = np.ones(len(videos)) if time_steps is None else np.asarray(time_steps, dtype=float)
    if len(steps) != len(videos):
        raise ValueError(
            f"time_steps has {len(steps)} entries for {len(videos)} videos: give one for each"
        )
    waiting = {
        image_token_id: [(grid, 1.0) for grid in images],
        video_token_id: list(zip(videos, steps, strict=True)),
    }
    names = {image_token_id: "image", video_token_id: "video"}
    placeholders = np.flatnonzero((ids == image_token_id) | (ids == video_token_id))
    parts, start, next_position = [], 0, 0
    while (rank := np.searchsorted(placeholders, start)) < len(placeholders):
        index = int(placeholders[rank])
        token = int(ids[index])
        if not waiting[token]:
            raise ValueError(
                f"token {index} is a placeholder of a {names[token]} that no grid describes: give"
                " one grid for each"
            )
        grid, step = waiting[token].pop(0)
        visual = grid_positions(grid, merge_size, step)
        end = index + visual.shape[1]
        if end > len(ids) or not (ids[index:end] == token).all():
            raise ValueError(
                f"the {names[token]} at token {index} has fewer placeholders than its grid"
                f" {grid.tolist()} makes tokens"
            )
        parts.append(_text(index - start, next_position))
        first = next_position + index - start
        parts.append(visual + first)
        next_position, start = int(visual.max()) + first + 1, end
    if left := [names[token] for token, grids in waiting.items() if grids]:
        raise ValueError(
            f"a {left[0]} grid has no placeholder in input_ids: every grid needs its tokens"
        )
    parts.append(_text(len(ids) - start, next_position))
    positions = np.concatenate(parts, axis=1)  # (3, L)
    return positions, int(positions.max()) + 1 - len(ids)


def grid_positions(grid_thw: np.ndarray, merge_size: int = 2, time_step: float = 1.0) -> np.ndarray:
    """Return positions (3, t * h * w) of one visual's tokens, counted from 0; `time_step` positions
    lie between temporal patches.
    """
    t, rows, columns = map(int, grid_thw)
    if rows % merge_size or columns % merge_size:
        raise ValueError(
            f"grid {[t, rows, columns]}: rows and columns of patches must be multiples of"
            f" {merge_size}"
        )
    h, w = rows // merge_size, columns // merge_size
    positions = np.indices((t, h, w)).reshape(3, -1)
    if time_step != 1.0:
        positions[0] = np.floor(positions[0] * time_step)
    return positions


def text_positions(length: int) -> np.ndarray:
    """Return positions (3, length) of plain text."""
    return _text(length, 0)


def _text(length: int, start: int) -> np.ndarray:
    return np.broadcast_to(np.arange(start, start + length), (3, length))


def _grids(grids: Sequence | np.ndarray | None, name: str) -> np.ndarray:
    array = (
        np.zeros((0, 3), dtype=np.int64)
        if grids is None or len(grids) == 0
        else np.asarray(grids, dtype=np.int64)
    )
    if array.ndim != 2 or array.shape[1] != 3 or (array < 1).any():
        raise ValueError(
            f"{name} has shape {array.shape}: expected one (time, height, width) of patches per"
            " visual, all positive"
        )
    return array
