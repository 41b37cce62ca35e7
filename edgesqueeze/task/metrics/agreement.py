"""When two answers to one input are the same, by what a network is asked to do. No targets are needed."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.kinds import TaskKind
from edgesqueeze.trees import Tree

Agreement = Callable[[Any, Any], NDArray[np.bool_]]
"""Two answers to the same inputs, [N, ...] each or trees of them, to which of them are the same, [N]."""

SAME_PIXELS = 0.99
"""Two masks are the same if so many of their pixels have one class."""
SAME_PSNR_DB = 30.0
"""Two pictures in [0, 1] are the same if their error is this far below their range."""
SAME_IOU = 0.5
"""Two boxes are the same if they overlap this much, as in PASCAL VOC."""
SEEN_LOGIT = 0.0
"""Boxes whose best class has a raw score above this, a probability of a half, must be the same."""
SAME_SHARE_OF_RANGE = 0.01
"""Two numbers are the same if they differ by less than this share of the range that such numbers have."""


def agreement_of(kind: TaskKind) -> Agreement:
    """How answers of a kind are compared."""
    return _AGREEMENTS[kind]


def same_class(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    """For every input whether two answers [N, classes] name the same class, [N]."""
    return np.asarray(one.argmax(axis=1) == other.argmax(axis=1))


def same_mask(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    """For every input whether two answers [N, classes, H, W] agree on :data:`SAME_PIXELS` of it, [N]."""
    return np.asarray((one.argmax(axis=1) == other.argmax(axis=1)).mean(axis=(1, 2)) >= SAME_PIXELS)


def same_boxes(one: Tree, other: Tree) -> NDArray[np.bool_]:
    """For every input whether two raw answers of a detector see the same, [N].

    At the anchor with the highest score of the first both must name one class, and so at each anchor where
    the first sees something (:data:`SEEN_LOGIT`), with boxes that overlap by :data:`SAME_IOU`. Boxes at one
    anchor have one centre, so that their distances need no decoding.

    Args:
        one: {"boxes": distances [N, A, 4] to the left, top, right and bottom, "scores": logits [N, A, C]}.
        other: the same of another network.
    """
    classes, other_classes = (answer["scores"].argmax(axis=2) for answer in (one, other))
    best = one["scores"].max(axis=2)
    rows, first = np.arange(len(best)), best.argmax(axis=1)
    named = classes[rows, first] == other_classes[rows, first]
    unlike = (classes != other_classes) | (_iou_at_anchor(one["boxes"], other["boxes"]) < SAME_IOU)
    return np.asarray(named & ~((best > SEEN_LOGIT) & unlike).any(axis=1))


def _iou_at_anchor(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """The overlap of boxes [N, A, 4] around the same points, [N, A]; 1 where both are empty."""
    areas = [(d[..., 0] + d[..., 2]) * (d[..., 1] + d[..., 3]) for d in (one, other)]
    inner = np.minimum(one, other)
    shared = (inner[..., 0] + inner[..., 2]) * (inner[..., 1] + inner[..., 3])
    union = areas[0] + areas[1] - shared
    return np.asarray(np.divide(shared, union, out=np.ones_like(shared), where=union > 0))


def same_picture(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    """For every input whether two pictures [N, C, H, W] in [0, 1] are within :data:`SAME_PSNR_DB`, [N]."""
    error = np.square(one.astype(np.float64) - other).reshape(len(one), -1).mean(axis=1)
    return np.asarray(error <= 10 ** (-SAME_PSNR_DB / 10))


def same_numbers(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    """For every input whether two answers [N, K] are nearly the same numbers, [N].

    They differ by :data:`SAME_SHARE_OF_RANGE` of the range of the first's answers at most.
    """
    allowed = SAME_SHARE_OF_RANGE * (one.max(axis=0) - one.min(axis=0))
    return np.asarray((np.abs(one - other) <= allowed).reshape(len(one), -1).all(axis=1))


_AGREEMENTS: dict[TaskKind, Agreement] = {
    "classification": same_class,
    "detection": same_boxes,
    "segmentation": same_mask,
    "reconstruction": same_picture,
    "regression": same_numbers,
}
