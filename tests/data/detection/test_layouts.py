"""VOC, COCO and YOLO folders written here, with boxes at known pixels."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
import yaml
from PIL import Image

from edgesqueeze.data.augmentation import Augmentation
from edgesqueeze.data.detection.coco import load_coco
from edgesqueeze.data.detection.voc import load_voc
from edgesqueeze.data.detection.yolo import load_yolo
from edgesqueeze.data.files.reading import Reading
from edgesqueeze.data.files.split import ImageSettings
from edgesqueeze.data.preparation import Normalization
from edgesqueeze.data.task_data import held_out
from edgesqueeze.errors import TaskError

WIDTH, HEIGHT = 40, 30
# Half as wide and twice as high: boxes are resized along.
SETTINGS = ImageSettings((60, 20), Normalization((0.0,) * 3, (1.0,) * 3))
# Name, then (class, x1, y1, x2, y2, not counted) in pixels of the file.
IMAGES = {
    "train": {
        "a": [("cat", 4, 6, 20, 18, False)],
        "b": [("dog", 0, 0, 40, 30, False), ("cat", 10, 15, 14, 25, True)],
        "c": [],
    },
    "val": {"d": [("dog", 30, 1, 38, 9, False)]},
}


def picture(objects):
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for name, x1, y1, x2, y2, _ in objects:
        pixels[y1:y2, x1:x2, 0 if name == "cat" else 1] = 255
    return Image.fromarray(pixels)


def voc_xml(objects):
    text = f"<annotation><size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    for name, x1, y1, x2, y2, difficult in objects:
        text += (
            f"<object><name>{name}</name><difficult>{int(difficult)}</difficult><bndbox><xmin>{x1 + 1}</xmin>"
        )
        text += f"<ymin>{y1 + 1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox>"
        # A part has a box of its own, which is not the object's.
        text += "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
        text += "</object>"
    return f"{text}</annotation>"


def write_voc(folder):
    for name in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (folder / name).mkdir(parents=True)
    for split, images in IMAGES.items():
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{name}\n" for name in images))
        for name, objects in images.items():
            picture(objects).save(folder / "JPEGImages" / f"{name}.png")
            (folder / "Annotations" / f"{name}.xml").write_text(voc_xml(objects))
    return folder


def coco_json(images):
    content = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}],
    }
    for number, (name, objects) in enumerate(images.items(), 100):
        size = {"width": WIDTH, "height": HEIGHT}
        content["images"].append({"id": number, "file_name": f"{name}.png", **size})
        for kind, x1, y1, x2, y2, crowd in objects:
            box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": int(crowd)}
            content["annotations"].append({"image_id": number, "category_id": 17 + (kind == "dog"), **box})
    return content


def write_coco(folder, inside="", suffix="2017"):
    (folder / "annotations").mkdir(parents=True)
    for split, images in IMAGES.items():
        place = folder / inside / f"{split}{suffix}"
        place.mkdir(parents=True)
        for name, objects in images.items():
            picture(objects).save(place / f"{name}.png")
        (folder / "annotations" / f"instances_{split}{suffix}.json").write_text(json.dumps(coco_json(images)))
    return folder


def write_yolo(folder, names=("cat", "dog"), **more):
    for split, images in IMAGES.items():
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for name, objects in images.items():
            picture(objects).save(folder / "images" / split / f"{name}.png")
            lines = [
                f"{int(kind == 'dog')} {(x1 + x2) / 2 / WIDTH} {(y1 + y2) / 2 / HEIGHT} "
                f"{(x2 - x1) / WIDTH} {(y2 - y1) / HEIGHT}\n"
                for kind, x1, y1, x2, y2, _ in objects
            ]
            if lines:
                (folder / "labels" / split / f"{name}.txt").write_text("".join(lines))
    (folder / "data.yaml").write_text(yaml.safe_dump({"names": names, **more}))
    return folder


def voc(folder, settings=SETTINGS):
    return load_voc(folder, None, settings)


LAYOUTS = {"voc": (write_voc, voc), "coco": (write_coco, load_coco), "yolo": (write_yolo, load_yolo)}


def found(split, generator=None):
    """Class, box in pixels of the file and crowd of every object, by the corner of the image's pixels."""
    objects = []
    for x, y in split.batches(2, generator):
        assert x.shape[1:] == (3, 60, 20)
        assert y["boxes"].dtype == torch.float32
        assert y["labels"].dtype == torch.int64
        assert y["crowd"].dtype == torch.bool
        for boxes, labels, crowd in zip(y["boxes"], y["labels"], y["crowd"], strict=True):
            assert boxes.shape == (2, 4)  # the most there are in one image
            kept = (labels >= 0).tolist()
            scaled = (boxes / torch.tensor([0.5, 2.0, 0.5, 2.0])).tolist()
            rows = zip(labels.tolist(), scaled, crowd.tolist(), kept, strict=True)
            objects.append(
                [(label, *(round(v, 3) for v in box), flag) for label, box, flag, keep in rows if keep]
            )
    return objects


