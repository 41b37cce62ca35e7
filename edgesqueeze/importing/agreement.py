"""Whether a network that was read answers as the runtime it came from: the proof of every reading."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Answers = Sequence[NDArray[Any]]

BATCH = 2
"""Examples that answers are compared on: one alone would not show what mixes them."""
_ROUNDING = 1e-3
"""Of the largest answer: more than float32 loses in a network whose values keep their size."""
_DISTURBANCE, _FACTOR = 1e-6, 100.0
"""Some networks amplify rounding: to be as far apart as so many times what moving the inputs by this share
does to the answers is no fault."""


def random_like(example: Tensor) -> Tensor:
    """Seeded random inputs for a comparison, [2, ...], float32."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(BATCH, *example.shape[1:], generator=generator)


@torch.no_grad()
def distance(run: Callable[[Sequence[Tensor]], Answers], given: Sequence[Tensor], wanted: Answers) -> float:
    """How far a network's answers are from those wanted, as a fraction of the largest; 0 if that is rounding.

    Args:
        run: the network's answers to inputs.
        given: the inputs, float32.
        wanted: the answers of where it came from. Infinite is how far other shapes are, or NaN elsewhere.
    """
    found = run(given)
    apart = _farthest(found, wanted)
    if apart <= _ROUNDING:
        return 0.0
    generator = torch.Generator().manual_seed(1)
    moved = [x * (1 + _DISTURBANCE * torch.randn(x.shape, generator=generator)) for x in given]
    return apart if apart > _FACTOR * _farthest(run(moved), found) else 0.0


def _farthest(found: Answers, wanted: Answers) -> float:
    if len(found) != len(wanted):
        return float("inf")
    return max(_apart(one, other) for one, other in zip(found, wanted, strict=True))


def _apart(one: NDArray[Any], other: NDArray[Any]) -> float:
    if one.shape != other.shape or not np.array_equal(np.isfinite(one), np.isfinite(other)):
        return float("inf")
    finite = np.isfinite(one)
    if not finite.any():
        return 0.0
    first, second = one[finite].astype(np.float64), other[finite].astype(np.float64)
    return float(np.abs(first - second).max() / (np.abs(second).max() or 1.0))
