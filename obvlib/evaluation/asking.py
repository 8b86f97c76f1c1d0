"""One model, one video, one question."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from obvlib.core import Example, FramePolicy
from obvlib.evaluation.generation import end_tokens, generate
from obvlib.evaluation.predictions import EvalConfig, prompt_input
from obvlib.evaluation.visuals import visuals_reader
from obvlib.inputs import Video

if TYPE_CHECKING:
    from obvlib.inputs import Visual
    from obvlib.models import Bundle

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".jp2")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the model said, what it was shown, and how many tokens that took."""

    text: str
    visual: Visual
    times_s: tuple[float, ...]  # of the frames; none for a picture
    num_prompt_tokens: int
    num_visual_tokens: int
    num_new_tokens: int


def ask_about(
    bundle: Bundle,
    path: Path,
    question: str,
    policy: FramePolicy,
    *,
    options: dict[str, str] | None = None,
    max_new_tokens: int = 128,
) -> Answer:
    """Ask one question about a video or picture, as a benchmark would.

    FileNotFoundError for a path that is not there, ValueError for a file that cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: give the path of a video or a picture")
    example = Example(
        example_id=path.name,
        benchmark="asked",
        video_id=path.stem,
        question=question,
        answer=next(iter(options)) if options else "unknown",
        options=options,
        media=(str(path),),
        media_kind="image" if path.suffix.lower() in PICTURES else "video",
    )
    (visual,) = visuals_reader(policy)(example)
    config = EvalConfig(policy=policy, max_new_tokens=max_new_tokens)
    prompt = prompt_input(example, [visual], bundle, config)
    (tokens,) = generate(
        bundle.model,
        [prompt],
        max_new_tokens=max_new_tokens,
        eos_token_ids=end_tokens(bundle),
        pad_token_id=bundle.tokenizer.pad_token_id,
    )
    shown = (bundle.spec.image_token_id, bundle.spec.video_token_id)
    return Answer(
        text=bundle.text_of(tokens),
        visual=visual,
        times_s=tuple(map(float, visual.times_s)) if isinstance(visual, Video) else (),
        num_prompt_tokens=prompt.num_tokens,
        num_visual_tokens=sum(int((prompt.input_ids == token).sum()) for token in shown),
        num_new_tokens=len(tokens),
    )
