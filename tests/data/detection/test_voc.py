"""What only VOC folders have, and mistakes in them."""

import shutil

import pytest
import torchvision
from boxed_folders import LAYOUTS, SETTINGS, change, found, refuse, voc, write_voc

from edgesqueeze.data.detection.voc import load_voc


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
    ("infinite", "<width>40</width>", "<width>inf</width>", "width is inf, not a whole number"),
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
