"""How much answers vary, kind by kind."""

from dataclasses import dataclass

import numpy as np
import pytest

from edgesqueeze.measure.checks.accuracy.variety import Variety, class_labels, variety_of
from edgesqueeze.measure.checks.image_answers import ImageAnswers
from edgesqueeze.task.metrics import metrics_of
from edgesqueeze.trees import length_of

CLASSES = ("sky", "sea")
RANDOM = np.random.default_rng(0)


def variety(kind, outputs, targets):
    """As a row has it: with the parts of the kind's own metric."""
    measure = next(iter(metrics_of(kind, CLASSES).values()))
    parts = measure.parts(outputs, targets) if measure.parts else None
    assert length_of(targets) > 0
    return variety_of(kind, outputs, targets, ImageAnswers(parts=parts))


def scores(labels):
    return np.eye(2, dtype=np.float32)[labels]


def test_of_classes_it_is_the_share_of_the_others():
    truth = np.arange(100) % 2
    found = variety("classification", scores(truth), truth)
    assert (found.found, found.wanted, found.nearly_constant) == (0.5, 0.5, False)
    one = np.where(np.arange(100) < 3, 0, 1)
    found = variety("classification", scores(one), truth)
    assert found == Variety("classification", pytest.approx(0.03), 0.5, most=1)
    assert found.nearly_constant
    said = "97.00 % of the answers are class 'sea', no class is more than 50.00 % of the right ones"
    assert found.said(CLASSES) == said
    assert "class number 1," in found.said(())


def test_answers_of_a_lopsided_truth_are_not_constant():
    truth = np.where(np.arange(1000) < 110, 0, 1)
    answers = np.where(np.arange(1000) < 90, 0, 1)
    assert not variety("classification", scores(answers), truth).nearly_constant
    assert not variety("classification", scores(answers), np.ones(1000, np.int64)).nearly_constant


def test_of_masks_it_is_that_of_the_pixels():
    truth = RANDOM.integers(0, 2, (4, 8, 8))
    truth[0, 0] = 255  # is not counted
    outputs = np.moveaxis(scores(np.where(truth == 255, 0, truth)), -1, 1)
    assert not variety("segmentation", outputs, truth).nearly_constant
    flat = np.zeros_like(outputs)
    flat[:, 1] = 1
    found = variety("segmentation", flat, truth)
    assert (found.found, found.nearly_constant) == (0.0, True)
    assert found.said(CLASSES).startswith("100.00 % of the pixels are class 'sea'")


@dataclass(frozen=True)
class Found:
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


def boxes(count):
    return Found(np.tile([0.0, 0, 4, 4], (count, 1)), np.full(count, 0.9), np.zeros(count, np.int64))


def test_of_boxes_it_is_the_share_of_images_in_which_any_is_found():
    targets = {
        "boxes": np.tile(np.float32([0, 0, 4, 4]), (20, 1, 1)),
        "labels": np.zeros((20, 1), np.int64),
        "crowd": np.zeros((20, 1), np.bool_),
    }
    found = variety("detection", [boxes(int(i < 10)) for i in range(20)], targets)
    assert (found.found, found.wanted, found.nearly_constant) == (0.5, 1.0, False)
    found = variety("detection", [boxes(int(i < 1)) for i in range(20)], targets)
    assert found.nearly_constant
    assert found.said(CLASSES) == "boxes are found in 5.00 % of the images that have any"


@pytest.mark.parametrize(("kind", "shape"), [("reconstruction", (300, 1, 8, 8)), ("regression", (300, 3))])
def test_of_pictures_and_numbers_it_is_what_they_differ_by_from_their_mean(kind, shape):
    truth = RANDOM.random(shape).astype(np.float32)
    found = variety(kind, 0.5 * truth + 3, truth)
    assert found.wanted == pytest.approx(np.sqrt(truth.var(axis=0).mean()), rel=1e-5)
    assert found.found == pytest.approx(found.wanted / 2, rel=1e-5)
    assert not found.nearly_constant
    mean = np.broadcast_to(truth.mean(axis=0), shape)
    found = variety(kind, mean + 0.01 * truth, truth)
    assert found.nearly_constant
    numbers = f"{found.found:.3g} from image to image, the right ones by {found.wanted:.3g}"
    assert found.said(()) == f"the answers vary by {numbers}"
    assert variety_of(kind, np.full(shape, np.nan), truth, ImageAnswers()).nearly_constant
    assert not variety_of(kind, mean, mean, ImageAnswers()).nearly_constant  # nor do the right ones vary


def test_answers_of_another_form_have_none():
    truth = np.arange(10) % 2
    nothing = ImageAnswers()
    assert variety_of("classification", (scores(truth), scores(truth)), truth, nothing) is None
    assert class_labels("classification", np.zeros((10, 1)), truth) is None
    assert class_labels("classification", np.zeros((10, 2)), truth / 2) is None
    assert class_labels("regression", scores(truth), truth) is None
    assert variety_of("segmentation", truth, truth, nothing) is None
    assert variety_of("detection", [], {}, nothing) is None
    assert variety_of("regression", np.zeros((10, 2)), np.zeros(10), nothing) is None
