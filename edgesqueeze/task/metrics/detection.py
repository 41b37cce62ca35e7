"""Metrics of boxes: mean average precision as COCO and as PASCAL VOC count it, and that of every class."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import TaskError
from edgesqueeze.task.metrics.base import Measure, Parts, Scores, Weights, member
from edgesqueeze.task.metrics.classification import rounded
from edgesqueeze.task.metrics.matching import (
    IOU_THRESHOLDS,
    MOST_DETECTIONS,
    RECALLS,
    average_precision,
    matched,
)
from edgesqueeze.trees import Tree

MAP, MAP_50 = "mAP@[.5:.95]", "mAP@.5"


class Found(NamedTuple):
    """The detections of one image: boxes [K, 4] as x1, y1, x2, y2, scores [K] and labels [K]."""

    boxes: NDArray[Any]
    scores: NDArray[Any]
    labels: NDArray[Any]


class Decoding(Protocol):
    """What makes boxes of a detector's raw outputs."""

    @property
    def max_detections(self) -> int:
        """How many there are in an image at most."""
        ...

    def decode(self, outputs: Any) -> Sequence[Any]:
        """The detections of every image, [N], from {"boxes": [N, A, 4], "scores": [N, A, C]}."""
        ...


def detection_metrics(num_classes: int, decode: Decoding | None) -> Mapping[str, Measure]:
    """The mean over ten thresholds of overlap, and at one half.

    Args:
        num_classes: labels run from 0.
        decode: makes detections of raw outputs; None if the outputs are lists of detections.
    """
    together = BoxScores(num_classes, decode)
    compact = None if decode is None else partial(padded, decode)
    return {
        MAP: member(together, MAP, average_precision, compact=compact),
        MAP_50: member(together, MAP_50, _at_one_half, compact=compact),
    }


def padded(decode: Decoding, outputs: Tree) -> dict[str, NDArray[Any]]:
    """Detections of raw outputs as arrays: "boxes" [N, K, 4], "scores" and "labels" [N, K], -1 for none."""
    found = decode.decode(outputs)
    shape = (len(found), decode.max_detections)
    boxes, scores = np.zeros((*shape, 4), np.float32), np.zeros(shape, np.float32)
    labels = np.full(shape, -1, np.int64)
    for i, one in enumerate(found):
        rows = slice(len(one.labels))
        boxes[i, rows], scores[i, rows], labels[i, rows] = one.boxes, one.scores, one.labels
    return {"boxes": boxes, "scores": scores, "labels": labels}


@dataclass(frozen=True)
class BoxScores:
    """Every metric of boxes in one pass: decoded once, evaluated once by torchmetrics with pycocotools.

    Thresholds of overlap and of recall are those of COCO's evaluator, to the last bit. Classes without a
    box that counts are left out of the means.
    """

    num_classes: int
    decode: Decoding | None = None

    def __call__(self, outputs: Tree, targets: Mapping[str, NDArray[Any]]) -> Scores:
        """Detections against boxes.

        Args:
            outputs: raw outputs for ``decode``, what :func:`padded` makes of them, or a list of detections,
                one entry per image.
            targets: "boxes" float32 [N, M, 4], "labels" [N, M] with -1 for padding, "crowd" bool [N, M].

        Raises:
            TaskError: a part is missing, the numbers of images differ, a label is no class, or no box counts.
        """
        found = self._detections(outputs)
        boxes, labels, crowd = _targets(targets, len(found), self.num_classes)
        values, per_class = _by_torchmetrics(found, boxes, labels, crowd)
        there = np.isin(np.arange(self.num_classes), labels[(labels >= 0) & ~crowd])
        details = {}
        for name, ap in per_class.items():
            wanted = np.full(self.num_classes, -1.0)
            wanted[list(ap)] = list(ap.values())
            details[name] = rounded(wanted, there)
        return Scores(values, {"per_class": details}, lambda: matched(found, boxes, labels, crowd))

    def _detections(self, outputs: Tree) -> Sequence[Any]:
        if isinstance(outputs, list):
            return outputs
        if isinstance(outputs, Mapping) and "labels" in outputs:
            rows = zip(*(outputs[name] for name in Found._fields), strict=True)
            return [Found(*(part[row[2] >= 0] for part in row)) for row in rows]
        if self.decode is None:
            raise TaskError(
                f"mAP needs a list of detections or a way to decode them, found {type(outputs).__name__}"
            )
        return self.decode.decode(outputs)


