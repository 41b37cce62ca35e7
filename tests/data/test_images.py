"""Folders of images of any structure, each its own target."""

import numpy as np
import pytest
import torch
from PIL import Image

from edgesqueeze.data.augmentation import Augmentation
from edgesqueeze.data.files.split import ImageSettings
from edgesqueeze.data.images import load_images
from edgesqueeze.errors import TaskError
from edgesqueeze.normalization import Normalization

SETTINGS = ImageSettings(
    (8, 10), Normalization((0.0,) * 3, (1.0,) * 3), augmentation=Augmentation(flip=True, crop=2)
)


def write(folder, count):
    for i in range(count):
        path = folder / "any" / f"{i % 3}" / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (8, 10, 3), dtype=np.uint8)).save(path)
    return folder


@pytest.mark.parametrize("test_name", [None, "test", "val"])
def test_targets_are_the_images(tmp_path, test_name):
    if test_name is None:
        sizes = (16, 4)
        write(tmp_path, 20)
    else:
        sizes = (9, 5)
        write(tmp_path / "train", 9)
        write(tmp_path / test_name, 5)
    data = load_images(tmp_path, SETTINGS)
    assert (data.kind, data.classes, data.image_shape) == ("reconstruction", (), (3, 8, 10))
    assert (len(data.train), len(data.test)) == sizes
    for split, generator in ((data.test, None), (data.train, torch.Generator().manual_seed(0))):
        for x, y in split.batches(4, generator):
            assert torch.equal(x, y)
            assert torch.equal((x * 255).round() / 255, x)
            assert 0 <= float(x.min()) < float(x.max()) <= 1
    assert load_images(tmp_path, SETTINGS).fingerprint == data.fingerprint
    assert len(data.train.first(3).part(1, 3)) == 2


def test_too_few_images(tmp_path):
    with pytest.raises(TaskError, match="images .*no is not a directory"):
        load_images(tmp_path / "no", SETTINGS)
    with pytest.raises(TaskError, match="has 1 images, at least 2 needed; known types are .jpg"):
        load_images(write(tmp_path, 1), SETTINGS)
    (tmp_path / "train").mkdir()
    with pytest.raises(TaskError, match="has train/ but neither test/ nor val/"):
        load_images(tmp_path, SETTINGS)
