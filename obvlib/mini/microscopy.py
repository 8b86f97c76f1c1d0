"""Microscopy: a layer of cells in time lapse, phase contrast, in which one cell divides or none
does.

A dividing cell does what real ones do under phase contrast: it rounds up, turns bright, pinches and
becomes two bright daughters.
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
    milliseconds,
    overlay,
    texture,
    tinted,
)

TINTS = ((1.0, 1.0, 1.0), (0.86, 1.0, 0.84), (0.84, 0.94, 1.0), (1.0, 0.92, 0.78))


@dataclass(frozen=True, kw_only=True)
class MicroscopyScene:
    """One time lapse. `cells` rows: x, y, drift x, drift y, half length, half width, angle;
    `division` is (x, y, radius, angle, start 0..1).
    """

    cells: np.ndarray
    division: tuple[float, ...] | None
    duration_s: float
    background: float
    contrast: float
    tint: tuple[float, float, float]
    noise: float
    noise_seed: int

    @classmethod
    def draw(cls, rng: np.random.Generator, divides: bool, duration_s: float) -> MicroscopyScene:
        """Return a random field of view in which other cells keep clear of the dividing one, if
        any.
        """
        spot = np.array([rng.uniform(-0.75, 0.75), rng.uniform(-0.45, 0.45)])
        places = _spread(rng, int(rng.integers(8, 13)), spot if divides else None)
        size = rng.uniform(0.2, 0.29)
        num = len(places)
        cells = np.column_stack(
            [
                places,
                rng.uniform(-0.1, 0.1, (num, 2)),
                rng.uniform(0.95, 1.35, num) * size,
                rng.uniform(0.55, 0.8, num) * size,
                rng.uniform(0, np.pi, num),
            ]
        ).astype(np.float32)
        division = (*spot, rng.uniform(0.25, 0.31), rng.uniform(0, np.pi), rng.uniform(0.0, 0.15))
        return cls(
            cells=cells,
            division=tuple(map(float, division)) if divides else None,
            duration_s=duration_s,
            background=float(rng.uniform(0.42, 0.54)),
            contrast=float(rng.uniform(0.8, 1.15)),
            tint=TINTS[rng.integers(len(TINTS))],
            noise=float(rng.uniform(0.003, 0.009)),
            noise_seed=int(rng.integers(2**31)),
        )

    def frames(self, times_s: np.ndarray, plane: Plane) -> np.ndarray:
        """Return the picture (T, H, W, 3) float32 in 0..1 at the given times."""
        share = along_time(np.clip(np.asarray(times_s) / self.duration_s, 0, 1))
        offset = np.float32(self.noise_seed % 71)
        x = plane.x + 0.05 * look_up(
            texture(22.0, 6), plane.x + offset, plane.y
        )  # the warp that makes outlines irregular
        y = plane.y + 0.05 * look_up(texture(22.0, 7), plane.x + offset, plane.y)
        nearest = self._nearest_cell(x, y, share)
        grains = look_up(texture(2.4, 8), x * 1.0 + offset, y + 0.02 * share)
        gray = self.background + 0.05 * (0.3 * plane.x - 0.5 * plane.y)
        gray = gray + self.contrast * (
            0.26 * bell(nearest - 1.06, 0.1) - inside(nearest - 1, 0.14) * (0.13 - 0.035 * grains)
        )
        gray = (
            gray
            - self.contrast * 0.1 * inside(nearest - 0.42, 0.08)
            + 0.06 * bell(nearest - 0.42, 0.06)
        )
        if self.division:
            gray = self._dividing(gray, plane, share)
        gray = gray + self.noise * flicker(self.noise_seed, milliseconds(times_s), plane)
        lettering = overlay(
            plane.y.shape[0],
            plane.x.shape[1],
            _LABELS,
            ((0.87, 0.9, 1.24, 0.9), (0.87, 0.905, 1.24, 0.905)),
        )
        return np.maximum(tinted(gray, self.tint), 0.95 * lettering[..., None])

    def _nearest_cell(self, x: np.ndarray, y: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Return for each pixel the smallest elliptic radius to any cell: 1 on the outline, 0 in a
        cell's middle; (T, H, W).
        """
        nearest = np.full_like(x, np.inf)
        for place_x, place_y, drift_x, drift_y, half_length, half_width, angle in self.cells:
            dx, dy = x - (place_x + drift_x * share), y - (place_y + drift_y * share)
            cos, sin = np.cos(angle), np.sin(angle)
            along, across = (dx * cos + dy * sin) / half_length, (dy * cos - dx * sin) / half_width
            squared = along * along + across * across
            nearest = np.minimum(nearest, squared)
        return np.sqrt(nearest)

    def _dividing(self, gray: np.ndarray, plane: Plane, share: np.ndarray) -> np.ndarray:
        """Round up, pinch, separate: two discs that start as one."""
        assert self.division is not None
        center_x, center_y, full_radius, angle, start = self.division
        rounding, parting = ease(share, start, start + 0.18), ease(share, start + 0.25, start + 0.6)
        apart = full_radius * 0.92 * parting
        radius = full_radius * (1 - 0.24 * parting)
        dx, dy = plane.x - np.float32(center_x), plane.y - np.float32(center_y)
        along, across = (
            dx * np.cos(angle) + dy * np.sin(angle),
            dy * np.cos(angle) - dx * np.sin(angle),
        )
        stretch = 1 + 0.35 * (1 - rounding)  # still flat and spread out before it rounds up
        distance = np.hypot((np.abs(along) - apart) / stretch, across * stretch) / radius
        body = inside(distance - 1, 0.12)
        flat, round_ = (
            self.background - 0.12 * self.contrast,
            self.background + 0.1 + 0.42 * (1 - 0.35 * distance * distance),
        )
        glow = flat + (round_ - flat) * rounding
        chromosomes = (
            inside(
                np.maximum(
                    np.abs(np.abs(along) - apart * 0.8) - 0.055, np.abs(across) - radius * 0.55
                ),
                0.04,
            )
            * rounding
        )
        gray = gray + (glow - 0.22 * chromosomes - gray) * body
        return (
            gray
            - 0.28 * self.contrast * bell(distance - 1.1, 0.09) * (0.4 + 0.6 * rounding)
            + 0.16 * bell(distance - 1.3, 0.1) * rounding
        )


def _spread(rng: np.random.Generator, num: int, keep_free: np.ndarray | None) -> np.ndarray:
    """Return random places at least a cell apart from each other and, where given, well away from
    `keep_free`; (N, 2).
    """
    places: list[np.ndarray] = []
    for _ in range(400):
        place = np.array([rng.uniform(-1.3, 1.3), rng.uniform(-0.95, 0.95)])
        if keep_free is not None and np.hypot(*(place - keep_free)) < 0.62:
            continue
        if all(np.hypot(*(place - other)) > 0.42 for other in places):
            places.append(place)
        if len(places) == num:
            break
    return np.array(places)


_LABELS = ((-1.3, -0.97, "PH 20x"), (0.94, 0.76, "50 um"))
