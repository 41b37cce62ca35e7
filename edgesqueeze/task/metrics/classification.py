"""Metrics of class scores: accuracy, top-5, precision, recall, F1 and the confusion matrix."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import TaskError
from edgesqueeze.task.metrics.base import Measure, Parts, Scores, Weights, mean_over, member, weighted_mean

MOST_IN_CONFUSION = 100
"""Of more classes the confusion matrix is not kept: it would be most of a report."""
_TOP = 5


def top1_accuracy(outputs: NDArray[Any], targets: NDArray[Any]) -> float:
    """The fraction of rows whose largest output is at the target's index.

    Of equal outputs the first counts; a row with NaN in it is wrong.

    Args:
        outputs: scores, [N, classes].
        targets: class indices, [N].

    Raises:
        TaskError: there are no rows, or the shapes do not fit.
    """
    if outputs.ndim != 2 or targets.shape != outputs.shape[:1] or len(outputs) == 0:
        raise TaskError(
            f"accuracy needs outputs [N, classes] and targets [N] with N at least 1, "
            f"found {list(outputs.shape)} and {list(targets.shape)}"
        )
    right = (outputs.argmax(axis=1) == targets) & ~np.isnan(outputs).any(axis=1)
    return float(right.mean())


def classification_metrics(num_classes: int) -> Mapping[str, Measure]:
    """accuracy, top-5 (of more than five classes), and precision, recall and F1 as means over the classes."""
    together = ClassScores(num_classes)
    found = {"accuracy": Measure(top1_accuracy)}
    if num_classes > _TOP:
        found["top-5"] = member(
            together, "top-5", lambda parts, weights: weighted_mean(parts["top-5"], weights)
        )
    for name in ("precision", "recall", "F1"):
        found[name] = member(together, name, _macro(name))
    return found


@dataclass(frozen=True)
class ClassScores:
    """Every metric of class scores in one pass, by torchmetrics.

    Means over classes leave out those that are neither a target nor an answer, as torchmetrics and
    scikit-learn do. A row with NaN in it names no class.
    """

    num_classes: int

    def __call__(self, outputs: NDArray[Any], targets: NDArray[Any]) -> Scores:
        """Class scores [N, classes] against class indices [N].

        Raises:
            TaskError: there are no rows, the shapes do not fit, or a target is no class.
        """
        _check(outputs, targets, self.num_classes)
        predicted = named_classes(outputs)
        per_class, confusion = _by_torchmetrics(predicted, targets, self.num_classes)
        present = confusion.sum(axis=0)[:-1] + confusion.sum(axis=1)[:-1] > 0
        values = {name: mean_over(found, present) for name, found in per_class.items()}
        parts: dict[str, NDArray[Any]] = {"predicted": predicted, "target": targets}
        if self.num_classes > _TOP:
            parts["top-5"] = _among_the_first(outputs, targets)
            values["top-5"] = float(parts["top-5"].mean())
        details: dict[str, Any] = {"per_class": {name: rounded(v, present) for name, v in per_class.items()}}
        if self.num_classes <= MOST_IN_CONFUSION:
            # The last column, of rows that name no class, is there only if there are any.
            last = self.num_classes + int(confusion[:, -1].any())
            details["confusion"] = confusion[:-1, :last].tolist()
        counts = parts | {"classes": np.array(self.num_classes)}
        return Scores(values, details, lambda: counts)


def named_classes(outputs: NDArray[Any]) -> NDArray[np.int64]:
    """The class that each row of scores [N, classes] names, the first of the largest; else ``classes``."""
    return np.asarray(np.where(np.isnan(outputs).any(axis=1), outputs.shape[1], outputs.argmax(axis=1)))


def rounded(values: NDArray[Any], present: NDArray[np.bool_]) -> list[float | None]:
    """A value per class for a report: six digits, None for a class that does not occur."""
    return [round(float(v), 6) if there else None for v, there in zip(values, present, strict=True)]


def _check(outputs: NDArray[Any], targets: NDArray[Any], num_classes: int) -> None:
    top1_accuracy(outputs, targets)  # the same refusals
    if outputs.shape[1] != num_classes:
        raise TaskError(f"there are {num_classes} classes but the outputs are {list(outputs.shape)}")
    if targets.min() < 0 or targets.max() >= num_classes:
        raise TaskError(
            f"targets run from {targets.min()} to {targets.max()}; "
            f"allowed are the {num_classes} classes 0 to {num_classes - 1}"
        )


def _by_torchmetrics(
    predicted: NDArray[Any], targets: NDArray[Any], num_classes: int
) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
    """Precision, recall and F1 per class, and the confusion matrix, whose last class is that of no answer."""
    import torch
    from torchmetrics import MetricCollection
    from torchmetrics.classification import (
        MulticlassConfusionMatrix,
        MulticlassF1Score,
        MulticlassPrecision,
        MulticlassRecall,
    )

    count = num_classes + 1
    # Here and in the other metrics: one process of several evaluates, and must not wait for the others.
    metrics = MetricCollection(
        {
            "precision": MulticlassPrecision(count, average="none", sync_on_compute=False),
            "recall": MulticlassRecall(count, average="none", sync_on_compute=False),
            "F1": MulticlassF1Score(count, average="none", sync_on_compute=False),
            "confusion": MulticlassConfusionMatrix(count, sync_on_compute=False),
        }
    )
    metrics.update(torch.from_numpy(predicted), torch.from_numpy(targets.astype(np.int64)))
    found = {name: value.double().numpy() for name, value in metrics.compute().items()}
    confusion = found.pop("confusion").astype(np.int64)
    return {name: value[:num_classes] for name, value in found.items()}, confusion


def _among_the_first(outputs: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether the target is among the five largest outputs, row by row."""
    import torch
    from torchmetrics.functional.classification import multiclass_stat_scores

    right = np.zeros(len(outputs), np.bool_)
    known = ~np.isnan(outputs).any(axis=1)
    if known.any():
        scores = torch.from_numpy(outputs[known].astype(np.float32)).unsqueeze(-1)
        found = multiclass_stat_scores(
            scores,
            torch.from_numpy(targets[known].astype(np.int64)).unsqueeze(-1),
            outputs.shape[1],
            average="micro",
            top_k=_TOP,
            multidim_average="samplewise",
        )
        right[known] = found[:, 0].numpy() > 0
    return right


def _macro(name: str) -> Callable[[Parts, Weights], float]:
    """One of the means over classes when images are drawn so often."""

    def value(parts: Parts, weights: Weights) -> float:
        target, predicted, count = parts["target"], parts["predicted"], int(parts["classes"])
        hits = np.bincount(target, weights * (target == predicted), minlength=count)
        wanted = np.bincount(target, weights, minlength=count)
        named = np.bincount(predicted, weights, minlength=count + 1)[:count]
        below = {"precision": named, "recall": wanted, "F1": (named + wanted) / 2}[name]
        shares = np.divide(hits, below, out=np.zeros(count), where=below > 0)
        return mean_over(shares, wanted + named > 0)

    return value
