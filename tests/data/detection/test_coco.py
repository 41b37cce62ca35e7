"""What only COCO folders have, and mistakes in them."""

import json
import shutil

import pytest
from boxed_folders import IMAGES, SETTINGS, change, coco_json, expected, found, refuse, write_coco

from edgesqueeze.data.detection.coco import load_coco


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
