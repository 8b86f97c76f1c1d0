"""Which frames of a clip the model sees, and how large: one rule, written once, that travels with
every sample.

The paper samples 1 frame per second up to 420 s, then 420 frames spread evenly, and keeps a clip
within 16,384 visual tokens. Qwen2-VL joins two frames into one temporal patch and four 14 x 14 px
patches into one token, so a token costs 28 x 28 px of two frames. Sizes are those that a viewer
sees: upright, mirrored back, square pixels.

>>> policy = FramePolicy()
>>> policy.sample_times(3.0)  # shorter than 8 s: 8 frames spread evenly
array([0.   , 0.375, 0.75 , 1.125, 1.5  , 1.875, 2.25 , 2.625])
>>> policy.fit_size(720, 1280, num_frames=60), policy.num_visual_tokens(60, 476, 868)
((476, 868), 15810)
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

MAX_ASPECT_RATIO = 200  # beyond it the reference refuses too
# qwen-vl-utils' bounds for one frame of a video
MIN_TOKENS_PER_FRAME, MAX_TOKENS_PER_FRAME = 128, 768


@dataclass(frozen=True, kw_only=True)
class FramePolicy:
    """How a clip becomes frames. Two samples are comparable only if their policies are equal, so it
    is stored with each of them.
    """

    fps: float = 1.0  # frames per second of clip; the paper's
    max_frames: int = 420  # from here on frames are spread evenly over the clip
    min_frames: int = 8  # of a shorter clip: 1 fps would leave an echo loop with two frames
    max_visual_tokens: int = 16_384  # per clip, the paper's sequence length
    patch_size: int = 14  # px; 16 for Qwen3-VL
    merge_size: int = 2  # patches a side that make one token
    temporal_patch_size: int = 2  # frames that make one temporal patch
    # Of one frame, and of a still image. Not given: 128 and 768 tokens' worth as in qwen-vl-utils,
    # and the whole token budget.
    min_pixels: int = None  # type: ignore[assignment]
    max_pixels: int = None  # type: ignore[assignment]
    max_image_pixels: int = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        defaults = {
            "min_pixels": MIN_TOKENS_PER_FRAME * self.factor**2,
            "max_pixels": MAX_TOKENS_PER_FRAME * self.factor**2,
            "max_image_pixels": self.max_visual_tokens * self.factor**2,
        }
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if isinstance(value, bool) or not isinstance(
                value, (int, float) if f.name == "fps" else int
            ):
                raise ValueError(
                    f"{f.name} is {value!r}: give a"
                    f" {'number' if f.name == 'fps' else 'whole number'}"
                )
        if not 0 < self.fps < math.inf:
            raise ValueError(f"fps is {self.fps}: give a positive number of frames per second")
        for name in ("patch_size", "merge_size", "temporal_patch_size", "min_frames", "min_pixels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if not self.min_frames <= self.max_frames or self.max_frames % self.temporal_patch_size:
            raise ValueError(
                f"max_frames is {self.max_frames}: it must be at least min_frames"
                f" ({self.min_frames}) and a multiple of temporal_patch_size"
                f" ({self.temporal_patch_size})"
            )
        if self.max_frames // self.temporal_patch_size > self.max_visual_tokens:
            raise ValueError(
                f"max_visual_tokens is {self.max_visual_tokens}: {self.max_frames} frames need at"
                f" least {self.max_frames // self.temporal_patch_size}; raise it or lower"
                " max_frames"
            )
        if (
            self.min_pixels > min(self.max_pixels, self.max_image_pixels)
            or self.max_pixels < self.factor**2
        ):
            raise ValueError(
                f"min_pixels {self.min_pixels}, max_pixels {self.max_pixels}, max_image_pixels"
                f" {self.max_image_pixels}: min_pixels must be the smallest, and a frame needs at"
                f" least one token ({self.factor}x{self.factor} px)"
            )

    @classmethod
    def mini(cls) -> FramePolicy:
        """Return exactly 8 frames, 56 x 56 px for pictures from 3:4 to 4:3: what the mini profile's
        model of two million parameters is shown.

        The limit lies just under 56 x 84 px. With 56 x 56 px as the limit only an exact square
        would reach it, since sides are rounded down, and a 4:3 picture would be left with half of
        that.
        """
        pixels = 56 * 84 - 1
        return cls(
            min_frames=8,
            max_frames=8,
            max_visual_tokens=24,
            min_pixels=28 * 28,
            max_pixels=pixels,
            max_image_pixels=pixels,
        )

    @property
    def factor(self) -> int:
        """Return how many px height and width of a frame are multiples of: one token's side."""
        return self.patch_size * self.merge_size

    def sample_times(self, duration_s: float) -> np.ndarray:
        """Return times of the frames in seconds from the clip's start, (T,) float64, T even; an odd
        count repeats the last frame's time.

        Frame i of n stands at i * duration / n, the start of its share of the clip: never at the
        very end, where many files have no frame left. At 1 fps this is 0, 1, 2 … Raises ValueError
        for a duration that is not positive and finite.
        """
        if not 0 < duration_s < math.inf:
            raise ValueError(
                f"duration_s is {duration_s}: a clip needs a positive length in seconds"
            )
        num_by_fps = math.floor(duration_s * self.fps + 1e-6)
        num_frames = min(max(num_by_fps, self.min_frames), self.max_frames)
        step_s = 1 / self.fps if num_frames == num_by_fps else duration_s / num_frames
        times_s = np.arange(num_frames) * step_s
        padding = -num_frames % self.temporal_patch_size
        return np.concatenate([times_s, np.repeat(times_s[-1:], padding)])

    def fit_size(self, height: int, width: int, num_frames: int) -> tuple[int, int]:
        """Return height and width in px that `num_frames` frames of a clip are resized to:
        multiples of `factor`, within the token budget.

        Equal to qwen-vl-utils' rule with `total_pixels` = the budget's pixels, wherever that keeps
        the budget. It does not where the rule's floor of 128 tokens a frame exceeds it (more than
        243 frames): there frames go below that floor.
        """
        patches = math.ceil(num_frames / self.temporal_patch_size)
        if not 1 <= patches <= self.max_visual_tokens:
            raise ValueError(
                f"num_frames is {num_frames}: between 1 and {self.max_frames} frames fit this"
                " policy"
            )
        share = self.max_visual_tokens * self.factor**2 / patches  # px of one temporal patch
        max_pixels = max(min(self.max_pixels, share), int(self.min_pixels * 1.05))
        size = round_size(height, width, self.factor, self.min_pixels, max_pixels)
        if size[0] * size[1] <= share:
            return size
        return round_size(height, width, self.factor, 1, share)

    def fit_image_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width in px that a still image is resized to: at least 4 tokens, at
        most `max_image_pixels`, as in qwen-vl-utils.
        """
        limit = min(self.max_image_pixels, self.max_visual_tokens * self.factor**2)
        size = round_size(height, width, self.factor, min(4 * self.factor**2, limit), limit)
        return (
            size if size[0] * size[1] <= limit else round_size(height, width, self.factor, 1, limit)
        )

    def num_visual_tokens(self, num_frames: int, height: int, width: int) -> int:
        """Return tokens that the language model sees for `num_frames` frames of this size; an odd
        frame is paired with its repetition.
        """
        patches = math.ceil(num_frames / self.temporal_patch_size)
        return patches * (height // self.factor) * (width // self.factor)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain JSON types, in the order of their definition."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> FramePolicy:
        """Return the policy that `to_dict` wrote; an unknown or missing setting is refused, since
        the frames would not be what it says.
        """
        odd = sorted(set(row) ^ {f.name for f in dataclasses.fields(cls)})
        if odd:
            which = "unknown" if odd[0] in row else "missing"
            raise ValueError(
                f"frame policy has {which} setting {odd[0]!r}: it was written by another version of"
                " obvlib"
            )
        return cls(**row)


def round_size(
    height: int, width: int, factor: int, min_pixels: float, max_pixels: float
) -> tuple[int, int]:
    """Return the nearest height and width that are multiples of `factor`, keep the shape and hold
    between min_pixels and max_pixels.

    qwen-vl-utils' `smart_resize`, including Python's rounding of halves to even; unlike it never 0
    px, and never above `max_pixels` for a very long and thin picture.
    """
    if min(height, width) < 1:
        raise ValueError(f"a frame of {height}x{width} px has no pixels")
    if max(height, width) / min(height, width) > MAX_ASPECT_RATIO:
        raise ValueError(
            f"a frame of {height}x{width} px is more than {MAX_ASPECT_RATIO} times longer than"
            " wide: crop it first"
        )
    new_height = max(factor, round(height / factor) * factor)
    new_width = max(factor, round(width / factor) * factor)
    if new_height * new_width > max_pixels:
        shrink = math.sqrt(height * width / max_pixels)
        new_height = max(factor, math.floor(height / shrink / factor) * factor)
        new_width = max(factor, math.floor(width / shrink / factor) * factor)
        # a thin picture whose short side was lifted to one token
        if new_height * new_width > max_pixels:
            longest = max(factor, math.floor(max_pixels / factor / factor) * factor)
            new_height, new_width = min(new_height, longest), min(new_width, longest)
    elif new_height * new_width < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        new_height = math.ceil(height * grow / factor) * factor
        new_width = math.ceil(width * grow / factor) * factor
    return new_height, new_width
