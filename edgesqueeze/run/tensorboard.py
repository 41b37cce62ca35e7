"""Telling TensorBoard of every epoch, where that is asked for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgesqueeze.errors import RecipeError
from edgesqueeze.task.training import Epoch


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


@contextmanager
def tensorboard_in(directory: Path | None) -> Iterator[Callable[[str, Epoch], None] | None]:
    """What is to be called with every epoch and its stage; None without a directory.

    Raises:
        RecipeError: TensorBoard is not installed.
    """
    if directory is None:
        yield None
        return
    check_tensorboard()
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(directory)) as writer:

        def tell(stage: str, epoch: Epoch) -> None:
            values = {"loss": epoch.loss, "metric": epoch.metric, "learning_rate": epoch.learning_rate}
            for name, value in values.items():
                if value is not None:
                    writer.add_scalar(f"{stage}/{name}", value, epoch.number)
            writer.flush()

        yield tell
