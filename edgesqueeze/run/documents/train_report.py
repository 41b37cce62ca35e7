"""The result of training a baseline: its checkpoint, measured, and how it came about."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesqueeze.run.documents.confusion import Confusion
from edgesqueeze.run.documents.history import History
from edgesqueeze.run.report import Report, Row
from edgesqueeze.text.columns import wrapped


@dataclass(frozen=True)
class TrainReport:
    """What :func:`edgesqueeze.train` leaves; every number of ``report`` is of the checkpoint's file.

    ``confusion`` is None where the task is no classification.
    """

    checkpoint: Path
    report: Report
    history: History
    confusion: Confusion | None

    @property
    def row(self) -> Row:
        """The checkpoint's row."""
        return self.report.rows[0]

    def to_json(self) -> dict[str, Any]:
        """A report that :func:`~edgesqueeze.run.rundir.read_report` reads, with the epochs."""
        return {**self.report.to_json(), "training": self.history.to_json()}

    def table(self, tablefmt: str) -> str:
        """The checkpoint's row, and how many epochs it took."""
        return f"{self.report.table(tablefmt)}\n\n{self._said()}"

    def brief(self) -> str:
        """The same in lines of at most a hundred columns."""
        return f"{self.report.brief()}\n\n{wrapped(self._said())}"

    def _said(self) -> str:
        history = self.history
        last = history.epochs[-1][1]
        said = f"{len(history.epochs)} epochs, the last with loss {last.loss:.4f}"
        where = "no validation split" if history.split is None else f"{history.split} split"
        return f"Trained for {said} ({where}: history.csv)."
