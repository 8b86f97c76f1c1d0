"""Endoscopy: the camera hovers in a moving colon, with or without a polyp on the wall."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from obvlib.mini.canvas import (
    Plane,
    along_time,
    ease,
    flicker,
    inside,
    look_up,
    milliseconds,
    overlay,
    texture,
)

WALLS = (
    (0.93, 0.52, 0.43),
    (0.9, 0.47, 0.36),
    (0.95, 0.6, 0.47),
    (0.88, 0.5, 0.47),
)  # colours of the lining under different lamps


@dataclass(frozen=True, kw_only=True)
class EndoscopyScene:
    """One pass; `polyp` is (angle, distance from the lumen, radius) or None, `speed` in folds per
    second.
    """

    polyp: tuple[float, ...] | None
    duration_s: float
    speed: float
    center: tuple[float, float]
    sway: tuple[float, ...]
    lobes: tuple[float, float]
    folds: float
    wall: tuple[float, float, float]
    polyp_color: tuple[float, float, float]
    lamp: float
    noise: float
    noise_seed: int

    @classmethod
    def draw(cls, rng: np.random.Generator, has_polyp: bool, duration_s: float) -> EndoscopyScene:
        """Return a random stretch of colon; the polyp, if any, stays in view while the camera
        sways.
        """
        polyp = (rng.uniform(0, 2 * np.pi), rng.uniform(0.52, 0.62), rng.uniform(0.25, 0.32))
        return cls(
            polyp=tuple(map(float, polyp)) if has_polyp else None,
            duration_s=duration_s,
            speed=float(rng.uniform(-0.5, 0.8)),
            center=(float(rng.uniform(-0.18, 0.18)), float(rng.uniform(-0.12, 0.12))),
            sway=tuple(
                map(
                    float,
                    (*rng.uniform(0.03, 0.12, 2), rng.uniform(0.5, 1.1), rng.uniform(0, 6.28)),
                )
            ),
            lobes=(float(rng.uniform(0.06, 0.16)), float(rng.uniform(0, 6.28))),
            folds=float(rng.uniform(1.5, 2.2)),
            wall=WALLS[rng.integers(len(WALLS))],
            polyp_color=(
                float(rng.uniform(0.97, 1.0)),
                float(rng.uniform(0.68, 0.75)),
                float(rng.uniform(0.55, 0.62)),
            ),
            lamp=float(rng.uniform(0.85, 1.1)),
            noise=float(rng.uniform(0.003, 0.008)),
            noise_seed=int(rng.integers(2**31)),
        )

    def frames(self, times_s: np.ndarray, plane: Plane) -> np.ndarray:
        """Return the picture (T, H, W, 3) float32 in 0..1 at the given times."""
        times = along_time(times_s)
        amount_x, amount_y, pace, start = self.sway
        dx = plane.x - self.center[0] - amount_x * np.sin(pace * times + start)
        dy = plane.y - self.center[1] - amount_y * np.sin(0.8 * pace * times + 2 * start)
        color = self._wall(dx, dy, times)
        if self.polyp:
            color = self._with_polyp(color, dx, dy, times)
        color = (
            color * self.lamp
            + self.noise * flicker(self.noise_seed, milliseconds(times_s), plane)[..., None]
        )
        corner = np.abs(plane.x) + np.abs(plane.y)
        mask = inside(
            np.maximum(
                np.maximum(np.abs(plane.x) - 1.16, np.abs(plane.y) - 0.95), (corner - 1.78) * 0.7
            ),
            0.02,
        )
        lettering = overlay(plane.y.shape[0], plane.x.shape[1], _LABELS, ())
        return np.maximum(np.clip(color, 0, 1) * mask[..., None], 0.8 * lettering[..., None])

    def _wall(self, dx: np.ndarray, dy: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Return the lining lit from the camera: dark lumen, folds that move past, vessels, wet
        highlights; (T, H, W, 3).
        """
        around = np.arctan2(dy, dx)
        amount, turn = self.lobes
        # A colon's lumen is a rounded triangle; towards the camera its walls open out to a circle.
        far = np.hypot(dx, dy)
        radius = far * (
            1
            + amount * np.cos(3 * around + turn) * (1.2 - 0.5 * ease(far, 0.2, 1.2))
            + 0.05 * np.cos(2 * around - turn)
        )
        depth = np.log(np.maximum(radius, 0.03))
        wobble = (
            0.22 * np.cos(around + 2 * turn)
            + 0.1 * np.cos(4 * around)
            + 0.06 * np.cos(7 * around + turn)
        )
        fold = np.mod(self.folds * -depth + wobble + self.speed * times, 1)
        ridge = ease(fold, 0.0, 0.75) * (
            1 - ease(fold, 0.84, 1.0)
        )  # slow rise, steep far side: a fold hides what is behind it
        light = ease(radius, 0.06, 0.55) * (1.06 - 0.3 * ease(radius, 0.7, 1.5))
        shade = light * (0.6 + 0.28 * ridge + 0.16 * ease(ridge, 0.75, 1.0))
        turn_texels = np.float32(512 / 100 / (2 * np.pi))
        vessels = look_up(
            texture(4.0, 1),
            around * turn_texels + self.noise_seed % 37,
            -depth * 0.8 + self.speed * times * 0.3,
        )
        wet = ease(vessels, 1.9, 3.2) * ease(ridge, 0.6, 0.95) * light
        red, green, blue = self.wall
        blush = (
            0.035 * vessels
            + 0.05
            * look_up(
                texture(1.6, 3), around * turn_texels * 2, -depth * 1.5 + self.speed * times * 0.3
            )
            * light
        )
        return np.stack(
            [shade * red + wet, shade * (green - blush) + wet, shade * (blue - blush) + wet],
            axis=-1,
        )

    def _with_polyp(
        self, color: np.ndarray, dx: np.ndarray, dy: np.ndarray, times: np.ndarray
    ) -> np.ndarray:
        """Return a domed, paler growth with a shadow at its foot and a wet highlight, growing a
        little as the camera comes closer.
        """
        assert self.polyp is not None
        angle, distance, size = self.polyp
        closer = 1 + 0.18 * (times / self.duration_s - 0.5)
        px, py = np.cos(angle) * distance * closer, np.sin(angle) * distance * 0.85 * closer
        radius = size * closer
        ux, uy = (dx - px) / radius, (dy - py) / radius
        lobed = (
            1
            + 0.07 * np.cos(2 * np.arctan2(uy, ux) + 3 * angle)
            + 0.05 * np.cos(3 * np.arctan2(uy, ux) - angle)
        )
        squared = (ux * ux + uy * uy) * lobed
        dome = np.sqrt(np.clip(1 - squared, 0, 1))
        facing = np.clip(
            0.5 + 0.55 * dome - 0.3 * (ux * np.cos(angle) + uy * np.sin(angle)), 0.15, 1.3
        )
        shadow = inside(np.hypot(ux - 0.14 * np.cos(angle), uy - 0.14 * np.sin(angle)) - 1.12, 0.25)
        color = color * (1 - 0.6 * shadow[..., None])
        spot = inside(
            np.hypot(ux + 0.3 * np.cos(angle) + 0.15, uy + 0.3 * np.sin(angle) + 0.2) - 0.16, 0.14
        )
        dimples = 1 + 0.07 * look_up(texture(3.0, 2), ux * 0.5 + 3, uy * 0.5 + 3)
        surface = (facing * dimples)[..., None] * np.asarray(
            self.polyp_color, dtype=np.float32
        ) + 0.75 * spot[..., None]
        return color + (surface - color) * inside(np.sqrt(squared) - 1, 0.08)[..., None]


_LABELS = ((-1.31, -0.97, "SCOPE 1"), (-1.31, 0.88, "GAIN 0  ENH A3"))
