"""How the weights of a layer are spread: after training, and in the file."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.network.graph.nodes import Floats

BINS = 48
MOST_VALUES = 64
"""Distinct values up to which each is told; more look like a grid."""


@dataclass(frozen=True)
class Histogram:
    """Weights from ``low`` to ``high`` in equal bins.

    ``counts`` are those of the weights in the file that are not zero; ``before`` those of all weights of the
    trained network, None where its file does not have the layer as it is now. ``values`` are the distinct
    weights that are not zero with their counts, where there are few of them.
    """

    low: float
    high: float
    counts: tuple[int, ...]
    before: tuple[int, ...] | None
    values: tuple[tuple[float, int], ...]


def histogram_of(weight: Floats, trained: Floats | None) -> Histogram | None:
    """The spread of a layer's weights; None if no weight is other than zero, or some are not finite.

    Args:
        weight: in the file, any shape.
        trained: the same layer after training, in the same shape.
    """
    kept = weight[weight != 0]
    shown = kept if trained is None else np.concatenate([kept, trained.reshape(-1)])
    if not kept.size or not np.isfinite(shown).all():
        return None
    low, high = float(shown.min()), float(shown.max())
    if low == high:
        low, high = low - abs(low) / 2, high + abs(high) / 2
    values, numbers = np.unique(kept, return_counts=True)
    few = len(values) <= MOST_VALUES
    return Histogram(
        low,
        high,
        _counts(kept, low, high),
        None if trained is None else _counts(trained, low, high),
        tuple(zip(values.tolist(), numbers.tolist(), strict=True)) if few else (),
    )


def _counts(values: NDArray[np.float32], low: float, high: float) -> tuple[int, ...]:
    return tuple(np.histogram(values, BINS, (low, high))[0].tolist())
