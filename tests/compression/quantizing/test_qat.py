"""A network in quantization-aware training computes what its files will, and keeps what was pruned or shared."""

import numpy as np
import pytest
import torch
from emit_networks import SMALL_GRAPHS, conv, graph_of, small_input

from edgesqueeze.compression.distillation import Teacher
from edgesqueeze.compression.quantizing.calibrate import calibrate, calibrate_min_max
from edgesqueeze.compression.quantizing.graph_model import GraphModel
from edgesqueeze.compression.quantizing.qat import QatNetwork, codebook_of
from edgesqueeze.compression.quantizing.steps import MOMENTUM, SMALLEST_FACTOR
from edgesqueeze.errors import TaskError
from edgesqueeze.network.floats.run import graph_weights, run_graph
from edgesqueeze.network.graph.nodes import AvgPool, Graph, Resize
from edgesqueeze.network.integers.ranges import share_groups
from edgesqueeze.network.integers.reference import dequantize, run_integer
from edgesqueeze.network.integers.spec import make_spec

METHODS = ["lsq", "moving_average"]


def network_of(graph, method="lsq", shared=(), x=None, keep_float=()):
    x = torch.from_numpy(small_input()) if x is None else x
    forms = {name: codebook_of(graph.tensors[f"{name}.weight"]) for name in shared}
    return QatNetwork(graph, calibrate(graph, [x], "min_max"), method, forms, keep_float)


