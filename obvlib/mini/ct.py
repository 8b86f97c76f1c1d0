"""Computed tomography: a scroll through the slices of a chest or a head, with or without a lesion.

A chest lesion is a solid nodule in the dark lung, a head lesion a bright bleed with a darker rim;
both span several slices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from obvlib.mini.canvas import (
    Plane,
    along_time,
    bell,
    ease,
    flicker,
    inside,
    look_up,
    overlay,
    texture,
    tinted,
)


@dataclass(frozen=True, kw_only=True)
class CtScene:
    """One scroll; `lesion` is (x, y, radius, slice position 0..1) or None, `backwards` scrolls from
    the last slice to the first.
    """

    region: str
    lesion: tuple[float, ...] | None
    duration_s: float
    num_slices: int
    backwards: bool
    center: tuple[float, float]
    angle: float
    scale: float
    build: float
    window: float
    level: float
    lesion_brightness: float
    noise: float
    noise_seed: int

    @classmethod
    def draw(
        cls, rng: np.random.Generator, region: str, has_lesion: bool, duration_s: float
    ) -> CtScene:
        """Return a random patient; `region` is "chest" or "head"."""
        side = 1 if rng.random() < 0.5 else -1
        if region == "chest":
            place = (
                side * rng.uniform(0.47, 0.58),
                rng.uniform(-0.22, 0.2),
                rng.uniform(0.19, 0.25),
            )
        else:
            place = (side * rng.uniform(0.3, 0.38), rng.uniform(-0.35, 0.3), rng.uniform(0.2, 0.26))
        lesion = tuple(map(float, (*place, rng.uniform(0.38, 0.62))))
        return cls(
            region=region,
            lesion=lesion if has_lesion else None,
            duration_s=duration_s,
            num_slices=int(rng.integers(24, 41)),
            backwards=bool(rng.random() < 0.5),
            center=(float(rng.uniform(-0.08, 0.08)), float(rng.uniform(-0.05, 0.05))),
            angle=float(rng.uniform(-0.1, 0.1)),
            scale=float(rng.uniform(0.92, 1.06)),
            build=float(rng.uniform(0.9, 1.1)),
            window=float(rng.uniform(0.9, 1.15)),
            level=float(rng.uniform(-0.04, 0.04)),
            lesion_brightness=float(rng.uniform(0.72, 0.9)),
            noise=float(rng.uniform(0.01, 0.03)),
            noise_seed=int(rng.integers(2**31)),
        )

    def slice_position(self, times_s: np.ndarray) -> np.ndarray:
        """Return where the scroll stands, 0 to 1, held still within each slice."""
        share = np.clip(np.asarray(times_s) / self.duration_s, 0, 0.9999)
        step = np.floor(share * self.num_slices) / (self.num_slices - 1)
        return 1 - step if self.backwards else step

    def frames(self, times_s: np.ndarray, plane: Plane) -> np.ndarray:
        """Return the picture (T, H, W, 3) float32 in 0..1 at the given times."""
        position = self.slice_position(times_s)
        z = along_time(position)
        x, y = plane.turned(self.center, self.angle, self.scale)
        density = self._chest(x, y, z) if self.region == "chest" else self._head(x, y, z)
        gray = (density - 0.5) * self.window + 0.5 + self.level
        gray += self._slice_noise(position, plane) * self.noise * (0.3 + density)
        lettering = overlay(
            plane.y.shape[0], plane.x.shape[1], _LABELS[self.region], ((1.29, -0.7, 1.29, 0.7),)
        )
        knob = inside(
            np.maximum(np.abs(plane.x - 1.29) - 0.025, np.abs(plane.y - (z * 1.3 - 0.65)) - 0.06),
            0.01,
        )
        return tinted(np.maximum(np.maximum(gray, 0.8 * lettering), 0.7 * knob), (1.0, 1.0, 1.0))

    def _slice_noise(self, position: np.ndarray, plane: Plane) -> np.ndarray:
        """Return grain that changes from slice to slice and stands still within one."""
        slices, index = np.unique(np.round(position * 1000).astype(int), return_inverse=True)
        return flicker(self.noise_seed, slices, plane)[index]

    def _chest(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return the density 0 (air) to 1 (bone), (T, H, W)."""
        a, b = 1.12 * self.build, 0.8
        body = np.sqrt((x / a) ** 2 + (y / b) ** 2 + 0.18 * (x / a) ** 2 * (y / b) ** 2)
        # lungs are largest in the middle slices
        reach = np.sqrt(np.clip(1.06 - np.square((z - 0.52) / 0.62), 0.2, 1))
        # fat, then muscle
        density = inside(body - 1, 0.03) * 0.34 + inside(body - 0.93, 0.03) * 0.2
        lungs = 0
        for side in (-1, 1):
            lung = np.sqrt(
                np.square((x - side * 0.52) / (0.4 * reach))
                + np.square((y + 0.03) / (0.58 * reach))
            )
            lungs = np.maximum(lungs, inside(lung - 1, 0.07))
        depth_shift = np.round(z * 14) * np.float32(0.37)
        vessels = look_up(texture(4.5, 3), x + self.noise_seed % 61 + depth_shift, y * 1.0)
        air = 0.09 + 0.42 * ease(vessels, 1.15, 1.9) * inside(np.abs(x) - 0.75, 0.3)
        density = density * (1 - lungs) + lungs * air
        heart_size = ease(z, 0.2, 0.6)
        heart = np.sqrt(
            np.square((x - 0.1) / (0.2 + 0.17 * heart_size))
            + np.square((y + 0.08) / (0.34 + 0.06 * heart_size))
        )
        density = _over(density, inside(heart - 1, 0.06), 0.58)
        density = _over(density, inside(np.hypot(x - 0.14, y - 0.3) - 0.09, 0.02), 0.66)  # aorta
        density = self._bones(density, x, y, z, body)
        if self.lesion:
            density = self._lesion(density, x, y, z, halo=0.0)
        couch = bell(y - (0.92 + 0.1 * (x / 1.2) ** 2), 0.02) * 0.35
        return np.maximum(density, couch)

    def _bones(
        self, density: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray, body: np.ndarray
    ) -> np.ndarray:
        """Return ribs that wander around the chest from slice to slice, the spine and the
        breastbone.
        """
        around = np.arctan2(y / 0.8, x / 1.12)
        ribs = ease(np.cos(around * 9 + z * 16) - 0.15, 0.2, 0.45) * bell(body - 0.84, 0.045) * 1.2
        density = density + (0.95 - density) * np.clip(ribs, 0, 1)
        spine = np.minimum(np.hypot(x, (y - 0.47) * 1.1) - 0.14, np.hypot(x * 2.2, y - 0.68) - 0.12)
        density = _over(density, inside(spine, 0.02), 0.86)
        density = _over(density, inside(np.hypot(x, y - 0.6) - 0.05, 0.02), 0.5)  # spinal canal
        return _over(
            density, inside(np.maximum(np.abs(x) - 0.13, np.abs(y + 0.63) - 0.04), 0.03), 0.82
        )

    def _head(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return the density 0 (air) to 1 (bone), (T, H, W)."""
        reach = 1 - 0.16 * np.square((z - 0.4) / 0.6)
        a, b = 0.74 * self.build * reach, 0.9 * reach
        skull = np.sqrt(np.square(x / a) + np.square(y / b))
        folds = look_up(
            texture(7.0, 4), x + self.noise_seed % 53 + np.round(z * 10) * np.float32(0.05), y
        )
        near_skull = ease(skull, 0.5, 0.85)
        brain = 0.47 + 0.025 * folds - 0.2 * near_skull * bell(folds, 0.35)
        half = np.exp(-np.square((z - 0.5) / 0.25))
        for side in (-1, 1):
            # front and back horns bend outwards from the midline: the butterfly
            for front in (-1, 1):
                along, across = y - front * 0.2, x - side * (0.07 + 0.55 * np.square(y))
                horn = np.hypot(along * 0.75, across * (2.1 if front < 0 else 1.7)) - 0.15 * half
                brain = _over(brain, inside(horn, 0.04), 0.2)
        brain = _over(brain, bell(x, 0.012) * inside(0.3 - np.abs(y), 0.1), 0.62)  # the falx
        if self.lesion:
            brain = self._lesion(brain, x, y, z, halo=0.3)
        density = inside(skull - 1.06, 0.03) * 0.35
        density = _over(density, inside(skull - 1, 0.03), 0.98)
        return _over(density, inside(skull - 0.9, 0.03), brain)

    def _lesion(
        self, density: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray, halo: float
    ) -> np.ndarray:
        """Return a ball with a slightly ragged edge, cut at slice position z."""
        assert self.lesion is not None
        center_x, center_y, radius, center_z = self.lesion
        cut = np.sqrt(np.clip(1 - np.square((z - center_z) / 0.36), 0, 1)) * radius
        dx, dy = x - np.float32(center_x), y - np.float32(center_y)
        ragged = 0.016 * look_up(texture(14.0, 5), x + self.noise_seed % 43, y)
        distance = np.hypot(dx, dy) + ragged - cut + 0.02 * (cut <= 0)
        seen = (cut > 0.02).astype(np.float32)
        if halo:
            density = _over(density, inside(distance - 0.07, 0.06) * seen, halo)
        return _over(density, inside(distance, 0.03) * seen, self.lesion_brightness)


def _over(below: np.ndarray, coverage: np.ndarray, value: np.ndarray | float) -> np.ndarray:
    """Paint `value` over `below` where `coverage` is 1."""
    return below + (value - below) * coverage


_LABELS = {
    "chest": (
        (-1.3, -0.97, "CHEST AX 5.0"),
        (-1.3, -0.87, "120 kV 210 mA"),
        (-1.3, -0.06, "R"),
        (1.16, -0.06, "L"),
        (0.78, 0.88, "W 1500  L -500"),
    ),
    "head": (
        (-1.3, -0.97, "HEAD AX 5.0"),
        (-1.3, -0.87, "120 kV 320 mA"),
        (-1.3, -0.06, "R"),
        (1.16, -0.06, "L"),
        (0.86, 0.88, "W 80  L 40"),
    ),
}
