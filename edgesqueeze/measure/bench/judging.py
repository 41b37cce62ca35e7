"""When a measurement is worth no number: what spread, load, heat or a restless start have made of it."""

from collections.abc import Sequence

import numpy as np

from edgesqueeze.measure.bench.rounds import Session, Timed
from edgesqueeze.measure.runtimes.host_state import stolen_share, was_throttled

MOST_SPREAD = 0.25
"""Of the quartiles of all rounds, as a share of their median. On a machine that drifts by 10 % it is 0.14."""
MOST_WAITED = 0.05
"""A round that waited longer for a processor than this share of its time was disturbed."""
MOST_DISTURBED = 0.25
"""Of the rounds. The median of the others is then at most the upper third of what it would be."""
MOST_STOLEN = 0.05
"""Of the cores' time, by other guests of the host."""
MOST_RESTLESS = 0.5
"""Of the processes, may still have been getting faster when their warm-up was over."""


def doubts(timed: Timed, session: Session, cores: int) -> tuple[str, ...]:
    """Why a candidate's times are worth no number, one clause each; nothing if they are.

    Args:
        timed: the candidate.
        session: all that was timed beside it, and the states of the machine.
        cores: how many this process may use.
    """
    if timed.failure is not None:
        return (timed.failure,)
    found = [_spread(timed), _disturbed(timed), _restless(timed)]
    stolen = stolen_share(session.states[0], session.states[-1], session.wall_s, cores)
    if stolen > MOST_STOLEN:
        found.append(f"other guests of the host took {100 * stolen:.0f} % of the processors' time")
    if was_throttled(session.states):
        found.append("the processor was throttled")
    return tuple(reason for reason in found if reason)


def _spread(timed: Timed) -> str:
    times = np.array([second for process in timed.processes for second in process.rounds_s])
    low, middle, high = np.quantile(times, (0.25, 0.5, 0.75))
    share = (high - low) / middle
    return f"its quartiles lie {100 * share:.0f} % of the median apart" if share > MOST_SPREAD else ""


def _disturbed(timed: Timed) -> str:
    waited = [share for process in timed.processes for share in process.waited if share is not None]
    share = _share_of(waited, MOST_WAITED)
    text = f"other work took its processor in {100 * share:.0f} % of the rounds"
    return text if share > MOST_DISTURBED else ""


def _restless(timed: Timed) -> str:
    restless = [0.0 if process.is_steady else 1.0 for process in timed.processes]
    share = _share_of(restless, 0.5)
    text = f"{sum(restless):.0f} of {len(restless)} processes were still getting faster after warming up"
    return text if share > MOST_RESTLESS else ""


def _share_of(values: Sequence[float], limit: float) -> float:
    """The share of values above a limit; 0 of none."""
    return sum(value > limit for value in values) / len(values) if values else 0.0
