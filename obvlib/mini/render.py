"""From a choice of what to show to frames: draw a scene, then render it at any times and size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from obvlib.mini.canvas import Plane, average_down
from obvlib.mini.ct import CtScene
from obvlib.mini.echo import EchoScene
from obvlib.mini.endoscopy import EndoscopyScene
from obvlib.mini.microscopy import MicroscopyScene

# bounds memory: a scene is rendered in runs of frames of about this many pixels
_PIXELS_AT_ONCE = 1_000_000

Picture = EchoScene | CtScene | MicroscopyScene | EndoscopyScene


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What a clip shows, known because it was drawn. `finding` is the ejection-fraction class for
    echo, else "yes" or "no".

    `ejection_fraction_percent` and `heart_rate_bpm` are nan for everything but echo.
    """

    kind: str
    region: str
    finding: str
    heart_rate: str = ""
    ejection_fraction_percent: float = float("nan")
    heart_rate_bpm: float = float("nan")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A drawn clip: what it shows, how long it lasts, and the picture to ask for frames."""

    truth: Truth
    duration_s: float
    picture: Picture


def draw_scene(
    rng: np.random.Generator,
    kind: str,
    finding: str,
    *,
    duration_s: float,
    policy_times_s: np.ndarray,
    region: str = "",
    rate: str = "",
) -> Scene:
    """Draw a scene of `kind` ("echo", "ct", "microscopy", "endoscopy") with `finding` (an
    ejection-fraction class, or "yes"/"no").

    `policy_times_s` are the times at which a frame policy will look at the clip: a beating heart is
    drawn so that they see the beat. `region` is "chest" or "head" for CT; `rate` is a heart-rate
    class for echo; both are drawn when empty.
    """
    if kind == "echo":
        rate = rate or str(rng.choice(["slow", "normal", "fast"]))
        heart = EchoScene.draw(rng, finding, rate, policy_times_s)
        truth = Truth(
            kind=kind,
            region="heart",
            finding=finding,
            heart_rate=rate,
            ejection_fraction_percent=heart.ejection_fraction_percent,
            heart_rate_bpm=heart.heart_rate_bpm,
        )
        return Scene(truth=truth, duration_s=duration_s, picture=heart)
    picture: Picture
    if finding not in ("yes", "no"):
        raise ValueError(f"finding {finding!r} of a {kind!r} scene: use 'yes' or 'no'")
    if kind == "ct":
        region = region or str(rng.choice(["chest", "head"]))
        picture = CtScene.draw(rng, region, finding == "yes", duration_s)
    elif kind == "microscopy":
        region, picture = "cultured cells", MicroscopyScene.draw(rng, finding == "yes", duration_s)
    elif kind == "endoscopy":
        region, picture = "colon", EndoscopyScene.draw(rng, finding == "yes", duration_s)
    else:
        raise ValueError(
            f"kind {kind!r} is not drawn here: use 'echo', 'ct', 'microscopy' or 'endoscopy'"
        )
    return Scene(
        truth=Truth(kind=kind, region=region, finding=finding),
        duration_s=duration_s,
        picture=picture,
    )


def render(
    scene: Scene, times_s: np.ndarray, height: int, width: int, *, supersample: int = 2
) -> np.ndarray:
    """Return frames (T, height, width, 3) uint8 at `times_s` from the clip's start, drawn
    `supersample` times finer and averaged down.
    """
    plane = Plane.of(height * supersample, width * supersample)
    at_once = max(1, _PIXELS_AT_ONCE // (height * width * supersample**2))
    parts = []
    for start in range(0, len(times_s), at_once):
        frames = scene.picture.frames(np.asarray(times_s)[start : start + at_once], plane)
        parts.append((average_down(frames, supersample) * 255 + 0.5).astype(np.uint8))
    return np.concatenate(parts)
