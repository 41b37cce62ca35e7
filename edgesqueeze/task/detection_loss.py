"""What a single-shot detector is trained by: which place answers for which object, and how well it must.

Places are assigned as in TOOD (Feng et al. 2021, arXiv 2108.07755): of those that could answer for an object
the few that already do so best, by score and overlap together. So no sizes have to be set for the levels.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import generalized_box_iou_loss

from edgesqueeze.numerics.boxes import BoxDecoding

PLACES_PER_OBJECT = 10
SCORE_POWER, OVERLAP_POWER = 1.0, 6.0
"""How much a score and an overlap count in the choice of places (TOOD's alpha and beta)."""
FOCUS = 2.0
"""The power of the focal loss (Lin et al. 2017, arXiv 1708.02002, gamma)."""


@dataclass(frozen=True)
class Assignment:
    """What each place of a batch is to answer.

    ``objects`` int64 [N, A] is the object's row in the targets, -1 for none; ``quality`` float32 [N, A] is
    the score to be given, from 0 to the object's best overlap; ``ignored`` bool [N, A] are places that lie in
    something that does not count.
    """

    objects: Tensor
    quality: Tensor
    ignored: Tensor


@dataclass(frozen=True)
class DetectionLoss:
    """Focal loss of the scores and generalized IoU loss of the boxes.

    The focal loss is that for targets between 0 and 1 (Li et al. 2020, arXiv 2006.04388, quality focal loss),
    since a score shall tell how well the box fits; the loss of boxes is of Rezatofighi et al. 2019, arXiv
    1902.09630, with twice the weight, as in both papers on assignment and quality.
    """

    decoding: BoxDecoding
    box_weight: float = 2.0

    def __call__(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        """A number for a batch.

        Args:
            outputs: "boxes", distances in strides float32 [N, A, 4], and "scores", logits [N, A, C].
            targets: "boxes" float32 [N, M, 4] as x1, y1, x2, y2 in pixels, "labels" int64 [N, M] with -1
                where there is no object, "crowd" bool [N, M] for what does not count.
        """
        places = torch.from_numpy(self.decoding.places()).to(outputs["boxes"].device)
        boxes, logits = boxes_at(outputs["boxes"], places), outputs["scores"]
        assigned = assign(boxes.detach(), logits.detach().sigmoid(), targets, places)
        taken = assigned.objects >= 0
        rows = assigned.objects.clamp_min(0)
        quality = torch.zeros_like(logits)
        labels = targets["labels"].gather(1, rows)
        quality[taken] = F.one_hot(labels[taken], logits.shape[2]) * assigned.quality[taken][:, None]
        of_scores = focal_loss(logits, quality)[~assigned.ignored].sum()
        wanted = targets["boxes"].gather(1, rows[..., None].expand(-1, -1, 4))
        of_boxes = generalized_box_iou_loss(boxes[taken], wanted[taken]) * assigned.quality[taken]
        weight = assigned.quality.sum().clamp_min(1)
        loss: Tensor = (of_scores + self.box_weight * of_boxes.sum()) / weight
        return loss


def focal_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of each logit against a target in [0, 1], times |target - score| ** 2; same shape."""
    losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (targets - logits.sigmoid()).abs() ** FOCUS * losses


def boxes_at(distances: Tensor, places: Tensor) -> Tensor:
    """Boxes [N, A, 4] in pixels, of distances [N, A, 4] in strides at places [A, 3]."""
    centres, strides = places[:, :2], places[:, 2:]
    return torch.cat([centres - distances[..., :2] * strides, centres + distances[..., 2:] * strides], -1)


@torch.no_grad()
def assign(boxes: Tensor, scores: Tensor, targets: Mapping[str, Tensor], places: Tensor) -> Assignment:
    """Choose the places that answer for each object.

    Args:
        boxes: what the places say, [N, A, 4] in pixels.
        scores: between 0 and 1, [N, A, C].
        targets: as of :class:`DetectionLoss`.
        places: centre x, centre y and stride, [A, 3].
    """
    real = targets["labels"] >= 0
    counted = real & ~targets["crowd"]
    within = _within(targets["boxes"], places)
    possible = within & counted[..., None]
    overlaps = pairwise_iou(targets["boxes"], boxes)  # [N, M, A], as all below
    labels = targets["labels"].clamp_min(0)[..., None].expand(-1, -1, scores.shape[1])
    fit = scores.transpose(1, 2).gather(1, labels) ** SCORE_POWER * overlaps**OVERLAP_POWER
    fit = torch.where(possible, fit, -1.0)
    best = fit.topk(min(PLACES_PER_OBJECT, fit.shape[2]), dim=2).indices
    chosen = torch.zeros_like(possible).scatter_(2, best, True) & possible
    # A place that several objects want answers for the one that its box overlaps most.
    closest = torch.where(chosen, overlaps, -1.0).argmax(1, keepdim=True)
    chosen &= torch.zeros_like(chosen).scatter_(1, closest, True)
    fit, overlaps = fit * chosen, overlaps * chosen
    most = fit.amax(2, keepdim=True).clamp_min(torch.finfo(fit.dtype).tiny)
    quality = (fit / most * overlaps.amax(2, keepdim=True)).amax(1)
    taken = chosen.any(1)
    ignored = (within & (real & targets["crowd"])[..., None]).any(1) & ~taken
    return Assignment(torch.where(taken, chosen.int().argmax(1), -1), quality, ignored)


def _within(boxes: Tensor, places: Tensor) -> Tensor:
    """Which places [N, M, A] lie in a box, or are the ones whose cell its centre lies in."""
    x, y, stride = places.unbind(1)
    left, top, right, bottom = boxes[..., None].unbind(2)
    inside = (x > left) & (x < right) & (y > top) & (y < bottom)
    beside = torch.maximum((x - (left + right) / 2).abs(), (y - (top + bottom) / 2).abs())
    return inside | (beside <= stride / 2)


def pairwise_iou(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of boxes [N, M, 4] and [N, A, 4]: [N, M, A]; 0 without area."""
    upper = torch.maximum(one[:, :, None, :2], other[:, None, :, :2])
    lower = torch.minimum(one[:, :, None, 2:], other[:, None, :, 2:])
    shared = (lower - upper).clamp_min(0).prod(-1)
    areas = [(box[..., 2:] - box[..., :2]).clamp_min(0).prod(-1) for box in (one, other)]
    union = areas[0][:, :, None] + areas[1][:, None] - shared
    return shared / union.clamp_min(1e-9)
