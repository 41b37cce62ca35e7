"""The same file for minutes without a rest: what heat and clock leave of the first seconds' speed."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from edgesqueeze.measure.bench.rounds import FailedError, opened
from edgesqueeze.measure.bench.worker import SUSTAIN, Job

BURST_S = 5.0
"""The beginning that is called the burst."""
_END_SHARE = 1 / 3
"""The end that is called sustained."""


@dataclass(frozen=True)
class Sustained:
    """Seconds of an inference at first and in the end, medians over windows of about a second.

    ``ratio`` of the two is above 1 where the machine became slower. ``joules`` are those of an inference,
    idle power of the machine included, by ``meter``; None where nothing is readable.
    """

    seconds: float
    inferences: int
    burst_s: float
    sustained_s: float
    joules: float | None
    meter: str

    @property
    def ratio(self) -> float:
        """How many times as long an inference takes in the end."""
        return self.sustained_s / self.burst_s


def sustain(jobs: Sequence[Job], seconds: float) -> list[Sustained | None]:
    """Run each job alone, in a process of its own, one after the other; None of one that cannot be run."""
    return [_of_job(job, seconds) for job in jobs]


def _of_job(job: Job, seconds: float) -> Sustained | None:
    with opened([job]) as (worker,):
        try:
            worker.ask(job.line())
            told = worker.ask(f"{SUSTAIN} {seconds}")
        except FailedError:
            return None  # its rounds have said why
    return sustained_of(told["ends_s"], told["times_s"], told["inferences"], told["joules"], told["meter"])


def sustained_of(
    ends_s: Sequence[float], times_s: Sequence[float], inferences: int, joules: float | None, meter: str
) -> Sustained:
    """What windows say.

    Args:
        ends_s: when each window ended, in seconds from the start.
        times_s: seconds of one inference in it.
        inferences: in all of them.
        joules: of all of them.
        meter: what has counted.
    """
    last = ends_s[-1]
    burst = [time for end, time in zip(ends_s, times_s, strict=True) if end <= max(BURST_S, ends_s[0])]
    rest = [time for end, time in zip(ends_s, times_s, strict=True) if end > (1 - _END_SHARE) * last]
    per_inference = None if joules is None else joules / inferences
    return Sustained(last, inferences, median(burst), median(rest), per_inference, meter)
