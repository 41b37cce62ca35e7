"""Warming up: until runs get no faster, or patience ends. The clock is the test's."""

import pytest

from edgesqueeze.measure.runtimes import steady


@pytest.fixture
def clock(monkeypatch):
    """A run takes what ``took`` says of its number."""

    class Clock:
        now, runs = 0.0, 0

        def run(self):
            self.runs += 1
            self.now += self.took(self.runs)

    found = Clock()
    monkeypatch.setattr(steady, "perf_counter", lambda: found.now)
    return found


def test_runs_that_are_equal_from_the_start_end_it(clock):
    clock.took = lambda number: 0.02
    found = steady.warm_up(clock.run, 5)
    assert (found.runs, found.is_steady) == (5, True)
    assert clock.runs == 5


def test_at_least_a_tenth_of_a_second_and_the_least_runs(clock):
    clock.took = lambda number: 0.001
    assert steady.warm_up(clock.run, 5).runs >= 100
    clock.took = lambda number: 1.0
    assert steady.warm_up(clock.run, 12).runs >= 12


def test_it_goes_on_while_runs_get_faster(clock):
    clock.took = lambda number: 0.02 if number > 40 else 0.06 - 0.001 * number
    found = steady.warm_up(clock.run, 5)
    assert found.is_steady
    assert found.runs > 40


def test_what_never_settles_is_said_so(clock):
    clock.took = lambda number: 2.0 * 0.8**number
    found = steady.warm_up(clock.run, 5)
    assert (found.runs, found.is_steady) == (5, False)
