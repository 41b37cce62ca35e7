"""Metrics of masks: by hand, against torchmetrics' own means, and from their parts."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_jaccard_index

from edgesqueeze.errors import TaskError
from edgesqueeze.task.metrics import compacted, metrics_of, score_all

METRICS = metrics_of("segmentation", ("sky", "sea", "land", "ship"))
RNG = np.random.default_rng(0)


def scores_of(labels):
    """Outputs [N, 4, H, W] that name these classes."""
    return np.moveaxis(np.eye(4, dtype=np.float32)[labels], -1, 1)


def random_masks(count=40):
    targets = RNG.integers(0, 3, (count, 6, 5))
    labels = np.where(RNG.random(targets.shape) < 0.6, targets, RNG.integers(0, 4, targets.shape))
    targets[RNG.random(targets.shape) < 0.1] = 255
    return scores_of(labels), targets


def test_six_pixels_by_hand():
    targets = np.array([[[0, 0, 1], [1, 1, 255]]])
    found = score_all(METRICS, scores_of(np.array([[[0, 1, 1], [1, 2, 3]]])), targets)
    # sky 1 of 2, sea 2 of 4, land 0 of 1; the ship stands where nothing counts
    assert dict(found.values) == {"mIoU": pytest.approx(1 / 3), "pixel accuracy": pytest.approx(3 / 5)}
    assert found.details == {"per_class": {"IoU": [0.5, 0.5, 0.0, None]}}


def test_they_are_torchmetrics_means():
    outputs, targets = random_masks()
    labels, wanted = torch.from_numpy(outputs.argmax(1)), torch.from_numpy(targets)
    found = score_all(METRICS, outputs, targets)
    options = {"num_classes": 4, "ignore_index": 255}
    iou = float(multiclass_jaccard_index(labels, wanted, average="macro", **options))
    assert found.values["mIoU"] == pytest.approx(iou, abs=1e-6)
    accuracy = float(multiclass_accuracy(labels, wanted, average="micro", **options))
    assert found.values["pixel accuracy"] == pytest.approx(accuracy, abs=1e-6)


@pytest.mark.parametrize("name", METRICS)
def test_from_parts_they_are_those_of_the_images_drawn(name):
    outputs, targets = random_masks()
    measure = METRICS[name]
    parts = measure.parts(outputs, targets)
    once = np.ones(len(targets), np.int64)
    assert measure.value(parts, once) == pytest.approx(measure(outputs, targets), abs=1e-6)
    weights = RNG.multinomial(40, np.full(40, 1 / 40))
    rows = np.repeat(np.arange(40), weights)
    assert measure.value(parts, weights) == pytest.approx(measure(outputs[rows], targets[rows]), abs=1e-6)


def test_a_pixel_with_nan_has_no_class():
    outputs, targets = scores_of(np.zeros((1, 1, 4), int)), np.zeros((1, 1, 4), int)
    outputs[0, 3, 0, 0] = np.nan
    assert dict(score_all(METRICS, outputs, targets).values) == {"mIoU": 0.75, "pixel accuracy": 0.75}


def test_masks_will_do_in_place_of_scores():
    outputs, targets = random_masks()
    outputs[0, 2, 0, 0] = np.nan
    masks = compacted(METRICS, outputs)
    assert masks.shape == targets.shape
    assert score_all(METRICS, masks, targets).values == score_all(METRICS, outputs, targets).values
    with pytest.raises(TaskError, match="found"):
        METRICS["mIoU"](masks.astype(np.float32), targets)


def test_what_does_not_fit_is_refused():
    outputs = scores_of(np.zeros((1, 2, 2), int))
    with pytest.raises(
        TaskError, match=r"targets \[N, H, W\] with N at least 1, found \[1, 4, 2, 2\] and \[1, 2\]"
    ):
        METRICS["mIoU"](outputs, np.zeros((1, 2), int))
    with pytest.raises(TaskError, match="every pixel of the targets is 255"):
        METRICS["mIoU"](outputs, np.full((1, 2, 2), 255))
    with pytest.raises(TaskError, match="targets run from 0 to 7; allowed are the 4 classes 0 to 3, and 255"):
        METRICS["mIoU"](outputs, np.array([[[0, 7], [0, 255]]]))
