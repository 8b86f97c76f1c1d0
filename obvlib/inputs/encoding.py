"""From a conversation to what the model reads: token ids, labels, patches and positions. Training
and evaluation both come through here.

Labels are right by construction: every piece of a turn is tokenised as a piece, with a flag that
says whether it is learned. Only an assistant's answer and the <|im_end|> that closes it are:

    token   <|im_start|> user \\n <|vision_start|> v v <|vision_end|> What ? <|im_end|> \\n
    label   -100 everywhere
    token   <|im_start|> assistant \\n  B  <|im_end|> \\n
    label   -100         -100      -100 B  <|im_end|> -100
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from obvlib.inputs.packing import IGNORE
from obvlib.inputs.positions import mrope_positions
from obvlib.inputs.turns import SYSTEM_TEXT, Turn, check_turns
from obvlib.inputs.vision import (
    Image,
    Video,
    VisionSpec,
    check_image,
    check_video,
    frames_of,
    grid_of,
    patch_times,
    patches,
    seconds_per_patch,
)

# stand for the ids of <|im_start|> and <|im_end|>, which the tokenizer knows
START_OF_TURN, END_OF_TURN = -1, -2
Visual = Video | Image


class InputError(ValueError):
    """A sample that cannot become model input; the message names the sample, what is wrong and the
    remedy.
    """


class TooLong(InputError):
    """A sample of more tokens than a row holds: it is dropped with this reason, never cut."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelInput:
    """One encoded sample, unpadded, in numpy. `labels` are not shifted: the model shifts them
    itself.
    """

    input_ids: np.ndarray  # (L,) int64
    labels: np.ndarray  # (L,) int64, -100 where nothing is learned
    position_ids: np.ndarray  # (3, L) int64: time, height, width
    rope_delta: int  # what generation adds to a token's index to get its position
    pixel_values: np.ndarray | None = None  # (patches, values) float32 or uint8 of all images
    image_grid_thw: np.ndarray | None = None  # (images, 3) int64, in patches
    pixel_values_videos: np.ndarray | None = None  # the same of all videos
    video_grid_thw: np.ndarray | None = None  # (videos, 3) int64, in patches
    name: str = ""

    @property
    def num_tokens(self) -> int:
        return len(self.input_ids)


def encode(
    turns: Sequence[Turn],
    tokenizer: Any,
    spec: VisionSpec,
    *,
    add_generation_prompt: bool = False,
    max_tokens: int | None = None,
    name: str = "",
    normalise: bool = True,
) -> ModelInput:
    """Encode a conversation; with `add_generation_prompt` it ends where the assistant's answer is
    to begin, and with `normalise=False` its patches stay uint8, to be normalised on the GPU.

    Token for token what the family's processor and chat template give, except that text which looks
    like a special token stays text. Raises InputError (a ValueError naming the sample) for input
    that cannot be used, TooLong above `max_tokens`.
    """
    try:
        pieces, visuals = _pieces(turns, spec, add_generation_prompt)
        ids, labels = _tokenise(pieces, tokenizer, spec)
        if max_tokens is not None and len(ids) > max_tokens:
            raise TooLong(
                f"sample {name!r}: {len(ids)} tokens, a row holds {max_tokens}; it is left out,"
                " not cut"
            )
        pixels = _patches(visuals, spec, normalise)
        positions, delta = _positions(ids, visuals, pixels, spec)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"sample {name!r}: {error}") from None
    return ModelInput(
        input_ids=ids, labels=labels, position_ids=positions, rope_delta=delta, name=name, **pixels
    )


@dataclass(frozen=True)
class TokenCounts:
    """How many tokens a sample has: in all, of pictures and videos, and learned."""

    total: int
    visual: int
    learned: int


def count_tokens(
    turns: Sequence[Turn], tokenizer: Any, spec: VisionSpec, *, name: str = ""
) -> TokenCounts:
    """Return what `encode` will count, without touching a pixel: `Video.blank` stands for frames
    not read yet.
    """
    try:
        pieces, _ = _pieces(turns, spec, False)
        ids, labels = _tokenise(pieces, tokenizer, spec)
    except ValueError as error:
        raise InputError(f"sample {name!r}: {error}") from None
    visual = (ids == spec.image_token_id) | (ids == spec.video_token_id)
    return TokenCounts(len(ids), int(visual.sum()), int((labels != IGNORE).sum()))


def num_tokens(turns: Sequence[Turn], tokenizer: Any, spec: VisionSpec, *, name: str = "") -> int:
    """Return the sum of `count_tokens`."""
    return count_tokens(turns, tokenizer, spec, name=name).total


@dataclass
class _Piece:
    """A stretch of text, or of ready token ids, that is learned or not as a whole."""

    content: str | list[int]
    learned: bool = False

    def extend(self, after: _Piece) -> bool:
        """Append a piece of the same kind; False, and nothing changes, where it is of another."""
        if self.learned != after.learned:
            return False
        if isinstance(self.content, str) and isinstance(after.content, str):
            self.content += after.content
            return True
        if isinstance(self.content, list) and isinstance(after.content, list):
            self.content = self.content + after.content
            return True
        return False


