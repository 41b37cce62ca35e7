"""Plain training, for a model that has none yet, or for more of it anywhere in the chain."""

from typing import Literal

from torch import nn

from edgesqueeze.compression.stages.base import Stage
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import Session, TrainingSettings, fit


class Train(TrainingSettings, Stage):
    """Train all weights; masks and codebooks of earlier stages stay as they are."""

    stage: Literal["train"] = "train"
    unless_checkpoint: bool = False
    """Leave the stage out when the task brings a checkpoint."""

    def apply(self, model: nn.Module, task: Task, session: Session) -> nn.Module:
        """Train in place."""
        fit(model, task, self, session)
        return model
