"""One line of a run's table as pure data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from edgesqueeze.measure.runtimes.latency import Latency
from edgesqueeze.numerics.bootstrap import BootstrapInterval, BootstrapTest
from edgesqueeze.numerics.proportions import Interval, PairedTest
from edgesqueeze.task.metrics import Metric, Unit, measure_of


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
    """95 % interval of the primary metric: Wilson's if it is the share of test images that are right, the
    bootstrap's if it is another that can be resampled."""
    unit: Unit = "share"
    """How the primary metric is written."""
    higher_is_better: bool = True
    paired: PairedTest | BootstrapTest | None = None
    """Test against the baseline on the same images; None where there is no interval."""
    details: dict[str, Any] = field(default_factory=dict)
    """What is no single number, as plain JSON values: metrics per class, the confusion matrix."""

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
            "interval": None if interval is None else _interval_from_json(interval),
            "paired": None if paired is None else _test_from_json(paired),
            "notes": tuple(data.get("notes", ())),
        }
    )


def _interval_from_json(data: dict[str, Any]) -> Interval:
    return BootstrapInterval(**data) if "resamples" in data else Interval(**data)


def _test_from_json(data: dict[str, Any]) -> PairedTest | BootstrapTest:
    return BootstrapTest(**data) if "resamples" in data else PairedTest(**data)


@dataclass(frozen=True)
class MeasureFacts:
    """How a metric is written, and which direction is the good one."""

    unit: Unit
    higher_is_better: bool


def facts_of(metrics: Mapping[str, Metric]) -> dict[str, MeasureFacts]:
    """What a report keeps of metrics."""
    measures = {name: measure_of(metric) for name, metric in metrics.items()}
    return {name: MeasureFacts(measure.unit, measure.higher_is_better) for name, measure in measures.items()}
