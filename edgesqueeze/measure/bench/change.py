"""Two saved benchmarks, row by row: what has become slower since.

Two days cannot be paired round by round. What is compared is each row's ratio to the baseline that was timed
in turns with it: a machine that is slower today slows the baseline too.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from edgesqueeze.errors import RecipeError
from edgesqueeze.measure.bench.row import row_title
from edgesqueeze.numerics.time_ratios import MARGIN, Logs, TimeRatio, Verdict, changed_ratio, process_logs
from edgesqueeze.text.columns import narrow_table, wrapped

REPORT = "report.json"
_Key = tuple[str, str, int | None, int | None]


class _Read(BaseModel):
    """Part of a saved report; what is not needed to compare is not looked at."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _SavedProcess(_Read):
    rounds_s: tuple[float, ...]


class _SavedLatency(_Read):
    median_s: float


class _SavedRow(_Read):
    model: str
    path: str
    precision: str
    runtime: str | None
    threads: int | None
    batch: int | None
    sha256: str
    num_bytes: int
    latency: _SavedLatency | None
    doubts: tuple[str, ...]
    processes: tuple[_SavedProcess, ...]

    @property
    def key(self) -> _Key:
        """What the same row of another report has as well; a runtime may have become another version."""
        return self._title, (self.runtime or "").partition(" ")[0], self.threads, self.batch

    @property
    def _title(self) -> str:
        return row_title(self.model, self.path, self.precision)


class _SavedSuite(_Read):
    baseline: str | None


class _SavedHost(_Read):
    cpu_model: str
    cores: int


class SavedBench(_Read):
    """A report that ``bench --save`` has written."""

    suite: _SavedSuite
    host: _SavedHost
    rows: tuple[_SavedRow, ...]

    def baseline_of(self, row: _SavedRow) -> _SavedRow | None:
        """The row that stands for the machine where this one was timed."""
        same = (other for other in self.rows if other.key[1:] == row.key[1:])
        return next((other for other in same if other.model == self.suite.baseline), None)


@dataclass(frozen=True)
class ChangedRow:
    """One file in one setting, then and now.

    ``ratio`` is how many times as long it takes now, measured against the baseline of each report, ``reason``
    why nothing can be said of it.
    """

    model: str
    runtime: str
    threads: int | None
    batch: int | None
    old_bytes: int
    new_bytes: int
    ratio: TimeRatio | None
    verdict: Verdict
    reason: str | None = None


_SETTINGS = ("t", "n")
"""Columns that are left out where all rows have the same."""


@dataclass(frozen=True)
class Comparison:
    """All rows that two reports share, and the names of those that only one has."""

    rows: tuple[ChangedRow, ...]
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]

    @property
    def is_worse(self) -> bool:
        """Whether any row has become slower."""
        return any(row.verdict is Verdict.WORSE for row in self.rows)

    def to_json(self) -> dict[str, object]:
        """Plain JSON values; an interval without an end is null."""
        rows = [asdict(row) for row in self.rows]
        for row, data in zip(self.rows, rows, strict=True):
            if row.ratio is not None and row.ratio.low == 0:
                data["ratio"].update(low=None, high=None)
        return {**asdict(self), "rows": rows, "is_worse": self.is_worse}

    def text(self, tablefmt: str = "simple") -> str:
        """A table and a sentence on how to read it, in lines of at most a hundred columns."""
        header = ["model", "runtime", "t", "n", "bytes", "bytes now", "time ×", "99 %", "verdict"]
        columns = list(zip(header, *map(_cells, self.rows), strict=True))
        told = [c for c in columns if c[0] not in _SETTINGS or len(set(c[1:])) > 1]
        first, *body = zip(*told, strict=True)
        parts = [narrow_table(first, body, tablefmt)]
        parts.append(
            wrapped(
                "time ×: how many times as long as before, each against the baseline it was timed with; "
                f"better or worse where the whole interval lies beyond {100 * MARGIN:.0f} %, same where it "
                "lies within. t: threads, n: inputs at once."
            )
        )
        lines = [f"- {row.model} in {row.runtime}: {row.reason}" for row in self.rows if row.reason]
        lines += [f"- only in the old report: {name}" for name in self.only_old]
        lines += [f"- only in the new report: {name}" for name in self.only_new]
        return "\n\n".join([*parts, *([wrapped("\n".join(lines))] if lines else [])])