def _pieces(
    turns: Sequence[Turn], spec: VisionSpec, add_generation_prompt: bool
) -> tuple[list[_Piece], list[Visual]]:
    """Return the conversation as pieces in order, and its visuals. Special tokens are names here,
    looked up by `_tokenise`.
    """
    check_turns(turns, add_generation_prompt)
    if turns[0].role != "system" and spec.family != "qwen3_vl":
        turns = [Turn("system", SYSTEM_TEXT), *turns]
    pieces: list[_Piece] = []
    visuals: list[Visual] = []
    for turn in turns:
        learned = turn.role == "assistant"
        pieces += [_Piece([START_OF_TURN]), _Piece(f"{turn.role}\n")]
        for visual in turn.visuals:
            pieces += _visual_pieces(visual, spec)
            visuals.append(visual)
        text = turn.text.strip("\r\n") if learned else turn.text
        pieces += [_Piece(text, learned), _Piece([END_OF_TURN], learned), _Piece("\n")]
    if add_generation_prompt:
        pieces += [_Piece([START_OF_TURN]), _Piece("assistant\n")]
    return pieces, visuals


def _visual_pieces(visual: Visual, spec: VisionSpec) -> list[_Piece]:
    """Return the placeholders of one visual between vision start and end; Qwen3-VL brackets each
    temporal patch and writes its time before it.
    """
    if isinstance(visual, Video):
        check_video(visual, spec)
    else:
        check_image(visual, spec)
    t, h, w = grid_of(visual, spec)
    per_patch = h * w // spec.merge_size**2
    token = spec.video_token_id if isinstance(visual, Video) else spec.image_token_id
    start, end = spec.vision_start_token_id, spec.vision_end_token_id
    if isinstance(visual, Video) and spec.family == "qwen3_vl":
        block = [start, *[token] * per_patch, end]
        return [
            piece
            for time_s in patch_times(visual.times_s, spec)
            for piece in (_Piece(f"<{time_s:.1f} seconds>"), _Piece(block))
        ]
    return [_Piece([start, *[token] * (t * per_patch), end])]


def _tokenise(
    pieces: list[_Piece], tokenizer: Any, spec: VisionSpec
) -> tuple[np.ndarray, np.ndarray]:
    """Return the token ids and labels (L,) int64. Text that runs on from piece to piece is
    tokenised in one go, unless what is learned begins.
    """
    merged: list[_Piece] = []
    for piece in pieces:
        if not (merged and merged[-1].extend(piece)):
            merged.append(_Piece(piece.content, piece.learned))
    special = _special_ids(tokenizer, spec)
    texts = [piece.content for piece in merged if isinstance(piece.content, str)]
    encoded = iter(
        tokenizer(
            texts, add_special_tokens=False, split_special_tokens=True, return_attention_mask=False
        )["input_ids"]
    )
    ids: list[int] = []
    labels: list[int] = []
    for piece in merged:
        part = (
            next(encoded)
            if isinstance(piece.content, str)
            else [special.get(i, i) for i in piece.content]
        )
        ids += part
        labels += part if piece.learned else [IGNORE] * len(part)
    if (largest := max(ids)) >= spec.vocab_size:
        raise ValueError(
            f"token id {largest} is outside the model's vocabulary of {spec.vocab_size}: load the"
            " tokenizer of this model"
        )
    return np.array(ids, dtype=np.int64), np.array(labels, dtype=np.int64)


def _special_ids(tokenizer: Any, spec: VisionSpec) -> dict[int, int]:
    """Return the ids of <|im_start|> and <|im_end|>; ValueError where the tokenizer and the model's
    config do not belong together.
    """
    names = ["<|im_start|>", "<|im_end|>", "<|image_pad|>", "<|video_pad|>"]
    start, end, image, video = tokenizer.convert_tokens_to_ids(names)
    if (image, video) != (spec.image_token_id, spec.video_token_id):
        raise ValueError(
            f"the tokenizer's placeholders have ids {image}, {video}, the model's config says"
            f" {spec.image_token_id}, {spec.video_token_id}: load the tokenizer of this model"
        )
    return {START_OF_TURN: start, END_OF_TURN: end}


def _patches(visuals: Sequence[Visual], spec: VisionSpec, normalise: bool) -> dict[str, np.ndarray]:
    """Return the patches and grids of all images and of all videos, in the order of their
    placeholders.
    """
    out = {}
    for kind, values, grids in (
        (Image, "pixel_values", "image_grid_thw"),
        (Video, "pixel_values_videos", "video_grid_thw"),
    ):
        parts = [
            patches(frames_of(visual), spec, normalise=normalise)
            for visual in visuals
            if isinstance(visual, kind)
        ]
        if parts:
            out[values] = (
                parts[0][0] if len(parts) == 1 else np.concatenate([part for part, _ in parts])
            )
            out[grids] = np.stack([grid for _, grid in parts])
    return out


def _positions(
    ids: np.ndarray, visuals: Sequence[Visual], grids: dict[str, np.ndarray], spec: VisionSpec
) -> tuple[np.ndarray, int]:
    """Return the M-RoPE positions by the family's rule for time: temporal patches count 1
    (Qwen2-VL), by seconds (2.5), or not at all (3).
    """
    video_grids, steps = grids.get("video_grid_thw"), None
    if video_grids is not None and spec.family == "qwen3_vl":
        video_grids = np.repeat(video_grids, video_grids[:, 0], axis=0)
        video_grids[:, 0] = 1
    elif video_grids is not None and spec.family == "qwen2_5_vl":
        videos = [visual for visual in visuals if isinstance(visual, Video)]
        steps = [
            seconds_per_patch(video.times_s, spec) * spec.tokens_per_second for video in videos
        ]
    return mrope_positions(
        ids,
        grids.get("image_grid_thw"),
        video_grids,
        image_token_id=spec.image_token_id,
        video_token_id=spec.video_token_id,
        merge_size=spec.merge_size,
        time_steps=steps,
    )
