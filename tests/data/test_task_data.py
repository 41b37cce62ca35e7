"""Data as a whole: checked, fingerprinted, resized, its own target, a part of it held out."""

import numpy as np
import pytest
import torch

from edgesqueeze.data.preparation import Sizing
from edgesqueeze.data.task_data import (
    LabelledImages,
    fewer,
    held_out,
    labelled_data,
    reconstruction,
    resized,
)
from edgesqueeze.errors import TaskError
from edgesqueeze.normalization import Normalization

ABC = ("a", "b", "c")


def gray(count, top, size=(2, 3)):
    images = np.arange(count * size[0] * size[1], dtype=np.uint8).reshape(count, *size)
    return LabelledImages(images, np.arange(count, dtype=np.uint8) % (top + 1))


PLAIN = Normalization((0.0,), (1.0,))


def test_labelled_data():
    data = labelled_data(gray(6, 2), gray(3, 2), ABC, PLAIN)
    assert (len(data.train), len(data.test), data.num_classes, data.image_shape) == (6, 3, 3, (1, 2, 3))
    ((x, y),) = data.test.batches(9)
    assert y.tolist() == [0, 1, 2]
    assert (x * 255).round().flatten().tolist() == list(range(18))


def test_fingerprint_notices_every_change():
    def fingerprint(train=None, test=None, normalization=PLAIN):
        return labelled_data(train or gray(6, 2), test or gray(3, 2), ABC, normalization).fingerprint

    pixel, label = gray(6, 2), gray(3, 2)
    pixel.images[0, 0, 0] ^= 1
    label.labels[0] = 1
    prints = [
        fingerprint(),
        fingerprint(train=pixel),
        fingerprint(test=label),
        fingerprint(train=gray(6, 2).take(np.array([1, 0, 2, 3, 4, 5]))),
        fingerprint(normalization=Normalization((0.0,), (2.0,))),
        fingerprint(train=gray(6, 2, (3, 2)), test=gray(3, 2, (3, 2))),
    ]
    assert fingerprint() == prints[0]
    assert len(set(prints)) == len(prints)
    assert all(len(p) == 64 for p in prints)


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        (gray(0, 2), gray(3, 2), "the training split has no images"),
        (gray(3, 2), gray(0, 2), "the test split has no images"),
        (gray(6, 3), gray(3, 2), "a training image has label 3, outside the 3 classes 0 to 2"),
        (gray(6, 2), gray(8, 7), "a test image has label 7, outside the 3 classes"),
        (gray(6, 2), gray(3, 2, (3, 2)), r"training images are \(2, 3\) but test images \(3, 2\)"),
    ],
)
def test_labelled_data_that_does_not_fit(train, test, words):
    with pytest.raises(TaskError, match=words):
        labelled_data(train, test, ABC, PLAIN)


def small_grayscale():
    generator = np.random.default_rng(3)
    images = generator.integers(0, 256, (6, 8, 8), dtype=np.uint8)
    labelled = LabelledImages(images, np.arange(6, dtype=np.uint8) % 2)
    return labelled_data(labelled, labelled, ("a", "b"), Normalization((0.5,), (0.25,)))


def test_resized_images_are_torchs_resized_images_in_every_channel():
    data = small_grayscale()
    sized = resized(data, Sizing((16, 12), 3))
    assert sized.image_shape == (3, 16, 12)
    assert sized.fingerprint != data.fingerprint
    assert len({resized(data, Sizing((16, 12), c)).fingerprint for c in (1, 3)}) == 2
    (before, labels), (after, same) = (next(iter(d.train.first(4).batches(4))) for d in (data, sized))
    assert torch.equal(labels, same)
    for channel in range(3):
        expected = torch.nn.functional.interpolate(before, (16, 12), mode="bilinear", antialias=True)
        assert torch.equal(after[:, channel : channel + 1], expected)


def test_one_size_leaves_images_as_they_are():
    data = small_grayscale()
    kept = resized(data, Sizing(None, 1))
    assert kept.image_shape == data.image_shape
    assert torch.equal(next(iter(kept.test.batches(6)))[0], next(iter(data.test.batches(6)))[0])


def test_colour_images_are_resized_but_not_repeated():
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 8, 8), dtype=np.uint8)
    colour = LabelledImages(images, np.arange(4, dtype=np.uint8) % 2)
    data = labelled_data(colour, colour, ("a", "b"), Normalization((0.5,) * 3, (0.25,) * 3))
    assert (data.kind, data.image_shape) == ("classification", (3, 8, 8))
    sized = resized(data, Sizing((4, 6)))
    assert sized.image_shape == (3, 4, 6)
    assert next(iter(sized.test.batches(4)))[0].shape == (4, 3, 4, 6)
    with pytest.raises(TaskError, match="only grayscale images can be repeated, these have 3 channels"):
        resized(data, Sizing(channels=3))


def test_reconstruction_targets_are_the_images_in_0_to_1():
    data = labelled_data(gray(6, 2), gray(3, 2), ABC, Normalization((0.5,), (0.25,)))
    made = reconstruction(resized(data, Sizing((4, 6), 3)))
    assert (made.kind, made.num_classes, made.image_shape) == ("reconstruction", 0, (3, 4, 6))
    assert made.fingerprint != data.fingerprint
    ((x, y),) = made.test.batches(3)
    assert torch.equal(x, y)
    assert 0 <= float(x.min()) < float(x.max()) <= 1
    plain = reconstruction(data)
    ((x, _),) = plain.test.batches(3)
    assert torch.equal((x * 255).round().flatten(), torch.arange(18.0))
    assert len(plain.train.part(1, 3).first(5)) == 2
    with pytest.raises(TaskError, match="only images in memory"):
        reconstruction(plain)


def order(split):
    return [int(x.flatten()[0] * 255 + 0.5) for batch, _ in split.batches(4) for x in batch]


@pytest.mark.parametrize(("share", "kept"), [(0.1, 18), (0.5, 10), (0.24, 15)])
def test_held_out_images_are_the_last_ones(share, kept):
    data = labelled_data(gray(20, 2), gray(3, 2), ABC, PLAIN)
    train, validation = held_out(data, share)
    assert (len(train), len(validation)) == (kept, 20 - kept)
    assert order(train) + order(validation) == order(data.train)
    assert order(train.first(3)) == order(data.train.first(3))


@pytest.mark.parametrize("share", [0, 1, -0.1, 0.01, 0.99])
def test_shares_that_leave_nothing(share):
    with pytest.raises(TaskError, match=f"share.* {share}"):
        held_out(labelled_data(gray(20, 2), gray(3, 2), ABC, PLAIN), share)


def test_fewer_images():
    data = labelled_data(gray(20, 2), gray(3, 2), ABC, PLAIN)
    part = fewer(data, 7)
    assert order(part.train) == order(data.train)[:7]
    assert part.fingerprint != data.fingerprint
    with pytest.raises(TaskError, match="train_images is 21, but the training split has only 20"):
        fewer(data, 21)
