"""A task: the model, its data, its loss and its metrics.

What users import is here. It is loaded when it is first used: a recipe can be read without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgesqueeze.task.task import ArraySplit, DatasetSplit, Metric, Split, Task, load_task, top1_accuracy

__all__ = ["ArraySplit", "DatasetSplit", "Metric", "Split", "Task", "load_task", "top1_accuracy"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("edgesqueeze.task.task"), name)
