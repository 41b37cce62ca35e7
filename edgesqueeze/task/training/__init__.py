"""The one training loop with its settings, and evaluation in torch.

Every stage that trains uses it: masks and codebooks live in the model, so the loop knows of neither.
"""

from edgesqueeze.task.training.evaluation import answers, call, evaluate
from edgesqueeze.task.training.fit import fit
from edgesqueeze.task.training.history import Epoch
from edgesqueeze.task.training.losses import training_loss
from edgesqueeze.task.training.own_part import BeforeStep, Loss, OwnPart
from edgesqueeze.task.training.place import DeviceName, Place, Precision, open_place
from edgesqueeze.task.training.session import SAVE_MINUTES, Keeper, Session
from edgesqueeze.task.training.settings import TrainingSettings, check_training
from edgesqueeze.task.training.state_file import TrainingStateFile
from edgesqueeze.task.training.worse import left_worse

__all__ = [
    "SAVE_MINUTES",
    "BeforeStep",
    "DeviceName",
    "Epoch",
    "Keeper",
    "Loss",
    "OwnPart",
    "Place",
    "Precision",
    "Session",
    "TrainingSettings",
    "TrainingStateFile",
    "answers",
    "call",
    "check_training",
    "evaluate",
    "fit",
    "left_worse",
    "open_place",
    "training_loss",
]
