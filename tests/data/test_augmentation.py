"""Augmented images, with boxes and masks that stay on what they are about."""

import numpy as np
import pytest
import torch

from edgesqueeze.data.augmentation import Augmentation
from edgesqueeze.data.preparation import Preparation
from edgesqueeze.data.splits import ArraySplit
from edgesqueeze.kinds import IGNORED
from edgesqueeze.normalization import Normalization

SIZE = (24, 32)


def squares(count=64):
    """One bright rectangle of its own class in each image, as image, box and mask."""
    draw = np.random.default_rng(5)
    images, masks = np.full((count, 3, *SIZE), 20, np.uint8), np.zeros((count, *SIZE), np.uint8)
    boxes, labels = np.zeros((count, 3, 4), np.float32), np.full((count, 3), -1)
    for i in range(count):
        height, width = draw.integers(6, 12, 2)
        top, left = draw.integers(0, SIZE[0] - height), draw.integers(0, SIZE[1] - width)
        images[i, :, top : top + height, left : left + width] = 220
        masks[i, top : top + height, left : left + width] = i % 3 + 1
        boxes[i, 0], labels[i, 0] = (left, top, left + width, top + height), i % 3
    targets = {"boxes": torch.from_numpy(boxes), "labels": torch.from_numpy(labels)}
    targets["crowd"] = torch.zeros(count, 3, dtype=torch.bool)
    return torch.from_numpy(images), targets, torch.from_numpy(masks)


EVERYTHING = Augmentation(flip=True, crop=5, scale_jitter=(0.6, 1.6), color=0.3)
EACH = [Augmentation(flip=True), Augmentation(crop=5), Augmentation(scale_jitter=(0.6, 1.6)), EVERYTHING]
IDS = ["flip", "crop", "scale", "everything"]


def bounds(bright):
    rows, columns = np.nonzero(bright.any(1))[0], np.nonzero(bright.any(0))[0]
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


@pytest.mark.parametrize("augmentation", EACH, ids=IDS)
def test_boxes_stay_on_their_objects(augmentation):
    x, y, _ = squares()
    moved, targets = augmentation.apply(x, y, "boxes", torch.Generator().manual_seed(3))
    assert not torch.equal(moved, x)
    assert targets["crowd"] is y["crowd"]
    kept = 0
    for image, boxes, labels, before in zip(
        moved, targets["boxes"], targets["labels"], y["labels"], strict=True
    ):
        assert (boxes[labels == -1] == 0).all()
        if labels[0] != -1:
            assert labels[0] == before[0]
            # The edges of a scaled object lie between pixels.
            assert np.abs(bounds(image.numpy()[0] > 100) - boxes[0].numpy()).max() <= 1
            kept += 1
    assert kept >= 56


@pytest.mark.parametrize("augmentation", EACH, ids=IDS)
def test_masks_stay_on_their_objects(augmentation):
    x, _, masks = squares()
    moved, after = augmentation.apply(x, masks, "mask", torch.Generator().manual_seed(3))
    inside = torch.tensor([value for value in masks.unique().tolist() if value])
    bright = moved[:, 0] > 100
    objects = torch.isin(after, inside)
    # Bilinear images and nearest masks differ along the edges.
    assert float((bright != objects).float().mean()) < 0.02
    black = moved[:, 0] < 10
    # Another contrast makes the objects' ground black, or black gray.
    assert augmentation.color or float((black != (after == IGNORED)).float().mean()) < 0.02


def test_a_flip_and_a_shift_to_the_pixel():
    x = torch.arange(12, dtype=torch.uint8).reshape(1, 1, 3, 4)
    y = {
        "boxes": torch.tensor([[[0.0, 1.0, 2.0, 3.0]]]),
        "labels": torch.tensor([[4]]),
        "crowd": torch.zeros(1, 1),
    }
    seen = set()
    for seed in range(200):
        image, target = Augmentation(flip=True, crop=1).apply(
            x, y, "boxes", torch.Generator().manual_seed(seed)
        )
        seen.add(tuple(image.flatten().tolist()))
        assert image.dtype == torch.uint8
        left, top, right, bottom = target["boxes"][0, 0].int().tolist()
        # Of the box's own pixels, 4, 5, 8 and 9, those left are the ones inside what is left of the box.
        inside = set(image[0, 0, top:bottom, left:right].flatten().tolist())
        assert inside == {4, 5, 8, 9} & set(image.flatten().tolist())
    assert len(seen) == 2 * 3 * 3


def test_little_that_is_left_is_taken_out():
    x = torch.zeros(200, 1, 16, 16, dtype=torch.uint8)
    y = {
        "boxes": torch.tensor([[[0.0, 0.0, 4.0, 4.0]]]).repeat(200, 1, 1),
        "labels": torch.zeros(200, 1).long(),
    }
    _, target = Augmentation(crop=4).apply(x, y, "boxes", torch.Generator().manual_seed(0))
    left = (target["boxes"][..., 2] - target["boxes"][..., 0]) * (
        target["boxes"][..., 3] - target["boxes"][..., 1]
    )
    assert set((target["labels"] == -1).flatten().tolist()) == {True, False}
    assert ((left >= 4) == (target["labels"] == 0)).all()
    assert ((left == 0) == (target["labels"] == -1)).all()


def test_colours_change_and_stay_pixels():
    x, _, masks = squares(8)
    changed, after = Augmentation(color=0.5).apply(x, masks, "mask", torch.Generator().manual_seed(1))
    assert changed.dtype == torch.uint8
    assert len({image.flatten()[0].item() for image in changed}) > 4
    assert torch.equal(after, masks)
    gray, _ = Augmentation(color=0.5).apply(x[:, :1], masks, "mask", torch.Generator().manual_seed(1))
    assert gray.shape == (8, 1, *SIZE)


def split():
    x, _, masks = squares()
    preparation = Preparation(Normalization((0.5,) * 3, (0.25,) * 3), augmentation=EVERYTHING, moved="mask")
    return ArraySplit(x, masks).prepared(preparation)


def walked(generator, batch_size=10):
    batches = list(split().batches(batch_size, generator))
    return torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])


def test_the_generator_of_batches_decides_everything():
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = walked(torch.Generator().manual_seed(4))
    assert torch.equal(state, torch.random.get_rng_state())
    torch.manual_seed(2)
    again = walked(torch.Generator().manual_seed(4))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], walked(torch.Generator().manual_seed(5))[0])


def test_nothing_is_augmented_without_a_generator():
    x, _, masks = squares()
    plain, same = walked(None)
    assert torch.equal(plain, (x.float() / 255 - 0.5) / 0.25)
    assert torch.equal(same, masks.long())
    assert same.dtype == torch.int64


def test_a_setting_more_does_not_change_the_others():
    x, _, masks = squares(16)
    flipped = Augmentation(flip=True).apply(x, masks, "mask", torch.Generator().manual_seed(7))[1]
    tinted = Augmentation(flip=True, color=0.2).apply(x, masks, "mask", torch.Generator().manual_seed(7))[1]
    assert torch.equal(flipped, tinted)
