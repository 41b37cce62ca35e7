"""Candidates timed in turns, each in a process of its own, and all of it again with fresh processes.

In a round every candidate has two turns, A B C C B A, so that a machine that slowly changes gives none an
advantage; every second round goes the other way round. While one runs, the others wait for a line.
"""

import json
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean, median
from time import monotonic
from typing import IO, Any

from edgesqueeze.measure.bench.worker import END, TURN, Job
from edgesqueeze.measure.runtimes.host_state import HostState, host_state

_LOG = logging.getLogger("edgesqueeze.bench")
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from edgesqueeze.measure.bench.worker import serve; serve()"
)
_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Plan:
    """How often: fresh processes of every candidate, and rounds of each."""

    processes: int = 7
    rounds: int = 20


@dataclass(frozen=True)
class Process:
    """What one process of a candidate has told.

    ``rounds_s`` are seconds of one inference, the median of each round; ``waited`` the share of each round
    in which it waited for a processor, None where the system does not tell; ``load_s`` and ``first_s``
    how long loading and the first inference took, ``warmup`` how many untimed runs there were until it was
    steady, if it was; ``peak_bytes`` its largest resident memory, Python and the runtime included.
    """

    runtime: str
    rounds_s: tuple[float, ...]
    waited: tuple[float | None, ...]
    load_s: float
    first_s: float
    warmup: int
    is_steady: bool
    peak_bytes: int


@dataclass(frozen=True)
class Timed:
    """A candidate's processes; or ``failure``, why it cannot be run, and none."""

    processes: tuple[Process, ...]
    failure: str | None = None


@dataclass(frozen=True)
class Session:
    """Candidates in the order of their jobs, and the machine before, between and after its processes."""

    timed: tuple[Timed, ...]
    states: tuple[HostState, ...]
    wall_s: float


class FailedError(Exception):
    """A candidate's process has refused it, or has ended."""


def time_in_turns(jobs: Sequence[Job], plan: Plan) -> Session:
    """Time all candidates; one that cannot be run is left out of what follows, with the reason.

    Process i of every candidate lived at the same time, and round j of all of them is one round: times may
    be compared pair by pair.
    """
    found: list[list[Process]] = [[] for _ in jobs]
    failures: dict[int, str] = {}
    states, begin = [host_state()], monotonic()
    for number in range(plan.processes):
        _LOG.info("processes %d of %d", number + 1, plan.processes)
        left = [index for index in range(len(jobs)) if index not in failures]
        with opened([jobs[index] for index in left]) as workers:
            for index, done in zip(left, _generation(workers, plan.rounds), strict=True):
                if isinstance(done, Process):
                    found[index].append(done)
                else:
                    failures[index] = done
        states.append(host_state())
    timed = tuple(
        Timed((), failures[index]) if index in failures else Timed(tuple(processes))
        for index, processes in enumerate(found)
    )
    return Session(timed, tuple(states), monotonic() - begin)


@dataclass
class _Worker:
    """A running process, and what it has told so far."""

    job: Job
    popen: "subprocess.Popen[str]"
    orders: IO[str]
    answers: IO[str]
    ready: dict[str, Any] | None = None
    failure: str | None = None

    def ask(self, line: str) -> dict[str, Any]:
        """Send a line and wait for the answer."""
        try:
            self.orders.write(f"{line}\n")
            self.orders.flush()
            answer = self.answers.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise FailedError(how_it_ended(self.job.path, self.popen.wait(_PATIENCE_S)))
        told: dict[str, Any] = json.loads(answer)
        if "error" in told:
            raise FailedError(told["error"])
        return told


def _generation(workers: Sequence[_Worker], rounds: int) -> list[Process | str]:
    """Load and warm up one after the other, then the rounds; of each what it told, or why it failed."""
    samples: list[list[list[float]]] = [[] for _ in workers]
    waited: list[list[float | None]] = [[] for _ in workers]
    for worker in workers:
        _attempt(worker, worker.job.line())
    for number in range(rounds):
        order = range(len(workers))[:: 1 if number % 2 == 0 else -1]
        turns: list[list[dict[str, Any]]] = [[] for _ in workers]
        for place in (*order, *reversed(order)):
            told = _attempt(workers[place], TURN)
            if told is not None:
                turns[place].append(told)
        for place, pair in enumerate(turns):
            samples[place].append([time for told in pair for time in told["times_s"]])
            shares = [told["waited"] for told in pair]
            waited[place].append(None if None in shares or not shares else fmean(shares))
    return [_finished(*parts) for parts in zip(workers, samples, waited, strict=True)]


def _attempt(worker: _Worker, line: str) -> dict[str, Any] | None:
    if worker.failure is not None:
        return None
    try:
        told = worker.ask(line)
    except FailedError as error:
        worker.failure = str(error)
        return None
    worker.ready = worker.ready or told
    return told


def _finished(worker: _Worker, samples: list[list[float]], waited: list[float | None]) -> Process | str:
    last = _attempt(worker, END)
    if last is None or worker.ready is None:
        return worker.failure or f"{worker.job.path} was not run"
    rounds_s = tuple(median(times) for times in samples)
    return Process(**worker.ready, rounds_s=rounds_s, waited=tuple(waited), peak_bytes=last["peak_bytes"])


@contextmanager
def opened(jobs: Sequence[Job]) -> Iterator[list[_Worker]]:
    """Running processes; none is left behind."""
    running: list[_Worker] = []
    try:
        for job in jobs:
            command = [sys.executable, "-c", _CHILD, json.dumps(sys.path)]
            popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            if popen.stdin is not None and popen.stdout is not None:  # asked for, two lines up
                running.append(_Worker(job, popen, popen.stdin, popen.stdout))
        yield running
    finally:
        for worker in running:
            worker.popen.kill()
            worker.popen.communicate()


def how_it_ended(path: str, code: int) -> str:
    """A sentence on a process that has ended before it answered."""
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"{path} cannot be run: it ends its runtime's process ({name})"