def train(network, x, steps=3, rate=1e-3):
    """A few steps towards random answers, as the stage makes them."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, rate) if parameters else None
    target = None
    for _ in range(steps):
        network.train()
        y = network(x)
        if target is None:
            target = y.detach() + torch.randn(y.shape, generator=torch.Generator().manual_seed(3))
        if optimizer is not None and y.requires_grad:
            optimizer.zero_grad()
            (y - target).pow(2).mean().backward()
            optimizer.step()
        network.after_step()
    return network


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SMALL_GRAPHS)
def test_a_settled_network_computes_what_its_integers_stand_for(name, method):
    graph, x = SMALL_GRAPHS[name], torch.from_numpy(small_input())
    network = train(network_of(graph, method), x)
    network.settle()
    train(network, x)  # weights and biases only
    finished = network.finished()
    with torch.no_grad():
        simulated = finished(x)
        assert torch.equal(network.train()(x), simulated)
        assert torch.equal(network.eval()(x), simulated)
    groups = share_groups(graph)
    grids = finished.spec.activations
    assert all(grids[node] == grids[group] for node, group in groups.items())
    integers = run_integer(finished.graph, finished.spec, x.numpy())
    apart = np.abs(dequantize(integers, grids[graph.output.name]) - simulated.numpy())
    steps_apart = np.rint(apart / grids[graph.output.name].scale)
    assert steps_apart.max() <= 1
    halves = any(isinstance(node, AvgPool | Resize) for node in graph.nodes)  # means of few integers
    assert steps_apart.mean() < (0.1 if halves else 0.005)


@pytest.mark.parametrize("method", METHODS)
def test_training_moves_the_grids_until_they_are_settled(method):
    graph, x = SMALL_GRAPHS["squeeze_excite"], torch.from_numpy(small_input())
    network = network_of(graph, method)
    before = network.steps.grids()
    train(network, x * 1.5, steps=4, rate=0.05)
    assert not network.is_settled
    moved = network.steps.grids()
    assert all(moved[n] != before[n] for n in ("input", "c1", "sum"))
    assert moved["gate"] == before["gate"]  # a sigmoid's grid is what the runtimes say
    network.settle()
    settled = network.steps.grids()
    scales = {n: network.steps.scales(n, network.layers[0].weight).clone() for n in ("c1",)}
    weight = network.layers[0].weight.detach().clone()
    train(network, x * 3, steps=4, rate=0.05)
    assert network.is_settled
    assert network.steps.grids() == settled
    assert torch.equal(network.steps.scales("c1", network.layers[0].weight), scales["c1"])
    assert not torch.equal(network.layers[0].weight, weight)


def test_hard_swish_is_simulated_with_the_gate_that_the_files_have():
    graph, x = SMALL_GRAPHS["hardswish"], torch.from_numpy(small_input(64))
    spec = make_spec(graph, calibrate_min_max(graph, [x]))
    grid = spec.activations["f"]
    expected = dequantize(run_integer(graph, spec, x.numpy()), grid)
    with torch.no_grad():
        found = GraphModel(graph, spec)(x).numpy()
        ungated = run_graph(graph, x, {}).numpy()
    apart = np.abs(found - expected) > 0.5 * grid.scale
    plain = np.abs(np.rint(ungated / grid.scale) * grid.scale - expected) > 0.5 * grid.scale
    assert apart.mean() < 0.001 < plain.mean()


def test_pruned_weights_stay_zero_in_floats_and_integers():
    graph, x = SMALL_GRAPHS["add_relu"], torch.from_numpy(small_input())
    pruned = graph.tensors["c1.weight"].copy()
    pruned[np.abs(pruned) < 0.15] = 0
    graph = Graph(graph.nodes, {**graph.tensors, "c1.weight": pruned})
    finished = train(network_of(graph), x, steps=5, rate=0.05).finished()
    found = finished.graph.tensors["c1.weight"]
    assert np.array_equal(found == 0, pruned == 0)
    assert not np.array_equal(found, pruned)
    assert not finished.spec.weights["c1"].weight[pruned == 0].any()


@pytest.mark.parametrize("method", METHODS)
def test_a_layer_kept_in_float_is_trained_without_integers(method):
    graph, x = SMALL_GRAPHS["add_relu"], torch.from_numpy(small_input())
    network = train(network_of(graph, method, keep_float=["c1"]), x, rate=0.05)
    network.settle()
    finished = train(network, x, rate=0.05).finished()
    assert set(finished.spec.weights) == {"c2"}
    assert not np.array_equal(finished.graph.tensors["c1.weight"], graph.tensors["c1.weight"])
    with torch.no_grad():
        assert torch.equal(network(x), finished(x))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["add_relu", "dense_relu6", "depthwise"])
def test_a_layer_may_have_one_step_for_all_its_weights(name, method):
    graph, x = SMALL_GRAPHS[name], torch.from_numpy(small_input())
    network = QatNetwork(graph, calibrate(graph, [x], "min_max"), method, per_channel=False)
    train(network, x, rate=0.01).settle()
    finished = train(network, x, rate=0.01).finished()
    assert all(quant.scale.shape == (1,) for quant in finished.spec.weights.values())
    with torch.no_grad():
        assert torch.equal(network(x), finished(x))


def test_float_weights_end_where_their_integers_do():
    graph, x = SMALL_GRAPHS["conv_valid"], torch.from_numpy(small_input())
    network = network_of(graph)
    with torch.no_grad():
        network.steps.weight_factors[0].fill_(0.5)
        finished, expected = network.finished(), network(x)
    weight, quant = finished.graph.tensors["c.weight"], finished.spec.weights["c"]
    scale = quant.scale.reshape(-1, 1, 1, 1)
    clipped = np.abs(graph.tensors["c.weight"]) > 127.5 * scale
    assert clipped.any()
    assert np.array_equal(np.abs(weight)[clipped], np.broadcast_to(127 * scale, weight.shape)[clipped])
    assert np.array_equal(
        weight[~clipped & (np.abs(quant.weight) < 127)],
        graph.tensors["c.weight"][~clipped & (np.abs(quant.weight) < 127)],
    )
    assert torch.equal(finished(x), expected)


def shared_graph():
    graph = SMALL_GRAPHS["add_relu"]
    weight = np.round(graph.tensors["c1.weight"] * 10) / 10  # 0 and a dozen values
    return Graph(graph.nodes, {**graph.tensors, "c1.weight": weight.astype(np.float32)})


@pytest.mark.parametrize("method", METHODS)
def test_shared_weights_stay_shared_and_zeros_stay_zero(method):
    graph, x = shared_graph(), torch.from_numpy(small_input())
    before = graph.tensors["c1.weight"]
    finished = train(network_of(graph, method, ["c1"]), x, steps=5, rate=0.05).finished()
    after, integers = finished.graph.tensors["c1.weight"], finished.spec.weights["c1"].weight
    assert len(np.unique(after)) == len(np.unique(before))
    for value in np.unique(before):
        assert len(np.unique(after[before == value])) == 1
        for channel in range(len(integers)):
            assert len(np.unique(integers[channel][before[channel] == value])) <= 1
    assert not after[before == 0].any()
    assert not np.array_equal(before, after)


def test_a_shared_value_gets_the_sum_of_its_weights_gradients():
    graph, x = shared_graph(), torch.from_numpy(small_input())
    shared, plain = network_of(graph, "moving_average", ["c1"]), network_of(graph, "moving_average")
    for network in (shared, plain):
        network(x).pow(2).sum().backward()
    codebook = shared.layers[0].parametrizations.weight[0]
    gradient = plain.layers[0].parametrizations.weight.original.grad.numpy()  # masked: zeros are pruned
    before = graph.tensors["c1.weight"]
    sums = [gradient[before == value].sum(dtype=np.float64) for value in codebook.centroids.detach().numpy()]
    assert np.allclose(codebook.centroids.grad.numpy(), sums, rtol=1e-3, atol=1e-2)


def test_the_gradient_of_a_step_is_scaled_by_values_and_levels():
    graph, x = SMALL_GRAPHS["conv_valid"], torch.from_numpy(small_input())
    network = network_of(graph)
    grid = network.steps.grids()["c"]
    y = network(x)
    upstream = torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    y.backward(upstream)
    with torch.no_grad():
        weights = {"c": network._quantized(graph.weighted[0], network.steps.grids()["input"].scale)}
        inner = run_graph(graph, network.steps.activation(graph.inputs[0], x), weights).double() / grid.scale
    by_step = torch.where(
        (inner.round() + grid.zero_point + 0.5).abs() <= 127.5, inner.round() - inner, y.detach() / grid.scale
    )
    largest = max(127 - grid.zero_point, grid.zero_point + 128)
    scaled = 1 / np.sqrt(np.prod(graph.output.shape) * largest)
    expected = float((upstream * by_step).sum()) * scaled / grid.scale
    place = list(dict.fromkeys(share_groups(graph).values())).index("c")
    assert float(network.steps.factors[place].grad) == pytest.approx(expected, rel=0.02)


def test_a_moving_average_follows_the_batches_in_training_only():
    graph, x = SMALL_GRAPHS["conv_relu"], torch.from_numpy(small_input())
    network = network_of(graph, "moving_average", x=x)
    scale = network.steps.grids()["c"].scale
    with torch.no_grad():
        network.eval()(x * 2)
        network.after_step()
        assert network.steps.grids()["c"].scale == scale
        top = run_graph(graph, x, graph_weights(graph)).max()
        network.train()(x)
        network.after_step()
        expected = (MOMENTUM * float(top) + (1 - MOMENTUM) * float(top)) / 255
        assert network.steps.grids()["c"].scale == pytest.approx(expected, rel=2e-3)
        network.train()(x * 2)
        network.after_step()
    ratio = network.steps.grids()["input"].scale / calibrate_scale(x)
    assert ratio == pytest.approx(MOMENTUM + (1 - MOMENTUM) * 2, rel=1e-4)


def calibrate_scale(x):
    return float(x.max() - x.min()) / 255


def test_a_step_cannot_turn_negative():
    network = network_of(SMALL_GRAPHS["conv_relu"])
    with torch.no_grad():
        for parameter in (*network.steps.factors, *network.steps.weight_factors):
            parameter.sub_(5)
    network.after_step()
    assert all((p == SMALLEST_FACTOR).all() for p in network.steps.factors)
    assert all((p == SMALLEST_FACTOR).all() for p in network.steps.weight_factors)


def test_a_bias_that_outgrows_a_tiny_weight_is_held_at_what_int32_can_say():
    graph, x = graph_of(conv("c", "input", (1, 8, 13, 12))), torch.from_numpy(small_input())
    weight = graph.tensors["c.weight"].copy()
    weight[0] *= 1e-12
    network = network_of(Graph(graph.nodes, {**graph.tensors, "c.weight": weight}))
    network.settle()
    with torch.no_grad():
        network.layers[0].bias.mul_(10)
        finished = network.finished()
        assert torch.equal(network(x), finished(x))
    assert abs(int(finished.spec.weights["c"].bias[0])) == pytest.approx(2**30, abs=100)


@pytest.mark.parametrize("method", METHODS)
def test_numbers_that_are_none_are_refused(method):
    network = network_of(SMALL_GRAPHS["conv_relu"], method)
    with torch.no_grad():
        network.layers[0].weight.fill_(float("nan"))
        for parameter in network.steps.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(TaskError, match="became nan in training; lower the learning_rate"):
        network(torch.from_numpy(small_input()))


def test_distillation_is_the_divergence_of_softened_answers():
    graph, x = SMALL_GRAPHS["dense"], torch.from_numpy(small_input())
    outputs = torch.randn(len(x), 10, generator=torch.Generator().manual_seed(0))
    found = float(Teacher(graph, 3.0).loss(x, outputs))
    with torch.no_grad():
        logits = run_graph(graph, x, graph_weights(graph)).double().numpy()

    def soften(z):
        e = np.exp(z / 3.0)
        return e / e.sum(1, keepdims=True)

    p, q = soften(logits), soften(outputs.double().numpy())
    assert found == pytest.approx(9 * (p * np.log(p / q)).sum(1).mean(), rel=1e-4)
    with torch.no_grad():
        assert float(Teacher(graph, 3.0).loss(x, torch.from_numpy(logits).float())) == pytest.approx(
            0, abs=1e-5
        )
