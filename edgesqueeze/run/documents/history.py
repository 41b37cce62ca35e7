"""The epochs of a run as data: JSON, and a table that spreadsheets read."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgesqueeze.errors import OutputError
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import Epoch


@dataclass(frozen=True)
class History:
    """The epochs of one stage, or of several one behind the other.

    ``metric`` is the name of the primary metric, ``split`` what it was computed over: ``validation``, or None
    where the task has no such split and epochs no metric. With every epoch stands the folder of its stage.
    """

    metric: str
    split: str | None
    epochs: tuple[tuple[str, Epoch], ...]

    @classmethod
    def of(cls, task: Task, stage: str, epochs: Sequence[Epoch]) -> "History":
        """What a stage's training of a task has told."""
        split = None if task.validation is None else "validation"
        return cls(task.primary_metric, split, tuple((stage, epoch) for epoch in epochs))

    def followed_by(self, other: "History") -> "History":
        """Both, one behind the other."""
        return History(self.metric, self.split, (*self.epochs, *other.epochs))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        rows = [{"stage": stage, **asdict(epoch)} for stage, epoch in self.epochs]
        return {"metric": self.metric, "split": self.split, "epochs": rows}

    @classmethod
    def from_json(cls, data: Any) -> "History":
        """The inverse of :meth:`to_json`.

        Raises:
            OutputError: the data is no history.
        """
        try:
            rows = [dict(row) for row in data["epochs"]]
            epochs = tuple((str(row.pop("stage")), Epoch(**row)) for row in rows)
            return cls(data["metric"], data["split"], epochs)
        except (KeyError, TypeError, ValueError) as error:
            raise OutputError(f"history.json is not a history of this version: {error}") from error

    def to_csv(self) -> str:
        """One line per epoch below a line of names; the metric, if any, is named with its split."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        metric = [] if self.split is None else [f"{self.split}_{self.metric}"]
        writer.writerow(["stage", "epoch", "loss", *metric, "learning_rate"])
        for stage, epoch in self.epochs:
            value = [] if self.split is None else [epoch.metric]
            writer.writerow([stage, epoch.number, epoch.loss, *value, epoch.learning_rate])
        return text.getvalue()
