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
            for name in ("loss", "metric", "learning_rate"):
                writer.add_scalar(f"{stage}/{name}", getattr(epoch, name), epoch.number)
            writer.flush()

        yield tell
