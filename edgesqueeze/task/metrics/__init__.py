"""What a task measures, and how two answers to one input are compared. Importing it needs no torch."""

from edgesqueeze.task.metrics.base import (
    Measure,
    Metric,
    Parts,
    Scores,
    Unit,
    Weights,
    compacted,
    measure_of,
    score_all,
)
from edgesqueeze.task.metrics.classification import top1_accuracy
from edgesqueeze.task.metrics.of_kind import metrics_of

__all__ = [
    "Measure",
    "Metric",
    "Parts",
    "Scores",
    "Unit",
    "Weights",
    "compacted",
    "measure_of",
    "metrics_of",
    "score_all",
    "top1_accuracy",
]
