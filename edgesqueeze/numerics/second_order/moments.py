"""What second moments of a layer's inputs say of its weights: where they should go, and what they share.

A layer answers W x for inputs x, W [rows, columns]. Of many inputs only sums of products count: those of the
inputs with themselves, and those of the wanted answers with them. Layers in groups have one of each a group.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.floating]
SHARES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
"""Of the mean variance of the inputs: how much damping is tried."""
_ROWS_TRIED = 256
_BLOCK = 128


@dataclass(frozen=True)
class Moments:
    """Mean products over all places that were seen, by group of channels.

    ``inputs`` [groups, columns, columns]; ``answers`` [groups, rows, columns] of what the layer should answer
    with them; ``places`` is how many were seen.
    """

    inputs: Reals
    answers: Reals
    places: int

    def errors(self, weight: Reals) -> Reals:
        """The mean squared error of every row's answer [groups, rows], up to a constant of the row."""
        found: Reals = ((weight @ self.inputs - 2 * self.answers) * weight).sum(-1)
        return found

    def damped(self, weight: Reals, share: float, least: float = 0.0) -> "Moments":
        """Moments as if inputs were a little noisy, and ``weight`` right for the noise.

        Args:
            weight: [groups, rows, columns].
            share: the variance of the noise, of the mean variance of a group's inputs.
            least: of the variance of the noise.
        """
        mean = self.inputs.diagonal(axis1=-2, axis2=-1).mean(-1)
        amount = np.maximum(share * mean, least)
        amount = np.where(amount > 0, amount, 1.0).astype(self.inputs.dtype)[:, None, None]
        columns = np.arange(self.inputs.shape[-1])
        inputs = self.inputs.copy()
        inputs[:, columns, columns] += amount[:, :, 0]
        return Moments(inputs, self.answers + amount * weight, self.places)

    def reordered(self, order: NDArray[np.intp]) -> "Moments":
        """Those of the columns in another order, [groups, columns]."""
        inputs = np.take_along_axis(self.inputs, order[:, :, None], 1)
        inputs = np.take_along_axis(inputs, order[:, None, :], 2)
        return Moments(inputs, np.take_along_axis(self.answers, order[:, None, :], 2), self.places)

    def rows(self, chosen: slice) -> "Moments":
        """Those of some rows of every group."""
        return Moments(self.inputs, self.answers[:, chosen], self.places)

    def plus(self, other: "Moments") -> "Moments":
        """Those of the places of both."""
        places = self.places + other.places
        a, b = self.places / places, other.places / places
        inputs = self.inputs * self.inputs.dtype.type(a)
        inputs += other.inputs * self.inputs.dtype.type(b)
        return Moments(inputs, a * self.answers + b * other.answers, places)


def carry_of(inputs: Reals) -> Reals:
    """The upper triangular U [groups, columns, columns] with UᵀU the inverse of ``inputs``.

    Its row j says how an error in column j is made up for in the columns behind it: OBS's rule for all rows
    at once, in GPTQ's form (Frantar et al. 2023, arXiv 2210.17323, section 3.3).
    """
    upper = np.ascontiguousarray(np.linalg.cholesky(inputs[:, ::-1, ::-1])[:, ::-1, ::-1])
    return _upper_inverse(upper)


def _upper_inverse(upper: Reals) -> Reals:
    """The inverse of upper triangular matrices [groups, n, n], in halves."""
    size = upper.shape[-1]
    if size <= _BLOCK:
        found: Reals = np.triu(np.linalg.inv(upper))
        return found
    half = size // 2
    result = np.zeros_like(upper)
    first, last = _upper_inverse(upper[:, :half, :half]), _upper_inverse(upper[:, half:, half:])
    result[:, :half, :half], result[:, half:, half:] = first, last
    result[:, :half, half:] = -(first @ upper[:, :half, half:]) @ last
    return result


def fitted(moments: Moments, carry: Reals) -> Reals:
    """The weights [groups, rows, columns] that answer best by the moments that ``carry`` is of."""
    found: Reals = moments.answers @ carry.swapaxes(-1, -2) @ carry
    return found


def best_share(halves: Sequence[Moments], weight: Reals, importance: Reals) -> float:
    """The damping with which weights fitted to one half of the images answer the other half best.

    Where samples are few for the columns, it is one at which the weights hardly move.

    Args:
        halves: of different images; of one alone nothing is known, and damping is the greatest.
        weight: [groups, rows, columns] from which weights are moved.
        importance: what a row's error counts, [groups, rows].
    """
    if len(halves) < 2:
        return SHARES[-1]
    chosen = slice(None, None, max(1, weight.shape[1] // _ROWS_TRIED))
    fit, judge = (half.rows(chosen) for half in halves)
    weight, importance = weight[:, chosen], importance[:, chosen]

    def error(share: float) -> float:
        damped = fit.damped(weight, share)
        moved = np.linalg.solve(damped.inputs, damped.answers.swapaxes(-1, -2)).swapaxes(-1, -2)
        return float((importance * judge.errors(moved)).sum(dtype=np.float64))

    return _valley(error, SHARES)


def _valley(cost: Callable[[float], float], values: Sequence[float]) -> float:
    """The first value behind which costs rise, from the left; each costs a solved system."""
    least = cost(values[0])
    for value, following in pairwise(values):
        found = cost(following)
        if found >= least:
            return value
        least = found
    return values[-1]
