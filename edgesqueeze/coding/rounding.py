"""Levels chosen by what the coder itself would ask for them."""

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.coding.symbols import Symbols, price_candidates

_WEIGHTS_AT_A_TIME = 1 << 22


def cheapest_levels(weights: NDArray[np.float32], levels: Symbols, step: float, price: float) -> Symbols:
    """Move levels to where squared error + price · bits is least, one look at each.

    The bits of a weight's choices are those the coder asks after it has coded ``levels`` to there, with all
    contexts it has. What a choice does to the weights behind it is not in them.

    Args:
        weights: float32 [out, in, …].
        levels: int32 in the same shape, the levels so far.
        step: the distance of two levels.
        price: squared error (in units of the weights) that one bit is worth.

    Returns:
        int32 in the same shape: zero, or one of the two nearest levels.
    """
    rows = max(1, _WEIGHTS_AT_A_TIME * len(weights) // weights.size)
    parts = [slice(row, row + rows) for row in range(0, len(weights), rows)]
    return np.concatenate([_cheapest(weights[part], levels[part], step, price) for part in parts])


def _cheapest(weights: NDArray[np.float32], levels: Symbols, step: float, price: float) -> Symbols:
    scaled = weights / np.float32(step)
    lower = np.trunc(scaled)
    candidates = np.stack([np.zeros_like(lower), lower, lower + np.sign(scaled)], -1)
    bits = price_candidates(levels, candidates.astype(np.int32))
    scores = (scaled[..., None] - candidates) ** 2 + np.float32(price / step**2) * bits
    best = scores.argmin(-1)[..., None]
    return np.take_along_axis(candidates, best, -1)[..., 0].astype(np.int32)
