"""``ptq.keep_float`` from the recipe to the table, the files and what is said of them."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from edgesqueeze.cli.verifying import Inputs, verify_paths
from edgesqueeze.compression.quantizing.graph_model import load_graph_model, serialize_graph_model
from edgesqueeze.compression.quantizing.post_training import Plan, quantize_graph
from edgesqueeze.compression.stages import Ptq
from edgesqueeze.errors import RecipeError
from edgesqueeze.formats.sqz.file import emit_sqz, read_sqz
from edgesqueeze.measure.inspect import inspect_file
from edgesqueeze.measure.proof.fidelity import layer_fidelity
from edgesqueeze.network.floats.run import graph_weights, run_graph
from edgesqueeze.network.integers.spec import float_layers
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.pipeline import compress
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.run.rundir import new_run

RECIPE = {
    "version": 1,
    "name": "small",
    "task": "tiny:build_task",
    "stages": [
        {"stage": "train", "epochs": 1},
        {"stage": "share", "num_bits": 4},
        {"stage": "ptq", "keep_float": ["stem.*", "head.1"]},
    ],
    "exports": [
        {"export": "squeezed"},
        {"export": "onnx", "precision": ["int8"]},
        {"export": "tflite", "precision": ["int8"]},
    ],
    "references": [],
}


@pytest.fixture(scope="module")
def finished(tiny_task, tmp_path_factory):
    recipe = parse_recipe(RECIPE, "test")
    run = new_run(recipe, tmp_path_factory.mktemp("runs") / "one")
    return run, compress(recipe, tiny_task, run)


@pytest.mark.slow
def test_a_run_says_which_layers_are_kept(finished):
    run, report = finished
    sentence = "layers kept in float: stem.0, head.1"
    (notes,) = [row.notes for row in report.rows if row.label == "ptq"]
    assert notes[0] == sentence
    assert f"ptq: {sentence}." in (run.path / "report.md").read_text()
    assert report.parity["holds"] is True
    layers = {
        entry["file"]: [layer["layer"] for layer in entry["inexact"]]
        for entry in report.parity["outputs"]["files"]
    }
    assert layers["model_int8.onnx"] == layers["model_int8.tflite"] == ["stem.0", "head.1"]
    assert len(report.parity["integers"]) == 3


@pytest.mark.slow
def test_a_run_with_such_layers_is_verified_again(finished):
    run, _ = finished
    verify_paths([run.path], Inputs(30)).require()
    files = [run.path / "artifacts" / name for name in ("model_int8.tflite", "model_int8.onnx")]
    verify_paths(files, Inputs(5)).require()
    verify_paths([run.path / "artifacts" / "model.sqz", *files], Inputs(5)).require()


@pytest.mark.slow
def test_inspect_names_them(finished):
    run, _ = finished
    for name, words in (
        ("model.sqz", "layers the int8 form keeps in float: stem.0, head.1"),
        ("model_int8.onnx", "weights kept in float: stem.0.weight, head.1.weight"),
        ("model_int8.tflite", "weights kept in float: stem.0.weight, head.1.weight"),
    ):
        assert words in inspect_file(run.path / "artifacts" / name).text()


METHODS = {
    "auto": {"method": "auto"},
    "everything": {
        "weights": "mse",
        "equalize": True,
        "bias_correction": True,
        "adaround": True,
        "adaround_steps": 2,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_leaves_them_alone(method, lenet_task, session, tmp_path):
    stage = Ptq(keep_float=["conv1", "fc*"], **METHODS[method])
    model = stage.apply(lenet_task.build_model(), lenet_task, session)
    assert set(model.spec.weights) == {"conv2"}
    assert session.notes[0] == "layers kept in float: conv1, fc1, fc2"
    path = tmp_path / "state"
    path.write_bytes(serialize_graph_model(model))
    again = load_graph_model(path)
    _, decoded = read_sqz(emit_sqz(model.graph, model.spec))
    for spec in (again.spec, decoded):
        assert spec.activations == model.spec.activations
        assert float_layers(model.graph, spec) == ("conv1", "fc1", "fc2")
        np.testing.assert_array_equal(spec.weights["conv2"].weight, model.spec.weights["conv2"].weight)
    x = next(lenet_task.test.batches(8))[0]
    assert np.array_equal(again(x).detach(), model(x).detach())
    fidelity = layer_fidelity(model.graph, model.spec, x.numpy())
    assert all(layer.fake_quant_max_lsb <= 1 for layer in fidelity)


def test_the_fewer_integers_the_closer_to_the_float_network(lenet_task):
    torch.manual_seed(1)
    graph = build_graph(lenet_task.build_model(), lenet_task.example_input)
    batches = [x for x, _ in lenet_task.calibration.batches(32)]
    exact = torch.cat([run_graph(graph, x, graph_weights(graph)) for x in batches])
    errors = []
    for kept in ((), ("conv1", "fc1"), ("conv1", "fc1", "fc2")):
        model = quantize_graph(graph, batches, Plan(keep_float=kept))
        found = torch.cat([model(x) for x in batches])
        errors.append(float((found - exact).pow(2).mean()))
    assert errors[0] > errors[1] > errors[2]


def test_what_is_refused(tiny_task, lenet_task, session):
    with pytest.raises(
        RecipeError, match=r"ptq.keep_float: 'classifier.\*' names no layer; the model has stem.0"
    ):
        Ptq(keep_float=["classifier.*"]).check(tiny_task.build_model())
    with pytest.raises(RecipeError, match="ptq.keep_float: 'fc9' names no layer; the model has conv1"):
        Ptq(keep_float=["conv1", "fc9"]).apply(lenet_task.build_model(), lenet_task, session)
    with pytest.raises(RecipeError, match="ptq.keep_float keeps every layer in float; leave the stage out"):
        Ptq(keep_float=["*"]).apply(lenet_task.build_model(), lenet_task, session)
    with pytest.raises(ValidationError, match="at least 1 character"):
        Ptq(keep_float=[""])
