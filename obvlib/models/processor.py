"""The family's own processor for a model that we trained, with the pixel limits it was trained
with: what AutoProcessor, pipelines and inference servers expect beside the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obvlib.core import FramePolicy

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def family_processor(
    config: Any, tokenizer: PreTrainedTokenizerFast, policy: FramePolicy | None = None
) -> Any:
    """Return transformers' processor for the model family of `config`, set to `policy`; without one
    the family's own limits hold.

    Frames are expected to be chosen already (`do_sample_frames` is off): a caller who turns it on
    gets the policy's rate and counts, though not the times of `FramePolicy.sample_times`.
    """
    from transformers.models.auto import (
        image_processing_auto,
        processing_auto,
        video_processing_auto,
    )

    auto: dict[str, Any] = {
        "processor": processing_auto.PROCESSOR_MAPPING,
        "image": image_processing_auto.IMAGE_PROCESSOR_MAPPING,
        "video": video_processing_auto.VIDEO_PROCESSOR_MAPPING,
    }
    found = {what: mapping[type(config)] for what, mapping in auto.items()}
    vision = config.vision_config
    sizes = {
        "patch_size": vision.patch_size,
        "merge_size": vision.spatial_merge_size,
        "temporal_patch_size": vision.temporal_patch_size,
    }
    return found["processor"](
        image_processing(_preferred(found["image"]), sizes, policy),
        tokenizer,
        video_processing(_preferred(found["video"]), sizes, policy),
        chat_template=tokenizer.chat_template,
    )


def image_processing(kind: type, sizes: dict[str, int], policy: FramePolicy | None) -> Any:
    """Return the image processor, with the policy's limits for a still image."""
    if policy is None:
        return kind(**sizes)
    limit = min(policy.max_image_pixels, policy.max_visual_tokens * policy.factor**2)
    return kind(**sizes, min_pixels=min(4 * policy.factor**2, limit), max_pixels=limit)


def video_processing(kind: type, sizes: dict[str, int], policy: FramePolicy | None) -> Any:
    """Return the video processor, with the policy's limits for a frame and for a whole clip.

    The library gives a clip nine tenths of `max_video_tokens`, so that the policy's budget is
    written as ten ninths of itself.
    """
    if policy is None:
        return kind(**sizes, cap_pixels_per_frame=True)
    return kind(
        **sizes,
        min_pixels=policy.min_pixels,
        max_pixels=policy.max_pixels,
        min_frames=policy.min_frames,
        max_frames=policy.max_frames,
        fps=policy.fps,
        cap_pixels_per_frame=True,
        max_video_tokens=policy.max_visual_tokens * 10 // 9,
    )


def _preferred(found: Any) -> Any:
    """Return the class where a release lists several back ends or a slow and a fast one."""
    if isinstance(found, dict):
        return found.get("torchvision") or next(iter(found.values()))
    if isinstance(found, tuple):
        return [kind for kind in found if kind is not None][-1]
    return found
