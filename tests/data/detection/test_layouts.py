"""VOC, COCO and YOLO folders written here, with boxes at known pixels."""

import shutil
from dataclasses import replace

import pytest
import torch
from boxed_folders import IMAGES, LAYOUTS, SETTINGS, expected, found, voc, write_voc

from edgesqueeze.data.augmentation import Augmentation
from edgesqueeze.data.files.reading import Reading
from edgesqueeze.data.task_data import held_out


@pytest.mark.parametrize("layout", LAYOUTS)
def test_boxes_come_out_at_known_pixels(tmp_path, layout):
    write, load = LAYOUTS[layout]
    data = load(write(tmp_path / layout), SETTINGS)
    assert (data.kind, data.classes, data.image_shape) == ("detection", ("cat", "dog"), (3, 60, 20))
    crowd = layout != "yolo"
    assert found(data.test) == expected("val", crowd)
    assert sorted(found(data.train)) == sorted(expected("train", crowd))
    assert sorted(found(data.train, torch.Generator().manual_seed(0))) == sorted(expected("train", crowd))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_box_lies_on_the_pixels_after_resizing_and_augmenting(tmp_path, layout):
    write, load = LAYOUTS[layout]
    settings = replace(SETTINGS, augmentation=Augmentation(flip=True, crop=3))
    data = load(write(tmp_path / layout), settings)
    ((plain, y),) = data.test.batches(5)
    x1, y1, x2, y2 = y["boxes"][0, 0].round().int().tolist()
    assert plain[0, 1, y1:y2, x1:x2].min() > 0.6
    assert plain[0, 1].sum() * 0.9 < plain[0, 1, y1:y2, x1:x2].sum()
    for seed in range(20):
        for x, y in data.train.batches(3, torch.Generator().manual_seed(seed)):
            for image, boxes, labels in zip(x, y["boxes"], y["labels"], strict=True):
                for box, label in zip(boxes.round().int().tolist(), labels.tolist(), strict=True):
                    if label >= 0:
                        inside = image[label, box[1] : box[3], box[0] : box[2]]
                        assert inside.numel() > 0
                        assert inside.mean() > 0.75


@pytest.mark.parametrize("layout", LAYOUTS)
def test_fingerprints_notice_boxes_and_not_places(tmp_path, layout, monkeypatch):
    write, load = LAYOUTS[layout]
    one = load(write(tmp_path / "one"), SETTINGS)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert load(tmp_path / "two", SETTINGS).fingerprint == one.fingerprint
    monkeypatch.setitem(IMAGES, "val", {"d": [("dog", 30, 1, 38, 10, False)]})
    pixels = tmp_path / "one"
    other = write(tmp_path / "three")
    for path in pixels.rglob("d.png"):
        shutil.copy(path, other / path.relative_to(pixels))
    assert load(other, SETTINGS).fingerprint != one.fingerprint


def test_workers_and_cache_change_nothing(tmp_path):
    folder = write_voc(tmp_path / "voc")
    plain = voc(folder)
    for _ in range(2):
        reading = Reading(workers=2, cache=tmp_path / "cache")
        kept = voc(folder, replace(SETTINGS, reading=reading))
        assert kept.fingerprint == plain.fingerprint
        assert found(kept.train) == found(plain.train)
    train, validation = held_out(plain, 0.34)
    assert found(train) + found(validation) == found(plain.train)
