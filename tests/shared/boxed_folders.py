"""Folders with boxes in the layouts of VOC, COCO and YOLO, and how they are loaded again."""

import json

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from edgesqueeze.data.detection.coco import load_coco
from edgesqueeze.data.detection.voc import load_voc
from edgesqueeze.data.detection.yolo import load_yolo
from edgesqueeze.data.files.split import ImageSettings
from edgesqueeze.errors import TaskError
from edgesqueeze.normalization import Normalization

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
