"""Which detections are right, as COCO's evaluator decides it, and average precision on images drawn at will.

The evaluator's rules are those of pycocotools (Lin et al. 2014, arXiv 1405.0312): in every image, the
detections of a class take boxes from the highest score down, each the free one that it overlaps most; one
that finds only a crowd is not counted.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.task.metrics.base import Parts, Weights, mean_over

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MOST_DETECTIONS = 100
"""Of a class in an image, the best so many are looked at."""
Floats = NDArray[np.float64]


def matched(found: Sequence[Any], boxes: NDArray[Any], labels: NDArray[Any], crowd: NDArray[Any]) -> Parts:
    """What average precision has to know of every image.

    Args:
        found: per image boxes [K, 4], scores [K] and labels [K].
        boxes: float32 [N, M, 4], as x1, y1, x2, y2.
        labels: [N, M], -1 for padding.
        crowd: bool [N, M], boxes that are neither wanted nor wrong.

    Returns:
        Detections that match a box at some threshold, by class and from the highest score down: ``image``,
        ``label``, ``true`` and ``ignored`` [10, detections], and ``misses`` before each in that order; the
        others by ``miss_image`` and ``miss_label``; the boxes that count by ``box_image`` and ``box_label``.
    """
    rows = [_match_image(one, boxes[i], labels[i], crowd[i]) for i, one in enumerate(found)]
    images = np.repeat(np.arange(len(rows)), [len(row[0]) for row in rows])
    label, score = (np.concatenate([row[k] for row in rows]) for k in (0, 1))
    true, ignored = (np.concatenate([row[k] for row in rows], axis=1) for k in (2, 3))
    counted = (labels >= 0) & ~crowd
    order = np.lexsort((-score, label))  # stable: equal scores stay in the order of the images
    # A class without any box is in no mean, so its detections are not kept.
    order = order[label[order] <= labels[counted].max(initial=-1)]
    images, label, true, ignored = images[order], label[order], true[:, order], ignored[:, order]
    hit = (true | ignored).any(axis=0)
    return {
        "image": images[hit],
        "label": label[hit],
        "true": true[:, hit],
        "ignored": ignored[:, hit],
        "misses": np.cumsum(~hit)[hit],
        "miss_image": images[~hit],
        "miss_label": label[~hit],
        "box_image": np.nonzero(counted)[0],
        "box_label": labels[counted],
    }


def average_precision(parts: Parts, weights: Weights, num_thresholds: int = len(IOU_THRESHOLDS)) -> float:
    """The mean over the first thresholds and the classes that have boxes, when images are drawn so often.

    The precision at a recall is the best at that recall or a higher one, read at 101 recalls. A class
    without a box among the drawn images is left out, as the evaluator leaves it out.
    """
    wanted = np.bincount(parts["box_label"], weights[parts["box_image"]]).astype(np.float64)
    precisions = np.zeros((num_thresholds, len(wanted)))
    if len(parts["label"]):
        precisions = _per_class(parts, weights, wanted, num_thresholds)
    return mean_over(precisions.mean(axis=0), wanted > 0)


def _per_class(parts: Parts, weights: Weights, wanted: Floats, num_thresholds: int) -> Floats:
    """Average precision [thresholds, classes]; all classes stand behind each other and are summed at once."""
    label = parts["label"]
    drawn = weights[parts["image"]].astype(np.float64)
    true, ignored = (parts[name][:num_thresholds] for name in ("true", "ignored"))
    starts = np.flatnonzero(np.diff(label, prepend=-1))
    own = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(label)))
    missed = np.concatenate([[0.0], np.cumsum(weights[parts["miss_image"]])])
    before = np.searchsorted(parts["miss_label"], label[starts])  # misses of the classes before
    rights = _running(drawn * true, starts, own)
    wrongs = _running(drawn * ~(true | ignored), starts, own)
    wrongs += missed[parts["misses"]] - missed[before][own]
    total = rights + wrongs
    precision = np.divide(rights, total, out=np.zeros_like(total), where=total > 0)
    recall = rights / np.maximum(wanted[label], 1)
    # Each class is lifted above the one behind it, so that the maximum from the right ends with the class.
    lift = 2.0 * (len(starts) - own)
    best = np.maximum.accumulate((precision + lift)[:, ::-1], axis=1)[:, ::-1] - lift
    reached = np.searchsorted(RECALLS, recall, side="right")
    steps = np.diff(reached, axis=1, prepend=0)
    steps[:, starts] = reached[:, starts]
    found = np.zeros((num_thresholds, len(wanted)))
    found[:, label[starts]] = np.add.reduceat(best * steps, starts, axis=1) / len(RECALLS)
    return found


def _running(values: Floats, starts: NDArray[np.intp], own: NDArray[np.intp]) -> Floats:
    """Cumulative sums [thresholds, detections] that begin anew with every class."""
    sums = np.cumsum(values, axis=1)
    return np.asarray(sums - (sums[:, starts] - values[:, starts])[:, own])


def _match_image(
    found: Any, boxes: NDArray[Any], labels: NDArray[Any], crowd: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]:
    """Labels [D] and scores [D] of what is looked at, and what is true and what ignored, [10, D]."""
    parts = []
    for label in np.unique(found.labels):
        mine = np.flatnonzero(found.labels == label)
        mine = mine[np.argsort(-found.scores[mine], kind="stable")][:MOST_DETECTIONS]
        theirs = labels == label
        overlaps = _overlaps(found.boxes[mine], boxes[theirs], crowd[theirs])
        parts.append((found.labels[mine], found.scores[mine], *_match_class(overlaps, crowd[theirs])))
    if not parts:
        nothing = np.zeros((len(IOU_THRESHOLDS), 0), np.bool_)
        return np.zeros(0, np.int64), np.zeros(0, np.float32), nothing, nothing
    label, score, true, ignored = zip(*parts, strict=True)
    return (
        np.concatenate(label),
        np.concatenate(score),
        np.concatenate(true, axis=1),
        np.concatenate(ignored, axis=1),
    )


def _match_class(overlaps: Floats, crowd: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """From overlaps [D, G], detections from the highest score down: what is true, what ignored, [10, D]."""
    true = np.zeros((len(IOU_THRESHOLDS), len(overlaps)), np.bool_)
    ignored = true.copy()
    boxes, crowds = overlaps[:, ~crowd], overlaps[:, crowd]
    free = np.ones((len(IOU_THRESHOLDS), boxes.shape[1]), np.bool_)
    for d in np.flatnonzero((overlaps >= IOU_THRESHOLDS[0]).any(axis=1)):
        possible = free & (boxes[d] >= IOU_THRESHOLDS[:, None])
        true[:, d] = possible.any(axis=1)
        if boxes.shape[1]:  # of equal overlaps the last box is taken, as the evaluator does
            best = boxes.shape[1] - 1 - np.where(possible, boxes[d], -1.0)[:, ::-1].argmax(axis=1)
            free[true[:, d], best[true[:, d]]] = False
        over_crowd = (crowds[d] >= IOU_THRESHOLDS[:, None]).any(axis=1)
        ignored[:, d] = over_crowd & ~true[:, d]
    return true, ignored


def _overlaps(found: NDArray[Any], boxes: NDArray[Any], crowd: NDArray[Any]) -> Floats:
    """The overlap of detections [D, 4] with boxes [G, 4], by the evaluator itself, [D, G]."""
    from pycocotools.mask import iou

    if not len(found) or not len(boxes):
        return np.zeros((len(found), len(boxes)))
    # Corners become float32 sizes first, as in COCO's files.
    corners = [np.asarray(part, np.float32) for part in (found, boxes)]
    sides = [np.concatenate([part[:, :2], part[:, 2:] - part[:, :2]], axis=1) for part in corners]
    return np.asarray(iou(*(part.astype(np.float64) for part in sides), crowd.astype(np.uint8)))
