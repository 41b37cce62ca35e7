"""Latency: what is timed, how often, in which order."""

import gc
import json

import pytest

from edgesqueeze.errors import RecipeError
from edgesqueeze.measure.runtimes import latency as module
from edgesqueeze.measure.runtimes.latency import LatencySettings, measure_interleaved, measure_latency

QUICK = LatencySettings(warmup_runs=3, samples=7, warmup_s=0.0, min_sample_s=0.0)


class Clock:
    """A clock that goes on only while something runs: no answer here depends on how busy the machine is."""

    def __init__(self):
        self.now_ns = 0

    def run_of(self, seconds):
        """Something that takes so long."""

        def run():
            self.now_ns += round(seconds * 1e9)

        return run


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "perf_counter_ns", lambda: clock.now_ns)
    return clock


def test_a_known_duration_is_found(clock):
    latency = measure_latency(clock.run_of(0.004), QUICK)
    assert latency.p25_s == latency.median_s == latency.p75_s == pytest.approx(0.004)
    assert (latency.samples, latency.warmup) == (7, 3)


def test_threads_and_batch_size_are_reported():
    settings = LatencySettings(samples=1, threads=2, batch_size=8, warmup_s=0.0)
    data = json.loads(json.dumps(measure_latency(lambda: None, settings).to_json()))
    assert (data["threads"], data["batch_size"], data["samples"]) == (2, 8, 1)
    assert set(data) == {"median_s", "p25_s", "p75_s", "samples", "threads", "batch_size", "warmup"}


def test_the_real_clock_goes_on():
    assert measure_latency(lambda: sum(range(1000)), QUICK).p25_s > 0


def test_warm_up_lasts_for_both_the_count_and_the_time(clock):
    settings = LatencySettings(warmup_runs=2, samples=1, warmup_s=0.05, min_sample_s=0.0)
    assert measure_latency(clock.run_of(0.002), settings).warmup == 25
    assert measure_latency(clock.run_of(0.06), settings).warmup == 2


def test_fast_runs_are_repeated_until_a_sample_is_long_enough(clock):
    calls, run = [], clock.run_of(1e-6)
    settings = LatencySettings(warmup_runs=1, samples=3, warmup_s=0.0, min_sample_s=0.01)
    latency = measure_latency(lambda: calls.append(run()), settings)
    assert len(calls) >= 3 * 10_000
    assert latency.median_s == pytest.approx(1e-6)


def test_candidates_take_turns_in_rotating_order():
    order = []
    runs = {name: lambda name=name: order.append(name) for name in "abc"}
    measure_interleaved(runs, LatencySettings(warmup_runs=1, samples=3, warmup_s=0.0, min_sample_s=0.0))
    # One warm-up run each, one to find the repeats, then per sample an untimed and a timed run.
    assert "".join(order) == "abc" + "abc" + "aabbcc" + "bbccaa" + "ccaabb"


def test_the_ratio_of_two_candidates_is_found(clock):
    runs = {"one": clock.run_of(0.004), "three": clock.run_of(0.012)}
    latencies = measure_interleaved(runs, QUICK)
    assert latencies["three"].median_s / latencies["one"].median_s == pytest.approx(3)


def test_the_garbage_collector_rests_and_comes_back():
    seen = []
    measure_latency(lambda: seen.append(gc.isenabled()), QUICK)
    assert seen
    assert not any(seen)
    assert gc.isenabled()


def test_the_garbage_collector_comes_back_after_a_failing_run():
    def fails():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        measure_latency(fails, QUICK)
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 0}, "samples is 0; it must be at least 1"),
        ({"threads": 0}, "threads is 0"),
        ({"warmup_runs": -1}, "warmup_runs is -1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"min_sample_s": -0.1}, "min_sample_s is -0.1; it must be 0 or more seconds"),
        ({"warmup_s": float("inf")}, "warmup_s is inf"),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    with pytest.raises(RecipeError, match=message):
        LatencySettings(**changes)


def test_nothing_to_measure_is_refused():
    with pytest.raises(RecipeError, match="no model was given"):
        measure_interleaved({}, QUICK)
