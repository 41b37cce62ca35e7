"""Rate–distortion optimal quantization on a uniform grid: what a level costs, and which level to take.

A weight w with sensitivity h becomes the level k that minimizes h · (w - step · k)² + price · bits(k). The
bits are those an adaptive arithmetic coder needs: whether a weight is zero is predicted from the density of
its row and of its column, its magnitude from how often each magnitude occurs. This is entropy-coded scalar
quantization (Sullivan 1996; Wiedemann et al. 2019, DeepCABAC, arXiv 1905.08318) in its greedy form.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Levels = NDArray[np.int32]
LARGEST_LEVEL = 4095
_STEP_BITS = 8
"""Significant bits of a step: level × step is then exact in float32."""
SMALLEST_SENSITIVITY = 1e-30
"""Below this a layer does not matter; it keeps a price from becoming infinite."""
_PRIOR = 0.5
_MOST_ODDS = 14.0
_OCTAVES = 4
_PASSES = 3
_SAMPLE = 1 << 20


@dataclass(frozen=True)
class LevelCosts:
    """Bits per level of a matrix [rows, columns].

    A zero costs ``log2(1 + 2^odds)``, anything else ``log2(1 + 2^-odds)`` more than its sign and magnitude;
    ``odds`` is the base-2 logarithm of the odds of a non-zero, row + column. ``magnitudes`` [K] are the bits
    of magnitude 1, 2, …; each one beyond the last costs one bit more.
    """

    row_odds: NDArray[np.float32]
    column_odds: NDArray[np.float32]
    magnitudes: NDArray[np.float32]

    @property
    def extra_level(self) -> float:
        """Bits that one level more costs on the average, where levels are few."""
        return float(max(self.magnitudes[min(1, len(self.magnitudes) - 1)] - self.magnitudes[0], 0.5))

    def nonzero_bits(self) -> Floats:
        """Bits by which a non-zero is dearer than a zero before its magnitude, [rows, columns]."""
        return np.asarray(1.0 - (self.row_odds[:, None] + self.column_odds[None, :]), np.float32)


def matrix_view(weights: NDArray[np.generic]) -> NDArray[np.generic]:
    """A weight [out, in, …] as [out, in · …], the form in which it is coded."""
    return weights.reshape(len(weights), -1)


def level_costs(levels: Levels) -> LevelCosts:
    """The costs that levels [rows, columns] have by their own statistics."""
    rows, columns = levels.shape
    nonzero = levels != 0
    count = int(np.count_nonzero(nonzero))
    density = (count + _PRIOR) / (levels.size + 2 * _PRIOR)
    row_odds = _log_odds(nonzero.sum(1, dtype=np.int64), columns, density)
    column_odds = _log_odds(nonzero.sum(0, dtype=np.int64), rows, density)
    found = np.bincount(np.minimum(np.abs(levels[nonzero]), LARGEST_LEVEL), minlength=3)[1:].astype(
        np.float64
    )
    magnitudes = -np.log2((found + _PRIOR) / (found.sum() + _PRIOR * len(found)))
    base = np.log2(density / (1 - density))
    return LevelCosts(row_odds - np.float32(base), column_odds, magnitudes.astype(np.float32))


def _log_odds(counts: NDArray[np.int64], length: int, density: float) -> Floats:
    """Base-2 logarithm of the odds of a non-zero in each line, drawn towards the whole matrix's density."""
    probability = (counts + 2 * density) / (length + 2)
    odds = np.log2(probability / np.maximum(1 - probability, 1e-6))
    return np.asarray(np.clip(odds, -_MOST_ODDS, _MOST_ODDS), np.float32)


def total_bits(levels: Levels) -> float:
    """Bits of levels [rows, columns] by their own costs."""
    costs = level_costs(levels)
    odds = costs.row_odds[:, None].astype(np.float64) + costs.column_odds[None, :]
    nonzero = levels != 0
    significance = np.logaddexp2(0, np.where(nonzero, -odds, odds)).sum()
    places = np.minimum(np.abs(levels[nonzero]) - 1, len(costs.magnitudes) - 1)
    return float(significance + np.count_nonzero(nonzero) + costs.magnitudes[places].sum(dtype=np.float64))


def nearest_levels(weights: Floats, step: float) -> Levels:
    """The nearest levels, without regard to what they cost."""
    return np.asarray(np.clip(np.rint(weights / np.float32(step)), -LARGEST_LEVEL, LARGEST_LEVEL), np.int32)


def optimal_levels(weights: Floats, step: float, price: float) -> Levels:
    """Levels [rows, columns] that minimize squared error + price · bits.

    Args:
        weights: float32 [rows, columns].
        step: the distance of two levels.
        price: squared error (in units of the weights) that one bit is worth.

    Returns:
        Between zero and the two nearest levels, whichever is cheapest; costs and levels are settled in turns.
    """
    levels = nearest_levels(weights, step)
    if price <= 0:
        return levels
    for _ in range(_PASSES):
        levels = _cheapest(weights, step, price, level_costs(levels))
    return levels


def _cheapest(weights: Floats, step: float, price: float, costs: LevelCosts) -> Levels:
    scaled = np.abs(weights) / np.float32(step)
    per_bit = np.float32(price / step**2)
    upper = np.minimum(np.rint(scaled), LARGEST_LEVEL).astype(np.int32)
    lower = np.maximum(upper - 1, 0)
    nonzero_bits = costs.nonzero_bits()
    best = np.zeros_like(upper)
    least = scaled**2
    for candidate in (lower, upper):
        places = np.clip(candidate - 1, 0, len(costs.magnitudes) - 1)
        beyond = np.maximum(candidate - len(costs.magnitudes), 0)
        bits = nonzero_bits + costs.magnitudes[places] + beyond
        score = (scaled - candidate) ** 2 + per_bit * bits
        better = (candidate > 0) & (score < least)
        best, least = np.where(better, candidate, best), np.where(better, score, least)
    return np.asarray(np.where(weights < 0, -best, best), np.int32)


def exact_step(step: float) -> float:
    """The nearest step of few significant bits: every level × step is then an exact float32.

    Source: 8 significant bits and levels below 2^12 multiply without rounding in 24 bits.
    """
    mantissa, exponent = np.frexp(step)
    return float(np.ldexp(np.rint(mantissa * 2**_STEP_BITS) / 2**_STEP_BITS, int(exponent)))


def choose_step(weights: Floats, sensitivity: float, price: float, per_octave: int = 2) -> float:
    """The step for which loss + price · bits is least, among candidates from half of the largest weight down.

    Args:
        weights: float32 [rows, columns], not all zero.
        sensitivity: loss per squared error of a weight.
        price: loss per bit.
        per_octave: candidates from a step to half of it. With few the step hangs on the largest weight.
    """
    largest = float(np.abs(weights).max())
    rows = max(1, _SAMPLE // weights.shape[1])
    weights = weights[:: max(1, len(weights) // rows)]  # a sample of rows is enough to choose by
    parts = 2.0 ** (-np.arange(_OCTAVES * per_octave + 1) / per_octave - 1)
    candidates = [exact_step(largest * float(part)) for part in parts]
    exchange = price / max(sensitivity, SMALLEST_SENSITIVITY)

    def cost(step: float) -> float:
        levels = optimal_levels(weights, step, exchange)
        error = float(((weights - levels * np.float32(step)) ** 2).sum(dtype=np.float64))
        return error + exchange * total_bits(levels)

    return min(candidates, key=cost)
