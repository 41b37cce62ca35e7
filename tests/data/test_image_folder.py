"""Folders of real PNG, JPEG and other files written with Pillow."""

import shutil

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torchvision import transforms

from edgesqueeze.data.files.split import ImageSettings
from edgesqueeze.data.image_folder import load_image_folder
from edgesqueeze.errors import TaskError
from edgesqueeze.normalization import Normalization

RGB = ImageSettings((12, 16), Normalization((0.4, 0.5, 0.6), (0.2, 0.25, 0.3)))
GRAY = ImageSettings((12, 16), Normalization((0.5,), (0.25,)))
COLOURS = {"blue": (0, 0, 200), "green": (0, 200, 0), "red": (200, 0, 0)}


def write_image(path, colour, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 50, (20, 24, 3))
    Image.fromarray((noise + np.array(colour)).astype(np.uint8)).save(path)


def write_classes(folder, count, suffixes=(".png", ".jpg"), classes=tuple(COLOURS)):
    for c, name in enumerate(classes):
        for i in range(count):
            write_image(folder / name / f"{i:03}{suffixes[i % len(suffixes)]}", COLOURS[name], 100 * c + i)
    return folder


def labels(split):
    return [int(label) for _, y in split.batches(7) for label in y]


@pytest.mark.parametrize("test_name", ["test", "val"])
def test_two_folders_against_torchvision(tmp_path, test_name):
    write_classes(tmp_path / "train", 6)
    write_classes(tmp_path / test_name, 3, (".bmp", ".webp", ".ppm"))
    data = load_image_folder(tmp_path, RGB)
    assert (len(data.train), len(data.test), data.image_shape) == (18, 9, (3, 12, 16))
    assert data.classes == ("blue", "green", "red")
    transform = transforms.Compose(
        [
            transforms.Resize((12, 16)),
            transforms.ToTensor(),
            transforms.Normalize((0.4, 0.5, 0.6), (0.2, 0.25, 0.3)),
        ]
    )
    reference = torchvision.datasets.ImageFolder(tmp_path / test_name, transform)
    ((x, y),) = data.test.batches(9)
    assert torch.equal(x, torch.stack([image for image, _ in reference]))
    assert y.tolist() == reference.targets == labels(data.test)
    assert sorted(labels(data.train)) == [0] * 6 + [1] * 6 + [2] * 6


def test_test_folder_comes_before_val(tmp_path):
    for name, count in (("train", 3), ("test", 1), ("val", 2)):
        write_classes(tmp_path / name, count)
    assert len(load_image_folder(tmp_path, RGB).test) == 3


@pytest.mark.parametrize(("count", "in_test"), [(2, 1), (5, 1), (10, 2), (13, 3)])
def test_one_folder_is_split_four_to_one_in_every_class(tmp_path, count, in_test):
    data = load_image_folder(write_classes(tmp_path, count), RGB)
    assert labels(data.test) == [0] * in_test + [1] * in_test + [2] * in_test
    assert sorted(labels(data.train)) == sorted([0, 1, 2] * (count - in_test))


def fingerprints_of_images(split):
    return {bytes(image.numpy()) for x, _ in split.batches(8) for image in x}


def test_split_is_disjoint_complete_and_the_same_elsewhere(tmp_path):
    data = load_image_folder(write_classes(tmp_path / "a", 10, (".png",)), RGB)
    train, test = fingerprints_of_images(data.train), fingerprints_of_images(data.test)
    assert not train & test
    assert len(train | test) == 30
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    again = load_image_folder(tmp_path / "b", RGB)
    assert again.fingerprint == data.fingerprint
    assert fingerprints_of_images(again.test) == test
    assert labels(again.train) == labels(data.train)


def test_first_training_images_mix_the_classes(tmp_path):
    for folder, layout in ((tmp_path / "flat", ""), (tmp_path / "two", "train")):
        write_classes(folder / layout, 40, (".png",))
        if layout:
            write_classes(folder / "test", 1)
        counts = np.bincount(labels(load_image_folder(folder, RGB).train.first(48)), minlength=3)
        assert np.abs(counts - 16).max() <= 10


def test_adding_a_file_hardly_moves_the_split(tmp_path):
    before = fingerprints_of_images(load_image_folder(write_classes(tmp_path, 20, (".png",)), RGB).test)
    write_image(tmp_path / "red" / "new.png", COLOURS["red"], 999)
    after = fingerprints_of_images(load_image_folder(tmp_path, RGB).test)
    assert len(before ^ after) <= 2


def test_grayscale(tmp_path):
    data = load_image_folder(write_classes(tmp_path, 5, (".png",)), GRAY)
    assert data.image_shape == (1, 12, 16)
    ((x, _),) = data.test.batches(3)
    assert x.shape == (3, 1, 12, 16)
    with Image.open(next(iter(sorted((tmp_path / "blue").iterdir())))) as image:
        levels = np.asarray(image.convert("L")) / 255
    assert abs(float(x[0].mean()) * 0.25 + 0.5 - levels.mean()) < 0.02


