"""Echocardiography: an apical four-chamber view in a sector fan, whose left ventricle contracts by
a chosen ejection fraction.

The view is that of a sonographer who has zoomed to the ventricle: its size and place vary little,
so that what differs is how far it contracts. Only the frames near the end of the beat tell; a frame
of the filled ventricle looks the same whatever the ejection fraction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from obvlib.mini.canvas import (
    Plane,
    along_time,
    bell,
    flicker,
    inside,
    look_up,
    milliseconds,
    overlay,
    texture,
    tinted,
)

EF_RANGES_PERCENT = {
    "normal": (57.0, 70.0),
    "mildly reduced": (39.0, 46.0),
    "severely reduced": (12.0, 27.0),
}
RATE_RANGES_BPM = {"slow": (44.0, 57.0), "normal": (64.0, 92.0), "fast": (104.0, 132.0)}
TINTS = ((1.0, 1.0, 1.0), (1.0, 0.88, 0.7), (0.82, 0.93, 1.0), (1.0, 0.94, 0.84))
# One beat: how far the ventricle has contracted (0 end of filling, 1 end of ejection) at each phase
# of the cycle.
_BEAT_PHASE = (0.0, 0.05, 0.12, 0.2, 0.28, 0.36, 0.42, 0.48, 0.54, 0.62, 0.8, 0.9, 0.96, 1.0)
_BEAT_CONTRACTION = (0.0, 0.1, 0.45, 0.85, 0.98, 1.0, 0.96, 0.66, 0.3, 0.1, 0.06, 0.03, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class EchoScene:
    """One echo loop; lengths in plane units, `phase` in beats."""

    ejection_fraction_percent: float
    heart_rate_bpm: float
    phase: float
    center: tuple[float, float]
    angle: float
    scale: float
    width: float
    length: float
    wall: float
    half_angle: float
    gain: float
    haze: float
    gamma: float
    tint: tuple[float, float, float]
    noise_seed: int

    @classmethod
    def draw(
        cls, rng: np.random.Generator, ef_class: str, rate_class: str, policy_times_s: np.ndarray
    ) -> EchoScene:
        """Return a random heart of the given classes whose beat is seen from end to end at the
        times a frame policy would pick.
        """
        rate, phase = _observable_beat(rng, RATE_RANGES_BPM[rate_class], policy_times_s)
        return cls(
            ejection_fraction_percent=float(rng.uniform(*EF_RANGES_PERCENT[ef_class])),
            heart_rate_bpm=rate,
            phase=phase,
            center=(float(rng.uniform(-0.02, 0.02)), float(rng.uniform(0.1, 0.12))),
            angle=float(rng.uniform(-0.03, 0.03)),
            scale=float(rng.uniform(1.16, 1.2)),
            width=float(rng.uniform(0.318, 0.332)),
            length=float(rng.uniform(0.49, 0.51)),
            wall=float(rng.uniform(0.12, 0.13)),
            half_angle=float(rng.uniform(0.72, 0.85)),
            gain=float(rng.uniform(0.85, 1.2)),
            haze=float(rng.uniform(0.08, 0.2)),
            gamma=float(rng.uniform(0.9, 1.15)),
            tint=TINTS[rng.integers(len(TINTS))],
            noise_seed=int(rng.integers(2**31)),
        )

    def frames(self, times_s: np.ndarray, plane: Plane) -> np.ndarray:
        """Return the picture (T, H, W, 3) float32 in 0..1 at the given times."""
        height, width = plane.y.shape[0], plane.x.shape[1]
        squeeze = along_time(contraction(times_s * self.heart_rate_bpm / 60 + self.phase))
        p, q = plane.turned(self.center, self.angle, self.scale)
        cavities, heart, edges = self._chambers(p, q, squeeze)
        offset = np.float32(self.noise_seed % 97)
        pull = 1 + np.float32(0.16) * squeeze  # speckle moves inwards with the muscle
        depth, angle = self._polar(plane)
        fine = look_up(
            texture(1.7), angle * np.float32(0.55) + offset, depth * np.float32(1.3)
        )  # a beam widens with depth
        grain = 0.62 * look_up(texture(3.2), p * pull + offset, q * pull + offset) + 0.6 * fine
        far = look_up(texture(5.0, 1), plane.x + offset, plane.y)
        muscle = heart * (1 - cavities)
        bright = muscle * (0.47 + 0.17 * grain) + edges * (0.34 + 0.12 * grain)
        bright += (1 - heart) * self.haze * (1.2 + 0.5 * far + 0.45 * grain) + cavities * 0.04 * (
            1 + 0.8 * grain
        )
        bright += self._mitral_valve(p, q, squeeze) * 0.45
        bright = (
            bright * self.gain + 0.006 * flicker(self.noise_seed, milliseconds(times_s), plane)
        ) * self._beam(depth, angle)
        lettering = overlay(height, width, _LABELS, _DEPTH_TICKS)
        return np.maximum(tinted(bright, self.tint, self.gamma), 0.75 * lettering[..., None])

    def _chambers(
        self, p: np.ndarray, q: np.ndarray, squeeze: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the coverage of the four cavities, of the whole heart, and the bright borders;
        each (T, H, W).
        """
        # volume goes as area ** 1.5
        area = 1 - (1 - (1 - self.ejection_fraction_percent / 100) ** (2 / 3)) * squeeze
        narrow, short = area ** np.float32(0.68), area ** np.float32(0.32)
        a, b, wall = self.width, self.length, self.wall
        # the valve plane, which moves towards the apex as the ventricle shortens
        base = np.float32(0.3)
        lift = (1 - short) * 2 * b
        middle = base - lift * 0.75 - b * short * 0.98
        taper = 1 + np.float32(0.3) * np.clip(q + 0.25, -0.6, 0.6)
        left = _oval((p - 0.24) / taper, q - middle, a * narrow, b * short)
        thick = wall * (1 + 0.35 * squeeze * self.ejection_fraction_percent / 60)
        shell = _oval((p - 0.24) / taper, q - middle, a * narrow + thick, b * short + thick)
        right = _oval(
            (p + 0.33) / taper, q - middle - 0.1, 0.17 * (0.35 + 0.65 * narrow), 0.4 * short
        )
        right_shell = _oval(
            (p + 0.33) / taper, q - middle - 0.1, 0.23 * (0.35 + 0.65 * narrow) + 0.01, 0.46 * short
        )
        fill = 1 + 0.12 * squeeze
        left_atrium, right_atrium = (
            _oval(p - 0.25, q - 0.6, 0.27 * fill, 0.24),
            _oval(p + 0.27, q - 0.58, 0.22 * fill, 0.22),
        )
        cavities = inside(
            np.minimum(np.minimum(left, right), np.minimum(left_atrium, right_atrium)) - 1, 0.16
        )
        outline = np.minimum(
            np.minimum(shell, right_shell), np.minimum(left_atrium, right_atrium) - np.float32(0.2)
        )
        edges = bell(shell - 1, 0.13) * inside(-p, 0.3) + 0.6 * bell(left - 1.04, 0.09)
        return cavities, inside(outline - 1, 0.18), edges * (1 - inside(left - 0.95, 0.06))

    def _mitral_valve(self, p: np.ndarray, q: np.ndarray, squeeze: np.ndarray) -> np.ndarray:
        """Draw two leaflets hinged at the ring: closed while the ventricle ejects, open as it
        fills.
        """
        opening = np.float32(0.28) * (1 - squeeze) ** 2
        leaflets = np.zeros_like(p)
        for side in (-1, 1):
            hinge_x = 0.24 + side * self.width * 0.72
            along = np.clip((p - hinge_x) / np.float32(-side * self.width * 0.7), 0, 1)
            leaflets = leaflets + bell(q - (0.3 - along * opening), 0.03) * inside(
                np.abs(p - (hinge_x + 0.24) / 2) - self.width * 0.36, 0.05
            )
        return leaflets

    def _polar(self, plane: Plane) -> tuple[np.ndarray, np.ndarray]:
        """Return the distance from the probe and angle to its axis, each (H, W)."""
        from_probe = plane.y + np.float32(1.02)
        return np.sqrt(plane.x**2 + from_probe**2), np.arctan2(plane.x, from_probe)

    def _beam(self, depth: np.ndarray, angle: np.ndarray) -> np.ndarray:
        """Return the sector (H, W): its sharp borders, weaker echoes near the probe and in the
        depth, faint shadowed lines.
        """
        sector = (
            inside(np.abs(angle) - self.half_angle, 0.012)
            * inside(depth - 1.93, 0.012)
            * inside(0.07 - depth, 0.01)
        )
        scan_lines = look_up(
            texture(9.0, 2), angle * 1.3 + self.noise_seed % 31, np.zeros_like(angle)
        )
        return sector * (1 + 0.1 * scan_lines) * (1.08 - 0.22 * np.abs(depth - 0.8))


