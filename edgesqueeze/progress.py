"""What long work tells whoever is watching.

The library never prints; the command line passes a painter in.
"""

from dataclasses import dataclass
from typing import Protocol

from edgesqueeze.text.digits import significant


@dataclass(frozen=True)
class Course:
    """A training that begins: ``epochs`` of ``steps`` batches each."""

    label: str
    epochs: int
    steps: int
    trained: int = 0
    """Epochs that an earlier process has done; the next one is ``trained + 1``."""
    begun: int = 0
    """Batches of the next epoch that it has done."""
    metric: str = "metric"
    """What the number behind each epoch is called, where there is one."""
    percent: bool = True
    """Whether that number is a share."""

    def said(self, metric: float | None) -> str:
        """The metric of an epoch in words, none of them without a metric."""
        if metric is None:
            return ""
        text = f"{100 * metric:.2f} %" if self.percent else significant(metric, 5)
        return f"{self.metric} {text}"


class Progress(Protocol):
    """Receives the course of a run."""

    def begin(self, course: Course) -> None:
        """A stage starts to train, or goes on."""

    def step(self, loss: float) -> None:
        """One batch is done."""

    def epoch(self, number: int, loss: float, metric: float | None) -> None:
        """One epoch is done: its mean training loss, and the primary metric of a validation split."""

    def end(self) -> None:
        """The stage is over."""

    def message(self, text: str) -> None:
        """One line worth showing."""


class SilentProgress:
    """Shows nothing."""

    def begin(self, course: Course) -> None:
        """Show nothing."""

    def step(self, loss: float) -> None:
        """Show nothing."""

    def epoch(self, number: int, loss: float, metric: float | None) -> None:
        """Show nothing."""

    def end(self) -> None:
        """Show nothing."""

    def message(self, text: str) -> None:
        """Show nothing."""
