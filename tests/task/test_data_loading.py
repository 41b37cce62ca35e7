"""The data of a recipe for a kind of task: what is made of the settings, and what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from edgesqueeze.errors import TaskError
from edgesqueeze.task.data_loading import IMAGENET, data_name, load_data
from edgesqueeze.task.task_config import TaskConfig


def config(data):
    return TaskConfig.model_validate({"model": "m:f", "data": data}).data


@pytest.fixture
def photos(tmp_path):
    for name in ("blue", "red"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(5):
            pixels = np.random.default_rng(i).integers(0, 256, (8, 10, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path / "photos"


def test_settings_of_files_arrive(photos, tmp_path):
    data = {
        "image_folder": str(photos),
        "image_size": [8, 10],
        "workers": 1,
        "cache": str(tmp_path / "cache"),
    }
    plain = load_data(config(data), "classification")
    assert plain.classes == ("blue", "red")
    changed = load_data(config(data | {"augment": {"flip": True, "color": 0.5}}), "classification")
    assert changed.fingerprint == plain.fingerprint
    ((x, _),), ((same, _),) = (d.train.batches(8) for d in (plain, changed))
    assert torch.equal(x, same)
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (IMAGENET.mean, IMAGENET.std))
    levels = (x * std + mean) * 255
    assert torch.allclose(levels, levels.round(), atol=1e-3)
    drawn = [next(iter(d.train.batches(8, torch.Generator().manual_seed(0))))[0] for d in (plain, changed)]
    assert not torch.equal(*drawn)
    assert len(list((tmp_path / "cache").glob("arrays-*"))) == 1
    other = load_data(config(data | {"mean": [0.5], "std": [0.5]}), "classification")
    assert other.image_shape == (1, 8, 10)


@pytest.mark.parametrize("key", ["image_folder", "images"])
def test_reconstruction_of_files(photos, key):
    data = load_data(config({key: str(photos), "image_size": [8, 10]}), "reconstruction")
    assert (data.kind, data.image_shape, len(data.train), len(data.test)) == (
        "reconstruction",
        (3, 8, 10),
        8,
        2,
    )
    ((x, y),) = data.test.batches(2)
    assert torch.equal(x, y)
    assert float(x.min()) >= 0


def test_grayscale_reconstruction(photos):
    settings = {"images": str(photos), "image_size": [8, 10], "channels": 1}
    assert load_data(config(settings), "reconstruction").image_shape == (1, 8, 10)


def test_reconstruction_of_named_data():
    settings = {"named": "mnist_sample", "image_size": [14, 14], "train_images": 100, "augment": {"crop": 1}}
    data = load_data(config(settings), "reconstruction")
    assert (data.kind, data.image_shape, len(data.train)) == ("reconstruction", (1, 14, 14), 100)
    ((x, y),) = data.train.batches(100, torch.Generator().manual_seed(0))
    assert torch.equal(x, y)
    assert 0 <= float(x.min()) < float(x.max()) <= 1
    plain = load_data(config("mnist_sample"), "reconstruction")
    assert plain.fingerprint != load_data(config("mnist_sample"), "classification").fingerprint


def test_augmented_named_data():
    plain, changed = (
        load_data(config({"named": "mnist_sample", "augment": augment}), "classification")
        for augment in ({}, {"flip": True})
    )
    assert plain.fingerprint == changed.fingerprint
    first, second = (
        next(iter(d.train.batches(64, torch.Generator().manual_seed(0)))) for d in (plain, changed)
    )
    assert torch.equal(first[1], second[1])
    mirrored = [torch.equal(a, b.flip(-1)) for a, b in zip(first[0], second[0], strict=True)]
    same = [torch.equal(a, b) for a, b in zip(first[0], second[0], strict=True)]
    assert all(a or b for a, b in zip(mirrored, same, strict=True))
    assert 16 < sum(mirrored) < 48


FILES = {"image_size": [16, 16]}


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        ("mnist", "detection", "data 'mnist' cannot be used for detection; allowed: a mapping with "),
        ({"named": "mnist"}, "segmentation", "data with named cannot be used for segmentation; allowed: "),
        ({"coco": "d", **FILES}, "segmentation", "a mapping with masks, oxford_pets, voc, images, scenes"),
        (
            {"masks": "d", "classes": ["a"], **FILES},
            "detection",
            "a mapping with voc, coco, yolo, images, scenes",
        ),
        (
            {"scenes": {"items": "mnist", **FILES}},
            "classification",
            "data with scenes cannot be used for classification; allowed: ",
        ),
        (
            {"scenes": {"items": "mnist", **FILES}, "mean": [0] * 3, "std": [1] * 3},
            "reconstruction",
            "leave mean",
        ),
        (
            {"idx": "d"},
            "regression",
            "data with idx cannot be used for regression, for which a recipe has only images without labels",
        ),
        (
            {"coco": "d", **FILES},
            "classification",
            "data with coco cannot be used for classification; allowed: mnist_sample, fashion_mnist, mnist, cifar10, "
            "cifar100, or a mapping with named, idx, image_folder, images",
        ),
        (
            {"image_folder": "d", **FILES, "mean": [0.5], "std": [0.5]},
            "reconstruction",
            "a reconstruction is of images in [0, 1]: leave mean and std out",
        ),
        ({"idx": "d", "mean": [0.5], "std": [0.5]}, "reconstruction", "leave mean and std out"),
    ],
)
def test_data_of_another_kind(data, kind, words):
    with pytest.raises(TaskError) as caught:
        load_data(config(data), kind)
    assert words in str(caught.value)


SCENES = {
    "scenes": {"items": "mnist_sample", "image_size": [32, 40], "train": 12, "test": 6, "objects": [2, 3]}
}


@pytest.mark.parametrize("kind", ["detection", "segmentation", "reconstruction"])
def test_scenes_for_every_kind_that_has_them(kind):
    data = load_data(config(SCENES), kind)
    assert (data.kind, data.image_shape, len(data.train), len(data.test)) == (kind, (3, 32, 40), 12, 6)
    ((x, y),) = data.test.batches(6)
    if kind == "detection":
        assert y["boxes"].shape == (6, 3, 4)
        assert data.classes == tuple("0123456789")
    normalized = bool(x.min() < 0)
    assert normalized == (kind != "reconstruction")


def test_settings_of_scenes_arrive():
    plain, noisy = (
        load_data(config({"scenes": SCENES["scenes"] | {"noise": noise, "seed": 5}}), "reconstruction")
        for noise in (0.0, 0.3)
    )
    ((x, _),), ((other, _),) = (data.test.batches(6) for data in (plain, noisy))
    assert 0.15 < float((x - other).std()) < 0.3


def test_names():
    assert data_name(config(SCENES)) == "scenes of mnist_sample at 32 × 40"
    assert data_name(config({"images": "a/b", **FILES})) == "a/b"
    assert data_name(config("mnist")) == "mnist"
    settings = {"named": "mnist", "image_size": [64, 48], "train_images": 300}
    assert data_name(config(settings)) == "mnist at 64 × 48, 300 training images"