def contraction(beats: np.ndarray) -> np.ndarray:
    """Return how far the ventricle has contracted, 0 to 1, at a time counted in beats."""
    return np.interp(np.mod(beats, 1.0), _BEAT_PHASE, _BEAT_CONTRACTION)


def _observable_beat(
    rng: np.random.Generator, rate_range: tuple[float, float], times_s: np.ndarray
) -> tuple[float, float]:
    """Return a rate and a phase at which the given times see both ends of the beat: sampling at the
    beat's own pace would freeze it.
    """
    for _ in range(200):
        rate, phase = float(rng.uniform(*rate_range)), float(rng.random())
        seen = contraction(times_s * rate / 60 + phase)
        if seen.max() > 0.93 and seen.min() < 0.08 and np.sum(seen > 0.75) >= 2:
            return rate, phase
    raise ValueError(
        f"no rate in {rate_range} beats/min shows a whole beat at times {times_s}: change the"
        " clip's duration"
    )


def _oval(
    dx: np.ndarray, dy: np.ndarray, a: np.ndarray | float, b: np.ndarray | float
) -> np.ndarray:
    """Return 1 on an ellipse of half axes a and b, smaller inside, larger outside."""
    return np.sqrt(np.square(dx / a) + np.square(dy / b))


_LABELS = ((-1.3, -0.97, "A4C  2.2 MHz"), (-1.3, -0.87, "16 cm  TIS 0.8"), (0.86, -0.97, "MI 1.2"))
_DEPTH_TICKS = tuple(
    (1.28 - (0.06 if i % 5 == 0 else 0.03), -0.95 + 0.118 * i, 1.29, -0.95 + 0.118 * i)
    for i in range(17)
)
