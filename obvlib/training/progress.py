"""How fast a run is: tokens per second, share of the GPU's peak, time left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from obvlib.models import GPUS, Gpu


@dataclass
class Speed:
    """Speed of a run whose rows are known: tokens and useful FLOPs of each row, in training order.

    `rows_per_step` counts the rows of all processes. `flops` is empty where the samples' grids are
    not known, `gpu` None where the device's peak is not: the MFU is then left out.
    """

    tokens: Sequence[int]
    rows_per_step: int
    samples_per_row: float = 1.0
    flops: Sequence[float] = ()
    gpu: Gpu | None = None
    num_devices: int = 1
    num_steps: int = 0
    waited_s: float = 0.0  # for rows since the last entry, added up by the loop
    _last: tuple[int, float] = field(default=(0, 0.0), repr=False)

    def start(self, step: int) -> None:
        """Begin to measure at a step."""
        self._last, self.waited_s = (step, time.monotonic()), 0.0

    def measure(self, step: int) -> dict[str, float]:
        """Return seconds, tokens_per_s, mfu (0 to 1) and waited_s since the last call, and
        seconds_left.
        """
        (before, began), now = self._last, time.monotonic()
        seconds, self._last = max(now - began, 1e-9), (step, now)
        rows = slice(before * self.rows_per_step, step * self.rows_per_step)
        found = {"seconds": seconds, "tokens_per_s": sum(self.tokens[rows]) / seconds}
        found["waited_s"], self.waited_s = self.waited_s, 0.0
        if self.flops and self.gpu:
            peak = self.gpu.tflops * 1e12 * self.num_devices
            found["mfu"] = sum(self.flops[rows]) / seconds / peak
        if step > before:
            found["seconds_left"] = (self.num_steps - step) * seconds / (step - before)
        return found


def gpu_by_device_name(name: str) -> Gpu | None:
    """Return the known GPU that a device's name ("NVIDIA H100 80GB HBM3") stands for."""
    for key, gpu in GPUS.items():
        words = key.replace("-", " ").split()
        size = f"{gpu.memory_gb:.0f}GB"
        if words[0] in name and (len(words) == 1 or words[1] in name or size in name):
            return gpu
    return None


def line(entry: dict[str, float]) -> str:
    """Return one line for a log entry: step, loss, speed, share of the peak, time left."""
    parts = [f"step {entry['step']:.0f}/{entry['num_steps']:.0f}", f"loss {entry['loss']:.4f}"]
    if "tokens_per_s" in entry:
        parts.append(f"{entry['tokens_per_s']:,.0f} tokens/s")
    if "mfu" in entry:
        parts.append(f"MFU {entry['mfu']:.1%}")
    if entry.get("waited_s", 0) >= 0.02 * entry.get("seconds", 0) > 0:
        parts.append(f"{entry['waited_s'] / entry['seconds']:.0%} waiting for clips")
    if "seconds_left" in entry:
        parts.append(f"{duration(entry['seconds_left'])} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return a duration in words: "42 s", "7 min", "3 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
