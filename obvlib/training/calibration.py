"""The planner's efficiencies, fitted to training steps that were measured on a GPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import nnls

from obvlib.models import Gpu
from obvlib.training.planner import Efficiency, Work


def calibrate(measured: Sequence[tuple[Work, float]], gpu: Gpu) -> Efficiency:
    """Return the efficiencies that explain measured steps (work, seconds) with the smallest sum of
    squared relative errors, none of them negative.
    """
    peak, bandwidth = gpu.tflops * 1e12, gpu.bandwidth_tb_s * 1e12
    parts = np.array(
        [
            [w.products / peak, w.attention / peak, w.traffic_bytes / bandwidth, w.num_layers]
            for w, _ in measured
        ]
    )
    seconds = np.array([s for _, s in measured])
    rest = seconds - np.array([w.optimizer_bytes for w, _ in measured]) / bandwidth
    found, _ = nnls(parts / seconds[:, None], rest / seconds)
    shares = 1 / np.maximum(found[:2], 1e-9)
    return Efficiency(
        products=float(shares[0]),
        attention=float(shares[1]),
        crossings=float(found[2]),
        layer_s=float(found[3]),
    )
