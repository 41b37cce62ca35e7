"""From the places that are asked for to one tracker, which tells them all."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgesqueeze.run.recipe import Recipe
from edgesqueeze.run.report import Report
from edgesqueeze.run.trackers.mlflow_run import MLflowRun, check_mlflow
from edgesqueeze.run.trackers.tensorboard import TensorBoard, check_tensorboard
from edgesqueeze.run.trackers.tracker import Tracker
from edgesqueeze.task.training import Epoch


@dataclass(frozen=True)
class TrackerPlaces:
    """Where a run is told of: a directory for TensorBoard's event files, a tracking URI of MLflow."""

    tensorboard: Path | None = None
    mlflow: str | None = None


def check_trackers(places: TrackerPlaces) -> None:
    """Refuse before there is a run what could not be told then.

    Raises:
        RecipeError: a package is not installed.
    """
    if places.tensorboard is not None:
        check_tensorboard()
    if places.mlflow is not None:
        check_mlflow()


@contextmanager
def open_trackers(places: TrackerPlaces, recipe: Recipe) -> Iterator[Tracker | None]:
    """One tracker that tells all places; None without any. Where the block ends by an error, they hear of it.

    Raises:
        RecipeError: a package is not installed, or nothing can be stored there.
    """
    opened: list[TensorBoard | MLflowRun] = []
    if places.mlflow is not None:
        opened.append(MLflowRun(places.mlflow, recipe))
    if places.tensorboard is not None:
        opened.append(TensorBoard.writing_to(places.tensorboard))
    well = False
    try:
        yield _All(opened) if opened else None
        well = True
    finally:
        for tracker in reversed(opened):
            tracker.end(well=well)


@dataclass(frozen=True)
class _All:
    """Several trackers as one."""

    trackers: Sequence[Tracker]

    def epoch(self, stage: str, epoch: Epoch) -> None:
        """Tell each."""
        for tracker in self.trackers:
            tracker.epoch(stage, epoch)

    def report(self, report: Report) -> None:
        """Tell each."""
        for tracker in self.trackers:
            tracker.report(report)
