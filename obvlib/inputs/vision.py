"""Pictures and videos as the vision tower takes them: what a model expects (`VisionSpec`), checks,
and patches.

Frames come in at their final size (`FramePolicy.fit_size`); here they are only normalised and cut
into patches, so that what the inspector shows is what the model saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from obvlib.core import FramePolicy

if TYPE_CHECKING:
    import torch

# Qwen2-VL, Qwen2.5-VL
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALF_MEAN, HALF_STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)  # Qwen3-VL
FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")


@dataclass(frozen=True, eq=False)
class Video:
    """A clip's frames (T, H, W, 3) uint8 and their times (T,) in seconds from the clip's start."""

    frames: np.ndarray
    times_s: np.ndarray

    @classmethod
    def blank(cls, times_s: np.ndarray, height: int, width: int) -> Video:
        """Return a clip whose frames are not read yet: black, of the right shape, and taking no
        memory.
        """
        return cls(np.broadcast_to(np.uint8(0), (len(times_s), height, width, 3)), times_s)


@dataclass(frozen=True, eq=False)
class Image:
    """A still image (H, W, 3) uint8."""

    pixels: np.ndarray


@dataclass(frozen=True, kw_only=True)
class VisionSpec:
    """What a model family wants to see and by which token ids; read from a model's config, so that
    small vocabularies work too.
    """

    family: str = "qwen2_vl"  # which time and position rule: qwen2_vl | qwen2_5_vl | qwen3_vl
    patch_size: int = 14  # px
    merge_size: int = 2  # patches a side that make one token
    temporal_patch_size: int = 2  # frames that make one temporal patch
    image_token_id: int = 151_655
    video_token_id: int = 151_656
    vision_start_token_id: int = 151_652
    vision_end_token_id: int = 151_653
    vocab_size: int = 151_936
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    tokens_per_second: float = 1.0  # Qwen2.5-VL: positions that one second of video spans

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(
                f"family {self.family!r} is not known: the time and position rules exist for"
                f" {', '.join(FAMILIES)}"
            )

    @classmethod
    def from_config(cls, config: Any) -> VisionSpec:
        """Read a transformers config (Qwen2VLConfig, Qwen2_5_VLConfig, Qwen3VLConfig); ValueError
        for any other family.
        """
        vision = config.vision_config
        spec = cls(
            family=config.model_type,
            patch_size=vision.patch_size,
            merge_size=vision.spatial_merge_size,
            temporal_patch_size=vision.temporal_patch_size,
            image_token_id=config.image_token_id,
            video_token_id=config.video_token_id,
            vision_start_token_id=config.vision_start_token_id,
            vision_end_token_id=config.vision_end_token_id,
            vocab_size=config.get_text_config().vocab_size,
            mean=HALF_MEAN if config.model_type == "qwen3_vl" else CLIP_MEAN,
            std=HALF_STD if config.model_type == "qwen3_vl" else CLIP_STD,
            tokens_per_second=(
                float(vision.tokens_per_second) if config.model_type == "qwen2_5_vl" else 1.0
            ),
        )
        return spec

    @property
    def factor(self) -> int:
        """Return how many px height and width are multiples of."""
        return self.patch_size * self.merge_size


def check_video(video: Video, spec: VisionSpec) -> None:
    """Raise ValueError, with the remedy, for frames that cannot become patches or times that cannot
    be theirs.
    """
    if isinstance(video.frames, (list, tuple)):
        sizes = sorted({np.shape(frame) for frame in video.frames})
        if len(sizes) > 1:
            raise ValueError(
                f"frames of different sizes {sizes[0]} and {sizes[1]}: resize all frames of a clip"
                " to one size"
            )
    frames, times_s = np.asarray(video.frames), np.asarray(video.times_s)
    if frames.size == 0:
        raise ValueError(
            "no frames: the clip has none that can be decoded; drop it with that reason"
        )
    _check_pixels(frames, 4, "frames", "(T, H, W, 3)", spec)
    if times_s.dtype.kind not in "fiu":
        raise ValueError(f"times_s are {times_s.dtype}: give seconds as numbers")
    if times_s.shape != frames.shape[:1]:
        raise ValueError(
            f"times_s has shape {times_s.shape} for {len(frames)} frames: give each frame's time"
        )
    if not np.isfinite(times_s).all() or (np.diff(times_s) < 0).any() or times_s[0] < 0:
        raise ValueError(
            "times_s must be finite, not negative and ascending: read them with the frames"
        )


def check_image(image: Image, spec: VisionSpec) -> None:
    """Raise ValueError, with the remedy, for pixels that cannot become patches."""
    pixels = np.asarray(image.pixels)
    if pixels.size == 0:
        raise ValueError("no pixels: the image is empty; drop it with that reason")
    _check_pixels(pixels, 3, "pixels", "(H, W, 3)", spec)


def _check_pixels(array: np.ndarray, ndim: int, name: str, shape: str, spec: VisionSpec) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name} hold NaN or infinity: decode them again, and pass uint8")
    if array.dtype != np.uint8:
        raise ValueError(
            f"{name} are {array.dtype}: pass uint8, 0 to 255; normalising is done here"
        )
    if array.ndim != ndim or array.shape[-1] != 3:
        raise ValueError(f"{name} have shape {array.shape}: expected {shape} in RGB")
    height, width = array.shape[-3:-1]
    if height % spec.factor or width % spec.factor:
        raise ValueError(
            f"{name} are {height}x{width} px: both must be multiples of {spec.factor}; use"
            " FramePolicy.fit_size and vision.resize"
        )


def frames_of(visual: Video | Image) -> np.ndarray:
    """Return a visual as frames (T, H, W, 3): an image is a single frame, which the temporal patch
    then holds twice.
    """
    return (
        np.asarray(visual.frames) if isinstance(visual, Video) else np.asarray(visual.pixels)[None]
    )


def grid_of(visual: Video | Image, spec: VisionSpec) -> tuple[int, int, int]:
    """Return the number of temporal patches, and of rows and columns of patches."""
    frames = frames_of(visual)
    return (
        -(-len(frames) // spec.temporal_patch_size),
        frames.shape[1] // spec.patch_size,
        frames.shape[2] // spec.patch_size,
    )


def patches(
    frames: np.ndarray, spec: VisionSpec, *, normalise: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Return patches (n, 3 * temporal * patch * patch) and the grid (3,) int64 of frames
    (T, H, W, 3) uint8.

    An odd last frame is repeated. Patches come temporal patch by temporal patch, in squares of
    merge_size x merge_size that become one token each; inside a patch channel, frame, row, column.
    They are float32 and equal to the reference processor's within float error, or, with
    `normalise=False`, the frames' own uint8 values, a quarter of the bytes.
    """
    if padding := -len(frames) % spec.temporal_patch_size:
        frames = np.concatenate([frames, np.repeat(frames[-1:], padding, axis=0)])
    num_frames, height, width, _ = frames.shape
    patch, merge, temporal = spec.patch_size, spec.merge_size, spec.temporal_patch_size
    grid = (num_frames // temporal, height // patch, width // patch)
    blocks = frames.reshape(
        grid[0], temporal, grid[1] // merge, merge, patch, grid[2] // merge, merge, patch, 3
    )
    # (t, h', w', merge, merge, 3, temporal, patch, patch) uint8
    blocks = np.ascontiguousarray(blocks.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7))
    values = blocks.reshape(int(np.prod(grid)), -1)
    return normalised(values, spec) if normalise else values, np.array(grid, dtype=np.int64)


