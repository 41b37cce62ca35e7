"""A task: the model, its data, its loss and its metrics. What users import is here."""

from edgesqueeze.task.task import ArraySplit, DatasetSplit, Metric, Split, Task, load_task, top1_accuracy

__all__ = ["ArraySplit", "DatasetSplit", "Metric", "Split", "Task", "load_task", "top1_accuracy"]
