"""The rows of a benchmark: pure data."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median

import numpy as np

from edgesqueeze.measure.bench.candidates import Candidate
from edgesqueeze.measure.bench.counts import Counts
from edgesqueeze.measure.bench.rounds import Process, Timed
from edgesqueeze.measure.bench.suite import Published, agrees
from edgesqueeze.measure.bench.sustained import Sustained
from edgesqueeze.measure.runtimes.latency import Latency
from edgesqueeze.numerics.time_ratios import TimeRatio, Verdict, paired_ratio, process_logs


@dataclass(frozen=True)
class Ratios:
    """The baseline divided by a row in the same setting: above 1 is smaller or faster, None where unknown.

    ``latency_low`` and ``latency_high`` are the ends of the 99 % interval of ``latency``; ``verdict`` is what
    it says of the row's time.
    """

    params: float | None
    num_bytes: float | None
    macs: float | None
    latency: float | None
    latency_low: float | None
    latency_high: float | None
    verdict: Verdict

    @classmethod
    def of(cls, row: "BenchRow", baseline: "BenchRow") -> "Ratios":
        """The ratios of a row."""
        took = time_ratio(row, baseline)
        return cls(
            params=_ratio(baseline.counts.params, row.counts.params),
            num_bytes=_ratio(baseline.counts.num_bytes, row.counts.num_bytes),
            macs=_ratio(baseline.counts.macs, row.counts.macs),
            latency=None if took is None else 1 / took.ratio,
            latency_low=None if took is None or took.low == 0 else 1 / took.high,
            latency_high=None if took is None or took.low == 0 else 1 / took.low,
            verdict=Verdict.UNKNOWN if took is None else took.verdict,
        )


@dataclass(frozen=True)
class PublishedCheck:
    """Figures as a source prints them, and whether ours agree to the digits printed.

    ``our_params`` are those of the network: a file of a built-in one has fewer where batch norm was folded
    into its layers. ``gmacs`` are thousand millions of multiply-accumulates; None where the source says
    nothing.
    """

    our_params: int
    params: str | None
    params_agree: bool | None
    gmacs: str | None
    gmacs_agree: bool | None
    source: str

    @classmethod
    def of(cls, published: Published, counts: Counts, params: int) -> "PublishedCheck":
        """What a source prints beside what a file holds, and the ``params`` of its network."""
        gmacs_agree = None
        if published.gmacs is not None and counts.macs is not None:
            gmacs_agree = agrees(published.gmacs, counts.macs / 1e9)
        params_agree = None if published.params is None else agrees(published.params, params)
        return cls(params, published.params, params_agree, published.gmacs, gmacs_agree, published.source)


@dataclass(frozen=True)
class BenchRow:
    """One file in one setting: what it holds, how fast it runs, and why a figure is missing.

    ``runtime`` is name and version; it, ``threads`` and ``batch`` are None of a file that does not run.
    ``latency`` is None where it would be worth no number; ``doubts`` say why, one sentence each.
    ``processes`` are what every process has told, whatever it is worth. ``sustained`` is there where the
    suite asked for it.
    """

    model: str
    path: str
    runtime: str | None
    threads: int | None
    batch: int | None
    counts: Counts
    latency: Latency | None = None
    doubts: tuple[str, ...] = ()
    processes: tuple[Process, ...] = ()
    sustained: Sustained | None = None
    ratios: Ratios | None = None
    published: PublishedCheck | None = None

    @property
    def title(self) -> str:
        """The model, and what :func:`row_title` adds."""
        return row_title(self.model, self.path, self.counts.precision)

    @property
    def load_s(self) -> float | None:
        """Seconds until the file is loaded, the median of its processes."""
        return median(p.load_s for p in self.processes) if self.processes else None

    @property
    def first_s(self) -> float | None:
        """Seconds of the first inference, the median of its processes."""
        return median(p.first_s for p in self.processes) if self.processes else None

    @property
    def peak_bytes(self) -> int | None:
        """The largest resident memory of its processes, Python and the runtime included."""
        return max((p.peak_bytes for p in self.processes), default=None)

    @property
    def inputs_per_s(self) -> float | None:
        """Inputs that are answered in a second."""
        return None if self.latency is None or self.batch is None else self.batch / self.latency.median_s

    def to_json(self) -> dict[str, object]:
        """All fields as plain JSON values, those of ``counts`` beside the others."""
        fields = asdict(self)
        counts = fields.pop("counts")
        del counts["batch"]
        return {
            **fields,
            **counts,
            "doubts": [*self.counts.doubts, *self.doubts],
            "flops": self.counts.flops,
            "effective_flops": self.counts.effective_flops,
            "load_s": self.load_s,
            "first_s": self.first_s,
            "peak_bytes": self.peak_bytes,
            "inputs_per_s": self.inputs_per_s,
        }


def row_title(model: str, path: str, precision: str) -> str:
    """A model; behind a built-in one its precision, unless that is float32. The name of a file tells it."""
    return model if path == model or precision == "fp32" else f"{model} {precision}"


def timed_row(
    candidate: Candidate, counts: Counts, batch: int, timed: Timed, doubts: Sequence[str]
) -> BenchRow:
    """The row of a candidate that was timed; with ``doubts`` of its times it has no latency."""
    setting = candidate.setting
    if setting is None:
        return BenchRow(candidate.model, candidate.label, None, None, None, counts)
    times = [second for process in timed.processes for second in process.rounds_s]
    latency = None
    if not doubts:
        low, middle, high = (float(q) for q in np.quantile(np.asarray(times), (0.25, 0.5, 0.75)))
        warmup = min(process.warmup for process in timed.processes)
        latency = Latency(middle, low, high, len(times), setting.threads, batch, warmup)
    return BenchRow(
        model=candidate.model,
        path=candidate.label,
        runtime=timed.processes[0].runtime if timed.processes else str(setting.runtime),
        threads=setting.threads,
        batch=batch,
        counts=counts,
        latency=latency,
        doubts=(f"latency: {', and '.join(doubts)}",) if doubts else (),
        processes=timed.processes,
    )


def time_ratio(row: BenchRow, baseline: BenchRow) -> TimeRatio | None:
    """How many times as long as the baseline a row takes; None where one has no latency."""
    if row.latency is None or baseline.latency is None or row.batch != baseline.batch:
        return None
    return paired_ratio(process_logs(_rounds(row), _rounds(baseline)))


def _rounds(row: BenchRow) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    return np.array([process.rounds_s for process in row.processes], np.float64)


def _ratio(baseline: float | None, value: float | None) -> float | None:
    return baseline / value if baseline and value else None
