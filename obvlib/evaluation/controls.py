"""Controls: the same benchmark with something taken away, through the same code.

A score says that a model saw something only if it is above what the model scores without seeing it.
A control changes the examples or what is read of their media; everything else is `predict`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from obvlib.core import Example
from obvlib.inputs import Image, Video

if TYPE_CHECKING:
    from obvlib.inputs import Visual


@dataclass(frozen=True)
class Control:
    """What is taken away. `must_beat`: a score that is not above this control shows no seeing;
    `on`: "any" example, or those with "media", "videos" or "options".
    """

    name: str
    what: str
    must_beat: bool
    on: str


CONTROLS = {
    control.name: control
    for control in (
        Control("no_visual", "the question alone (blind)", True, "media"),
        Control("blank", "a black picture in place of each frame", True, "media"),
        Control("other_video", "the frames of another source", True, "media"),
        Control("shuffled", "the frames in random order", False, "videos"),
        Control("reversed", "the frames from last to first", False, "videos"),
        Control("middle_frame", "the middle frame at every time", False, "videos"),
        Control("rotated_options", "each option under the next letter", False, "options"),
    )
}
BLIND = "no_visual"


def control_names(text: str) -> tuple[str, ...]:
    """Return the controls that a comma-separated list names; "all" and "none" are understood."""
    if text in ("all", "none"):
        return tuple(CONTROLS) if text == "all" else ()
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if unknown := [name for name in names if name not in CONTROLS]:
        raise ValueError(
            f"no control named {unknown[0]!r}: use some of {', '.join(CONTROLS)}, all or none"
        )
    return names


def concerned(name: str, examples: Iterable[Example]) -> list[Example]:
    """Return the examples that a control can say something about."""
    on = CONTROLS[name].on
    return [
        example
        for example in examples
        if (on == "media" and example.media)
        or (on == "videos" and example.media_kind == "video")
        or (on == "options" and example.options)
    ]


def controlled(name: str, examples: Sequence[Example], reader: Any) -> tuple[list[Example], Any]:
    """Return examples and reader under the control of that name, for the examples that it concerns.

    ValueError where "other_video" finds one source only.
    """
    chosen = concerned(name, examples)
    if name == "no_visual":
        return [replace(example, media=(), media_kind="text") for example in chosen], reader
    if name == "rotated_options":
        return [rotated(example) for example in chosen], reader
    if name == "other_video":
        return _with_other_media(chosen), reader
    return chosen, ChangedReader(name, reader, _CHANGES[name])


def rotated(example: Example) -> Example:
    """Return the example with each option's text under the next letter, the last under the
    first.
    """
    options = example.options or {}
    letters = list(options)
    after = dict(zip(letters, letters[1:] + letters[:1], strict=True))
    turned = {after[letter]: text for letter, text in options.items()}
    return replace(
        example,
        options={letter: turned[letter] for letter in letters},
        answer=after[example.answer],
    )


class ChangedReader:
    """A reader whose visuals are changed before the model sees them."""

    def __init__(self, name: str, reader: Any, change: Callable[[Example, Visual], Visual]) -> None:
        self._name, self._reader, self._change = name, reader, change

    def __call__(self, example: Example) -> list[Visual]:
        return [self._change(example, visual) for visual in self._reader(example)]

    def identity(self, example: Example) -> str:
        """Return the control's name with the identity of what is changed."""
        return f"{self._name}-{self._reader.identity(example)}"


def _with_other_media(examples: Sequence[Example]) -> list[Example]:
    """Return each example with the media of the source after its own, in an order drawn from the
    ids; pictures stay pictures and videos videos.
    """
    changed = {}
    for kind in sorted({example.media_kind for example in examples}):
        of_kind = [example for example in examples if example.media_kind == kind]
        media = {example.video_id: example.media for example in reversed(of_kind)}
        sources = sorted(media, key=_draw)
        if len(sources) < 2:
            raise ValueError(
                f"control other_video needs two sources of kind {kind!r}, there is"
                f" {len(sources)}: leave it out"
            )
        after = dict(zip(sources, sources[1:] + sources[:1], strict=True))
        for example in of_kind:
            changed[example.example_id] = replace(example, media=media[after[example.video_id]])
    return [changed[example.example_id] for example in examples]


def _draw(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _blank(example: Example, visual: Visual) -> Visual:
    if isinstance(visual, Video):
        return Video(np.zeros_like(visual.frames), visual.times_s)
    return Image(np.zeros_like(visual.pixels))


def _shuffled(example: Example, visual: Video) -> Video:
    seed = int(_draw(example.example_id)[:8], 16)
    order = np.random.default_rng(seed).permutation(len(visual.frames))
    return Video(visual.frames[order], visual.times_s)


def _reversed(example: Example, visual: Video) -> Video:
    return Video(visual.frames[::-1], visual.times_s)


def _middle_frame(example: Example, visual: Video) -> Video:
    middle = visual.frames[(len(visual.frames) - 1) // 2]
    return Video(np.broadcast_to(middle, visual.frames.shape), visual.times_s)


_CHANGES: dict[str, Callable[[Example, Any], Any]] = {
    "blank": _blank,
    "shuffled": _shuffled,
    "reversed": _reversed,
    "middle_frame": _middle_frame,
}
