"""The usual losses: by hand, against torch's, and what does not count."""

import pytest
import torch
from torch.nn import functional as F

from edgesqueeze.errors import TaskError
from edgesqueeze.numerics.boxes import BoxDecoding
from edgesqueeze.task.detection_loss import DetectionLoss
from edgesqueeze.task.losses import SegmentationLoss, dice_loss, loss_of


def test_every_kind_has_its_loss():
    decoding = BoxDecoding((32, 32), (8,))
    assert loss_of("classification") is F.cross_entropy
    assert loss_of("reconstruction") is loss_of("regression") is F.mse_loss
    assert loss_of("segmentation") == SegmentationLoss()
    assert loss_of("detection", decoding) == DetectionLoss(decoding)
    with pytest.raises(
        TaskError, match="the loss of a detector needs its image size and strides; found none"
    ):
        loss_of("detection")


def test_pixels_of_class_255_do_not_count():
    torch.manual_seed(0)
    logits, classes = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5))
    loss = SegmentationLoss()
    torch.testing.assert_close(loss(logits, classes), F.cross_entropy(logits, classes))
    classes[0, 1:] = 255
    changed = logits.clone()
    changed[0, :, 1:] = 9
    for chosen in (loss, SegmentationLoss(dice_weight=0.5)):
        torch.testing.assert_close(chosen(changed, classes), chosen(logits, classes))
    torch.testing.assert_close(loss(logits, classes), F.cross_entropy(logits, classes, ignore_index=255))


def test_images_in_which_nothing_counts_have_no_loss():
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = SegmentationLoss(dice_weight=1.0)(logits, torch.full((1, 2, 2), 255))
    assert loss == 0
    loss.backward()
    assert logits.grad.eq(0).all()


def test_dice_by_hand():
    classes = torch.tensor([[[0, 1], [1, 255]]])
    sure = F.one_hot(torch.tensor([[[0, 1], [1, 0]]]), 3).movedim(3, 1) * 50.0
    assert dice_loss(sure, classes).abs() < 1e-6
    wrong = F.one_hot(torch.tensor([[[0, 0], [1, 0]]]), 3).movedim(3, 1) * 50.0
    # Class 0: twice 1 of 2 + 1; class 1: twice 1 of 1 + 2; class 2 does not occur.
    torch.testing.assert_close(dice_loss(wrong, classes), torch.tensor(1 - 2 / 3))
    torch.testing.assert_close(
        SegmentationLoss(2.0)(wrong, classes),
        SegmentationLoss()(wrong, classes) + 2 * (1 - torch.tensor(2 / 3)),
    )
