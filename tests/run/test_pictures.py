"""Pictures are PNG files with something in them."""

import io

import numpy as np
import pytest
from PIL import Image

from edgesqueeze.run.documents.confusion import Confusion
from edgesqueeze.run.documents.history import History
from edgesqueeze.run.documents.pictures import draw_confusion, draw_history
from edgesqueeze.task.training import Epoch


def pixels(data):
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"), int)


def test_curves_show_the_epochs():
    def history(metrics, split="validation"):
        return History(
            "psnr", split, tuple(("01-train", Epoch(i, 0.5, m, 0.1)) for i, m in enumerate(metrics))
        )

    rising, falling = (pixels(draw_history(history(m))) for m in ([1, 2, 3], [3, 2, 1]))
    assert rising.shape == falling.shape
    assert (rising != falling).any()
    assert pixels(draw_history(history([float("nan")]))).shape[2] == 3  # one epoch, of no metric
    loss_and_rate = pixels(draw_history(history([None, None, None], split=None)))
    assert loss_and_rate.shape[1] * 3 == rising.shape[1] * 2


@pytest.mark.parametrize("size", [3, 40])
def test_the_diagonal_of_a_good_classifier_is_dark(size):
    names = tuple(f"class {i}" for i in range(size))
    good, poor = np.eye(size, dtype=np.int64) * 7, np.ones((size, size), np.int64)
    dark = [(pixels(draw_confusion(Confusion(c, names))).sum(2) < 255).sum() for c in (good, poor)]
    assert dark[0] > dark[1]
