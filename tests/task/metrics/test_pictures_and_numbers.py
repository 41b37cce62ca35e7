"""Metrics of pictures and of numbers: by hand, against torchmetrics, and from their parts."""

import numpy as np
import pytest
import torch
from torchmetrics.functional import mean_squared_error
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure

from edgesqueeze.errors import TaskError
from edgesqueeze.task.metrics import metrics_of, score_all

PICTURES, NUMBERS = metrics_of("reconstruction"), metrics_of("regression")
RNG = np.random.default_rng(0)


def pictures(count=70):
    targets = RNG.random((count, 2, 14, 12), np.float32)
    noise = RNG.normal(0, 0.05, targets.shape) * RNG.random((count, 1, 1, 1))
    return (targets + noise).astype(np.float32), targets


def numbers(count=50):
    targets = RNG.normal(0, 3, (count, 3))
    return targets + RNG.normal(0, 0.5, targets.shape), targets


def test_two_pictures_by_hand():
    targets = np.full((2, 1, 8, 8), 0.5, np.float32)
    outputs = targets + np.array([0.1, 0.01], np.float32).reshape(2, 1, 1, 1)
    found = score_all(PICTURES, outputs, targets).values
    assert found["PSNR"] == pytest.approx(
        (20 + 40) / 2, abs=1e-4
    )  # the mean of the images, not of their errors
    assert found["MSE"] == pytest.approx((0.01 + 0.0001) / 2, rel=1e-5)
    similar = [(2 * 0.5 * y + 1e-4) / (0.25 + y * y + 1e-4) for y in (0.6, 0.51)]  # without structure
    assert found["SSIM"] == pytest.approx(sum(similar) / 2, abs=1e-3)


def test_an_exact_picture_has_100_db():
    targets = np.zeros((1, 1, 8, 8), np.float32)
    assert dict(score_all(PICTURES, targets, targets).values) == {"PSNR": 100.0, "SSIM": 1.0, "MSE": 0.0}


def test_pictures_are_torchmetrics():
    outputs, targets = pictures()
    pair = torch.from_numpy(outputs), torch.from_numpy(targets)
    found = score_all(PICTURES, outputs, targets).values
    psnr = PeakSignalNoiseRatio(data_range=1.0, dim=(1, 2, 3), reduction="elementwise_mean")
    assert found["PSNR"] == pytest.approx(float(psnr(*(part.double() for part in pair))), abs=1e-6)
    ssim = StructuralSimilarityIndexMeasure(data_range=1.0)
    assert found["SSIM"] == pytest.approx(float(ssim(*pair)), abs=1e-6)
    assert found["MSE"] == pytest.approx(float(mean_squared_error(*pair)), abs=1e-6)


def test_numbers_by_hand():
    outputs, targets = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 5.0], [3.0, 3.0]])
    found = score_all(NUMBERS, outputs, targets).values
    assert dict(found) == {"MAE": 1.0, "RMSE": pytest.approx(np.sqrt((9 + 1) / 4))}


@pytest.mark.parametrize(
    ("measure", "answers"),
    [*((measure, pictures) for measure in PICTURES.values()), *((m, numbers) for m in NUMBERS.values())],
    ids=[*PICTURES, *NUMBERS],
)
def test_from_parts_they_are_those_of_the_images_drawn(measure, answers):
    outputs, targets = answers()
    count = len(targets)
    parts = measure.parts(outputs, targets)
    assert measure.value(parts, np.ones(count, np.int64)) == pytest.approx(
        measure(outputs, targets), abs=1e-6
    )
    weights = RNG.multinomial(count, np.full(count, 1 / count))
    rows = np.repeat(np.arange(count), weights)
    assert measure.value(parts, weights) == pytest.approx(measure(outputs[rows], targets[rows]), abs=1e-6)


def test_what_does_not_fit_is_refused():
    with pytest.raises(TaskError, match=r"PSNR needs .* found \[1, 1, 8, 8\] and \[1, 3, 8, 8\]"):
        PICTURES["PSNR"](np.zeros((1, 1, 8, 8)), np.zeros((1, 3, 8, 8)))
    with pytest.raises(TaskError, match="SSIM needs pictures of 6 pixels a side"):
        PICTURES["SSIM"](np.zeros((1, 1, 5, 8)), np.zeros((1, 1, 5, 8)))
    with pytest.raises(TaskError, match=r"MAE needs .* found \[2, 1\] and \[2\]"):
        NUMBERS["MAE"](np.zeros((2, 1)), np.zeros(2))
