"""Whether a stage leaves a network that is far worse than the one before, or a training has ended so."""

import math

from edgesqueeze.task.metrics import Measure
from edgesqueeze.task.metrics.wording import written
from edgesqueeze.task.training.history import Epoch
from edgesqueeze.text.digits import significant

FAR = 10
"""So many small changes are far: ten points of a share, 3 dB, 10 % of a plain number."""
LOSS_FACTOR = 2.0


def left_worse(stage: str, measure: Measure, before: float | None, after: float | None) -> str | None:
    """What to say of a stage that left a metric far worse than it was; None if it has not."""
    if before is None or after is None or not _far_worse(measure, before, after):
        return None
    was, now = (written(value, measure.unit) for value in (before, after))
    return f"{stage!r} leaves a network far worse than it was given: {was} before, {now} now"


def ended_worse(measure: Measure, first: Epoch, last: Epoch) -> str | None:
    """What to say of a training whose last epoch is far worse than its first; None if it is not.

    It is if the metric is far worse; or if it is worse at all, by more than a small change, and the loss
    has more than doubled. Losses alone tell less, those near zero double without any harm: without a
    validation split one must be no number, or ten times what it was.
    """
    if first.metric is None or last.metric is None:
        is_worse = not last.loss <= FAR * first.loss
    else:
        worse = -measure.gain(first.metric, last.metric) > measure.point(first.metric)
        grown = last.loss > LOSS_FACTOR * first.loss
        is_worse = _far_worse(measure, first.metric, last.metric) or (worse and grown)
    if not is_worse:
        return None
    told = ", ".join(_told(measure, epoch) for epoch in (first, last))
    return f"training ended worse than it began, {told}; a lower learning_rate may help"


def _told(measure: Measure, epoch: Epoch) -> str:
    metric = "" if epoch.metric is None else f" and metric {written(epoch.metric, measure.unit)}"
    return f"loss {significant(epoch.loss, 4)}{metric} in epoch {epoch.number}"


def _far_worse(measure: Measure, before: float, after: float) -> bool:
    """Whether a metric has fallen far; no number is worse than any, and nothing is worse than no number."""
    return not math.isnan(before) and not measure.gain(before, after) >= -FAR * measure.point(before)
