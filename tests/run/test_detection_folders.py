"""A dozen images in somebody's layout, from a recipe alone through training and int8 to the table."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from edgesqueeze.pipeline import compress
from edgesqueeze.run.recipe import load_recipe
from edgesqueeze.run.rundir import new_run
from edgesqueeze.task.loading import load_task
from edgesqueeze.task.task_config import TaskConfig

SIZE, COUNT = 80, 12
COLORS = {"brick": (200, 40, 30), "leaf": (30, 180, 60)}


def pictures(seed):
    """Grey noise with a coloured block in it: the picture, the class, and the box as x, y, width, height."""
    rng = np.random.default_rng(seed)
    for number in range(COUNT):
        pixels = rng.integers(90, 150, (SIZE, SIZE, 3), dtype=np.uint8)
        width, height = rng.integers(20, 45, 2)
        left, top = rng.integers(0, SIZE - width), rng.integers(0, SIZE - height)
        label = number % 2
        pixels[top : top + height, left : left + width] = list(COLORS.values())[label]
        yield Image.fromarray(pixels), label, tuple(int(n) for n in (left, top, width, height))


def write_yolo(folder: Path):
    for split, seed in (("train", 0), ("val", 1)):
        for part in ("images", "labels"):
            (folder / part / split).mkdir(parents=True)
        for number, (picture, label, (x, y, w, h)) in enumerate(pictures(seed)):
            picture.save(folder / "images" / split / f"{number}.png")
            shares = [(x + w / 2) / SIZE, (y + h / 2) / SIZE, w / SIZE, h / SIZE]
            text = " ".join(f"{share:.6f}" for share in shares)
            (folder / "labels" / split / f"{number}.txt").write_text(f"{label} {text}\n")
    (folder / "data.yaml").write_text(
        yaml.safe_dump({"train": "images/train", "val": "images/val", "names": list(COLORS)})
    )
    return {"yolo": str(folder)}


def write_coco(folder: Path):
    (folder / "annotations").mkdir(parents=True)
    for split, seed in (("train", 0), ("val", 1)):
        (folder / split).mkdir()
        images, boxes = [], []
        for number, (picture, label, box) in enumerate(pictures(seed)):
            picture.save(folder / split / f"{number}.png")
            images.append({"id": number, "file_name": f"{number}.png", "width": SIZE, "height": SIZE})
            area = box[2] * box[3]
            boxes.append(
                {
                    "id": number,
                    "image_id": number,
                    "category_id": label + 5,
                    "bbox": box,
                    "area": area,
                    "iscrowd": 0,
                }
            )
        names = [{"id": place + 5, "name": name} for place, name in enumerate(COLORS)]
        content = {"images": images, "annotations": boxes, "categories": names}
        (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return {"coco": str(folder)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("write", "epochs", "files"),
    [
        (write_yolo, 24, {"model.onnx", "model_int8.onnx", "model.tflite", "model_int8.tflite"}),
        (write_coco, 1, {"model.onnx"}),
    ],
    ids=["yolo", "coco"],
)
def test_a_folder_goes_from_yaml_to_the_table(write, epochs, files, tmp_path):
    """The pictures are the same: one of the layouts shows that they are learned, and by every file."""
    data = write(tmp_path / "data") | {"image_size": [64, 64]}
    train = {
        "stage": "train",
        "epochs": epochs,
        "optimizer": "adamw",
        "learning_rate": 0.006,
        "batch_size": 6,
    }
    content = {
        "version": 1,
        "name": "boxes",
        "task": {
            "model": "squeezenet_detector",
            "model_args": {"width": 0.25},
            "data": data,
            "calibration_images": 12,
        },
        "stages": [train, {"stage": "ptq", "method": "min_max"}] if len(files) > 1 else [train],
        "exports": [
            {"export": name, "precision": ["fp32", "int8"][: 1 + (f"model_int8.{name}" in files)]}
            for name in ("onnx", "tflite")
            if f"model.{name}" in files
        ],
        "references": [],
    }
    (tmp_path / "boxes.yaml").write_text(yaml.safe_dump(content))
    recipe = load_recipe(str(tmp_path / "boxes.yaml"))
    task = load_task(recipe.task, recipe.seed)
    assert task.classes == tuple(COLORS)
    report = compress(recipe, task, new_run(recipe, tmp_path / "run"))
    found = {row.label: row.metrics["mAP@.5"] for row in report.rows}
    assert set(found) - {"train", "ptq"} == files
    if len(files) > 1:
        assert found["model.onnx"] > 0.3
        assert found["model.onnx"] == pytest.approx(found["model.tflite"], abs=0.01)
        assert min(found["model_int8.onnx"], found["model_int8.tflite"]) > 0.9 * found["model.onnx"]
    assert "mAP@[.5:.95]" in report.table("simple")


def test_both_layouts_give_the_same_pictures_and_boxes(tmp_path):
    found = []
    for write in (write_yolo, write_coco):
        data = write(tmp_path / write.__name__) | {"image_size": [64, 64]}
        config = TaskConfig(
            model="squeezenet_detector", model_args={"width": 0.25}, data=data, calibration_images=12
        )
        ((x, y),) = load_task(config, 0).test.batches(COUNT)
        order = x.flatten(1).sum(1).argsort()  # files are listed by name, annotations by number
        found.append((x[order], y["labels"][order], y["boxes"][order]))
    (x, labels, boxes), (other_x, other_labels, other_boxes) = found
    assert torch.equal(x, other_x)
    assert torch.equal(labels, other_labels)
    torch.testing.assert_close(boxes, other_boxes, rtol=0, atol=1e-3)
