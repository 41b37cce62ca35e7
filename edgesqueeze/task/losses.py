"""What a network is trained by, for each kind of task: (outputs, targets) to a number."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from edgesqueeze.errors import TaskError
from edgesqueeze.kinds import IGNORED, TaskKind
from edgesqueeze.numerics.boxes import BoxDecoding
from edgesqueeze.task.detection_loss import DetectionLoss

TaskLoss = Callable[[Any, Any], Tensor]
_LEAST = 1e-7


@dataclass(frozen=True)
class SegmentationLoss:
    """Cross entropy of every pixel that counts, plus ``dice_weight`` times the Dice loss.

    The Dice loss (Milletari et al. 2016, arXiv 1606.04797) is the mean over the classes in the batch of one
    less twice the shared share; it weighs small classes as large ones.
    """

    dice_weight: float = 0.0

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """A number for logits [N, C, H, W] and classes int64 [N, H, W], 255 for what does not count."""
        counted = (targets != IGNORED).sum().clamp_min(1)
        loss = F.cross_entropy(outputs, targets, ignore_index=IGNORED, reduction="sum") / counted
        return loss + self.dice_weight * dice_loss(outputs, targets) if self.dice_weight else loss


def dice_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """One less the mean Dice coefficient of the classes that occur, as of :class:`SegmentationLoss`."""
    counted = (targets != IGNORED)[:, None]
    shares = outputs.softmax(1) * counted
    classes = F.one_hot(targets.where(targets != IGNORED, 0), outputs.shape[1]).movedim(3, 1) * counted
    sums = [(a * b).sum((0, 2, 3)) for a, b in ((shares, classes), (shares, counted), (classes, counted))]
    occurs = sums[2] > 0
    dice = 2 * sums[0][occurs] / (sums[1] + sums[2])[occurs]
    return 1 - dice.mean() if bool(occurs.any()) else outputs.sum() * 0


def of_probabilities(loss: TaskLoss) -> TaskLoss:
    """A loss of logits for a network that ends in a softmax: a softmax of logarithms is what they are of."""

    def of_logarithms(outputs: Tensor, targets: Any) -> Tensor:
        return loss(outputs.clamp_min(_LEAST).log(), targets)

    return of_logarithms


def loss_of(kind: TaskKind, decoding: BoxDecoding | None = None) -> TaskLoss:
    """The usual loss of a kind of task.

    Cross entropy, for pixels without those of class 255; the mean squared error of what is reconstructed or
    regressed; :class:`~edgesqueeze.task.detection_loss.DetectionLoss`.

    Args:
        kind: of the task.
        decoding: how a detector's outputs are read; its image size and strides are needed.

    Raises:
        TaskError: a detector is to be trained and ``decoding`` is missing.
    """
    if kind == "detection":
        if decoding is None:
            raise TaskError("the loss of a detector needs its image size and strides; found none")
        return DetectionLoss(decoding)
    losses: dict[TaskKind, TaskLoss] = {
        "classification": F.cross_entropy,
        "segmentation": SegmentationLoss(),
        "reconstruction": F.mse_loss,
        "regression": F.mse_loss,
    }
    return losses[kind]
