"""Weights to levels one column after another, each error made up for by the columns that follow.

Optimal Brain Surgeon's rule in GPTQ's order (Frantar & Alistarh 2022, arXiv 2208.11580; Frantar et al. 2023,
arXiv 2210.17323), with the price of bits in the choice of every level, as in rate-distortion optimal
quantization (Sullivan 1996; Wiedemann et al. 2019, arXiv 1905.08318).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.numerics.compiled import compiled
from edgesqueeze.numerics.rate_distortion import LARGEST_LEVEL, Floats
from edgesqueeze.numerics.second_order.moments import Moments, Reals, carry_of, fitted

_BLOCK = 64
"""Columns whose errors are carried to all later columns at once, which is the same and faster."""


@dataclass(frozen=True)
class Bits:
    """What levels cost.

    ``nonzero`` [parts, rows, columns] is how much dearer ±1 is than 0 in each place, ``magnitudes`` [K] what
    magnitudes 1, 2, … cost above 1; each one beyond the last costs one bit more.
    """

    nonzero: Floats
    magnitudes: Floats


@dataclass(frozen=True)
class Layer:
    """A layer to be rounded, in parts as of :class:`~edgesqueeze.numerics.second_order.parts.Parts`.

    ``aim`` [parts, rows, columns] are the weights to come close to; ``carry`` [parts, columns, columns] as of
    :func:`~edgesqueeze.numerics.second_order.moments.carry_of`; ``importance`` [parts, rows] is twice the
    loss that a squared error of a row's answers is worth; ``movable`` [parts, rows, columns] is False where a
    weight stays zero.
    """

    aim: Reals
    carry: Reals
    importance: Reals
    movable: NDArray[np.bool_]

    @classmethod
    def of(cls, moments: Moments, importance: Reals, movable: NDArray[np.bool_]) -> "Layer":
        """The layer that is to answer as damped moments say."""
        carry = carry_of(moments.inputs)
        return cls(fitted(moments, carry), carry, importance, movable)

    def rows(self, chosen: slice) -> "Layer":
        """The layer with some rows of every part."""
        return Layer(self.aim[:, chosen], self.carry, self.importance[:, chosen], self.movable[:, chosen])


def round_columns(
    layer: Layer, step: float, price: float, bits: Bits, largest: int = LARGEST_LEVEL
) -> tuple[NDArray[np.int32], float]:
    """Levels [parts, rows, columns] with little loss + price · bits, and their loss.

    Args:
        layer: what is rounded.
        step: the distance of two levels.
        price: the loss that a bit is worth; 0 takes the nearest levels.
        bits: what levels cost.
        largest: the largest magnitude of a level.
    """
    rest = np.ascontiguousarray(layer.aim / step)
    weighed = (layer.importance * step**2).astype(rest.dtype)
    levels = np.zeros(rest.shape, np.int32)
    columns, loss = rest.shape[2], 0.0
    for begin in range(0, columns, _BLOCK):
        end = min(begin + _BLOCK, columns)
        part = slice(begin, end)
        errors = np.ascontiguousarray(rest[:, :, part])
        loss += _round_block(
            errors,
            np.ascontiguousarray(layer.carry[:, part, part]),
            weighed,
            np.ascontiguousarray(layer.movable[:, :, part]),
            (np.ascontiguousarray(bits.nonzero[:, :, part]), bits.magnitudes, price, largest),
            levels[:, :, part],
        )
        if end < columns:
            rest[:, :, end:] -= errors @ layer.carry[:, part, end:]
    return levels, loss


@compiled
def _round_block(rest: Any, carry: Any, weighed: Any, movable: Any, costs: Any, levels: Any) -> float:
    """Round a block of columns in place: ``rest`` becomes what is to be carried on; returns the loss."""
    nonzero, magnitudes, price, largest = costs
    groups, rows, columns = rest.shape
    known = len(magnitudes)
    loss = 0.0
    for group in range(groups):
        for row in range(rows):
            for j in range(columns):
                wanted, scale = rest[group, row, j], carry[group, j, j]
                per_error = weighed[group, row] / (2 * scale * scale)
                size = abs(wanted)
                best, least = 0, per_error * size * size
                if movable[group, row, j]:
                    upper = min(int(np.rint(size)), largest)
                    for level in range(max(upper - 1, 1), upper + 1):
                        asked = nonzero[group, row, j] + magnitudes[min(level, known) - 1]
                        asked += max(level - known, 0)
                        score = per_error * (size - level) ** 2 + price * asked
                        if score < least:
                            best, least = level, score
                signed = best if wanted >= 0 else -best
                levels[group, row, j] = signed
                loss += per_error * (wanted - signed) ** 2
                error = (wanted - signed) / scale
                rest[group, row, j] = error
                for k in range(j + 1, columns):
                    rest[group, row, k] -= error * carry[group, j, k]
    return loss
