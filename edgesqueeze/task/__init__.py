"""A task: the model, its data, its loss and its metrics.

What users import is here. It is loaded when it is first used: a recipe can be read without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgesqueeze.data.splits import ArraySplit, DatasetSplit, Split
    from edgesqueeze.normalization import Normalization
    from edgesqueeze.task.loading import load_task
    from edgesqueeze.task.metrics import Measure, Metric, metrics_of, top1_accuracy
    from edgesqueeze.task.task import Task

__all__ = [
    "ArraySplit",
    "DatasetSplit",
    "Measure",
    "Metric",
    "Normalization",
    "Split",
    "Task",
    "load_task",
    "metrics_of",
    "top1_accuracy",
]

_HOME = {
    "ArraySplit": "data.splits",
    "DatasetSplit": "data.splits",
    "Measure": "task.metrics",
    "Metric": "task.metrics",
    "Normalization": "normalization",
    "Split": "data.splits",
    "Task": "task.task",
    "load_task": "task.loading",
    "metrics_of": "task.metrics",
    "top1_accuracy": "task.metrics",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"edgesqueeze.{_HOME[name]}"), name)
