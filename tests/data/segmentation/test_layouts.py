"""Folders of masks, VOC's and the Oxford pets' written here, with classes at known pixels."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from edgesqueeze.data.augmentation import Augmentation
from edgesqueeze.data.files.reading import Reading
from edgesqueeze.data.files.split import ImageSettings
from edgesqueeze.data.segmentation.masks import load_masks
from edgesqueeze.data.segmentation.oxford_pets import load_oxford_pets
from edgesqueeze.data.segmentation.voc import VOC_CLASSES, load_voc_masks
from edgesqueeze.errors import TaskError
from edgesqueeze.normalization import Normalization

# Twice as high and as wide as the files.
SETTINGS = ImageSettings((16, 24), Normalization((0.0,) * 3, (1.0,) * 3))
CLASSES = ("ground", "cat", "dog")
PALETTE = [v for i in range(256) for v in (255 - i, i, 128)]
SPLITS = {"train": "abcdef", "test": "xy"}


def values(name):
    """A mask of its own for each name: a dog, a cat, and pixels that are not counted between."""
    mask = np.zeros((8, 12), np.uint8)
    column = ord(name) % 6
    mask[1:6, column : column + 5] = 2
    mask[2:5, column + 1] = 255
    mask[6:8, :4] = 1
    return mask


def picture(name):
    """The same as colours: what is not counted is white."""
    mask = values(name)
    return np.stack([np.where(np.isin(mask, (kind, 255)), 250, 0) for kind in (1, 2, 9)], -1).astype(np.uint8)


def write_mask(path, mask):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(mask)
    image.putpalette(PALETTE)
    image.save(path)


def write_picture(path, name):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(name)).save(path)


def write_masks(folder, test="test"):
    for split, names in SPLITS.items():
        place = folder / (test if split == "test" else split) if test else folder
        for name in names:
            write_picture(place / "images" / "deeper" / f"{name}.bmp", name)
            write_mask(place / "masks" / "deeper" / f"{name}.png", values(name))
    return folder


def write_voc(folder):
    lists = folder / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for split, names in SPLITS.items():
        (lists / f"{split}.txt").write_text("\n".join(names))
        for name in names:
            write_picture(folder / "JPEGImages" / f"{name}.png", name)
            write_mask(folder / "SegmentationClass" / f"{name}.png", values(name))
    return folder


def write_pets(folder):
    trimap = np.zeros(256, np.uint8)
    trimap[[0, 1, 2, 255]] = 2, 2, 1, 3
    for split, names in SPLITS.items():
        for name in names:
            write_picture(folder / "images" / f"{name}_1.jpg", name)
            path = folder / "annotations" / "trimaps" / f"{name}_1.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(trimap[values(name)]).save(path)
        listed = "".join(f"{name}_1 1 1 1\n" for name in names)
        (folder / "annotations" / f"{'trainval' if split == 'train' else split}.txt").write_text(listed)
    return folder


def masks(folder, settings=SETTINGS):
    return load_masks(folder, CLASSES, settings)


def voc(folder, settings=SETTINGS):
    return load_voc_masks(folder, CLASSES, settings)


LAYOUTS = {"masks": (write_masks, masks), "voc": (write_voc, voc), "pets": (write_pets, load_oxford_pets)}


def walked(split, generator=None):
    batches = list(split.batches(4, generator))
    return torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_classes_come_out_at_known_pixels(tmp_path, layout):
    write, load = LAYOUTS[layout]
    data = load(write(tmp_path), SETTINGS)
    classes = ("background", "pet") if layout == "pets" else CLASSES
    assert (data.kind, data.classes, data.image_shape) == ("segmentation", classes, (3, 16, 24))
    assert (len(data.train), len(data.test)) == (6, 2)
    _, y = walked(data.test)
    assert y.dtype == torch.int64
    for name, mask in zip(SPLITS["test"], y.numpy(), strict=True):
        expected = values(name)
        if layout == "pets":
            expected = np.select([expected == 255, expected == 2], [255, 1], 0)
        assert np.array_equal(mask, expected.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_masks_lie_on_their_images_after_augmenting(tmp_path, layout):
    write, load = LAYOUTS[layout]
    data = load(write(tmp_path), replace(SETTINGS, augmentation=Augmentation(flip=True, crop=4)))
    for seed in range(5):
        x, y = walked(data.train, torch.Generator().manual_seed(seed))
        pet = 1 if layout == "pets" else 2
        green = x[:, 1] > 0.5
        shown = (y == pet) | ((y == 255) & (x[:, 0] > 0.5))
        # Bilinear images and nearest masks, and JPEG, differ along the edges.
        assert float((green != shown).float().mean()) < 0.06
        assert (y == 255).any()
    assert torch.equal(walked(data.train, torch.Generator().manual_seed(1))[1].unique(), y.unique())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_workers_and_cache_change_nothing(tmp_path, layout):
    write, load = LAYOUTS[layout]
    plain = load(write(tmp_path / "files"), SETTINGS)
    for reading in (Reading(cache=tmp_path / "cache"), Reading(workers=1, cache=tmp_path / "cache")):
        kept = load(tmp_path / "files", replace(SETTINGS, reading=reading))
        assert kept.fingerprint == plain.fingerprint
        for one, other in ((kept.train, plain.train), (kept.test, plain.test)):
            assert all(map(torch.equal, walked(one), walked(other)))


def test_a_cache_made_with_other_classes_does_not_vouch_for_masks(tmp_path):
    write_masks(tmp_path / "files")
    settings = replace(SETTINGS, reading=Reading(cache=tmp_path / "cache"))
    load_masks(tmp_path / "files", CLASSES, settings)
    refuse(
        lambda: load_masks(tmp_path / "files", CLASSES[:2], settings),
        "has a pixel of value 2; allowed: 0 to 1, 255",
    )


def test_one_folder_is_split_by_a_fixed_fifth(tmp_path):
    data = masks(write_masks(tmp_path, test=""))
    assert (len(data.train), len(data.test)) == (6, 2)
    assert masks(tmp_path).fingerprint == data.fingerprint
    assert len(data.train.part(1, 4)) == 3


def test_the_classes_of_voc(tmp_path):
    data = load_voc_masks(write_voc(tmp_path), None, SETTINGS)
    assert data.classes == VOC_CLASSES
    assert (data.num_classes, data.classes[0], data.classes[15]) == (21, "background", "person")


def test_pets_are_read_where_torchvision_reads_them(tmp_path):
    data = load_oxford_pets(write_pets(tmp_path / "oxford-iiit-pet"), SETTINGS)
    reference = torchvision.datasets.OxfordIIITPet(tmp_path, "test", "segmentation", download=False)
    meaning = np.array([0, 1, 0, 255])
    for (_, trimap), mask in zip(reference, walked(data.test)[1].numpy(), strict=True):
        assert np.array_equal(mask[::2, ::2], meaning[np.asarray(trimap)])


# -- mistakes ------------------------------------------------------------------------------------------


def refuse(load, *words):
    with pytest.raises(TaskError) as caught:
        load()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("workers", [0, 1])
def test_value_that_is_no_class(tmp_path, layout, workers):
    write, load = LAYOUTS[layout]
    path = next(iter(sorted(write(tmp_path).rglob("a*.png"))[-1:]))
    Image.fromarray(np.full((8, 12), 7, np.uint8)).save(path)
    allowed = "1 to 3" if layout == "pets" else "0 to 2, 255"
    settings = replace(SETTINGS, reading=Reading(workers=workers))
    refuse(lambda: load(tmp_path, settings), f"mask {path} has a pixel of value 7; allowed: {allowed}")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_mask_of_another_size(tmp_path, layout):
    write, load = LAYOUTS[layout]
    path = next(iter(sorted(write(tmp_path).rglob("a*.png"))[-1:]))
    Image.fromarray(np.ones((8, 13), np.uint8)).save(path)
    refuse(lambda: load(tmp_path, SETTINGS), "has 12 × 8 pixels, but its mask ", "has 13 × 8")


def test_coloured_mask(tmp_path):
    path = write_masks(tmp_path) / "train" / "masks" / "deeper" / "a.png"
    Image.fromarray(picture("a")).save(path)
    refuse(lambda: masks(tmp_path), f"mask {path} is a picture of mode RGB")


def test_folders_of_masks(tmp_path):
    refuse(lambda: masks(tmp_path / "no"), "no is not a directory")
    refuse(lambda: masks(tmp_path), "has no images/")
    write_masks(tmp_path)
    (tmp_path / "train" / "masks" / "deeper" / "b.png").unlink()
    refuse(lambda: masks(tmp_path), "b.bmp has no partner deeper/b.* in ", "train/masks")
    (tmp_path / "train" / "images" / "deeper" / "b.bmp").unlink()
    (tmp_path / "train" / "images" / "deeper" / "c.bmp").unlink()
    refuse(lambda: masks(tmp_path), "c.png has no partner deeper/c.* in ", "train/images")
    write_picture(tmp_path / "train" / "images" / "deeper" / "c.bmp", "c")
    write_picture(tmp_path / "train" / "images" / "deeper" / "c.png", "c")
    refuse(lambda: masks(tmp_path), "differ only in their endings")
    shutil.rmtree(tmp_path / "train" / "images" / "deeper")
    refuse(lambda: masks(tmp_path), "train/images has 0 images, at least 1 needed")
    shutil.rmtree(tmp_path / "test")
    refuse(lambda: masks(tmp_path), "has train/ but neither test/ nor val/")


def test_missing_files_of_voc(tmp_path):
    (write_voc(tmp_path) / "SegmentationClass" / "x.png").unlink()
    refuse(lambda: voc(tmp_path), "has no SegmentationClass/x.png for JPEGImages/x.png")
    (tmp_path / "ImageSets" / "Segmentation" / "train.txt").unlink()
    refuse(lambda: voc(tmp_path), "has no ImageSets/Segmentation/train.txt")


def test_missing_files_of_pets(tmp_path):
    (write_pets(tmp_path) / "annotations" / "trimaps" / "x_1.png").unlink()
    refuse(
        lambda: load_oxford_pets(tmp_path, SETTINGS),
        "test.txt names x_1, but ",
        "has no annotations/trimaps/x_1.png",
    )
    (tmp_path / "annotations" / "test.txt").write_text("# nothing\n")
    refuse(lambda: load_oxford_pets(tmp_path, SETTINGS), "test.txt names no images")
    (tmp_path / "annotations" / "trainval.txt").unlink()
    refuse(lambda: load_oxford_pets(tmp_path, SETTINGS), "has no annotations/trainval.txt")
