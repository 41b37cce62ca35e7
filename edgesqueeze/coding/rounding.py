"""A layer's step and levels, chosen by what the coder asks for them."""

from dataclasses import dataclass

import numpy as np

from edgesqueeze.coding.symbols import Symbols, price_candidates
from edgesqueeze.numerics.rate_distortion import exact_step, level_costs, total_bits
from edgesqueeze.numerics.second_order.column_rounding import Bits, Layer, round_columns
from edgesqueeze.numerics.second_order.parts import Parts

_STEPS_TRIED = 2.0 ** (-np.arange(1, 26) / 2)
"""Of the largest weight, until two in a row are no better."""
_SAMPLE = 1 << 18
_PASSES = 2


@dataclass(frozen=True)
class Rounded:
    """Levels int32 in the shape of the weight as it is coded, and the distance of two of them."""

    step: float
    levels: Symbols


def round_layer(layer: Layer, price: float, parts: Parts) -> Rounded:
    """The step and the levels with the least loss + price · bits that rounding by columns finds.

    The step is chosen by a sample of rows and by statistics of levels, the levels by what the coder itself
    asks for a weight that is not zero in each place, with all contexts it has.

    Args:
        layer: what is rounded; not all zero.
        price: loss per bit.
        parts: how it is taken apart.
    """
    few = layer.rows(slice(None, None, max(1, layer.aim.size // _SAMPLE)))
    step = _best_step(few, price)
    levels = _by_statistics(layer, step, price)[0]
    for _ in range(_PASSES):
        levels, _ = round_columns(layer, step, price, coder_bits(levels, parts))
    return Rounded(step, parts.join(levels))


def _best_step(layer: Layer, price: float) -> float:
    largest = float(np.abs(layer.aim).max())
    best, least, worse = 0.0, np.inf, 0
    for part in _STEPS_TRIED:
        step = exact_step(largest * float(part))
        levels, loss = _by_statistics(layer, step, price)
        cost = loss + price * total_bits(_matrix(levels))
        if cost < least:
            best, least, worse = step, cost, 0
        elif (worse := worse + 1) == 3:
            break
    return best


def _by_statistics(layer: Layer, step: float, price: float) -> tuple[Symbols, float]:
    """Levels and loss by the costs that levels have by their own statistics, settled in turns."""
    levels, loss = np.rint(layer.aim / step).astype(np.int32), 0.0
    for _ in range(_PASSES):
        levels, loss = round_columns(layer, step, price, _statistical_bits(levels))
    return levels, loss


def _statistical_bits(levels: Symbols) -> Bits:
    costs = level_costs(_matrix(levels))
    nonzero = (costs.nonzero_bits() + costs.magnitudes[0]).reshape(levels.shape)
    return Bits(nonzero, costs.magnitudes - costs.magnitudes[0])


def coder_bits(levels: Symbols, parts: Parts) -> Bits:
    """What the coder asks for ±1 instead of 0 in each place, after it has coded ``levels`` to there."""
    shaped = parts.join(levels)
    signs = np.where(shaped < 0, -1, 1).astype(np.int32)
    prices = price_candidates(shaped, np.stack([np.zeros_like(shaped), signs], -1))
    magnitudes = level_costs(_matrix(levels)).magnitudes
    return Bits(parts.split(prices[..., 1] - prices[..., 0]), magnitudes - magnitudes[0])


def _matrix(levels: Symbols) -> Symbols:
    return levels.reshape(-1, levels.shape[-1])
