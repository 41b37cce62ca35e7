"""Wall-clock latency of inference: warmed up, repeated, reported as a median with quartiles."""

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from time import perf_counter_ns

import numpy as np

from edgesqueeze.errors import RecipeError

Run = Callable[[], object]
"""One inference, everything prepared."""

MOST_THREADS = 1024
"""More than any machine here has cores; runtimes start as many as they are told to."""
_NS = 1e-9
_MOST_REPEATS = 1 << 20


@dataclass(frozen=True)
class LatencySettings:
    """How to measure.

    ``samples`` times are taken after at least ``warmup_runs`` runs and ``warmup_s`` seconds. A sample
    lasts at least ``min_sample_s`` seconds: fast models run several times in it, so that the clock's
    resolution does not matter. ``threads`` and ``batch_size`` state how the runs were prepared; they
    are reported, not set.

    Raises:
        RecipeError: a count below 1 or a negative time.
    """

    warmup_runs: int = 5
    samples: int = 50
    threads: int = 1
    batch_size: int = 1
    warmup_s: float = 0.1
    min_sample_s: float = 0.002

    def __post_init__(self) -> None:
        for name in ("warmup_runs", "samples", "threads", "batch_size"):
            if getattr(self, name) < 1:
                raise RecipeError(f"latency setting {name} is {getattr(self, name)}; it must be at least 1")
        for name in ("warmup_s", "min_sample_s"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise RecipeError(
                    f"latency setting {name} is {getattr(self, name)}; it must be 0 or more seconds"
                )


@dataclass(frozen=True)
class Latency:
    """Seconds per inference: median and quartiles over ``samples`` samples after ``warmup`` untimed runs."""

    median_s: float
    p25_s: float
    p75_s: float
    samples: int
    threads: int
    batch_size: int
    warmup: int

    def to_json(self) -> dict[str, float | int]:
        """All fields as plain JSON values."""
        return asdict(self)


def measure_latency(run: Run, settings: LatencySettings) -> Latency:
    """Time one candidate."""
    return measure_interleaved({"run": run}, settings)["run"]


def measure_interleaved(runs: Mapping[str, Run], settings: LatencySettings) -> dict[str, Latency]:
    """Time several candidates in turns, so that drift of the machine hits all alike.

    One sample of each is taken per round, in rotating order. Before each sample the candidate runs once
    untimed, so that nobody pays for the caches its predecessor emptied. Compare the results as ratios.

    Raises:
        RecipeError: there is no candidate.
    """
    if not runs:
        raise RecipeError("nothing to measure: no model was given")
    names = list(runs)
    times: dict[str, list[float]] = {name: [] for name in names}
    with collection_paused():
        warmups = {name: _warm_up(runs[name], settings) for name in names}
        repeats = {name: repeats_for(runs[name], settings.min_sample_s) for name in names}
        for turn in range(settings.samples):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                runs[name]()
                times[name].append(time_runs(runs[name], repeats[name]) / repeats[name] * _NS)
    return {name: _summary(times[name], warmups[name], settings) for name in names}


@contextmanager
def collection_paused() -> Iterator[None]:
    """Keep Python's garbage collector from running inside a sample."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def time_runs(run: Run, repeats: int) -> int:
    """Nanoseconds of so many runs."""
    start = perf_counter_ns()
    for _ in range(repeats):
        run()
    return perf_counter_ns() - start


def _warm_up(run: Run, settings: LatencySettings) -> int:
    """Run until both the count and the time are reached; the number of runs it took."""
    start, count = perf_counter_ns(), 0
    while count < settings.warmup_runs or (perf_counter_ns() - start) * _NS < settings.warmup_s:
        run()
        count += 1
    return count


def repeats_for(run: Run, min_sample_s: float) -> int:
    """How many runs make a sample long enough."""
    repeats = 1
    while repeats < _MOST_REPEATS:
        elapsed = time_runs(run, repeats) * _NS
        if elapsed >= min_sample_s:
            break
        # Aim a little past the goal, and never grow more than tenfold on the word of one short timing.
        needed = min_sample_s / max(elapsed, 1e-9) * repeats * 1.1
        repeats = int(min(max(needed, repeats + 1), repeats * 10, _MOST_REPEATS))
    return repeats


def _summary(times: list[float], warmup: int, settings: LatencySettings) -> Latency:
    p25, median, p75 = (float(q) for q in np.quantile(np.asarray(times), (0.25, 0.5, 0.75)))
    return Latency(
        median_s=median,
        p25_s=p25,
        p75_s=p75,
        samples=len(times),
        threads=settings.threads,
        batch_size=settings.batch_size,
        warmup=warmup,
    )