def expected(split, crowd=True):
    return [
        [(["cat", "dog"].index(name), *box, flag and crowd) for name, *box, flag in objects]
        for objects in IMAGES[split].values()
    ]


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


# -- mistakes ------------------------------------------------------------------------------------------


def refuse(load, *words):
    with pytest.raises(TaskError) as caught:
        load()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("layout", ["voc", "coco"])
def test_absent_directory(tmp_path, layout):
    refuse(
        lambda: LAYOUTS[layout][1](tmp_path / "no", SETTINGS),
        f"{layout} {tmp_path / 'no'} is not a directory",
    )


BOX = "<xmin>5</xmin><ymin>7</ymin><xmax>20</xmax><ymax>18</ymax>"
XML = [
    (
        "outside",
        BOX,
        "<xmin>5</xmin><ymin>7</ymin><xmax>42</xmax><ymax>18</ymax>",
        "is 4, 6, 42, 18 (x1, y1, x2, y2), outside the image of 40 × 30 pixels",
    ),
    ("reversed", BOX, "<xmin>25</xmin><ymin>7</ymin><xmax>20</xmax><ymax>18</ymax>", "ends before it begins"),
    ("nan", BOX, "<xmin>nan</xmin><ymin>7</ymin><xmax>20</xmax><ymax>18</ymax>", "ends before it begins"),
    (
        "word",
        BOX,
        "<xmin>five</xmin><ymin>7</ymin><xmax>20</xmax><ymax>18</ymax>",
        "xmin is 'five', not a number",
    ),
    ("no xmax", "<xmax>20</xmax>", "", "bndbox has no xmax"),
    ("no name", "<name>cat</name>", "<name></name>", "object has no name"),
    ("no box", "bndbox", "polygon", "an object has no bndbox"),
    (
        "size",
        "<width>40</width>",
        "<width>41</width>",
        "says that a.png has 41 × 30 pixels, but the file has 40 × 30",
    ),
    ("half", "<width>40</width>", "<width>40.5</width>", "width is 40.5, not a whole number"),
    ("not closed", "</annotation>", "", "cannot be read"),
    (
        "entity",
        "<annotation>",
        "<!DOCTYPE a [<!ENTITY x 'y'>]><annotation>",
        "declares a document type or entities",
    ),
]


@pytest.mark.parametrize(("old", "new", "words"), [case[1:] for case in XML], ids=[case[0] for case in XML])
def test_voc_annotations(tmp_path, old, new, words):
    path = write_voc(tmp_path) / "Annotations" / "a.xml"
    change(path, old, new)
    refuse(lambda: voc(tmp_path), str(path), words)


