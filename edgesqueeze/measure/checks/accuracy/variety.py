"""How much answers differ from image to image, beside how much the right ones do."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.kinds import TaskKind
from edgesqueeze.measure.checks.image_answers import ImageAnswers
from edgesqueeze.task.metrics import Parts
from edgesqueeze.task.metrics.classification import named_classes
from edgesqueeze.text.digits import significant
from edgesqueeze.trees import Tree

NEARLY = 0.1
"""Answers that vary by less than this part of what the right ones vary by are nearly constant."""
_BATCH = 256


@dataclass(frozen=True)
class Variety:
    """How much answers vary, and how much the right ones do, in one unit that the kind of task decides.

    Of classes it is the share of images (of masks: of pixels) that are not of the commonest class; of boxes
    the share of the images with a box in which any is found; of pictures and numbers the root mean square
    of what an image's values differ by from the mean image. ``most`` is the class answered most.
    """

    kind: TaskKind
    found: float
    wanted: float
    most: int | None = None

    @property
    def nearly_constant(self) -> bool:
        """Whether next to nothing is left of what the right answers vary by; NaN varies by nothing."""
        return self.wanted > 0 and not self.found >= NEARLY * self.wanted

    def said(self, classes: tuple[str, ...], whose: str = "the right ones") -> str:
        """What is constant, in words that follow the name of a file; ``whose`` are what ``wanted`` is of."""
        match self.kind:
            case "classification" | "segmentation":
                what = "answers" if self.kind == "classification" else "pixels"
                assert self.most is not None
                name = repr(classes[self.most]) if self.most < len(classes) else f"number {self.most}"
                share = f"{100 * (1 - self.found):.2f} % of the {what} are class {name}"
                return f"{share}, no class is more than {100 * (1 - self.wanted):.2f} % of {whose}"
            case "detection":
                return f"boxes are found in {100 * self.found:.2f} % of the images that have any"
            case "reconstruction" | "regression":
                found, wanted = significant(self.found, 3), significant(self.wanted, 3)
                return f"the answers vary by {found} from image to image, {whose} by {wanted}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def variety_of(kind: TaskKind, outputs: Tree, targets: Tree, answers: ImageAnswers) -> Variety | None:
    """How much answers vary; None where their kind has no such measure, or they are of another form.

    Args:
        kind: of the task.
        outputs: [N, ...], or what the metrics take in their place.
        targets: [N, ...].
        answers: the same image by image, whose parts tell of boxes and masks.
    """
    match kind:
        case "classification":
            labels = class_labels(kind, outputs, targets)
            if labels is None:
                return None
            return _of_classes(kind, np.bincount(named_classes(outputs)), np.bincount(labels))
        case "segmentation":
            parts = _having(answers.parts, "answered", "wanted")
            if parts is None:
                return None
            return _of_classes(kind, parts["answered"].sum(axis=0), parts["wanted"].sum(axis=0))
        case "detection":
            parts = _having(answers.parts, "image", "miss_image", "box_image")
            return None if parts is None else _of_boxes(parts)
        case "reconstruction" | "regression":
            arrays = isinstance(outputs, np.ndarray) and isinstance(targets, np.ndarray)
            if not arrays or outputs.shape != targets.shape:
                return None
            return Variety(kind, _spread(outputs), _spread(targets))


def class_labels(kind: TaskKind, outputs: Tree, targets: Tree) -> NDArray[np.int64] | None:
    """The class of every image [N]; None where images have none, or answers are no scores [N, classes]."""
    if kind != "classification" or not (isinstance(outputs, np.ndarray) and isinstance(targets, np.ndarray)):
        return None
    scores = outputs.ndim == 2 and outputs.shape[1] > 1 and targets.shape == outputs.shape[:1]
    if not scores or not np.issubdtype(targets.dtype, np.integer):
        return None
    return targets.astype(np.int64)


def _of_classes(kind: TaskKind, found: NDArray[Any], wanted: NDArray[Any]) -> Variety:
    """From how often each class is answered, and how often it is right."""
    others = [1 - float(counts.max()) / max(float(counts.sum()), 1.0) for counts in (found, wanted)]
    return Variety(kind, others[0], others[1], int(found.argmax()))


def _of_boxes(parts: Parts) -> Variety:
    with_box = np.unique(parts["box_image"])
    found = np.isin(with_box, np.concatenate([parts["image"], parts["miss_image"]]))
    return Variety("detection", float(found.mean()), 1.0)


def _having(parts: Parts | None, *names: str) -> Parts | None:
    return parts if parts is not None and all(name in parts for name in names) else None


def _spread(values: NDArray[Any]) -> float:
    """The root mean square of what values [N, ...] differ by from their mean over N."""
    mean = values.mean(axis=0, dtype=np.float64)
    batches = (values[start : start + _BATCH] for start in range(0, len(values), _BATCH))
    return float(np.sqrt(sum(float(np.square(batch - mean).sum()) for batch in batches) / values.size))
