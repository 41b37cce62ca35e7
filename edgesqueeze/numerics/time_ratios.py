"""How many times as long one candidate takes as another, on machines that drift, and whether it can be told.

Times of one process are no independent samples: where its memory lies stays for its life. So whole processes
are repeated, and the interval is over processes (Kalibera and Jones 2013, Rigorous Benchmarking in Reasonable
Time, ISMM). Within a process, rounds are paired: what slows the machine down for a while slows both down
(Bulej et al. 2020, Duet Benchmarking, arXiv 2001.05811).
"""

from dataclasses import dataclass
from enum import StrEnum
from math import exp, isnan, sqrt

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import RecipeError

MARGIN = 0.03
"""Differences up to this share are the same: a rebuilt file or another place in memory makes as much."""
CONFIDENCE = 0.99
_T_995 = (
    *(63.657, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.250, 3.169),
    *(3.106, 3.055, 3.012, 2.977, 2.947, 2.921, 2.898, 2.878, 2.861, 2.845),
    *(2.831, 2.819, 2.807, 2.797, 2.787, 2.779, 2.771, 2.763, 2.756, 2.750),
)
"""The 0.995 quantile of Student's t for 1 to 30 degrees of freedom: NIST/SEMATECH e-Handbook, 1.3.6.7.2."""

Times = NDArray[np.float64]
"""Seconds [processes, rounds]."""
Logs = NDArray[np.float64]
"""One logarithm of a ratio for each process, [processes]."""


class Verdict(StrEnum):
    """What an interval of a ratio of times says, given a margin."""

    BETTER = "better"
    SAME = "same"
    WORSE = "worse"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True)
class TimeRatio:
    """One time divided by another, and where that lies with 99 % confidence; above 1 is slower.

    ``low`` and ``high`` are 0 and infinity where one process says nothing of the next.
    """

    ratio: float
    low: float
    high: float

    @property
    def verdict(self) -> Verdict:
        """``worse`` or ``better`` only where the whole interval lies beyond the margin."""
        if self.low > 1 + MARGIN:
            return Verdict.WORSE
        if self.high < 1 / (1 + MARGIN):
            return Verdict.BETTER
        within = self.low > 1 / (1 + MARGIN) and self.high < 1 + MARGIN
        return Verdict.SAME if within else Verdict.UNKNOWN


def process_logs(times: Times, baseline: Times) -> Logs:
    """The median over rounds of log(time / baseline's time in the same round), for each process.

    Args:
        times: seconds [processes, rounds].
        baseline: the same of what is compared with; process i of both ran at the same time, in turns.

    Raises:
        RecipeError: the shapes differ, something is empty, or a time is not positive.
    """
    if times.shape != baseline.shape or times.ndim != 2 or times.size == 0:
        raise RecipeError(
            f"times of shapes {times.shape} and {baseline.shape}; the same processes and rounds are wanted"
        )
    if not (np.all(times > 0) and np.all(baseline > 0)):
        raise RecipeError("found a time of 0 or less; times must be positive seconds")
    logs: Logs = np.median(np.log(times) - np.log(baseline), axis=1)
    return logs


def paired_ratio(logs: Logs) -> TimeRatio:
    """The mean over processes, with a t-interval; see :func:`process_logs`.

    Raises:
        RecipeError: there is no process.
    """
    mean, variance = _mean_and_variance(logs)
    return _interval(mean, variance, len(logs) - 1)


def changed_ratio(new: Logs, old: Logs) -> TimeRatio:
    """How a ratio to one baseline has changed between two measurements, with Welch's interval.

    The baseline stands for the machine: what has changed there hits it as well. Degrees of freedom are
    rounded down.

    Source: Welch 1947, Biometrika 34:28-35.

    Args:
        new: :func:`process_logs` of the later measurement.
        old: of the earlier one, of any number of processes.

    Raises:
        RecipeError: one of them has no process.
    """
    (mean, variance), (old_mean, old_variance) = _mean_and_variance(new), _mean_and_variance(old)
    total = variance + old_variance
    if isnan(total):
        return _interval(mean - old_mean, total, 0)
    parts = variance**2 / (len(new) - 1) + old_variance**2 / (len(old) - 1)
    freedom = len(new) + len(old) - 2 if parts == 0 else int(total**2 / parts)
    return _interval(mean - old_mean, total, freedom)


def _mean_and_variance(logs: Logs) -> tuple[float, float]:
    """The mean, and the variance of the mean; NaN of a single process."""
    if logs.ndim != 1 or logs.size == 0:
        raise RecipeError("no process was measured; at least one is needed")
    return float(logs.mean()), float(logs.var(ddof=1) / logs.size) if logs.size > 1 else float("nan")


def _interval(mean: float, variance: float, freedom: int) -> TimeRatio:
    if freedom < 1 or isnan(variance):
        return TimeRatio(exp(mean), 0.0, float("inf"))
    half = _T_995[min(freedom, len(_T_995)) - 1] * sqrt(variance)
    return TimeRatio(exp(mean), exp(mean - half), exp(mean + half))
