"""Which range of a tensor an 8-bit grid should cover: between clipping much and rounding coarsely.

All methods read a :class:`Histogram`, so that calibration data is seen once and kept nowhere.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NUM_BINS = 2048
NUM_STEPS = 255
"""Steps of an 8-bit grid, one less than its levels."""
Counts = NDArray[np.float64]
Range = tuple[float, float]
_CANDIDATES = 100


@dataclass(frozen=True, eq=False)
class Histogram:
    """How often values fall in equal bins over [low, high]; ``low`` is at most ``high``."""

    counts: Counts
    low: float
    high: float

    @property
    def edges(self) -> Counts:
        """The bins' borders, one more than there are bins."""
        return np.linspace(self.low, self.high, len(self.counts) + 1)

    @property
    def centres(self) -> Counts:
        """The middle of every bin."""
        edges = self.edges
        return (edges[:-1] + edges[1:]) / 2


def percentile_range(histogram: Histogram, percentile: float) -> Range:
    """The range that leaves out (100 - percentile) % of the values at each end.

    (Compared with other methods by Wu et al. 2020, arXiv 2004.09602, section 5.)
    """
    if histogram.low >= histogram.high:
        return histogram.low, histogram.high
    shares = np.cumsum(histogram.counts) / histogram.counts.sum()
    tail = 1 - percentile / 100
    first = int(np.searchsorted(shares, tail, side="right"))
    last = int(np.searchsorted(shares, 1 - tail, side="left"))
    edges = histogram.edges
    return float(edges[first]), float(edges[min(last, len(shares) - 1) + 1])


def mse_range(histogram: Histogram) -> Range:
    """The range whose 8-bit grid has the smallest mean squared error, clipping included.

    Both ends are searched in turn (Nagel et al. 2021, arXiv 2106.08295, section 3.1).
    """
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    factors = np.linspace(1 / _CANDIDATES, 1, _CANDIDATES)
    for _ in range(2):
        high = min((f * max(histogram.high, 0.0) for f in factors), key=lambda h: _error(histogram, low, h))
        low = min((f * min(histogram.low, 0.0) for f in factors), key=lambda v: _error(histogram, v, high))
    return float(low), float(high)


def entropy_range(histogram: Histogram) -> Range:
    """The range whose 8-bit form has the smallest Kullback-Leibler divergence from the values.

    The threshold on magnitudes is TensorRT's (Migacz 2017, "8-bit inference with TensorRT", GTC): values
    beyond it are counted in its last bin, and the bins below it are merged into as many levels as the grid
    has on that side: 256 for values of one sign, else 128. The bin at zero, full behind a ReLU, counts as
    its neighbour does, since every grid holds zero exactly. Not for data with another such peak: a threshold
    right at the peak looks perfect to this measure.
    """
    one_sided = histogram.low >= 0 or histogram.high <= 0
    limit = max(abs(histogram.low), abs(histogram.high))
    if histogram.low >= histogram.high:
        return min(histogram.low, 0.0), max(histogram.high, 0.0)
    magnitudes = np.abs(histogram.centres)
    counts, edges = np.histogram(magnitudes, NUM_BINS, (0, limit), weights=histogram.counts)
    counts[0] = counts[1]
    levels = 256 if one_sided else 128
    sizes = range(levels, NUM_BINS + 1, levels // 16)
    best = min(sizes, key=lambda size: _divergence(counts, size, levels))
    threshold = float(edges[best])
    return max(min(histogram.low, 0.0), -threshold), min(max(histogram.high, 0.0), threshold)


def mse_scales(weight: NDArray[np.floating], largest_integer: int = 127) -> Counts:
    """The symmetric scale of every row [out, n] with the smallest squared error, clipping included.

    A row of zeros has scale 0. (Nagel et al. 2021, arXiv 2106.08295, section 3.1.)
    """
    rows = weight.reshape(len(weight), -1).astype(np.float64)
    full = np.abs(rows).max(axis=1) / largest_integer
    best: Counts = np.full(len(rows), np.inf)
    scales: Counts = full.copy()
    for factor in np.linspace(1, 0.3, 71):
        tried = factor * full
        grid = np.where(tried > 0, tried, 1.0)[:, np.newaxis]
        rounded = np.clip(np.rint(rows / grid), -largest_integer, largest_integer) * grid
        error = ((rounded - rows) ** 2).sum(axis=1)
        better = error < best
        best[better], scales[better] = error[better], tried[better]
    return scales


def _error(histogram: Histogram, low: float, high: float) -> float:
    """The mean squared error of the values on the grid over [low, high]."""
    if high <= low:
        return float("inf") if histogram.low < histogram.high else 0.0
    step = (high - low) / NUM_STEPS
    zero_point = np.rint(-low / step)
    centres = histogram.centres
    rounded = (np.clip(np.rint(centres / step) + zero_point, 0, NUM_STEPS) - zero_point) * step
    return float((histogram.counts * (rounded - centres) ** 2).sum() / histogram.counts.sum())


def _divergence(counts: Counts, size: int, levels: int) -> float:
    """KL(P || Q) of the first ``size`` bins, outliers in the last, against their form in levels."""
    kept = counts[:size]
    reference = kept.copy()
    reference[-1] += counts[size:].sum()
    level_of = np.arange(size) * levels // size
    used = kept > 0
    totals = np.bincount(level_of, kept, levels)
    spread = np.bincount(level_of, used, levels)
    quantized = np.where(used, totals[level_of] / np.maximum(spread[level_of], 1), 0.0)
    present = reference > 0
    p = reference[present] / reference.sum()
    # A bin that only holds outliers has nothing behind it; a small share makes the divergence finite.
    q = np.maximum(quantized[present] / max(quantized.sum(), 1e-30), 1e-9)
    return float((p * np.log(p / q)).sum())