def test_voc_folders(tmp_path):
    write_voc(tmp_path)
    refuse(lambda: load_voc(tmp_path, ("dog",), SETTINGS), "has an object 'cat'; allowed: dog")
    assert load_voc(tmp_path, ("dog", "cat", "cow"), SETTINGS).classes == ("dog", "cat", "cow")
    (tmp_path / "Annotations" / "b.xml").unlink()
    refuse(lambda: voc(tmp_path), "annotation", "b.xml cannot be read")
    (tmp_path / "JPEGImages" / "b.png").unlink()
    refuse(lambda: voc(tmp_path), "train.txt names b, but JPEGImages has no b.jpg or .png")
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("\n")
    refuse(lambda: voc(tmp_path), "train.txt names no images")
    (tmp_path / "ImageSets" / "Main" / "val.txt").unlink()
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("a")
    refuse(lambda: voc(tmp_path), f"voc {tmp_path} has no ImageSets/Main/val.txt")


def test_voc_is_read_where_torchvision_reads_it(tmp_path):
    data = voc(write_voc(tmp_path / "VOCdevkit" / "VOC2012"))
    for image in (tmp_path / "VOCdevkit" / "VOC2012" / "JPEGImages").iterdir():
        shutil.copy(image, image.with_suffix(".jpg"))
    reference = torchvision.datasets.VOCDetection(tmp_path, "2012", "train")
    names = [[o["name"] for o in target["annotation"].get("object", [])] for _, target in reference]
    ours = [[data.classes[label] for label, *_ in objects] for objects in found(data.train)]
    assert sorted(names) == sorted(ours)


def test_voc_with_a_test_list_trains_on_trainval(tmp_path):
    lists = write_voc(tmp_path) / "ImageSets" / "Main"
    (lists / "val.txt").rename(lists / "test.txt")
    (lists / "trainval.txt").write_text("a  1\nb -1\n")  # as lists of one class have it
    data = voc(tmp_path)
    assert (len(data.train), len(data.test)) == (2, 1)


def coco_with(**changes):
    content = coco_json(IMAGES["train"])
    content["annotations"][0] |= changes
    return content


COCO = [
    ("image", coco_with(image_id=7), "an annotation is of image 7, which is not listed"),
    ("category", coco_with(category_id=3), "an annotation has category 3; allowed: 17, 18"),
    ("three", coco_with(bbox=[1, 2, 3]), "bbox is [1, 2, 3]; four numbers x, y, width, height are needed"),
    ("no box", coco_with(bbox=None), "bbox is None in the record"),
    (
        "outside",
        coco_with(bbox=[4, 6, 16, 26]),
        "is 4, 6, 20, 32 (x1, y1, x2, y2), outside the image of 40 × 30",
    ),
    ("negative", coco_with(bbox=[4, 6, -1, 3]), "ends before it begins"),
    ("no images", {"annotations": [], "categories": []}, "has no categories"),
    ("nothing", {}, "has no list of categories"),
    ("list", [], "holds list, not an object with images and annotations"),
]


@pytest.mark.parametrize(("content", "words"), [case[1:] for case in COCO], ids=[case[0] for case in COCO])
def test_coco_annotations(tmp_path, content, words):
    path = write_coco(tmp_path) / "annotations" / "instances_train2017.json"
    path.write_text(json.dumps(content))
    refuse(lambda: load_coco(tmp_path, SETTINGS), str(path), words)


def test_coco_leaves_out_boxes_without_an_area_and_cuts_off_a_rounded_edge(tmp_path):
    path = write_coco(tmp_path) / "annotations" / "instances_val2017.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["bbox"] = [30.5, 1, 10.2, 8]
    content["annotations"].insert(0, content["annotations"][0] | {"bbox": [3, 3, 0, 5]})
    path.write_text(json.dumps(content))
    assert found(load_coco(tmp_path, SETTINGS).test) == [[(1, 30.5, 1, 40, 9, False)]]


