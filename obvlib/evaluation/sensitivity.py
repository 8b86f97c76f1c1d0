"""How much a score depends on the frame policy: the same questions under several policies."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from obvlib.core import Example, FramePolicy
from obvlib.evaluation.fingerprints import hashed
from obvlib.evaluation.predictions import EvalConfig
from obvlib.evaluation.runs import Evaluation, evaluate

if TYPE_CHECKING:
    from obvlib.models import Bundle


def policy_variants(policy: FramePolicy) -> dict[str, FramePolicy]:
    """Return the policy as it is, with half and twice the frames, frames a second and pixels; the
    token budget follows, so that one thing changes at a time.
    """
    step = policy.temporal_patch_size
    found = {"as trained": policy}
    for name, factor in (("half", 0.5), ("twice", 2.0)):
        most = max(step, round(policy.max_frames * factor) // step * step)
        least = max(1, round(policy.min_frames * factor))
        budget = max(policy.max_visual_tokens, round(policy.max_visual_tokens * factor))
        found[f"{name} the frames"] = dataclasses.replace(
            policy, max_frames=most, min_frames=min(least, most), max_visual_tokens=budget
        )
        if policy.min_frames < policy.max_frames:  # else the rate decides nothing
            found[f"{name} the frames a second"] = dataclasses.replace(
                policy, fps=policy.fps * factor, max_visual_tokens=budget
            )
        pixels = max(policy.min_pixels, round(policy.max_pixels * factor))
        found[f"{name} the pixels"] = dataclasses.replace(
            policy, max_pixels=pixels, max_visual_tokens=budget
        )
    return found


def sensitivity(
    bundle: Bundle,
    examples: Sequence[Example],
    out_dir: Path,
    config: EvalConfig,
    policies: Mapping[str, FramePolicy],
) -> dict[str, Evaluation]:
    """Answer the examples, whose media are files, under each policy, in a folder each, and return
    the runs by name. A stopped call continues.
    """
    bundle = hashed(bundle)
    return {
        name: evaluate(
            bundle,
            examples,
            Path(out_dir) / name.replace(" ", "_"),
            dataclasses.replace(config, policy=policy),
        )
        for name, policy in policies.items()
    }
