"""Runs before the clock counts: until they get no faster."""

from dataclasses import dataclass
from statistics import median
from time import perf_counter

from edgesqueeze.measure.runtimes.latency import Run

_LEAST_S = 0.1
_MOST_S = 3.0
_FASTER = 0.98
"""The last quarter of the runs, as a share of the quarter before: below this they still get faster."""
_GROWTH = 1.1


@dataclass(frozen=True)
class WarmUp:
    """How many untimed runs there were, and whether the last ones got no faster any more."""

    runs: int
    is_steady: bool


def warm_up(run: Run, least_runs: int) -> WarmUp:
    """Run until it is steady, at most some three seconds or ``least_runs`` runs, whichever takes longer.

    Only half of all executions ever reach a steady state (Barrett et al. 2017, Virtual Machine Warmup Blows
    Hot and Cold, OOPSLA), which is why it is looked for and told.
    """
    begin, times, look_at = perf_counter(), [], 0.0
    while True:
        before = perf_counter()
        run()
        now = perf_counter()
        times.append(now - before)
        if len(times) < max(least_runs, look_at) or now - begin < _LEAST_S:
            continue
        if not _gets_faster(times):
            return WarmUp(len(times), is_steady=True)
        if now - begin > _MOST_S:
            return WarmUp(len(times), is_steady=False)
        look_at = len(times) * _GROWTH


def _gets_faster(times: list[float]) -> bool:
    window = max(2, len(times) // 4)
    last, earlier = times[-window:], times[-2 * window : -window]
    return len(earlier) < window or median(last) < _FASTER * median(earlier)