def read_saved(path: Path) -> SavedBench:
    """The report of a benchmark: a JSON file, or a directory with report.json.

    Raises:
        RecipeError: there is none, or it is not one of a benchmark.
    """
    file = path / REPORT if path.is_dir() else path
    try:
        return SavedBench.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise RecipeError(f"{file} cannot be read: {error.strerror}") from error
    except (ValidationError, ValueError) as error:  # the first is one of the second: both are said alike
        raise RecipeError(f"{file} is not a report that `edgesqueeze bench --save` has written") from error


def compare_saved(old: SavedBench, new: SavedBench) -> Comparison:
    """What has changed from one report to the next."""
    before, after = ({row.key: row for row in bench.rows if row.runtime} for bench in (old, new))
    rows = [_changed((old, new), before[key], after[key]) for key in after if key in before]
    return Comparison(
        rows=tuple(rows),
        only_old=tuple(_name(key) for key in before if key not in after),
        only_new=tuple(_name(key) for key in after if key not in before),
    )


def _changed(benches: tuple[SavedBench, SavedBench], before: _SavedRow, after: _SavedRow) -> ChangedRow:
    reason = _obstacle(benches, before, after)
    ratio = None
    if reason is None:
        old, new = (_logs(bench, row) for bench, row in zip(benches, (before, after), strict=True))
        ratio = changed_ratio(new, old)
    model, runtime, threads, batch = after.key
    return ChangedRow(
        model=model,
        runtime=runtime,
        threads=threads,
        batch=batch,
        old_bytes=before.num_bytes,
        new_bytes=after.num_bytes,
        ratio=ratio,
        verdict=Verdict.UNKNOWN if ratio is None else ratio.verdict,
        reason=reason,
    )


def _obstacle(benches: tuple[SavedBench, SavedBench], before: _SavedRow, after: _SavedRow) -> str | None:
    """Why two rows cannot be compared; None if they can."""
    old, new = benches
    first, second = old.baseline_of(before), new.baseline_of(after)
    if old.host != new.host:
        return f"measured on {_machine(old)}, now on {_machine(new)}"
    if first is None or second is None:
        return "a report has no baseline in this setting"
    if second.key == after.key:
        return "is the baseline that the others are compared through"
    if first.sha256 != second.sha256:
        return f"{second.model}, the baseline, is another file now"
    if before.runtime != after.runtime:
        return f"{before.runtime} is {after.runtime} now, and the baseline ran in it too"
    for name, row, base in (("before", before, first), ("now", after, second)):
        if row.latency is None or base.latency is None:
            worthless = row if row.latency is None else base
            return f"{name}, {worthless.model} has no time that is worth a number"
        if len(row.processes) < 2:
            return f"{name}, it was timed in one process, which says nothing of the next"
    return None


def _logs(bench: SavedBench, row: _SavedRow) -> Logs:
    baseline = bench.baseline_of(row)
    times = [np.array([p.rounds_s for p in one.processes]) for one in (row, baseline) if one is not None]
    return process_logs(times[0], times[-1])


def _machine(bench: SavedBench) -> str:
    return f"{bench.host.cpu_model} with {bench.host.cores} cores"


def _name(key: _Key) -> str:
    return f"{key[0]} in {key[1]}, {key[2]} thread(s), batch {key[3]}"


def _cells(row: ChangedRow) -> Sequence[str]:
    ratio = row.ratio
    shown = "?" if ratio is None else f"{ratio.ratio:,.3f}"
    between = "–" if ratio is None or ratio.low == 0 else f"{ratio.low:,.2f}–{ratio.high:,.2f}"
    sizes = (f"{row.old_bytes:,}", f"{row.new_bytes:,}")
    return [
        row.model,
        row.runtime,
        str(row.threads),
        str(row.batch),
        *sizes,
        shown,
        between,
        str(row.verdict),
    ]
