"""Checkpoints as people have them: a file's weights into a model, all of them or none, and what was taken."""

from edgesqueeze.task.checkpoint.choice import Choice
from edgesqueeze.task.checkpoint.loading import load_checkpoint
from edgesqueeze.task.checkpoint.taken import Taken

__all__ = ["Choice", "Taken", "load_checkpoint"]
