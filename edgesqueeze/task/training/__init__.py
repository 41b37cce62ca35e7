"""The one training loop with its settings, and evaluation in torch.

Every stage that trains uses it: masks and codebooks live in the model, so the loop knows of neither.
"""

from edgesqueeze.task.training.evaluation import answers, call, evaluate
from edgesqueeze.task.training.fit import BeforeStep, Loss, fit
from edgesqueeze.task.training.history import Epoch
from edgesqueeze.task.training.losses import training_loss
from edgesqueeze.task.training.session import Keeper, Session
from edgesqueeze.task.training.settings import TrainingSettings, check_training
from edgesqueeze.task.training.state_file import TrainingStateFile
from edgesqueeze.task.training.worse import left_worse

__all__ = [
    "BeforeStep",
    "Epoch",
    "Keeper",
    "Loss",
    "Session",
    "TrainingSettings",
    "TrainingStateFile",
    "answers",
    "call",
    "check_training",
    "evaluate",
    "fit",
    "left_worse",
    "training_loss",
]
