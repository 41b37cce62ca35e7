"""What makes a measurement worth no number."""

from dataclasses import replace

import pytest

from edgesqueeze.measure.bench.judging import doubts
from edgesqueeze.measure.bench.rounds import Process, Session, Timed
from edgesqueeze.measure.runtimes.host_state import HostState

QUIET = Process("r 1", (1.0, 1.01) * 10, (0.0,) * 20, 0.1, 0.2, 5, True, 1)
STATE = HostState(0.1, ("performance",), 1000.0, 40.0, (), 0, 10.0)


def judged(processes, last=STATE):
    timed = Timed(tuple(processes))
    return doubts(timed, Session((timed,), (STATE, last), wall_s=100.0), cores=2)


def test_a_quiet_measurement_is_worth_its_numbers():
    assert judged([QUIET] * 7) == ()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rounds_s": (1.0, 1.3) * 10}, "its quartiles lie 26 % of the median apart"),
        ({"waited": (0.0, 0.5) * 10}, "other work took its processor in 50 % of the rounds"),
        ({"is_steady": False}, "7 of 7 processes were still getting faster after warming up"),
    ],
)
def test_spread_load_and_a_restless_start_are_named(changes, reason):
    assert judged([replace(QUIET, **changes)] * 7) == (reason,)


def test_a_few_disturbed_rounds_do_no_harm():
    assert judged([replace(QUIET, waited=(0.5,) * 5 + (0.0,) * 15)] * 7) == ()
    assert judged([replace(QUIET, waited=(None,) * 20)] * 7) == ()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"throttle_count": 1}, "the processor was throttled"),
        ({"throttled": ("under-voltage",)}, "the processor was throttled"),
        ({"stolen_s": 30.0}, "other guests of the host took 10 % of the processors' time"),
    ],
)
def test_what_befell_the_machine_is_named(changes, reason):
    assert judged([QUIET] * 7, replace(STATE, **changes)) == (reason,)


def test_what_could_not_be_run_says_why():
    session = Session((), (STATE, STATE), 1.0)
    assert doubts(Timed((), "it ends its process"), session, 2) == ("it ends its process",)
