"""From what a single-shot detector returns to boxes: decoding and non-maximum suppression, in numpy.

The same for every runtime, so that two files are compared by their answers alone. A place of a level looks
for the object around its centre and says how far that is from the object's four sides, in units of the
level's stride (Tian et al. 2019, FCOS, arXiv 1904.01355, section 3.1). Suppression is greedy and within each
class.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import TaskError

Floats = NDArray[np.float32]
CANDIDATES = 1000
"""How many boxes of an image, the best, enter the suppression (as in torchvision's RetinaNet)."""


@dataclass(frozen=True)
class Detections:
    """What was found in one image, best first.

    ``boxes`` are float32 [K, 4] as x1, y1, x2, y2 in pixels of the network's input, ``scores`` float32 [K]
    between 0 and 1, ``labels`` int64 [K].
    """

    boxes: Floats
    scores: Floats
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class BoxDecoding:
    """How a detector's outputs are read.

    ``image_size`` is (H, W) of the network's input in pixels; a level of stride s has ceil(H / s) rows and
    ceil(W / s) columns, and ``strides`` names the levels in the order of the outputs. Boxes of scores up to
    ``score_threshold`` are left out, and so is a box that overlaps a better one of its class by an IoU above
    ``iou_threshold``; at most ``max_detections`` are left.
    """

    image_size: tuple[int, int]
    strides: tuple[int, ...]
    score_threshold: float = 0.05
    iou_threshold: float = 0.6
    max_detections: int = 100

    def places(self) -> Floats:
        """Centre x, centre y and stride of every place, in pixels: float32 [A, 3]; levels, rows, columns."""
        levels = []
        for stride in self.strides:
            height, width = (-(-size // stride) for size in self.image_size)
            y, x = np.mgrid[:height, :width].reshape(2, -1)
            levels.append(np.stack([(x + 0.5) * stride, (y + 0.5) * stride, np.full(x.shape, stride)], 1))
        return np.concatenate(levels).astype(np.float32)

    def boxes(self, distances: Floats) -> Floats:
        """Boxes [..., A, 4] in pixels, cut off at the image, of distances [..., A, 4] in strides."""
        places = self.places()
        x, y, stride = places.T
        left, top, right, bottom = np.moveaxis(distances * stride[:, None], -1, 0)
        height, width = self.image_size
        sides = (
            *(np.clip(x - left, 0, width), np.clip(y - top, 0, height)),
            *(np.clip(x + right, 0, width), np.clip(y + bottom, 0, height)),
        )
        return np.stack(sides, axis=-1).astype(np.float32, copy=False)

    def decode(self, outputs: Mapping[str, Floats]) -> list[Detections]:
        """What was found in each image.

        Args:
            outputs: "boxes", distances float32 [N, A, 4], and "scores", logits float32 [N, A, C].

        Raises:
            TaskError: the outputs have other names or shapes.
        """
        distances, logits = self._checked(outputs)
        boxes = self.boxes(distances)
        return [self._found(*of_one_image) for of_one_image in zip(boxes, logits, strict=True)]

    def _checked(self, outputs: Mapping[str, Floats]) -> tuple[Floats, Floats]:
        shapes = {name: list(np.shape(value)) for name, value in outputs.items()}
        count = len(self.places())
        boxes, scores = shapes.get("boxes", []), shapes.get("scores", [])
        if (
            set(shapes) != {"boxes", "scores"}
            or [len(boxes), len(scores)] != [3, 3]
            or (boxes[1:] != [count, 4] or scores[:2] != [boxes[0], count])
        ):
            found = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "nothing"
            strides, size = ", ".join(map(str, self.strides)), "{} × {}".format(*self.image_size)
            raise TaskError(
                f"a detector of strides {strides} returns boxes [N, {count}, 4] and scores "
                f"[N, {count}, classes] for {size}, found {found}"
            )
        return outputs["boxes"], outputs["scores"]

    def _found(self, boxes: Floats, logits: Floats) -> Detections:
        """What was found among boxes [A, 4] with logits [A, C]."""
        # Of equal scores the lower class comes first, as in the runtimes' own operators.
        label, place = np.nonzero(_logit(self.score_threshold) < logits.T)
        chosen = logits[place, label]
        best = np.argsort(-chosen, kind="stable")[:CANDIDATES]
        place, label, chosen = place[best], label[best], chosen[best]
        kept = suppress(boxes[place], label, self.iou_threshold)[: self.max_detections]
        scores = 1 / (1 + np.exp(-chosen[kept].astype(np.float64)))
        return Detections(boxes[place[kept]], scores.astype(np.float32), label[kept])


def suppress(boxes: Floats, labels: NDArray[np.int64], iou_threshold: float) -> NDArray[np.int64]:
    """Greedy non-maximum suppression within each class.

    Args:
        boxes: [K, 4] as x1, y1, x2, y2, best first.
        labels: [K].
        iou_threshold: a box is left out if it overlaps a better one that is kept by more than that.

    Returns:
        Which are kept, in order.
    """
    kept = np.ones(len(boxes), bool)
    for label in np.unique(labels):
        (members,) = np.nonzero(labels == label)
        overlaps = iou(boxes[members], boxes[members]) > iou_threshold
        alive = np.ones(len(members), bool)
        for place in range(len(members)):
            if alive[place]:
                alive[place + 1 :] &= ~overlaps[place, place + 1 :]
        kept[members] = alive
    return np.flatnonzero(kept)


def iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union of boxes [K, 4] and [L, 4] as x1, y1, x2, y2: [K, L]; 0 without area."""
    upper = np.maximum(a[:, None, :2], b[None, :, :2])
    lower = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(lower - upper, 0, None).prod(axis=-1)
    union = _areas(a)[:, None] + _areas(b)[None, :] - shared
    found: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return found


def _areas(boxes: Floats) -> Floats:
    areas: Floats = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=-1)
    return areas


def _logit(share: float) -> float:
    """The number whose sigmoid is a share; infinite at 0 and 1."""
    with np.errstate(divide="ignore"):
        return float(np.log(share) - np.log1p(-share))
