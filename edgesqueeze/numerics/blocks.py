"""4-bit integers in blocks of weights, each block with a scale of its own."""

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.numerics.ranges import Counts

LOWEST, HIGHEST = -8, 7
"""The 4-bit integers; zero stands for zero."""
_FACTORS = np.linspace(1.0, 0.75, 11)
_ROWS_AT_ONCE = 1 << 17


def quantize_blocks(
    rows: NDArray[np.float32], scale_type: type[np.float16] | type[np.float32]
) -> tuple[NDArray[np.int8], Counts]:
    """The 4-bit integers of every row, and the scale of every row.

    Each scale is the one of eleven with the smallest squared error, between that which reaches the largest
    magnitude with 7 and three quarters of it, which cuts off the largest at -8 or 7. The integers are those
    for the scale as it is stored. (Search over clipping: Nagel et al. 2021, arXiv 2106.08295, section 3.1.)

    Args:
        rows: float32 [n, values of a block].
        scale_type: what scales are stored in; the caller sees to it that the largest fits.

    Returns:
        int8 in [-8, 7] like ``rows``, and the scales [n], positive and representable in ``scale_type``.
    """
    integers, scales = np.empty(rows.shape, np.int8), np.empty(len(rows), np.float64)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        scales[part] = _best_scales(rows[part], scale_type)
        integers[part] = _nearest(rows[part], scales[part])
    return integers, scales


def _best_scales(rows: NDArray[np.float32], scale_type: type[np.float16] | type[np.float32]) -> Counts:
    largest = np.abs(rows).max(axis=1).astype(np.float64)
    smallest_scale = np.finfo(scale_type).smallest_subnormal
    best, scales = np.full(len(rows), np.inf), np.empty(len(rows), np.float64)
    for factor in _FACTORS:
        stored = np.maximum((largest * (factor / HIGHEST)).astype(scale_type), smallest_scale)
        tried = stored.astype(np.float64)
        apart = _nearest(rows, tried) * tried.astype(np.float32)[:, np.newaxis] - rows
        error = np.einsum("ij,ij->i", apart, apart, dtype=np.float64)
        better = error < best
        best[better], scales[better] = error[better], tried[better]
    return scales


def _nearest(rows: NDArray[np.float32], scales: Counts) -> NDArray[np.int8]:
    steps = rows / scales.astype(np.float32)[:, np.newaxis]
    return np.asarray(np.clip(np.rint(steps), LOWEST, HIGHEST), np.int8)
