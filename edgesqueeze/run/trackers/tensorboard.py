"""TensorBoard's event files."""

from pathlib import Path
from typing import TYPE_CHECKING

from edgesqueeze.errors import RecipeError
from edgesqueeze.run.report import Report
from edgesqueeze.run.trackers.tracker import epoch_figures, file_figures
from edgesqueeze.task.training import Epoch
from edgesqueeze.text.printable import printable_lines

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def check_tensorboard() -> None:
    """Refuse before training what could not be written then.

    Raises:
        RecipeError: TensorBoard is not installed.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401 (an extra)
    except ImportError as error:
        raise RecipeError(
            "--tensorboard needs a package that is not installed: pip install 'edgesqueeze[tensorboard]'"
        ) from error


class TensorBoard:
    """Curves of every stage that trains, figures of every file, and the table as text."""

    def __init__(self, writer: "SummaryWriter") -> None:
        self._writer = writer

    @classmethod
    def writing_to(cls, directory: Path) -> "TensorBoard":
        """With a new event file in a directory.

        Raises:
            RecipeError: TensorBoard is not installed.
        """
        check_tensorboard()
        from torch.utils.tensorboard import SummaryWriter

        return cls(SummaryWriter(str(directory)))

    def epoch(self, stage: str, epoch: Epoch) -> None:
        """Write it, so that it can be looked at."""
        for name, value in epoch_figures(stage, epoch):
            self._writer.add_scalar(name, value, epoch.number)
        self._writer.flush()

    def report(self, report: Report) -> None:
        """Write the figures and the table."""
        for name, value in file_figures(report):
            self._writer.add_scalar(name, value, 0)
        self._writer.add_text("table", printable_lines(report.table("github")), 0)
        self._writer.flush()

    def end(self, *, well: bool) -> None:  # noqa: ARG002 (event files do not say)
        """Close the file."""
        self._writer.close()
