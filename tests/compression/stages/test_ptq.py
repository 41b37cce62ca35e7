"""What each post-training method promises, on a network trained on the packaged digits."""

import re
from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch
from coarse_layers import coarse, layer_errors
from torch import nn
from training import Recorder

from edgesqueeze.compression.quantizing.calibrate import RANGE_METHODS, calibrate
from edgesqueeze.compression.quantizing.doubts import (
    FEWEST_IMAGES,
    POOR_DB,
    few_images,
    layer_ratios,
    poor_answers,
)
from edgesqueeze.compression.quantizing.equalize import equalizable_pairs, equalize
from edgesqueeze.compression.quantizing.graph_model import GraphModel
from edgesqueeze.compression.quantizing.layerwise import correct_biases, round_adaptively
from edgesqueeze.compression.quantizing.post_training import Plan, quantize_graph, sqnr_db
from edgesqueeze.compression.stages import Ptq, Share, Train
from edgesqueeze.compression.weights.weights import bake
from edgesqueeze.errors import RecipeError
from edgesqueeze.network.floats.run import graph_weights, run_graph
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.task.training import Session


@pytest.fixture(scope="module")
def trained(lenet_task):
    torch.manual_seed(0)
    model = lenet_task.build_model()
    stage = Train(epochs=3, learning_rate=0.05, batch_size=32)
    return stage.apply(model, lenet_task, Session("train", 0, Recorder()))


@pytest.fixture(scope="module")
def found(trained, lenet_task):
    """What the search of every choice keeps, and what it told the session."""
    session = Session("test", 7, Recorder())
    return Ptq(method="auto").apply(trained, lenet_task, session), session.notes, session.progress.messages


@pytest.fixture
def graph(trained, lenet_task):
    return build_graph(bake(trained), lenet_task.example_input)


@pytest.fixture
def batches(lenet_task):
    return [x for x, _ in lenet_task.calibration.batches(16)]


def outputs(model, batches):
    with torch.no_grad():
        return torch.cat([model.eval()(x) for x in batches])


@pytest.mark.parametrize("method", RANGE_METHODS)
def test_every_range_lies_within_min_max_and_groups_agree(method, graph, batches):
    widest = calibrate(graph, batches, "min_max")
    ranges = calibrate(graph, batches, method)
    for name, (low, high) in ranges.items():
        assert widest[name][0] - 1e-6 <= low <= high <= widest[name][1] + 1e-6
    pools = [node for node in graph.nodes if type(node).__name__ in ("MaxPool", "Flatten")]
    assert pools
    for node in pools:
        assert ranges[node.name] == ranges[node.inputs[0]]


@pytest.mark.parametrize("weights", ["min_max", "mse"])
@pytest.mark.parametrize("method", RANGE_METHODS)
def test_every_method_makes_a_network_close_to_the_float_one(
    method, weights, trained, lenet_task, session, batches
):
    want = outputs(bake(trained), batches)
    found = outputs(Ptq(method=method, weights=weights).apply(trained, lenet_task, session), batches)
    assert sqnr_db(want, found) > 20


def test_an_outlier_in_one_calibration_image_hurts_min_max_most(graph, batches):
    spiked = [x.clone() for x in batches]
    spiked[0][0, 0, :2, :2] *= 40
    spiked[0][0, 0, 5, 5] = 60.0
    want = torch.cat([outputs(quantize_graph(graph, batches, Plan()), [x]) for x in batches])
    ratio = {
        method: sqnr_db(want, outputs(quantize_graph(graph, spiked, Plan(ranges=method)), batches))
        for method in RANGE_METHODS
    }
    assert all(ratio[method] > ratio["min_max"] + 3 for method in ("percentile", "moving_average")), ratio


@pytest.mark.slow
def test_auto_keeps_the_best_and_says_why(found, trained, lenet_task, session, batches):
    model, notes, messages = found
    want = outputs(bake(trained), batches)
    chosen = sqnr_db(want, outputs(model, batches))
    for method in RANGE_METHODS:
        other = Ptq(method=method).apply(trained, lenet_task, session)
        assert chosen >= sqnr_db(want, outputs(other, batches)) - 1e-6
    (note,) = notes
    assert note in messages
    assert note.startswith("auto kept ")
    told = float(re.search(r"\(SQNR ([\d.]+) dB", note)[1])
    if "GPTQ, whose" in note:  # told for images that it was not fitted to
        assert told < chosen
    else:
        assert told == pytest.approx(chosen, abs=0.01)
    assert all(method in note for method in RANGE_METHODS)


