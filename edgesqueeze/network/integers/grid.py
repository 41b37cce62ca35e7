"""The int8 grid of one activation tensor."""

from dataclasses import dataclass

import numpy as np

from edgesqueeze.numerics.integers import SMALLEST_SCALE

QMIN, QMAX = -128, 127


@dataclass(frozen=True)
class ActivationQuant:
    """real = scale × (q - zero_point), q int8 in [-128, 127]; ``scale`` is a float32 value."""

    scale: float
    zero_point: int


def activation_quant(low: float, high: float) -> ActivationQuant:
    """The int8 grid that covers [low, high] and holds real zero exactly."""
    low, high = min(low, 0.0), max(high, 0.0)
    # A tensor that is zero throughout fits every grid; a tiny scale would overflow the requantization.
    scale = np.float32(max((high - low) / (QMAX - QMIN), SMALLEST_SCALE) if high > low else 1.0)
    zero_point = int(np.clip(np.rint(QMIN - low / float(scale)), QMIN, QMAX))
    return ActivationQuant(float(scale), zero_point)
