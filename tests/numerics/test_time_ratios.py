"""Ratios of times: intervals against scipy, and verdicts on simulated machines that drift and stutter."""

from math import exp, log

import numpy as np
import pytest
from scipy import stats

from edgesqueeze.errors import RecipeError
from edgesqueeze.numerics.time_ratios import (
    MARGIN,
    TimeRatio,
    Verdict,
    changed_ratio,
    paired_ratio,
    process_logs,
)

PROCESSES, ROUNDS = 7, 20


def drift(source, size, strength):
    """A slow change of the machine, of this standard deviation, [size]."""
    steps = source.normal(0, 1, size)
    found, last = [], source.normal()
    for step in steps:
        last = 0.97 * last + (1 - 0.97**2) ** 0.5 * step
        found.append(strength * last)
    return np.exp(found)


def measured(source, slowdowns, noise=0.10, bursts=0.15, between=0.012):
    """Round figures [candidates, processes, rounds]: A B B A, each round's figure the mean of two turns."""
    count = len(slowdowns)
    found = np.empty((count, PROCESSES, ROUNDS))
    for process in range(PROCESSES):
        own = np.exp(source.normal(0, between, count)) * slowdowns
        machine = drift(source, ROUNDS * 2 * count, noise).reshape(ROUNDS, 2, count)
        machine *= 1 + (source.random(machine.shape) < bursts) * source.exponential(0.3, machine.shape)
        machine *= np.exp(source.normal(0, 0.02, machine.shape))
        turns = np.stack([machine[:, 0], machine[:, 1, ::-1]])
        found[:, process] = (turns.mean(0) * own).T
    return found


def verdicts(slowdown, tries, seed):
    source = np.random.default_rng(seed)
    pairs = (measured(source, (1.0, 1.0 + slowdown)) for _ in range(tries))
    return [paired_ratio(process_logs(new, old)).verdict for old, new in pairs]


def test_no_slowdown_is_never_called_a_change():
    assert not {Verdict.WORSE, Verdict.BETTER} & set(verdicts(0.0, 300, 1))


def test_a_slowdown_of_a_hundredth_is_never_called_worse():
    assert Verdict.WORSE not in verdicts(0.01, 300, 2)


def test_a_slowdown_of_a_tenth_is_found():
    assert verdicts(0.10, 300, 3).count(Verdict.WORSE) >= 0.98 * 300


def test_a_speedup_is_called_better():
    source = np.random.default_rng(4)
    old, new = measured(source, (1.2, 1.0))
    found = paired_ratio(process_logs(new, old))
    assert found.verdict is Verdict.BETTER
    assert found.low < 1 / 1.2 < found.high


def test_two_measurements_are_compared_through_their_baseline():
    """Each on a machine of another speed; the file is unchanged, or a tenth slower the second time."""
    source, calls = np.random.default_rng(5), {0.0: [], 0.12: []}
    for slowdown, found in calls.items():
        for _ in range(150):
            base, old = measured(source, (1.0, 0.2))
            new_base, new = measured(source, (1.0, 0.2 * (1 + slowdown)))
            logs = process_logs(1.3 * new, 1.3 * new_base), process_logs(old, base)
            found.append(changed_ratio(*logs).verdict)
    assert not {Verdict.WORSE, Verdict.BETTER} & set(calls[0.0])
    assert calls[0.12].count(Verdict.WORSE) >= 0.95 * 150


def test_on_a_quiet_machine_equal_files_are_the_same():
    source = np.random.default_rng(6)
    old, new = measured(source, (1.0, 1.0), noise=0.01, bursts=0.0, between=0.004)
    assert paired_ratio(process_logs(new, old)).verdict is Verdict.SAME


# -- the interval --------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 7, 12, 31])
def test_the_interval_is_students(count):
    logs = np.random.default_rng(count).normal(0.1, 0.02, count)
    wanted = stats.t.interval(0.99, count - 1, logs.mean(), stats.sem(logs))
    found = paired_ratio(logs)
    assert found.ratio == pytest.approx(exp(logs.mean()))
    assert (log(found.low), log(found.high)) == pytest.approx(wanted, rel=1e-4)


def test_the_interval_of_a_change_is_welchs():
    source = np.random.default_rng(7)
    new, old = source.normal(0.1, 0.02, 7), source.normal(0.0, 0.05, 9)
    found, test = changed_ratio(new, old), stats.ttest_ind(new, old, equal_var=False)
    rounded_down = stats.t.ppf(0.995, int(test.df)) / stats.t.ppf(0.995, test.df)
    half = (log(found.high) - log(found.low)) / 2
    wanted = test.confidence_interval(0.99)
    assert half == pytest.approx(rounded_down * (wanted.high - wanted.low) / 2, rel=1e-3)
    assert found.ratio == pytest.approx(exp(new.mean() - old.mean()))


def test_one_process_tells_nothing():
    one, seven = np.array([0.5]), np.zeros(7)
    for found in (paired_ratio(one), changed_ratio(one, seven), changed_ratio(seven, one)):
        assert (found.low, found.high, found.verdict) == (0.0, float("inf"), Verdict.UNKNOWN)


def test_equal_processes_leave_no_doubt():
    assert changed_ratio(np.full(7, 0.2), np.zeros(7)).verdict is Verdict.WORSE


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.031, 1.2, Verdict.WORSE),
        (1.02, 1.2, Verdict.UNKNOWN),
        (0.98, 1.02, Verdict.SAME),
        (0.98, 1.04, Verdict.UNKNOWN),
        (0.8, 0.97, Verdict.BETTER),
        (0.8, 0.98, Verdict.UNKNOWN),
        (0.9, 1.1, Verdict.UNKNOWN),
    ],
)
def test_the_whole_interval_must_lie_beyond_the_margin(low, high, verdict):
    assert MARGIN == 0.03
    assert TimeRatio((low + high) / 2, low, high).verdict is verdict


@pytest.mark.parametrize(
    ("times", "baseline", "message"),
    [
        (np.ones((7, 20)), np.ones((7, 19)), r"\(7, 20\) and \(7, 19\)"),
        (np.ones((0, 20)), np.ones((0, 20)), "processes and rounds"),
        (np.zeros((1, 1)), np.ones((1, 1)), "0 or less"),
    ],
)
def test_times_that_do_not_pair_are_refused(times, baseline, message):
    with pytest.raises(RecipeError, match=message):
        process_logs(times, baseline)


def test_no_process_is_refused():
    with pytest.raises(RecipeError, match="no process"):
        paired_ratio(np.array([]))