def test_fingerprint_notices_content_names_and_settings(tmp_path):
    def fingerprint(settings=RGB):
        return load_image_folder(tmp_path, settings).fingerprint

    write_classes(tmp_path, 4)
    prints = [fingerprint(), fingerprint(GRAY), fingerprint(ImageSettings((16, 12), RGB.normalization))]
    write_image(tmp_path / "red" / "000.png", (1, 2, 3))
    prints.append(fingerprint())
    (tmp_path / "red" / "000.png").rename(tmp_path / "red" / "zzz.png")
    prints.append(fingerprint())
    (tmp_path / "red").rename(tmp_path / "rot")
    prints.append(fingerprint())
    assert len(set(prints)) == len(prints)


def test_other_files_are_passed_over_and_subfolders_are_walked(tmp_path):
    write_classes(tmp_path, 4)
    (tmp_path / "labels.txt").write_text("blue green red")
    (tmp_path / "blue" / "notes.txt").write_text("x")
    (tmp_path / "blue" / ".hidden.png").write_bytes(b"x")
    (tmp_path / ".cache").mkdir()
    write_image(tmp_path / "blue" / "deeper" / "A.PNG", COLOURS["blue"])
    data = load_image_folder(tmp_path, RGB)
    assert (len(data.train) + len(data.test), data.num_classes) == (13, 3)


def test_a_class_may_be_called_train(tmp_path):
    write_classes(tmp_path, 4)
    (tmp_path / "red").rename(tmp_path / "train")
    assert load_image_folder(tmp_path, RGB).num_classes == 3


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "CMYK"])
@pytest.mark.parametrize("settings", [RGB, GRAY], ids=["rgb", "gray"])
def test_colour_modes(tmp_path, mode, settings):
    write_classes(tmp_path, 4)
    with Image.open(tmp_path / "red" / "000.png") as image:
        converted = image.convert(mode)
    target = tmp_path / "red" / ("000.jpg" if mode == "CMYK" else "000.png")
    (tmp_path / "red" / "000.png").unlink()
    converted.save(target)
    data = load_image_folder(tmp_path, settings)
    for split in (data.train, data.test):
        assert all(torch.isfinite(x).all() for x, _ in split.batches(4))


def refuse(folder, *words):
    with pytest.raises(TaskError) as caught:
        load_image_folder(folder, RGB)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def test_absent_folder(tmp_path):
    refuse(tmp_path / "no", "no is not a directory")


def test_empty_folder(tmp_path):
    refuse(tmp_path, str(tmp_path), "needs at least two class folders; found none")


def test_one_class(tmp_path):
    refuse(write_classes(tmp_path, 3, classes=("red",)), "needs at least two class folders; found only 'red'")


def test_train_without_test(tmp_path):
    write_classes(tmp_path / "train", 2)
    refuse(tmp_path, "has train/ but neither test/ nor val/")


def test_test_without_train(tmp_path):
    write_classes(tmp_path / "val", 2)
    refuse(tmp_path, "has val/ but no train/ with class folders in it")


@pytest.mark.parametrize(("lacking", "having"), [("train", "test"), ("test", "train")])
def test_classes_that_differ(tmp_path, lacking, having):
    write_classes(tmp_path / "train", 2)
    write_classes(tmp_path / "test", 2)
    shutil.rmtree(tmp_path / lacking / "green")
    refuse(tmp_path, f"class 'green' is in {having}/ but not in {lacking}/ (1 such classes)")


def test_class_without_enough_images(tmp_path):
    write_classes(tmp_path / "flat", 3)
    for path in sorted((tmp_path / "flat" / "green").iterdir())[1:]:
        path.unlink()
    refuse(tmp_path / "flat", "green has 1 images, at least 2 needed; known types are .jpg")
    write_classes(tmp_path / "two" / "train", 2)
    write_classes(tmp_path / "two" / "test", 2)
    shutil.rmtree(tmp_path / "two" / "test" / "red")
    (tmp_path / "two" / "test" / "red").mkdir()
    refuse(tmp_path / "two", "red has 0 images, at least 1 needed")


@pytest.mark.parametrize("content", [b"", b"this is text", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_file_that_is_no_image(tmp_path, content, suffix):
    write_classes(tmp_path, 3)
    path = tmp_path / "green" / f"bad{suffix}"
    path.write_bytes(content)
    refuse(tmp_path, f"image {path} cannot be read: ")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_truncated_image_is_named_when_it_is_decoded(tmp_path, suffix):
    write_classes(tmp_path, 3)
    path = tmp_path / "green" / f"cut{suffix}"
    write_image(path, COLOURS["green"])
    content = path.read_bytes()
    path.write_bytes(content[:-60])
    data = load_image_folder(tmp_path, RGB)
    with pytest.raises(TaskError) as caught:
        labels(data.train), labels(data.test)
    assert str(caught.value).startswith(f"image {path} cannot be read: ")


def test_sixteen_bit_image(tmp_path):
    write_classes(tmp_path, 3)
    path = tmp_path / "green" / "deep.png"
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(path)
    refuse(tmp_path, f"image {path} has more than 8 bits per channel (mode I;16)", "convert it to 8 bits")


def test_picture_too_large_to_be_meant(tmp_path):
    """A small file that claims billions of pixels is refused by its header."""
    write_classes(tmp_path, 3)
    path = tmp_path / "green" / "bomb.pgm"
    path.write_bytes(b"P5 60000 60000 255\n\0")
    refuse(tmp_path, f"image {path} cannot be read: ")