def test_coco_folders(tmp_path):
    write_coco(tmp_path, inside="images", suffix="")
    assert found(load_coco(tmp_path, SETTINGS).test) == expected("val")
    (tmp_path / "images" / "train" / "c.png").unlink()
    refuse(lambda: load_coco(tmp_path, SETTINGS), "instances_train.json names c.png, which is not in ")
    shutil.rmtree(tmp_path / "images" / "val")
    refuse(lambda: load_coco(tmp_path, SETTINGS), "has neither val/ nor images/val/ for instances_val.json")
    path = tmp_path / "annotations" / "instances_val.json"
    path.rename(path.with_name("instances_validation.json"))
    shutil.copy(path.with_name("instances_validation.json"), path)
    refuse(lambda: load_coco(tmp_path, SETTINGS), "has several instances_val*.json")
    shutil.rmtree(tmp_path / "annotations")
    refuse(lambda: load_coco(tmp_path, SETTINGS), "has no annotations/instances_train*.json")


def test_coco_categories_must_be_the_same(tmp_path):
    change(write_coco(tmp_path) / "annotations" / "instances_val2017.json", '"cat"', '"cow"')
    refuse(lambda: load_coco(tmp_path, SETTINGS), "have different categories")


YOLO = [
    ("class", "2 0.5 0.5 0.1 0.1", "line 2 has class 2; allowed: 0 to 1"),
    ("half class", "0.5 0.5 0.5 0.1 0.1", "line 2 has class 0.5; allowed: 0 to 1"),
    ("polygon", "0 0.1 0.1 0.2 0.2 0.3 0.3", "five numbers are needed: class, centre x and y, width, height"),
    ("words", "cat 0.5 0.5 0.1 0.1", "five numbers are needed"),
    ("pixels", "0 20 15 10 10", "has a box of 10 × 10; shares of the image are needed, 0 to 1"),
    ("outside", "0 0.9 0.5 0.4 0.2", "outside the image of 40 × 30 pixels"),
]


@pytest.mark.parametrize(("line", "words"), [case[1:] for case in YOLO], ids=[case[0] for case in YOLO])
def test_yolo_labels(tmp_path, line, words):
    path = write_yolo(tmp_path) / "labels" / "train" / "a.txt"
    path.write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    refuse(lambda: load_yolo(tmp_path, SETTINGS), str(path), words)


YAML = [
    ({"names": None}, "names is None; a list of names, or a mapping from 0, is needed"),
    ({"names": {1: "cat", 2: "dog"}}, "a mapping from 0, is needed"),
    ({"nc": 3}, "nc is 3 but names has 2 classes"),
    ({"train": "elsewhere"}, "train is elsewhere, but"),
    ({"train": ["a", "b"]}, "train is ['a', 'b']; one folder of images is needed"),
    ({"train": "labels/train"}, "has no images; known types are"),
    ({"path": 3}, "path is 3; a folder is needed"),
    ({"path": "nowhere"}, "nowhere has no images/train"),
]


@pytest.mark.parametrize(("changes", "words"), YAML)
def test_yolo_descriptions(tmp_path, changes, words):
    write_yolo(tmp_path, **changes)
    refuse(lambda: load_yolo(tmp_path, SETTINGS), words)


def test_yolo_by_a_file_elsewhere(tmp_path):
    write_yolo(tmp_path / "set")
    described = tmp_path / "other.yaml"
    content = {
        "path": "set",
        "train": "images/train",
        "val": "images/val",
        "names": {0: "cat", 1: "dog"},
        "nc": 2,
    }
    described.write_text(yaml.safe_dump(content))
    data = load_yolo(described, SETTINGS)
    assert data.fingerprint == load_yolo(tmp_path / "set", SETTINGS).fingerprint
    refuse(
        lambda: load_yolo(tmp_path / "no", SETTINGS),
        "is neither a folder with a data.yaml in it nor such a file",
    )
    described.write_text("a: [")
    refuse(lambda: load_yolo(described, SETTINGS), "other.yaml is not valid YAML")


def test_yolo_without_any_label(tmp_path):
    shutil.rmtree(write_yolo(tmp_path) / "labels" / "train")
    refuse(lambda: load_yolo(tmp_path, SETTINGS), "no image of ", "their labels are looked for in ")
