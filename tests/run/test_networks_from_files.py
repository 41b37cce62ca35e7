"""A network in a file of Keras or ONNX, from YAML alone to pruned, shared int8 files that are proven."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from edgesqueeze.errors import EdgeSqueezeError, ResumeError
from edgesqueeze.importing.keras.load import keras_on_torch
from edgesqueeze.importing.load import network_files
from edgesqueeze.pipeline import compress
from edgesqueeze.progress import SilentProgress
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.run.rundir import new_run
from edgesqueeze.run.stage_runner import StageRunner
from edgesqueeze.task.loading import load_task


def keras_file(folder):
    keras = keras_on_torch()
    layers = keras.layers
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="first"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.SeparableConv2D(16, 3, activation="relu", name="second"),
            layers.MaxPooling2D(),
            layers.Flatten(),  # in the order height, width, channels
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax", name="head"),
        ]
    )
    model.save(folder / "net.keras")
    return "net.keras", ["first", "second.depthwise", "second.pointwise", "head"]


def onnx_file(folder):
    """A network as TensorFlow's exporters write one: channels last outside, an open batch, a shape computed."""
    rng = np.random.default_rng(0)
    values = {
        "conv/weight": rng.normal(size=(8, 1, 3, 3)) * 0.5,
        "dense": rng.normal(size=(8 * 13 * 13, 10)) * 0.05,
        "bias": rng.normal(size=10),
    }
    numbers = {"zero": np.array([0], np.int64), "rest": np.array([-1], np.int64)}
    nodes = [
        helper.make_node("Transpose", ["x"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "conv/weight"], ["c"], name="net/conv", strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Transpose", ["r"], ["nhwc"], perm=[0, 2, 3, 1]),
        helper.make_node("Shape", ["nhwc"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Concat", ["batch", "rest"], ["wanted"], axis=0),
        helper.make_node("Reshape", ["nhwc", "wanted"], ["flat"]),
        helper.make_node("MatMul", ["flat", "dense"], ["product"], name="net/head/MatMul"),
        helper.make_node("Add", ["bias", "product"], ["y"]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", ["batch", 28, 28, 1]), ("y", ["batch", 10]))
    ]
    constants = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()]
    constants += [numpy_helper.from_array(value, name) for name, value in numbers.items()]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], constants)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
        folder / "net.onnx",
    )
    return "net.onnx", ["conv", "net.head"]


@pytest.mark.slow
@pytest.mark.parametrize("write", [keras_file, onnx_file], ids=["keras", "onnx"])
def test_a_network_in_a_file_goes_through_every_stage(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, layers = write(tmp_path)
    content = {
        "version": 1,
        "name": "from_file",
        "task": {
            "model": name,
            "preprocess": "0..1",
            "data": {"named": "mnist_sample", "train_images": 800},
            "calibration_images": 32,
        },
        "stages": [
            {"stage": "train", "epochs": 1, "learning_rate": 0.05, "batch_size": 32},
            {"stage": "prune", "sparsity": {layers[0]: 0.2, layers[-1]: 0.8}, "epochs": 0},
            {"stage": "share", "num_bits": 5, "epochs": 0},
            {"stage": "ptq", "method": "min_max"},
        ],
        "exports": [
            {"export": "squeezed"},
            {"export": "onnx", "precision": ["fp32", "int8"]},
            {"export": "tflite", "precision": ["fp32", "int8"], "input": "uint8"},
        ],
        "references": [],
    }
    recipe = parse_recipe(content, "test")
    task = load_task(recipe.task, recipe.seed)
    report = compress(recipe, task, new_run(recipe, tmp_path / "run"))
    found = {row.label: row.metrics["accuracy"] for row in report.rows}
    assert found["train"] > 0.7
    assert found["model.onnx"] == found["model.tflite"] == found["model.sqz"] == found["share"]
    assert found["model_int8.onnx"] == found["model_int8.tflite"] > found["share"] - 0.03
    assert [layer.name for layer in report.layers] == layers
    assert report.layers[-1].zeros / report.layers[-1].weights == pytest.approx(0.8, abs=0.01)
    assert "raw" not in report.inputs  # what an input expects is said by file
    assert any("uint8" in line for line in report.inputs["model_int8.tflite"])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"model": "none.keras"}, "none.keras cannot be read"),
        ({"model": "net.onnx", "model_args": {"width": 1}}, "net.onnx is a file, which takes no model_args"),
        ({"model": "net.onnx", "preprocess": "keras.applications.vgg16"}, "turns the channels around"),
        ({"model": "net.onnx", "preprocess": "0..2"}, "allowed: 0..255, 0..1, -1..1, keras.applications."),
        (
            {"model": "net.onnx", "data": {"named": "mnist_sample", "image_size": [32, 32]}},
            "does not fit images [1, 32, 32]",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_one_sentence(settings, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    onnx_file(tmp_path)
    task = {"data": "mnist_sample"} | settings
    content = {"version": 1, "name": "x", "task": task, "stages": [], "exports": []}
    with pytest.raises(EdgeSqueezeError) as refused:
        load_task(parse_recipe(content, "test").task, 0)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("write", [keras_file, onnx_file], ids=["keras", "onnx"])
def test_a_file_that_has_changed_is_refused_by_a_resumed_run(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, _ = write(tmp_path)
    task = {"model": name, "preprocess": "0..1", "data": "mnist_sample"}
    content = {"version": 1, "name": "x", "task": task, "stages": [], "exports": [], "references": []}
    recipe = parse_recipe(content, "test")
    run = new_run(recipe, tmp_path / "run")
    loaded = load_task(recipe.task, recipe.seed)
    runner = StageRunner(loaded, run, recipe, SilentProgress())
    runner.all(runner.plan([]))
    assert not runner.plan([]).ahead
    with (tmp_path / name).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ResumeError, match="stage 00-start .* was made from another state"):
        runner.plan([])


def test_data_beside_an_onnx_file_belong_to_it(tmp_path):
    onnx_file(tmp_path)
    model = onnx.load(tmp_path / "net.onnx")
    onnx.save(
        model, tmp_path / "split.onnx", save_as_external_data=True, location="split.bin", size_threshold=0
    )
    assert network_files(tmp_path / "split.onnx") == (tmp_path / "split.onnx", tmp_path / "split.bin")
    assert network_files(tmp_path / "net.onnx") == (tmp_path / "net.onnx",)


def test_pixels_are_given_as_the_rule_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    onnx_file(tmp_path)
    content = {"model": "net.onnx", "preprocess": "0..255", "data": "mnist_sample"}
    recipe = parse_recipe({"version": 1, "name": "x", "task": content, "stages": [], "exports": []}, "test")
    x, _ = next(iter(load_task(recipe.task, 0).test.batches(8)))
    assert float((x - x.round()).abs().max()) < 1e-3
    assert (float(x.min()), round(float(x.max()))) == (pytest.approx(0, abs=1e-3), 255)
    assert x.dtype == torch.float32
