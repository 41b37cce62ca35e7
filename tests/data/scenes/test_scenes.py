"""Composed scenes: exact boxes and masks, and the same scene however it is asked for."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from edgesqueeze.data.augmentation import Augmentation
from edgesqueeze.data.scenes.composing import SceneSettings
from edgesqueeze.data.scenes.draws import Draws
from edgesqueeze.data.scenes.items import load_items
from edgesqueeze.data.scenes.loading import SceneSource, load_scenes, scenes_of
from edgesqueeze.errors import TaskError
from edgesqueeze.normalization import Normalization

PLAIN = Normalization((0.0,) * 3, (1.0,) * 3)
BARE = SceneSettings((40, 48), clutter=0, shading=0.0, noise=0.0)
FULL = SceneSettings((40, 48), objects=(2, 5), scale=(0.3, 0.6))


@pytest.fixture(scope="module")
def stamps(tmp_path_factory):
    """Discs and bars of one colour each, on transparent ground larger than they are."""
    folder = tmp_path_factory.mktemp("stamps")
    rows, columns = np.mgrid[:30, :40]
    for name, shape in (
        ("flat/bars", abs(rows - 15) < 4),
        ("round/discs", (rows - 15) ** 2 + (columns - 20) ** 2 < 81),
    ):
        (folder / name).mkdir(parents=True)
        for i in range(10):
            pixels = np.zeros((30, 40, 4), np.uint8)
            pixels[shape] = (250, 20 * i, 0, 255) if "bars" in name else (0, 20 * i, 250, 255)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    (folder / "few").mkdir()
    Image.fromarray(np.full((4, 4, 4), 255, np.uint8)).save(folder / "few" / "one.png")
    return folder


def source(stamps, settings=FULL, train=30, test=10, classes=None):
    return SceneSource(stamps, classes, settings, train, test)


def scenes(items, settings, count=40):
    scene_of = scenes_of(settings, items.train, 0)
    return [scene_of(index) for index in range(count)]


@pytest.mark.parametrize("overlap", [0.0, 0.3])
def test_boxes_are_the_bounds_of_what_is_seen(stamps, overlap):
    items = load_items(stamps, None, 24)
    assert items.classes == ("flat/bars", "round/discs")
    seen = 0
    for scene in scenes(items, replace(BARE, objects=(1, 4), scale=(0.3, 0.6), overlap=overlap)):
        red, blue = scene.image[0].astype(int), scene.image[2].astype(int)
        assert (scene.mask == 1)[(red > 240) & (blue < 5)].all()
        assert (scene.mask == 2)[(blue > 240) & (red < 5)].all()
        shown = np.zeros(scene.mask.shape, bool)
        for (x1, y1, x2, y2), label in zip(scene.boxes.astype(int), scene.labels, strict=True):
            inside = scene.mask[y1:y2, x1:x2] == label + 1
            # Something of the class touches all four edges.
            assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
            # A disc and a bar fill these shares of their boxes, less what others may hide.
            assert inside.mean() > (0.7 if overlap == 0 else 0.45)
            shown[y1:y2, x1:x2] |= inside
            seen += 1
        assert np.array_equal(shown, scene.mask > 0)
    assert seen > 60


def test_the_masks_count_what_may_be_hidden(stamps):
    items = load_items(stamps, ("round/discs",), 20)
    settings = replace(BARE, objects=(8, 8), scale=(0.5, 0.5))
    hidden = []
    for scene in scenes(items, replace(settings, overlap=0.4), 20):
        for x1, y1, x2, y2 in scene.boxes.astype(int):
            hidden.append(1 - (x2 - x1) * (y2 - y1) / 400)
    assert max(hidden) > 0.05
    apart = scenes(items, replace(settings, overlap=0.0), 20)
    assert all(np.allclose(s.boxes[:, 2:] - s.boxes[:, :2], 20, atol=1) for s in apart)
    assert np.mean([len(s.labels) for s in apart]) < np.mean(
        [len(s.labels) for s in scenes(items, settings, 20)]
    )


def digest(scene):
    parts = (scene.image, scene.mask, scene.boxes, scene.labels)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


PROGRAM = """
import sys
from pathlib import Path
from test_scenes import FULL, digest
from edgesqueeze.data.scenes.items import load_items
from edgesqueeze.data.scenes.loading import scenes_of
print(digest(scenes_of(FULL, load_items(Path(sys.argv[1]), None, 24).train, 0)(7)))
"""


def test_a_scene_is_the_same_however_it_is_asked_for(stamps):
    items = load_items(stamps, None, 24)
    prints = [digest(scene) for scene in scenes(items, FULL, 20)]
    assert len(set(prints)) == 20
    alone = scenes_of(FULL, load_items(stamps, None, 24).train, 0)
    assert [digest(alone(index)) for index in (13, 2, 13)] == [prints[13], prints[2], prints[13]]
    assert digest(scenes_of(FULL, items.train, 1)(7)) != prints[7]
    assert digest(scenes_of(replace(FULL, seed=1), items.train, 0)(7)) != prints[7]


@pytest.mark.slow
def test_a_scene_is_the_same_in_another_process(stamps):
    expected = digest(scenes_of(FULL, load_items(stamps, None, 24).train, 0)(7))
    here = __file__.rpartition("/")[0]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(stamps)],
        env={"PYTHONPATH": f"{here}:{':'.join(sys.path)}"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == expected


def test_draws_never_change():
    draws = Draws(3, 1, 4)
    assert draws.uniforms(3).tolist() == GOLDEN_UNIFORMS
    assert [draws.whole(1, 6) for _ in range(8)] == GOLDEN_WHOLE
    noise = Draws(3, 1, 4).noise((50, 60, 3))
    assert noise.dtype == np.float32
    assert abs(float(noise.mean())) < 0.05
    assert abs(float(noise.std()) - 1) < 0.05
    assert noise.flatten()[:3].tolist() == pytest.approx(GOLDEN_NOISE, abs=1e-6)


GOLDEN_UNIFORMS = [0.7213857060665587, 0.9160542714580594, 0.06712797059429076]
GOLDEN_WHOLE = [2, 3, 1, 5, 4, 2, 4, 3]
GOLDEN_NOISE = [-0.060892876237630844, -0.19621038436889648, 1.224623441696167]


def test_more_scenes_leave_the_first_ones_as_they_are(stamps):
    few = load_scenes(source(stamps), "detection", PLAIN, None)
    many = load_scenes(source(stamps, train=50), "detection", PLAIN, None)
    assert few.fingerprint != many.fingerprint
    assert load_scenes(source(stamps), "detection", PLAIN, None).fingerprint == few.fingerprint
    (x, y), (more, targets) = (next(iter(data.train.batches(30))) for data in (few, many))
    assert torch.equal(x, more)
    assert torch.equal(y["boxes"], targets["boxes"])


def test_every_kind_of_task_is_shown_the_same_scenes(stamps):
    made = {
        kind: load_scenes(source(stamps), kind, PLAIN, None)
        for kind in ("detection", "segmentation", "reconstruction")
    }
    assert {kind: data.classes for kind, data in made.items()} == {
        "detection": ("flat/bars", "round/discs"),
        "segmentation": ("background", "flat/bars", "round/discs"),
        "reconstruction": (),
    }
    assert len({data.fingerprint for data in made.values()}) == 3
    (x, boxes), (same, masks), (again, target) = (next(iter(data.test.batches(10))) for data in made.values())
    assert torch.equal(x, same)
    assert torch.equal(x, again)
    assert torch.equal(x, target)
    assert made["segmentation"].image_shape == (3, 40, 48)
    assert (masks.dtype, masks.shape) == (torch.int64, (10, 40, 48))
    assert boxes["boxes"].shape == (10, 5, 4)
    assert not boxes["crowd"].any()
    for mask, corners, labels in zip(masks, boxes["boxes"].int(), boxes["labels"], strict=True):
        for (x1, y1, x2, y2), label in zip(corners.tolist(), labels.tolist(), strict=True):
            assert label == -1 or (mask[y1:y2, x1:x2] == label + 1).any()


def test_training_scenes_are_augmented(stamps):
    data = load_scenes(source(stamps), "segmentation", PLAIN, Augmentation(flip=True, crop=4))
    plain = next(iter(data.train.batches(30)))[1]
    drawn = next(iter(data.train.batches(30, torch.Generator().manual_seed(0))))[1]
    assert not (plain == 255).any()
    assert (drawn == 255).any()
    ((_, test),) = data.test.batches(10, torch.Generator().manual_seed(0))
    assert not (test == 255).any()


def test_items_of_train_and_test_are_disjoint(stamps):
    items = load_items(stamps, None, 24)
    assert np.bincount(items.train.labels).tolist() == [8, 8]
    assert np.bincount(items.test.labels).tolist() == [2, 2]
    colours = [{image.tobytes() for image in split.images} for split in (items.train, items.test)]
    assert not colours[0] & colours[1]
    assert len(colours[0] | colours[1]) == 20


def test_named_items_are_cut_out_and_tinted():
    items = load_items("mnist_sample", ("3", "8"), 20)
    assert items.classes == ("3", "8")
    assert len(items.train.labels) == 800
    assert set(items.test.labels.tolist()) == {0, 1}
    cutout = items.train.cutout(0, 20, np.array([1.0, 0.5, 0.0]))
    assert max(cutout.shape[:2]) == 20
    alpha = cutout[..., 3]
    assert alpha.min() == 0
    assert alpha.max() == 1
    opaque = cutout[alpha == 1]
    assert np.allclose(opaque[:, 0], 2 * opaque[:, 1])
    assert (cutout[..., 2] == 0).all()
    with pytest.raises(TaskError, match="mnist_sample has no class '11'; allowed: 0, 1, 2"):
        load_items("mnist_sample", ("3", "11"), 20)


def test_folders_of_items(stamps, tmp_path):
    named = load_items(stamps, ("round", "flat"), 24)
    assert named.classes == ("round", "flat")
    assert len(named.train.labels) == 16
    for folder, classes, words in (
        (tmp_path / "no", None, "items .*no is not a directory"),
        (tmp_path, None, "has no folder with at least 5 images in it"),
        (stamps, ("flat", "few"), "class 'few' has 1 images, at least 2 needed"),
        (stamps, ("flat", "absent"), "class 'absent' has 0 images"),
        (stamps, ("flat/bars", "flat"), "class 'flat/bars' lies inside 'flat'"),
        (stamps, ("round", "round/"), "class 'round/' lies inside 'round'"),
    ):
        with pytest.raises(TaskError, match=words):
            load_items(folder, classes, 24)


@pytest.mark.parametrize(("content", "words"), [("text", "cannot be read"), ("clear", "has no opaque pixel")])
def test_items_that_cannot_be_cut_out(tmp_path, content, words):
    (tmp_path / "a").mkdir()
    for i in range(5):
        Image.fromarray(np.zeros((4, 4, 4), np.uint8)).save(tmp_path / "a" / f"{i}.png")
        if content == "text":
            (tmp_path / "a" / f"{i}.png").write_text("text")
    with pytest.raises(TaskError, match=f"image .*[0-4].png {words}"):
        load_items(tmp_path, None, 24)
