"""What each post-training method promises, on a network trained on the packaged digits."""

import numpy as np
import pytest
import torch

from edgesqueeze.errors import RecipeError
from edgesqueeze.graph.build import build_graph
from edgesqueeze.graph.calibrate import RANGE_METHODS, calibrate
from edgesqueeze.graph.post_training import Plan, quantize_graph, sqnr_db
from edgesqueeze.stages import Ptq, Train
from edgesqueeze.weights import bake


@pytest.fixture(scope="module")
def trained(lenet_task):
    from conftest import Recorder

    from edgesqueeze.training import Session

    torch.manual_seed(0)
    model = lenet_task.build_model()
    stage = Train(epochs=3, learning_rate=0.05, batch_size=32)
    return stage.apply(model, lenet_task, Session("train", 0, Recorder()))


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


def test_auto_keeps_the_best_and_says_why(trained, lenet_task, session, recorder, batches):
    want = outputs(bake(trained), batches)
    chosen = sqnr_db(want, outputs(Ptq(method="auto").apply(trained, lenet_task, session), batches))
    for method in RANGE_METHODS:
        other = Ptq(method=method).apply(trained, lenet_task, session)
        assert chosen >= sqnr_db(want, outputs(other, batches)) - 1e-6
    (note,) = session.notes
    assert note in recorder.messages
    assert note.startswith("auto kept ")
    assert f"SQNR {chosen:.2f} dB" in note
    assert all(method in note for method in RANGE_METHODS)


def test_auto_leaves_alone_what_the_recipe_fixes(trained, lenet_task, session):
    Ptq(method="auto", weights="min_max").apply(trained, lenet_task, session)
    assert "mse weights" not in session.notes[0]


def test_a_quantized_model_is_not_quantized_again(trained, lenet_task, session):
    quantized = Ptq().apply(trained, lenet_task, session)
    with pytest.raises(RecipeError, match="quantized already"):
        Ptq().apply(quantized, lenet_task, session)


def test_weight_scales_by_mse_clip_the_largest_weights(graph, batches):
    model = quantize_graph(graph, batches, Plan(weights="mse"))
    for node in graph.weighted:
        layer = model.spec.weights[node.name]
        largest = np.abs(graph.weight(node)).reshape(len(layer.scale), -1).max(axis=1)
        assert (layer.scale * 127 <= largest * 1.0001).all()
