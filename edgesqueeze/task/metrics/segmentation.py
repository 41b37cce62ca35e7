"""Metrics of masks: mean and per-class intersection over union, and the share of pixels that are right."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import TaskError
from edgesqueeze.kinds import IGNORED
from edgesqueeze.task.metrics.base import Measure, Parts, Scores, Weights, mean_over, member
from edgesqueeze.task.metrics.classification import rounded

_BATCH = 32


def segmentation_metrics(num_classes: int) -> Mapping[str, Measure]:
    """mIoU, then pixel accuracy."""
    together = MaskScores(num_classes)
    return {
        "mIoU": member(together, "mIoU", _mean_iou, compact=masks_of),
        "pixel accuracy": member(together, "pixel accuracy", _pixel_accuracy, compact=masks_of),
    }


def masks_of(outputs: NDArray[Any]) -> NDArray[np.int16]:
    """The class of every pixel [N, H, W] by scores [N, C, H, W]; C, which is none, where there is NaN."""
    labels: NDArray[np.int16] = outputs.argmax(axis=1).astype(np.int16)
    labels[np.isnan(outputs).any(axis=1)] = outputs.shape[1]
    return labels


@dataclass(frozen=True)
class MaskScores:
    """Both metrics of masks in one pass, by torchmetrics.

    Intersections and unions are summed over all images before they are divided (Everingham et al. 2010,
    International Journal of Computer Vision 88:303-338, as PASCAL VOC does); classes that are neither in a
    target nor in an answer do not count. A pixel with NaN in it has no class.
    """

    num_classes: int

    def __call__(self, outputs: NDArray[Any], targets: NDArray[Any]) -> Scores:
        """Class scores [N, classes, H, W], or their masks, against classes [N, H, W], 255 where none counts.

        Raises:
            TaskError: there are no images, the shapes do not fit, a target is no class, or none counts.
        """
        _check(outputs, targets, self.num_classes)
        predicted = outputs if outputs.ndim == 3 else masks_of(outputs)
        per_class, present, accuracy = self._by_torchmetrics(predicted, targets)
        values = {"mIoU": mean_over(per_class, present), "pixel accuracy": accuracy}
        details = {"per_class": {"IoU": rounded(per_class, present)}}
        return Scores(values, details, lambda: _counts(predicted, targets, self.num_classes))

    def _by_torchmetrics(
        self, predicted: NDArray[Any], targets: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[np.bool_], float]:
        """Intersection over union per class, which classes there are, and the share of right pixels."""
        import torch
        from torchmetrics import MetricCollection
        from torchmetrics.classification import (
            MulticlassAccuracy,
            MulticlassConfusionMatrix,
            MulticlassJaccardIndex,
        )

        count = self.num_classes + 1
        metrics = MetricCollection(
            {
                "iou": MulticlassJaccardIndex(
                    count, average="none", ignore_index=IGNORED, sync_on_compute=False
                ),
                "confusion": MulticlassConfusionMatrix(count, ignore_index=IGNORED, sync_on_compute=False),
                "accuracy": MulticlassAccuracy(
                    count, average="micro", ignore_index=IGNORED, sync_on_compute=False
                ),
            }
        )
        for rows in _batches(len(targets)):
            pair = (torch.from_numpy(part[rows].astype(np.int64)) for part in (predicted, targets))
            metrics.update(*pair)
        found = {name: value.double().numpy() for name, value in metrics.compute().items()}
        confusion = found["confusion"]
        present = (confusion.sum(axis=0) + confusion.sum(axis=1))[: self.num_classes] > 0
        return found["iou"][: self.num_classes], present, float(found["accuracy"])


def _check(outputs: NDArray[Any], targets: NDArray[Any], num_classes: int) -> None:
    wanted = (len(targets), num_classes, *targets.shape[1:])
    is_mask = outputs.shape == targets.shape and np.issubdtype(outputs.dtype, np.integer)
    if targets.ndim != 3 or len(targets) == 0 or not (is_mask or outputs.shape == wanted):
        raise TaskError(
            f"mIoU of {num_classes} classes needs outputs [N, {num_classes}, H, W] and targets [N, H, W] "
            f"with N at least 1, found {list(outputs.shape)} and {list(targets.shape)}"
        )
    counted = targets[targets != IGNORED]
    if counted.size == 0:
        raise TaskError(
            f"every pixel of the targets is {IGNORED}, which is not counted; at least one must count"
        )
    if counted.min() < 0 or counted.max() >= num_classes:
        raise TaskError(
            f"targets run from {counted.min()} to {counted.max()}; allowed are the {num_classes} classes 0 "
            f"to {num_classes - 1}, and {IGNORED} for what is not counted"
        )


def _batches(count: int) -> Iterator[slice]:
    return (slice(start, start + _BATCH) for start in range(0, count, _BATCH))


def _counts(predicted: NDArray[Any], targets: NDArray[Any], num_classes: int) -> Parts:
    """Per image and class the pixels that are right, that are answered and that are wanted, [N, classes].

    They are float64, exact up to 2^53, so that sums over images are products of matrices.
    """
    found = np.zeros((3, len(targets), num_classes))
    for i, (answer, target) in enumerate(zip(predicted, targets, strict=True)):
        counted = target != IGNORED
        answer, target = answer[counted], target[counted].astype(np.int64)
        for row, labels in zip(found, (target[answer == target], answer, target), strict=True):
            row[i] = np.bincount(labels, minlength=num_classes + 1)[:num_classes]
    return {"right": found[0], "answered": found[1], "wanted": found[2]}


def _mean_iou(parts: Parts, weights: Weights) -> float:
    right, answered, wanted = (weights @ parts[name] for name in ("right", "answered", "wanted"))
    union = answered + wanted - right
    present = union > 0
    return mean_over(np.divide(right, union, out=np.zeros_like(right), where=present), present)


def _pixel_accuracy(parts: Parts, weights: Weights) -> float:
    wanted = float((weights @ parts["wanted"]).sum())
    return float((weights @ parts["right"]).sum()) / wanted if wanted else float("nan")
