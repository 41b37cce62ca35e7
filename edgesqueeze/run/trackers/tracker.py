"""What a tracker is told: every epoch of a stage that trains, and the finished table."""

from collections.abc import Iterator
from typing import Protocol

from edgesqueeze.run.report import Report
from edgesqueeze.task.training import Epoch


class Tracker(Protocol):
    """Receives what a run finds out."""

    def epoch(self, stage: str, epoch: Epoch) -> None:
        """An epoch of a stage, by the name of its folder, is done."""

    def report(self, report: Report) -> None:
        """The run is complete."""


def epoch_figures(stage: str, epoch: Epoch) -> Iterator[tuple[str, float]]:
    """Names and values of an epoch; none of a metric that it does not have."""
    values = {"loss": epoch.loss, "metric": epoch.metric, "learning_rate": epoch.learning_rate}
    for name, value in values.items():
        if value is not None:
            yield f"{stage}/{name}", value


def file_figures(report: Report) -> Iterator[tuple[str, float]]:
    """Names and values of every file to deploy: its bytes, its metrics, and its median time in seconds."""
    for row in report.files:
        if row.num_bytes is not None:
            yield f"{row.label}/bytes", float(row.num_bytes)
        for metric, value in row.metrics.items():
            yield f"{row.label}/{metric}", value
        if row.latency is not None:
            yield f"{row.label}/latency_s", row.latency.median_s