def normalised(values: np.ndarray, spec: VisionSpec) -> np.ndarray:
    """Normalise uint8 patches (n, values) to float32: (x / 255 - mean) / std for each channel."""
    out = np.empty((len(values), 3, values.shape[1] // 3), dtype=np.float32)
    channels = values.reshape(out.shape)
    for channel, (scale, shift) in enumerate(_scales(spec)):
        np.multiply(channels[:, channel], scale, out=out[:, channel], dtype=np.float32)
        out[:, channel] -= shift
    return out.reshape(values.shape)


def normalised_on_device(values: torch.Tensor, spec: VisionSpec) -> torch.Tensor:
    """Return `normalised` for a tensor, on the device that it is on."""
    import torch

    scale, shift = torch.tensor(_scales(spec), dtype=torch.float32, device=values.device).T
    channels = values.view(len(values), 3, -1).float()
    return (channels * scale[:, None] - shift[:, None]).view(values.shape)


def _scales(spec: VisionSpec) -> list[tuple[np.float32, np.float32]]:
    """Return the scale and shift of each channel."""
    return [
        (np.float32(1 / (255 * std)), np.float32(mean / std))
        for mean, std in zip(spec.mean, spec.std, strict=True)
    ]


def resize(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return frames (T, H, W, 3) or one picture (H, W, 3) uint8 at another size: bicubic with
    antialiasing, as the reference processor does.
    """
    import torch

    if frames.shape[-3:-1] == (height, width):
        return frames
    single = frames.ndim == 3
    tensor = torch.from_numpy(np.array(frames[None] if single else frames, copy=True)).permute(
        0, 3, 1, 2
    )
    resized = torch.nn.functional.interpolate(
        tensor, size=(height, width), mode="bicubic", antialias=True, align_corners=False
    )
    out = resized.permute(0, 2, 3, 1).contiguous().numpy()  # (T, height, width, 3) uint8
    return out[0] if single else out


def fit_video(frames: np.ndarray, times_s: np.ndarray, policy: FramePolicy) -> Video:
    """Return the frames at the size that `policy` gives a clip of that many frames."""
    height, width = policy.fit_size(frames.shape[1], frames.shape[2], len(frames))
    return Video(resize(frames, height, width), np.asarray(times_s, dtype=np.float64))


def fit_image(pixels: np.ndarray, policy: FramePolicy) -> Image:
    """Return the picture at the size that `policy` gives a still image; grey pictures become RGB, a
    fourth channel is dropped.
    """
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=-1)
    height, width = policy.fit_image_size(pixels.shape[0], pixels.shape[1])
    return Image(resize(pixels[..., :3], height, width))


def seconds_per_patch(times_s: np.ndarray, spec: VisionSpec) -> float:
    """Return seconds of clip that one temporal patch spans: frames a patch times their usual
    distance (a repeated last frame does not count).
    """
    steps = np.diff(np.asarray(times_s, dtype=np.float64))
    steps = steps[steps > 0]
    return spec.temporal_patch_size * float(np.median(steps)) if len(steps) else 0.0


def patch_times(times_s: np.ndarray, spec: VisionSpec) -> np.ndarray:
    """Return the time written before each temporal patch of Qwen3-VL: the middle of its first and
    last frame, in seconds.
    """
    times_s = np.asarray(times_s, dtype=np.float64)
    times_s = np.concatenate(
        [times_s, np.repeat(times_s[-1:], -len(times_s) % spec.temporal_patch_size)]
    )
    pairs = times_s.reshape(-1, spec.temporal_patch_size)
    return (pairs[:, 0] + pairs[:, -1]) / 2