def test_auto_leaves_alone_what_the_recipe_fixes(trained, lenet_task, session):
    Ptq(method="auto", weights="min_max").apply(trained, lenet_task, session)
    assert "mse weights" not in session.notes[0]


def test_a_quantized_model_is_not_quantized_again(trained, lenet_task, session):
    quantized = Ptq(method="min_max").apply(trained, lenet_task, session)
    with pytest.raises(RecipeError, match="quantized already"):
        Ptq().apply(quantized, lenet_task, session)


def test_weight_scales_by_mse_clip_the_largest_weights(graph, batches):
    model = quantize_graph(graph, batches, Plan(weights="mse"))
    for node in graph.weighted:
        layer = model.spec.weights[node.name]
        largest = np.abs(graph.weight(node)).reshape(len(layer.scale), -1).max(axis=1)
        assert (layer.scale * 127 <= largest * 1.0001).all()


def crooked(graph):
    """The same function with channels of very different ranges, as batch norm folding leaves them."""
    tensors = {name: tensor.copy() for name, tensor in graph.tensors.items()}
    rng = np.random.default_rng(0)
    for first, second in equalizable_pairs(graph):
        factor = np.exp2(rng.integers(-5, 6, graph.weight(first).shape[0])).astype(np.float32)
        tensors[f"{first.name}.weight"] *= factor.reshape(-1, *[1] * (graph.weight(first).ndim - 1))
        tensors[f"{first.name}.bias"] *= factor
        behind = tensors[f"{second.name}.weight"]
        behind.reshape(len(behind), len(factor), -1)[...] /= factor.reshape(1, -1, 1)
    return Graph(graph.nodes, tensors)


def floats(graph, batches):
    with torch.no_grad():
        return torch.cat([run_graph(graph, x, graph_weights(graph)) for x in batches])


def test_equalization_keeps_the_float_function_and_rescues_crooked_channels(graph, batches):
    assert [(a.name, b.name) for a, b in equalizable_pairs(graph)] == [
        ("conv1", "conv2"), ("conv2", "fc1"), ("fc1", "fc2")
    ]  # fmt: skip
    bent = crooked(graph)
    want = floats(graph, batches)
    assert torch.allclose(floats(bent, batches), want, atol=1e-4)
    assert torch.allclose(floats(equalize(bent), batches), want, atol=1e-4)
    plain, equal = (
        sqnr_db(want, outputs(quantize_graph(bent, batches, Plan(equalize=e)), batches))
        for e in (False, True)
    )
    assert equal > plain + 6


def test_equalization_leaves_what_it_may_not_touch(tiny_task):
    graph = build_graph(tiny_task.build_model(), tiny_task.example_input)
    want = floats(graph, [tiny_task.example_input])
    assert torch.allclose(floats(equalize(graph), [tiny_task.example_input]), want, atol=1e-5)
    assert equalizable_pairs(graph) == []  # a sum, a concatenation or ReLU6 stands behind every layer


def test_bias_correction_removes_the_mean_error(graph, batches):
    spec = coarse(graph, batches)
    before = layer_errors(graph, spec, batches)
    after = layer_errors(graph, correct_biases(graph, spec, batches), batches)
    for name, error in after.items():
        dims = [d for d in range(error.ndim) if d != 1]
        assert error.mean(dims).abs().max() < 0.2 * before[name].mean(dims).abs().max()


def test_adaround_beats_the_nearest_integers_and_keeps_zeros(batches):
    torch.manual_seed(0)
    layers = {"conv": nn.Conv2d(1, 6, 5, stride=3), "relu": nn.ReLU(), "flat": nn.Flatten()}
    layers |= {"fc1": nn.Linear(384, 24), "again": nn.ReLU(), "fc2": nn.Linear(24, 10)}
    graph = build_graph(nn.Sequential(OrderedDict(layers)), batches[0][:1])
    weight = graph.tensors["fc1.weight"]
    pruned = np.where(np.abs(weight) > np.median(np.abs(weight)), weight, 0).astype(np.float32)
    graph = Graph(graph.nodes, {**graph.tensors, "fc1.weight": pruned})
    spec = coarse(graph, batches)
    rounded = round_adaptively(graph, spec, batches, steps=300, seed=0)
    before, after = layer_errors(graph, spec, batches), layer_errors(graph, rounded, batches)
    assert after["fc2"].pow(2).mean() < 0.5 * before["fc2"].pow(2).mean()
    assert (rounded.weights["fc1"].weight[pruned == 0] == 0).all()
    for name, layer in rounded.weights.items():
        scale = layer.scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
        assert (np.abs(layer.weight - graph.tensors[f"{name}.weight"] / scale) < 1.0001).all()


