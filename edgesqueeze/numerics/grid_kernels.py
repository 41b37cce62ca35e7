"""Weights onto a uniform grid, and the slope of what they cost there, in one pass over memory each.

Training runs both once per step over every weight. As chains of whole-array operations they take longer than
the rest of the step where a network has tens of millions of weights.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.numerics.compiled import compiled
from edgesqueeze.numerics.rate_distortion import Floats, LevelCosts


def on_grid(weights: Floats, kept: NDArray[np.bool_], step: float, dead_zone: float, unit: float) -> Floats:
    """Each weight's nearest level × ``unit``: the levels for 1, the weights on the grid for ``step``.

    Args:
        weights: float32, any shape, contiguous.
        kept: in the same shape; where it is False the level is 0.
        step: the distance of two levels.
        dead_zone: what is nearer to zero than so many steps has level 0.
        unit: what a level is multiplied by.

    Returns:
        float32 in the same shape, with +0.0 for every zero.
    """
    found = np.empty_like(weights)
    _on_grid(
        weights.reshape(-1),
        kept.reshape(-1),
        np.float32(step),
        np.float32(dead_zone),
        np.float32(unit),
        found.reshape(-1),
    )
    return found


@compiled
def _on_grid(weights: Any, kept: Any, step: Any, dead_zone: Any, unit: Any, found: Any) -> None:
    for i in range(weights.size):
        scaled = weights[i] / step
        used = kept[i] and abs(scaled) >= dead_zone
        found[i] = np.rint(scaled) * unit + np.float32(0) if used else np.float32(0)


def add_rate_slope(gradient: Floats, weights: Floats, costs: LevelCosts, step: float, price: float) -> None:
    """Add price · d bits / d weight to a gradient [rows, columns], in place.

    Bits are taken as piecewise linear in a weight: up to one step they rise to those of level 1, beyond it by
    what a level more costs. At exact zero the slope is 0.
    """
    per_step = price / step
    _add_rate_slope(
        gradient,
        weights,
        (1 + costs.magnitudes[0] - costs.row_odds).astype(np.float32),
        costs.column_odds.astype(np.float32),
        (np.float32(step), np.float32(per_step), np.float32(per_step * costs.extra_level)),
    )


CHEAPEST_NONZERO = np.float32(0.5)
"""Bits that a non-zero is dearer than a zero at the least, however dense its row and column are."""


@compiled
def _add_rate_slope(gradient: Any, weights: Any, row_bits: Any, column_odds: Any, scales: Any) -> None:
    step, per_bit, beyond = scales
    rows, columns = weights.shape
    for row in range(rows):
        for column in range(columns):
            weight = weights[row, column]
            bits = max(row_bits[row] - column_odds[column], CHEAPEST_NONZERO)
            slope = per_bit * bits if abs(weight) <= step else beyond
            gradient[row, column] += slope * np.sign(weight)
