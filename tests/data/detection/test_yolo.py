"""What only YOLO folders have, and mistakes in them."""

import shutil

import pytest
import yaml
from boxed_folders import SETTINGS, refuse, write_yolo

from edgesqueeze.data.detection.yolo import load_yolo

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