def _targets(
    targets: Mapping[str, NDArray[Any]], count: int, num_classes: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    missing = [name for name in ("boxes", "labels", "crowd") if name not in targets]
    if missing:
        raise TaskError(f"mAP needs targets with boxes, labels and crowd; {', '.join(missing)} not found")
    boxes, labels, crowd = (np.asarray(targets[name]) for name in ("boxes", "labels", "crowd"))
    if labels.shape != crowd.shape or boxes.shape != (*labels.shape, 4) or len(labels) != count or count == 0:
        shapes = ", ".join(str(list(part.shape)) for part in (boxes, labels, crowd))
        raise TaskError(f"mAP of {count} images needs targets [N, M, 4], [N, M] and [N, M], found {shapes}")
    if not ((labels >= 0) & ~crowd).any():
        raise TaskError("the targets have no box that counts; mAP needs at least one")
    if labels.min() < -1 or labels.max() >= num_classes:
        raise TaskError(
            f"labels run from {labels.min()} to {labels.max()}; allowed are the {num_classes} classes 0 to "
            f"{num_classes - 1}, and -1 for padding"
        )
    return boxes, labels, crowd


def _by_torchmetrics(
    found: Sequence[Any], boxes: NDArray[Any], labels: NDArray[Any], crowd: NDArray[Any]
) -> tuple[dict[str, float], dict[str, dict[int, float]]]:
    """Both means, and for each the average precision by class."""
    from torchmetrics.detection import MeanAveragePrecision

    metric = MeanAveragePrecision(
        iou_thresholds=IOU_THRESHOLDS.tolist(),
        rec_thresholds=RECALLS.tolist(),
        max_detection_thresholds=[1, 10, MOST_DETECTIONS],
        extended_summary=True,
        sync_on_compute=False,
    )
    metric.warn_on_many_detections = False  # the best are taken, as is said above
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        metric.update([_found(one) for one in found], list(map(_wanted, boxes, labels, crowd)))
        result: dict[str, Any] = metric.compute()
    # [thresholds, recalls, classes, areas, limits]: all areas, the last limit
    precision = result["precision"][:, :, :, 0, -1].double()
    classes = result["classes"].reshape(-1).tolist()
    per_class = {
        MAP: dict(zip(classes, precision.mean(dim=(0, 1)).tolist(), strict=True)),
        MAP_50: dict(zip(classes, precision[0].mean(dim=0).tolist(), strict=True)),
    }
    return {MAP: float(result["map"]), MAP_50: float(result["map_50"])}, per_class


def _found(one: Any) -> dict[str, Any]:
    import torch

    return {
        "boxes": torch.from_numpy(np.asarray(one.boxes, np.float32).reshape(-1, 4)),
        "scores": torch.from_numpy(np.asarray(one.scores, np.float32)),
        "labels": torch.from_numpy(np.asarray(one.labels, np.int64)),
    }


def _wanted(boxes: NDArray[Any], labels: NDArray[Any], crowd: NDArray[Any]) -> dict[str, Any]:
    import torch

    real = labels >= 0
    return {
        "boxes": torch.from_numpy(np.asarray(boxes[real], np.float32)),
        "labels": torch.from_numpy(np.asarray(labels[real], np.int64)),
        "iscrowd": torch.from_numpy(np.asarray(crowd[real], np.int64)),
    }


def _at_one_half(parts: Parts, weights: Weights) -> float:
    return average_precision(parts, weights, 1)
