"""The loss that a stage trains by."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from edgesqueeze.task.task import Task
from edgesqueeze.task.training.settings import TrainingSettings


def training_loss(settings: TrainingSettings, task: Task) -> Callable[[Any, Any], Tensor]:
    """The task's loss of (outputs, targets), with smoothed labels where the settings ask for them.

    That the loss is cross entropy then is what
    :func:`~edgesqueeze.task.training.settings.check_training` sees to.
    """
    if not settings.label_smoothing:
        return task.loss
    return partial(F.cross_entropy, label_smoothing=settings.label_smoothing)
