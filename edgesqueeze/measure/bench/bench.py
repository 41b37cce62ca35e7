"""Models and files side by side: parameters, bytes, multiply-accumulates and latency, read from the files.

Progress goes to the logger ``edgesqueeze.bench``.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

from edgesqueeze.errors import ExportError, RecipeError
from edgesqueeze.measure.bench.candidates import Candidate, Setting, candidates_of, write_built_in
from edgesqueeze.measure.bench.counts import Counted, count_file, network_params
from edgesqueeze.measure.bench.judging import doubts
from edgesqueeze.measure.bench.layer_times import LayerProfile, layer_times
from edgesqueeze.measure.bench.rounds import Plan, Session, Timed, time_in_turns
from edgesqueeze.measure.bench.row import BenchRow, PublishedCheck, Ratios, timed_row
from edgesqueeze.measure.bench.suite import Suite, change_suite, load_suite
from edgesqueeze.measure.bench.sustained import sustain
from edgesqueeze.measure.bench.table import render, render_brief
from edgesqueeze.measure.bench.worker import Job
from edgesqueeze.measure.runtimes.host import HostFacts, host_facts
from edgesqueeze.measure.runtimes.host_state import HostState
from edgesqueeze.measure.runtimes.runtime import RuntimeName

__all__ = [
    "BenchReport",
    "BenchRow",
    "Suite",
    "change_suite",
    "load_suite",
    "profile_layers",
    "run_bench",
    "write_built_in",
]

_LOG = logging.getLogger("edgesqueeze.bench")


@dataclass(frozen=True)
class BenchReport:
    """A finished suite: what was asked, where it ran, one row per file and setting.

    ``states`` are the machine's before, between and after the processes.
    """

    suite: Suite
    host: HostFacts
    rows: tuple[BenchRow, ...]
    states: tuple[HostState, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Plain JSON values."""
        return {
            "suite": self.suite.model_dump(mode="json"),
            "host": self.host.to_json(),
            "states": [state.to_json() for state in self.states],
            "rows": [row.to_json() for row in self.rows],
        }

    def table(self, tablefmt: str = "simple") -> str:
        """The rows, the published figures beside ours, and the host, in any of tabulate's formats."""
        return "\n\n".join([render(self.rows, self.suite, tablefmt), self.host.sentence(), *self._machine()])

    def brief(self) -> str:
        """The rows in lines of at most a hundred columns."""
        return render_brief(self.rows, self.suite, [self.host.sentence(), *self._machine()])

    def _machine(self) -> list[str]:
        if not self.states:
            return []
        return [f"Before: {self.states[0].sentence()}. After: {self.states[-1].sentence()}."]


@dataclass(frozen=True)
class _Prepared:
    """A candidate that can be timed, as the process is told; or why it cannot."""

    candidate: Candidate
    counted: Counted
    batch: int
    job: Job | None
    failure: str | None = None


def run_bench(suite: Suite, directory: Path) -> BenchReport:
    """Measure every model of a suite.

    Built-in models get seeded random weights (no column depends on their values) and are written below
    ``directory/<name>``; files named by the suite are only read. Candidates of one setting are timed in
    turns. One that cannot be run keeps its counts, and its row says why.

    Raises:
        ExportError: a file is missing, or is not what its suffix says.
        CodecError: a .sqz file is damaged.
        OutputError: a file cannot be written, or writing would replace a file the suite names.
    """
    candidates = candidates_of(suite, directory)
    counted: dict[Path, Counted] = {}
    for candidate in candidates:
        if candidate.path not in counted:
            _LOG.info("reading %s", candidate.path)
            counted[candidate.path] = count_file(candidate.path, candidate.model, suite.shape)
    rows: dict[Candidate, BenchRow] = {}
    states: list[HostState] = []
    for setting in dict.fromkeys(candidate.setting for candidate in candidates):
        chosen = [(c, counted[c.path]) for c in candidates if c.setting == setting]
        if setting is None:
            rows.update({c: timed_row(c, found.counts, 1, Timed(()), ()) for c, found in chosen})
            continue
        session = _time(chosen, setting, suite, rows)
        states += session.states
    finished = tuple(_compared(candidate, rows, suite) for candidate in candidates)
    return BenchReport(suite, host_facts(), finished, tuple(states))


