"""The task part of a recipe: what is accepted, and exactly where and how the rest is refused."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edgesqueeze.data import DataName
from edgesqueeze.models import BUILT_IN_MODELS
from edgesqueeze.task.data_config import IdxData, ImageFolderData
from edgesqueeze.task.task_config import TaskConfig, is_reference

SIZE = {"image_size": [32, 48]}
FOLDER = {"image_folder": "pictures", "image_size": [32, 48], "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]}


@pytest.mark.parametrize("model", [*BUILT_IN_MODELS, "package.module:factory", "m:Class.make"])
@pytest.mark.parametrize(
    "data",
    [
        *get_args(DataName),
        {"idx": "d", "augment": {"crop": 2}},
        {"named": "cifar10", "augment": {"flip": True, "scale_jitter": [0.5, 2], "color": 0.4}},
        FOLDER,
        *({key: "d", "image_size": [32, 48]} for key in ("images", "voc", "coco", "yolo", "oxford_pets")),
        {"scenes": {"items": "mnist", "image_size": [32, 48]}, "mean": [0.5] * 3, "std": [0.5] * 3},
        {"scenes": {"items": "stamps", "classes": ["a/b"], "image_size": [32, 48], "objects": [2, 2]}},
        {"masks": "d", "image_size": [32, 48], "classes": ["ground", "cat"], "workers": 4, "cache": "c"},
    ],
)
def test_accepted(model, data):
    config = TaskConfig.model_validate({"model": model, "data": data})
    assert config.calibration_images == 256
    assert config.checkpoint is None
    made_for = BUILT_IN_MODELS[model].kind if model in BUILT_IN_MODELS else "classification"
    assert (config.kind, config.task_kind) == (None, made_for)
    assert TaskConfig.model_validate(config.model_dump()) == config
    assert TaskConfig.model_validate_json(config.model_dump_json()) == config


def test_values_arrive_typed():
    config = TaskConfig(
        model="a:b", checkpoint="best.pt", data=FOLDER, model_args={"n": 3, "f": 0.5, "on": True, "w": None}
    )
    assert config.data == ImageFolderData(
        image_folder=Path("pictures"), image_size=(32, 48), mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2)
    )
    assert config.checkpoint == Path("best.pt")
    assert [type(v) for v in config.model_args.values()] == [int, float, bool, type(None)]
    assert TaskConfig(model="a:b", data={"idx": "d", "mean": [0.1], "std": [0.3]}).data == IdxData(
        idx=Path("d"), mean=(0.1,), std=(0.3,)
    )


DATA_WAYS = "allowed: mnist_sample, fashion_mnist, mnist, cifar10, cifar100, {named: NAME, image_size: [H, W], channels: 3}, {idx: DIR}, {scenes: {items: fashion_mnist, image_size: [H, W]}}, or {KEY: DIR, image_size: [H, W]} with one of the keys image_folder, images, voc, coco, yolo, masks, oxford_pets"
MODEL_WAYS = (
    f"allowed: {', '.join(BUILT_IN_MODELS)}, 'package.module:factory', a file .keras, .h5, .hdf5, .onnx, "
    "or a SavedModel folder, which holds saved_model.pb"
)


@pytest.mark.parametrize(
    ("change", "place", "words"),
    [
        ({"model": "lenet6"}, ("model",), MODEL_WAYS),
        ({"model": "a.b:"}, ("model",), MODEL_WAYS),
        ({"model": "a b:c"}, ("model",), MODEL_WAYS),
        ({"model": 3}, ("model",), "valid string"),
        ({"data": "mnst"}, ("data",), DATA_WAYS),
        ({"data": 3}, ("data",), DATA_WAYS),
        ({"data": {"folder": "x"}}, ("data",), DATA_WAYS),
        ({"data": {}}, ("data",), DATA_WAYS),
        ({"data": None}, ("data",), DATA_WAYS),
        ({"data": {"named": "mnst"}}, ("data", "NamedData", "named"), "'mnist_sample'"),
        ({"data": {"named": "mnist", "channels": 2}}, ("data", "NamedData", "channels"), "1 or 3"),
        ({"data": {"idx": "d", "size": 3}}, ("data", "IdxData", "size"), "Extra inputs are not permitted"),
        ({"data": {"idx": "d", "mean": [0.1]}}, ("data", "IdxData"), "given together or not at all"),
        (
            {"data": {"idx": "d", "mean": [0.1, 0.2], "std": [1.0]}},
            ("data", "IdxData", "mean"),
            "at most 1 item",
        ),
        ({"data": {"idx": "d", "mean": [0.1], "std": [0]}}, ("data", "IdxData", "std", 0), "greater than 0"),
        ({"data": {"image_folder": "d"}}, ("data", "ImageFolderData", "image_size"), "required"),
        (
            {"data": FOLDER | {"image_size": [0, 3]}},
            ("data", "ImageFolderData", "image_size", 0),
            "equal to 1",
        ),
        ({"data": FOLDER | {"image_size": 32}}, ("data", "ImageFolderData", "image_size"), "tuple"),
        ({"data": FOLDER | {"mean": [0.5]}}, ("data", "ImageFolderData"), "mean has 1 and std 3 values"),
        (
            {"data": FOLDER | {"mean": [1, 1], "std": [1, 1]}},
            ("data", "ImageFolderData"),
            "three each for RGB",
        ),
        (
            {"data": FOLDER | {"mean": [float("nan"), 0, 0]}},
            ("data", "ImageFolderData", "mean", 0),
            "finite number",
        ),
        ({"data": {"masks": "d", **SIZE}}, ("data", "MasksData", "classes"), "required"),
        (
            {"data": {"masks": "d", **SIZE, "classes": []}},
            ("data", "MasksData", "classes"),
            "at least 1 item",
        ),
        (
            {"data": {"scenes": {"items": "mnist"}}},
            ("data", "ScenesData", "scenes", "image_size"),
            "required",
        ),
        (
            {"data": {"scenes": {"items": 3, **SIZE}}},
            ("data", "ScenesData", "scenes", "items"),
            "allowed: mnist_sample, fashion_mnist, mnist, or a directory",
        ),
        (
            {"data": {"scenes": {"items": "mnist", **SIZE, "objects": [3, 2]}}},
            ("data", "ScenesData", "scenes"),
            "objects is [3, 2]; give the smaller number first",
        ),
        (
            {"data": {"scenes": {"items": "mnist", "image_size": [8, 32]}}},
            ("data", "ScenesData", "scenes", "image_size", 0),
            "equal to 16",
        ),
        (
            {"data": {"scenes": {"items": "mnist", **SIZE, "overlap": 1}}},
            ("data", "ScenesData", "scenes", "overlap"),
            "less than 1",
        ),
        (
            {"data": {"scenes": {"items": "mnist", **SIZE}, "mean": [0.5], "std": [0.5]}},
            ("data", "ScenesData", "mean", 1),
            "required",
        ),
        (
            {"data": {"masks": "d", **SIZE, "classes": ["ground", "cat", "ground"]}},
            ("data", "MasksData", "classes"),
            "'ground' is named twice",
        ),
        ({"data": {"voc": "d"}}, ("data", "VocData", "image_size"), "required"),
        ({"model": "net.tflite"}, ("model",), "give the .keras, .h5 or .onnx file, or the PyTorch model"),
        ({"data": {"images": "d", **SIZE, "mean": [0.5]}}, ("data", "ImagesData"), "given together"),
        ({"data": {"coco": "d", **SIZE, "mean": [0.5]}}, ("data", "CocoData"), "together or not at all"),
        ({"data": {"yolo": "d", **SIZE, "workers": -1}}, ("data", "YoloData", "workers"), "equal to 0"),
        (
            {"data": {"named": "mnist", "augment": {"scale_jitter": [2, 1]}}},
            ("data", "NamedData", "augment"),
            "scale_jitter is [2.0, 1.0]; give the lower factor first",
        ),
        ({"data": {"idx": "d", "augment": {"flip": 3}}}, ("data", "IdxData", "augment", "flip"), "boolean"),
        ({"data": {"idx": "d", "augment": {"colour": 1}}}, ("data", "IdxData", "augment", "colour"), "Extra"),
        (
            {"data": {"idx": "d", "augment": {"color": 2}}},
            ("data", "IdxData", "augment", "color"),
            "equal to 1",
        ),
        ({"calibration_images": 0}, ("calibration_images",), "greater than or equal to 1"),
        ({"calibration_images": 2.5}, ("calibration_images",), "valid integer"),
        ({"calibration_images": True}, ("calibration_images",), "valid integer"),
        ({"kind": "classify"}, ("kind",), "'detection'"),
        ({"kind": "reconstruction"}, (), "lenet5 is made for classification; kind is reconstruction"),
        ({"checkpiont": "x"}, ("checkpiont",), "Extra inputs are not permitted"),
        ({"model_args": {"num_classes": 3}}, (), "lenet5 has no option 'num_classes', it has none"),
        ({"model": "alexnet", "model_args": {"activation": "gelu"}}, (), "is gelu; allowed: relu, relu6"),
        (
            {"model": "a:b", "model_args": {"sizes": [1, 2]}},
            ("model_args", "sizes"),
            "allowed: a number, a text, true, false or null",
        ),
    ],
)
def test_refused(change, place, words):
    with pytest.raises(ValidationError) as caught:
        TaskConfig.model_validate({"model": "lenet5", "data": "mnist"} | change)
    first = caught.value.errors()[0]
    assert first["loc"][: len(place)] == place
    assert words in first["msg"]


def test_frozen():
    config = TaskConfig(model="lenet5", data="mnist")
    with pytest.raises(ValidationError, match="frozen"):
        config.model = "alexnet"


@given(st.text(max_size=12))
def test_references_have_one_colon_between_dotted_names(text):
    expected = text.count(":") == 1 and all(
        part.isidentifier() for side in text.split(":") for part in side.split(".")
    )
    assert is_reference(text) == expected


def test_importing_needs_no_torch():
    code = "import sys, edgesqueeze.task.task_config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_is_taken_of_a_checkpoint():
    config = TaskConfig(
        model="a:b", checkpoint="best.pt", checkpoint_key="ema.module", ignore=["aux*"], data="mnist"
    )
    assert (config.checkpoint_key, config.ignore) == ("ema.module", ("aux*",))
    assert TaskConfig.model_validate_json(config.model_dump_json()) == config
    for key, value in (("checkpoint_key", "ema"), ("ignore", ["aux*"])):
        with pytest.raises(ValidationError, match=f"{key} chooses .*; there is no checkpoint"):
            TaskConfig.model_validate({"model": "a:b", "data": "mnist", key: value})