@pytest.mark.slow
def test_every_method_at_once_reaches_the_files_unchanged(trained, lenet_task, session, batches, tmp_path):
    from edgesqueeze.compression.quantizing.graph_model import load_graph_model, serialize_graph_model
    from edgesqueeze.formats.sqz.file import emit_sqz, read_sqz

    stage = Ptq(method="auto", bias_correction=True, equalize=True, adaround=True, adaround_steps=3)
    model = stage.apply(trained, lenet_task, session)
    _, decoded = read_sqz(emit_sqz(model.graph, model.spec))
    path = tmp_path / "state"
    path.write_bytes(serialize_graph_model(model))
    again = load_graph_model(path)
    for spec in (decoded, again.spec):
        assert spec.activations == model.spec.activations
        for name, layer in model.spec.weights.items():
            for field in ("weight", "scale", "bias"):
                assert getattr(layer, field).tobytes() == getattr(spec.weights[name], field).tobytes()
    assert torch.equal(outputs(again, batches), outputs(model, batches))


@pytest.mark.parametrize("setting", ["equalize", "gptq", "adaround"])
def test_what_would_break_shared_values_is_refused(setting, lenet_task, session):
    shared = Share(num_bits=3).apply(lenet_task.build_model(), lenet_task, session)
    with pytest.raises(RecipeError, match=f"ptq.{setting} would give the shared values of layer 'conv1'"):
        Ptq(**{setting: True}).apply(shared, lenet_task, session)


def test_auto_does_not_try_what_would_break_shared_values(lenet_task, session):
    shared = Share(num_bits=3).apply(lenet_task.build_model(), lenet_task, session)
    Ptq(method="auto").apply(shared, lenet_task, session)
    assert "equalization" not in session.notes[0]
    assert "GPTQ" not in session.notes[0]


@pytest.mark.parametrize(
    "settings", [{}, {"weights": "mse"}, {"gptq": True}, {"adaround": True, "adaround_steps": 3}]
)
def test_one_scale_per_tensor_goes_with_every_method(
    settings, trained, lenet_task, session, batches, tmp_path
):
    from edgesqueeze.compression.quantizing.graph_model import load_graph_model, serialize_graph_model
    from edgesqueeze.formats.sqz.file import emit_sqz, read_sqz

    stage = Ptq(method="min_max", per_channel=False, equalize=True, bias_correction=True, **settings)
    model = stage.apply(trained, lenet_task, session)
    path = tmp_path / "state"
    path.write_bytes(serialize_graph_model(model))
    for spec in (read_sqz(emit_sqz(model.graph, model.spec))[1], load_graph_model(path).spec):
        assert not spec.per_channel
        for name, layer in model.spec.weights.items():
            assert layer.scale.shape == (1,)
            for field in ("weight", "scale", "bias"):
                np.testing.assert_array_equal(getattr(layer, field), getattr(spec.weights[name], field))


def test_auto_says_that_scales_are_per_tensor(trained, lenet_task, session):
    Ptq(method="auto", per_channel=False, weights="min_max", equalize=False, bias_correction=False).apply(
        trained, lenet_task, session
    )
    assert "min_max weights per tensor" in session.notes[0]


@pytest.mark.slow
def test_auto_is_the_default_and_tries_weights_and_biases_together(found):
    assert Ptq() == Ptq(method="auto")
    _, (note,), _ = found
    assert note.startswith("auto kept ")
    assert re.search("mse weights(, equalization)?, bias correction", note)


def test_few_images_and_a_poor_output_are_told_with_the_costliest_layers(graph, batches):
    assert few_images(FEWEST_IMAGES) == []
    assert few_images(7)[0].startswith("calibrated on 7 images only")
    model = quantize_graph(graph, batches, Plan())
    assert poor_answers(model, batches, POOR_DB) == []
    spoiled = model.spec.weights["conv2"]
    noisy = replace(spoiled, weight=np.sign(spoiled.weight).astype(np.int8) * 40)
    spec = replace(model.spec, weights={**model.spec.weights, "conv2": noisy})
    (sentence,) = poor_answers(GraphModel(graph, spec), batches, 5.0)
    assert sentence.startswith("the int8 output is poor, 5.0 dB")
    assert sentence.split("cost most: ")[1].startswith("'conv2' (")
    assert min(layer_ratios(model, batches[0]).values()) > 20
