"""How a run looks while it lasts: bars on a terminal, one line per epoch anywhere else."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from edgesqueeze.progress import Course
from edgesqueeze.progress import Progress as ProgressProtocol
from edgesqueeze.text.printable import printable_lines


@contextmanager
def painter() -> Iterator[ProgressProtocol]:
    """A progress painter that suits standard error."""
    if not sys.stderr.isatty():
        yield LinePainter()
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[facts]}", markup=False),
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
        self._course, self._epoch, self._metric = Course("", 0, 0), 0, ""

    def begin(self, course: Course) -> None:
        """Start a bar, where an earlier process has left it."""
        self._course, self._epoch, self._metric, self._task = course, course.trained, "", None
        if course.epochs:
            total, done = course.epochs * course.steps, course.trained * course.steps + course.begun
            self._task = self._bars.add_task(course.label, total=total, completed=done, facts="")

    def step(self, loss: float) -> None:
        """Move the bar."""
        if self._task is not None:
            facts = f"epoch {self._epoch + 1}/{self._course.epochs} loss {loss:.4f}{self._metric}"
            self._bars.update(self._task, advance=1, facts=facts)

    def epoch(self, number: int, loss: float, metric: float | None) -> None:
        """Remember the metric for the coming steps."""
        epochs = self._course.epochs
        self._epoch = min(number, epochs - 1)
        self._metric = f" {self._course.said(metric)}".rstrip()
        if self._task is not None:
            self._bars.update(self._task, facts=f"epoch {number}/{epochs} loss {loss:.4f}{self._metric}")

    def end(self) -> None:
        """Leave the finished bar where it is."""

    def message(self, text: str) -> None:
        """A line above the bars."""
        self._bars.console.print(printable_lines(text), highlight=False, markup=False)


class LinePainter:
    """One line per epoch on standard error."""

    def __init__(self) -> None:
        self._course, self._start = Course("", 0, 0), 0.0

    def begin(self, course: Course) -> None:
        """Remember what runs, and say so if it goes on."""
        self._course, self._start = course, monotonic()
        where = f"epoch {course.trained}/{course.epochs}"
        if course.begun:
            where = f"batch {course.begun}/{course.steps} of epoch {course.trained + 1}/{course.epochs}"
        if course.trained or course.begun:
            self.message(f"{course.label}: goes on behind {where}")

    def step(self, loss: float) -> None:
        """Say nothing for a single batch."""

    def epoch(self, number: int, loss: float, metric: float | None) -> None:
        """Print the line."""
        course, spent = self._course, monotonic() - self._start
        left = spent / (number - course.trained) * (course.epochs - number)
        facts = [f"loss {loss:.4f}", course.said(metric), f"left {left:.0f} s"]
        self.message(f"{course.label}: epoch {number}/{course.epochs} {' '.join(filter(None, facts))}")

    def end(self) -> None:
        """Say nothing."""

    def message(self, text: str) -> None:
        """Print a line at once."""
        sys.stderr.write(f"{printable_lines(text)}\n")
        sys.stderr.flush()
