"""How a run looks while it lasts: bars on a terminal, one line per epoch anywhere else."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from edgesqueeze.progress import Progress as ProgressProtocol


@contextmanager
def painter() -> Iterator[ProgressProtocol]:
    """A progress painter that suits standard error."""
    if not sys.stderr.isatty():
        yield LinePainter()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[facts]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield BarPainter(bars)


class BarPainter:
    """A bar for each stage that trains: epoch, loss, metric, time spent and time left."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task: TaskID | None = None
        self._label = ""
        self._epochs, self._epoch = 0, 0
        self._metric = ""

    def begin(self, label: str, epochs: int, steps: int) -> None:
        """Start a bar."""
        self._label, self._epochs, self._epoch, self._metric = label, epochs, 0, ""
        self._task = self._bars.add_task(label, total=epochs * steps, facts="") if epochs else None

    def step(self, loss: float) -> None:
        """Move the bar."""
        if self._task is not None:
            facts = f"epoch {self._epoch + 1}/{self._epochs} loss {loss:.4f}{self._metric}"
            self._bars.update(self._task, advance=1, facts=facts)

    def epoch(self, number: int, loss: float, metric: float) -> None:
        """Remember the metric for the coming steps."""
        self._epoch = min(number, self._epochs - 1)
        self._metric = f" metric {100 * metric:.2f} %"
        if self._task is not None:
            self._bars.update(
                self._task, facts=f"epoch {number}/{self._epochs} loss {loss:.4f}{self._metric}"
            )

    def end(self) -> None:
        """Leave the finished bar where it is."""

    def message(self, text: str) -> None:
        """A line above the bars."""
        self._bars.console.print(text, highlight=False)


class LinePainter:
    """One line per epoch on standard error."""

    def __init__(self) -> None:
        self._label, self._epochs, self._start = "", 0, 0.0

    def begin(self, label: str, epochs: int, steps: int) -> None:  # noqa: ARG002 (part of the protocol)
        """Remember what runs."""
        self._label, self._epochs, self._start = label, epochs, monotonic()

    def step(self, loss: float) -> None:
        """Say nothing for a single batch."""

    def epoch(self, number: int, loss: float, metric: float) -> None:
        """Print the line."""
        spent = monotonic() - self._start
        left = spent / number * (self._epochs - number)
        facts = f"loss {loss:.4f} metric {100 * metric:.2f} % left {left:.0f} s"
        self.message(f"{self._label}: epoch {number}/{self._epochs} {facts}")

    def end(self) -> None:
        """Say nothing."""

    def message(self, text: str) -> None:
        """Print a line at once."""
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
