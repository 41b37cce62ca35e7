"""The metrics of each kind of task."""

from collections.abc import Mapping, Sequence

from edgesqueeze.errors import TaskError
from edgesqueeze.kinds import TaskKind
from edgesqueeze.task.metrics.base import Measure
from edgesqueeze.task.metrics.classification import classification_metrics
from edgesqueeze.task.metrics.detection import Decoding, detection_metrics
from edgesqueeze.task.metrics.reconstruction import reconstruction_metrics
from edgesqueeze.task.metrics.regression import regression_metrics
from edgesqueeze.task.metrics.segmentation import segmentation_metrics


def metrics_of(
    kind: TaskKind, classes: Sequence[str] = (), decode: Decoding | None = None
) -> Mapping[str, Measure]:
    """The metrics of a kind of task, the primary one first.

    Args:
        kind: what the network is asked to do.
        classes: names of the classes, in the order of the outputs; of reconstruction and regression none.
        decode: makes detections of a detector's raw outputs; None if they are detections already.

    Raises:
        TaskError: the kind needs classes and there are none.
    """
    if kind in ("classification", "detection", "segmentation") and not classes:
        raise TaskError(f"metrics of {kind} need the names of the classes, found none")
    match kind:
        case "classification":
            return classification_metrics(len(classes))
        case "detection":
            return detection_metrics(len(classes), decode)
        case "segmentation":
            return segmentation_metrics(len(classes))
        case "reconstruction":
            return reconstruction_metrics()
        case "regression":
            return regression_metrics()
