"""What a test split tells of any metric: an interval and a paired test, by drawing its images again.

The bootstrap of Efron and Tibshirani 1993, An Introduction to the Bootstrap: images are drawn with
replacement, as many as there are, and the metric is computed of each such draw. Images are what is
independent in a test split, so that whole images are drawn and never single boxes or pixels.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.numerics.proportions import CONFIDENCE, Interval

RESAMPLES = 1000
"""Draws; Efron and Tibshirani (chapter 19) ask for as many where percentiles are wanted."""
SEED = 1
FEWEST_IMAGES = 30
"""Of fewer images the bootstrap's intervals are clearly too narrow."""
_FEWEST_FINITE = 0.9
"""A metric that is undefined in more of the draws than this leaves has no interval."""

Draws = NDArray[np.float64]
"""A metric of each draw; NaN where it is undefined."""


@dataclass(frozen=True)
class BootstrapInterval(Interval):
    """Where a metric lies with 95 % confidence, in its own unit, by so many resamples."""

    resamples: int


@dataclass(frozen=True)
class BootstrapTest:
    """Two models on the same draws of the same images.

    ``change`` is the second's metric less the first's, ``standard_error`` that of the change; it lies
    between ``low`` and ``high`` with 95 % confidence. ``p_value`` is how likely a change at least as large is
    if there is none.
    """

    change: float
    standard_error: float
    low: float
    high: float
    p_value: float
    resamples: int


def resamples(total: int, count: int = RESAMPLES, seed: int = SEED) -> Iterator[NDArray[np.int64]]:
    """How often each of ``total`` images is drawn, [total], ``count`` times.

    Draws follow from the raw output of PCG64, which numpy keeps: two models that are measured on different
    days, by different versions, have the same ones.
    """
    source = np.random.PCG64(seed)
    for _ in range(count):
        places = source.random_raw(total) % np.uint64(total)
        yield np.bincount(places.astype(np.int64), minlength=total)


def draws_of(value: Callable[[NDArray[np.int64]], float], total: int) -> Draws:
    """The metric of every draw.

    Args:
        value: the metric when image i is drawn ``weights[i]`` times.
        total: the number of images.
    """
    return np.array([value(weights) for weights in resamples(total)], np.float64)


def bootstrap_interval(draws: Draws, value: float) -> BootstrapInterval | None:
    """The interval of a metric whose value on all images is known; None if many draws have none.

    It is the bias-corrected percentile interval (Efron and Tibshirani, section 14.3, without acceleration).
    Average precision needs the correction: fewer distinct images raise it, so that plain percentiles of it
    lie too high.
    """
    known = draws[np.isfinite(draws)]
    if len(known) < _FEWEST_FINITE * len(draws) or not np.isfinite(value):
        return None
    return BootstrapInterval(*_corrected(known, value), len(known))


def paired_bootstrap(before: Draws, after: Draws, change: float) -> BootstrapTest | None:
    """Whether two models differ, from the metrics of the same draws; None if most draws have none.

    The changes of the draws, moved so that their centre is no change, say what chance alone does (Efron and
    Tibshirani, section 16.4; for metrics that are no means Berg-Kirkpatrick, Burkett and Klein 2012,
    EMNLP-CoNLL 995-1005); the p-value counts those that are at least as large as the one found, which is
    among them itself (Davison and Hinkley 1997, Bootstrap Methods and their Application, section 4.2).

    Args:
        before: draws of the first model.
        after: draws of the second, equally many.
        change: the difference of their metrics on all images.
    """
    changes = after - before
    known = changes[np.isfinite(changes)]
    if len(known) < _FEWEST_FINITE * len(changes) or not np.isfinite(change):
        return None
    extreme = int(np.count_nonzero(np.abs(known - change) >= abs(change)))
    low, high = _corrected(known, change)
    return BootstrapTest(
        change=change,
        standard_error=float(known.std(ddof=1)),
        low=low,
        high=high,
        p_value=(1 + extreme) / (1 + len(known)),
        resamples=len(known),
    )


def visible_change(test: BootstrapTest) -> float:
    """The smallest change that these images could tell from none, by the standard error of the one found."""
    return NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * test.standard_error


def images_to_see(test: BootstrapTest, total: int, change: float) -> int | None:
    """About how many images would tell a change of this size, None if it is none.

    Standard errors shrink with the root of the number of images.
    """
    return round(total * (visible_change(test) / change) ** 2) if change else None


def _corrected(draws: Draws, value: float) -> tuple[float, float]:
    """The percentiles that hold 95 %, moved by twice the share of the draws that is on one side too often."""
    normal = NormalDist()
    below = np.count_nonzero(draws < value) + np.count_nonzero(draws == value) / 2
    bias = normal.inv_cdf((below + 0.5) / (len(draws) + 1))  # never 0 or 1
    reach = normal.inv_cdf((1 + CONFIDENCE) / 2)
    low, high = np.quantile(draws, [normal.cdf(2 * bias - reach), normal.cdf(2 * bias + reach)])
    return float(low), float(high)
