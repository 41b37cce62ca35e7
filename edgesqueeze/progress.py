"""What long work tells whoever is watching.

The library never prints; the command line passes a painter in.
"""

from typing import Protocol


class Progress(Protocol):
    """Receives the course of a run."""

    def begin(self, label: str, epochs: int, steps: int) -> None:
        """A stage starts that will train for ``epochs`` of ``steps`` batches each."""

    def step(self, loss: float) -> None:
        """One batch is done."""

    def epoch(self, number: int, loss: float, metric: float) -> None:
        """One epoch is done: its mean training loss and the primary metric on the test split."""

    def end(self) -> None:
        """The stage is over."""

    def message(self, text: str) -> None:
        """One line worth showing."""


class SilentProgress:
    """Shows nothing."""

    def begin(self, label: str, epochs: int, steps: int) -> None:
        """Show nothing."""

    def step(self, loss: float) -> None:
        """Show nothing."""

    def epoch(self, number: int, loss: float, metric: float) -> None:
        """Show nothing."""

    def end(self) -> None:
        """Show nothing."""

    def message(self, text: str) -> None:
        """Show nothing."""