def profile_layers(suite: Suite, directory: Path) -> list[LayerProfile]:
    """What each layer of a suite's ONNX files takes; built-in models are written as for :func:`run_bench`.

    ONNX Runtime alone tells: LiteRT's Python package and a ``.sqz`` file have nothing to say of times.

    Raises:
        RecipeError: the suite has another runtime.
        ExportError: a file is missing, cannot be run as the suite says, or is not what its suffix says.
        OutputError: a file cannot be written, or writing would replace a file the suite names.
    """
    others = [runtime for runtime in suite.runtimes if runtime is not RuntimeName.ONNXRUNTIME]
    if others:
        raise RecipeError(f"{others[0]} tells no times of layers; onnxruntime does")
    found = []
    for candidate in candidates_of(suite, directory):
        if candidate.setting is None:
            raise RecipeError(f"{candidate.label} does not run; `edgesqueeze decode` makes files that do")
        counted = count_file(candidate.path, candidate.model, suite.shape)
        prepared = _prepare(candidate, counted, candidate.setting, suite)
        if prepared.job is None:
            raise ExportError(prepared.failure or candidate.label)
        _LOG.info("profiling %s", candidate.path)
        found.append(layer_times(replace(prepared.job, samples=suite.samples), candidate.label))
    return found


def _time(
    chosen: Sequence[tuple[Candidate, Counted]],
    setting: Setting,
    suite: Suite,
    rows: dict[Candidate, BenchRow],
) -> Session:
    """Time what runs in one setting, and put its rows beside the others."""
    prepared = [_prepare(candidate, counted, setting, suite) for candidate, counted in chosen]
    jobs = [one.job for one in prepared if one.job is not None]
    _LOG.info(
        "timing %d files in %s, %d processes each, in turns", len(jobs), setting.runtime, suite.processes
    )
    session = time_in_turns(jobs, Plan(suite.processes, suite.rounds))
    told = [process.runtime for timed in session.timed for process in timed.processes]
    timed = iter(session.timed)
    for one in prepared:
        found = Timed((), one.failure) if one.job is None else next(timed)
        why = doubts(found, session, len(_cores()))
        row = timed_row(one.candidate, one.counted.counts, one.batch, found, why)
        rows[one.candidate] = replace(row, runtime=told[0]) if told else row
    if suite.sustained_s is not None:
        _LOG.info("%d files for %g s each, without a rest", len(jobs), suite.sustained_s)
        alone = iter(sustain(jobs, suite.sustained_s))
        for one in prepared:
            if one.job is not None:
                rows[one.candidate] = replace(rows[one.candidate], sustained=next(alone))
    return session


def _prepare(candidate: Candidate, counted: Counted, setting: Setting, suite: Suite) -> _Prepared:
    own = counted.counts.batch
    batch = setting.batch or own or 1
    if own is not None and batch != own:
        reason = f"{candidate.label} takes {own} input{'s' if own > 1 else ''} at once, not {batch}"
        return _Prepared(candidate, counted, batch, None, reason)
    try:
        shapes = counted.shapes(candidate.model, batch, suite.shape)
    except ExportError as error:
        return _Prepared(candidate, counted, batch, None, f"{error}; `shape` fills it")
    job = Job(
        path=str(candidate.path),
        model=candidate.model,
        runtime=setting.runtime,
        threads=setting.threads,
        shapes=shapes,
        cores=_pinned(setting.threads),
        samples=ceil(suite.samples / (2 * suite.rounds)),
        warmup=suite.warmup,
    )
    return _Prepared(candidate, counted, batch, job)


def _cores() -> list[int]:
    """The cores this process may use; numbered from 0 where the system does not tell."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _pinned(threads: int) -> tuple[int, ...]:
    """The cores for so many threads; the first of all is left to interrupts where that is possible."""
    cores = _cores()
    return tuple(cores[-threads:]) if hasattr(os, "sched_setaffinity") and threads <= len(cores) else ()


def _compared(candidate: Candidate, rows: dict[Candidate, BenchRow], suite: Suite) -> BenchRow:
    row = rows[candidate]
    same = (other for other in rows if other.model == suite.baseline and other.setting == candidate.setting)
    baseline = next(same, None)  # in the first precision
    if baseline is not None:
        row = replace(row, ratios=Ratios.of(row, rows[baseline]))
    published = suite.published.get(row.model)
    if published is None:
        return row
    params = network_params(row.model) if candidate.precision else row.counts.params
    return replace(row, published=PublishedCheck.of(published, row.counts, params))
