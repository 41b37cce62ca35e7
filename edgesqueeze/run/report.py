"""The result of a run as pure data: rows that know their file, and the tables made of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tabulate import tabulate

from edgesqueeze.errors import OutputError
from edgesqueeze.measure.checks.check import Check, check_from_json, checks_text, require
from edgesqueeze.measure.checks.layer_facts import LayerEvidence, layer_from_json, layers_table
from edgesqueeze.measure.runtimes.latency import Latency
from edgesqueeze.numerics.proportions import Interval, PairedTest
from edgesqueeze.task.metrics import Unit

SIMULATED = "simulated"
SCHEMA = 1
"""The form of report.json: raised when a reader of the form before would be misled."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    ``path`` is relative to the run, None when there is no file to deploy; such a row is ``simulated``.
    ``macs`` counts multiply-accumulates of one input, ``effective_macs`` those on non-zero weights.
    """

    label: str
    path: str | None
    runtime: str
    simulated: bool
    metrics: dict[str, float]
    primary_metric: str
    params: int | None = None
    nonzero_params: int | None = None
    macs: int | None = None
    effective_macs: int | None = None
    num_bytes: int | None = None
    compression_ratio: float | None = None
    metric_change: float | None = None
    latency: Latency | None = None
    notes: tuple[str, ...] = ()
    """What the stage behind the row decided, one sentence each."""
    interval: Interval | None = None
    """95 % interval of the primary metric, where it is the share of test images that are answered right."""
    unit: Unit = "share"
    """How the primary metric is written."""
    higher_is_better: bool = True
    paired: PairedTest | None = None
    """Test against the baseline on the same images; None for the baseline, and where there is no interval."""

    @property
    def primary(self) -> float | None:
        """The value of the primary metric."""
        return self.metrics.get(self.primary_metric)

    def against(self, baseline: "Row") -> "Row":
        """The same row with its compression ratio and metric change against a baseline."""
        ratio = None
        if self.num_bytes and baseline.num_bytes:
            ratio = baseline.num_bytes / self.num_bytes
        change = None
        if self.primary is not None and baseline.primary is not None:
            change = self.primary - baseline.primary
        return replace(self, compression_ratio=ratio, metric_change=change)


def row_from_json(data: dict[str, Any]) -> Row:
    """The inverse of ``dataclasses.asdict`` for a row."""
    latency, interval, paired = (data.get(key) for key in ("latency", "interval", "paired"))
    return Row(
        **{
            **data,
            "latency": None if latency is None else Latency(**latency),
            "interval": None if interval is None else Interval(**interval),
            "paired": None if paired is None else PairedTest(**paired),
            "notes": tuple(data.get("notes", ())),
        }
    )


@dataclass(frozen=True)
class Report:
    """A finished run: its recipe, where it ran, its rows, and reference models measured in the same runs."""

    recipe: dict[str, Any]
    environment: dict[str, Any]
    baseline: str
    test_examples: int
    rows: tuple[Row, ...]
    references: tuple[Row, ...]
    parity: dict[str, Any] = field(default_factory=dict)
    """What ``measure.proof.verification`` found when the files had been written; empty if there are none."""
    checks: tuple[Check, ...] = ()
    """Did it really work: see ``measure.checks.check``. Reports of earlier versions have none."""
    layers: tuple[LayerEvidence, ...] = ()
    """What was pruned and shared, layer by layer, in float and in the int8 files."""
    unwritten: tuple[str, ...] = ()
    """Files that were asked for and that a format cannot hold, with the reason (``unsupported: skip``)."""

    def require_checks(self) -> None:
        """Raise if a check has fired.

        Raises:
            CheckError: every fault of every check, by name.
        """
        require(self.checks)

    def to_json(self) -> dict[str, Any]:
        """Plain values for report.json."""
        return {
            "schema": SCHEMA,
            "recipe": self.recipe,
            "environment": self.environment,
            "baseline": self.baseline,
            "test_examples": self.test_examples,
            "rows": [asdict(row) for row in self.rows],
            "references": [asdict(row) for row in self.references],
            "parity": self.parity,
            "checks": [check.to_json() for check in self.checks],
            "layers": [layer.to_json() for layer in self.layers],
            "unwritten": list(self.unwritten),
        }

    @classmethod
    def from_json(cls, data: Any) -> "Report":
        """Read what :meth:`to_json` wrote.

        Raises:
            OutputError: the data is not a report.
        """
        try:
            if data.get("schema", 0) > SCHEMA:  # 0: reports of before there was a number
                found = data["schema"]
                raise OutputError(f"report.json has schema {found}; this version reads up to {SCHEMA}")
            return cls(
                data["recipe"],
                data["environment"],
                data["baseline"],
                data["test_examples"],
                tuple(row_from_json(row) for row in data["rows"]),
                tuple(row_from_json(row) for row in data["references"]),
                data.get("parity", {}),
                tuple(check_from_json(check) for check in data.get("checks", ())),
                tuple(layer_from_json(layer) for layer in data.get("layers", ())),
                tuple(data.get("unwritten", ())),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise OutputError(f"report.json is not a report of this version: {error}") from error

    def table(self, tablefmt: str) -> str:
        """Both tables as text (``simple``, ``github`` or any other format of tabulate)."""
        name = self.rows[0].primary_metric
        known = any(row.interval is not None for row in self.rows)
        header = ["", f"{name} [95 %]" if known else name, "change", *(["p"] if known else []), *_COMMON]
        body = [
            [
                _label(row),
                _metric(row),
                _change(row),
                *([_p(row)] if known else []),
                *_cells(row),
            ]
            for row in self.rows
        ]
        text = _render(header, body, tablefmt)
        notes = [
            f"{name} over {self.test_examples:,} test examples; {_said(self.rows[0])}. "
            f"Change and ratio are against {self.baseline!r}. "
            "MACs are multiply-accumulates (FLOPs = 2 × MACs); effective MACs are those on non-zero weights. "
            "Latency: median [quartiles], batch 1.",
        ]
        if known:
            notes.append(
                f"Brackets behind {name}: 95 % Wilson interval. p: exact McNemar test against "
                f"{self.baseline!r} on the same images; below 0.05 the change is no chance."
            )
        if any(row.simulated for row in self.rows):
            notes.append(f"Rows marked {SIMULATED} have no file to deploy: torch computed them on the way.")
        notes += [f"Not written: {sentence}." for sentence in self.unwritten]
        notes += [f"{row.label}: {note}." for row in self.rows for note in row.notes]
        parts = [text, "\n".join(notes)]
        if self.references:
            body = [[row.label, *_cells(row)] for row in self.references]
            parts += [_render(["reference model", *_COMMON], body, tablefmt)]
        if self.parity:
            parts.append("\n".join(self.parity["summary"]))
        if self.checks:
            parts.append(checks_text(self.checks))
        return "\n\n".join(parts)

    def layers_table(self, tablefmt: str) -> str:
        """Zeros and distinct values of every layer, in float and in the int8 files.

        Raises:
            OutputError: the report was written by a version that did not look.
        """
        if not self.layers:
            raise OutputError("the report says nothing about layers; it was written by an earlier version")
        return layers_table(self.layers, tablefmt)


_COMMON = ["params", "non-zero", "MACs", "effective", "bytes", "ratio", "latency ms", "threads", "runtime"]


def _render(header: Sequence[str], body: Sequence[Sequence[str]], tablefmt: str) -> str:
    right = ("right",) * (len(header) - 2)
    return tabulate(
        body, headers=header, tablefmt=tablefmt, colalign=("left", *right, "left"), disable_numparse=True
    )


def _label(row: Row) -> str:
    return row.label if not row.simulated else f"{row.label} ({SIMULATED})"


def _cells(row: Row) -> list[str]:
    latency = row.latency
    return [
        _count(row.params),
        _count(row.nonzero_params),
        _count(row.macs),
        _count(row.effective_macs),
        _count(row.num_bytes),
        "–" if row.compression_ratio is None else f"{row.compression_ratio:.2f}×",
        "–" if latency is None else _latency(latency),
        "–" if latency is None else str(latency.threads),
        row.runtime,
    ]


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f} %"


def _metric(row: Row) -> str:
    """The primary metric with its interval, if it has one."""
    if row.unit == "number":
        return "–" if row.primary is None else f"{row.primary:.5g}"
    if row.interval is None:
        return _percent(row.primary)
    return f"{_percent(row.primary)} [{100 * row.interval.low:.2f}–{100 * row.interval.high:.2f}]"


def _p(row: Row) -> str:
    return "–" if row.paired is None else f"{row.paired.p_value:.3f}"


def _change(row: Row) -> str:
    if row.metric_change is None:
        return "–"
    return f"{row.metric_change:+.3g}" if row.unit == "number" else f"{100 * row.metric_change:+.2f}"


def _said(row: Row) -> str:
    """What a change means."""
    better = "" if row.higher_is_better else ", less is better"
    return f"change in points{better}" if row.unit == "share" else f"change as it is{better}"


def _latency(latency: Latency) -> str:
    middle, low, high = (1e3 * s for s in (latency.median_s, latency.p25_s, latency.p75_s))
    digits = 3 if middle < 10 else 1
    return f"{middle:.{digits}f} [{low:.{digits}f}–{high:.{digits}f}]"
