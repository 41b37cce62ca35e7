"""The quantizers of training: the numbers of the files, and the gradients of the papers, worked out in numpy."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from edgesqueeze.compression.quantizing.fake_quant import (
    Step,
    clip_of,
    quantize_activation,
    quantize_bias,
    quantize_weight,
)
from edgesqueeze.compression.quantizing.simulation import dequantized_layer, fake_quantize
from edgesqueeze.network.graph.nodes import Dense, Graph, Input
from edgesqueeze.network.integers.grid import ActivationQuant
from edgesqueeze.network.integers.spec import quantize_layer

GRIDS = [
    ActivationQuant(float(np.float32(scale)), zero)
    for scale, zero in [(0.03, -128), (0.02, -128), (0.02, 7), (6 / 255, -128), (0.05, -30)]
]
ACTIVATED = {"none": lambda x: x, "relu": torch.relu, "relu6": torch.nn.functional.relu6}


def values(count=4000, spread=4.0):
    return torch.randn(count, generator=torch.Generator().manual_seed(0)) * spread


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("activation", ACTIVATED)
def test_activation_and_rounding_in_one_are_those_of_the_simulation(activation, grid):
    x = values()
    found = quantize_activation(x, clip_of(grid, activation), None)
    assert torch.equal(found, fake_quantize(ACTIVATED[activation](x), grid))


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("activation", ACTIVATED)
def test_the_gradients_of_an_activation_are_those_of_lsq(activation, grid):
    x = values().requires_grad_()
    factor = torch.ones((), requires_grad=True)
    upstream = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    step = Step(factor, torch.tensor(0.25))
    quantize_activation(x, clip_of(grid, activation), step).backward(upstream)
    v = ACTIVATED[activation](x.detach()).double().numpy()
    free = (x.detach() > 0).numpy() if activation != "none" else np.ones(v.shape, bool)
    free &= (x.detach() < 6).numpy() if activation == "relu6" else free
    low, high = -128 - grid.zero_point, 127 - grid.zero_point
    inside = (np.rint(v / grid.scale) >= low) & (np.rint(v / grid.scale) <= high)
    assert np.array_equal(x.grad.numpy() != 0, inside & free)
    assert np.array_equal(x.grad.numpy()[inside & free], upstream.numpy()[inside & free])
    # Equation 3 of the paper: rint(v / s) - v / s inside, the clipped integer outside.
    by_step = np.where(inside, np.rint(v / grid.scale) - v / grid.scale, np.clip(v / grid.scale, low, high))
    expected = 0.25 * float((upstream.double().numpy() * by_step).sum())
    assert float(factor.grad) == pytest.approx(expected, rel=1e-3, abs=0.02)


def layer(weight, bias):
    nodes = (
        Input(name="input", inputs=(), shape=(1, weight.shape[1])),
        Dense(name="fc", inputs=("input",), shape=(1, len(weight)), activation="none"),
    )
    return Graph(nodes, {"fc.weight": weight.numpy(), "fc.bias": bias.numpy()})


def test_weights_and_biases_are_those_of_the_files():
    weight, bias = values(5000).view(50, 100), values(50) * 10
    scale = torch.rand(50, generator=torch.Generator().manual_seed(2)) * 0.1 + 0.02
    graph = layer(weight, bias)
    quant = quantize_layer(graph, graph.nodes[1], 0.037, scale.numpy())
    wanted = dequantized_layer(quant, 0.037)
    assert int(np.abs(quant.weight).max()) == 127  # some are clipped
    assert torch.equal(quantize_weight(weight, scale, None), wanted[0])
    assert torch.equal(quantize_bias(bias, torch.from_numpy(quant.bias_scale(0.037))), wanted[1])


def test_the_gradients_of_a_weight_are_those_of_lsq_per_channel():
    weight = values(1200).view(4, 3, 10, 10).requires_grad_()
    scale = torch.tensor([0.02, 0.05, 0.1, 0.003])
    factor, gradient_scale = torch.ones(4, requires_grad=True), torch.tensor([1.0, 2.0, 3.0, 4.0])
    upstream = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    quantize_weight(weight, scale, Step(factor, gradient_scale)).backward(upstream)
    ratio = weight.detach().double().numpy() / scale.double().numpy().reshape(4, 1, 1, 1)
    inside = np.abs(np.rint(ratio)) <= 127
    by_step = np.where(inside, np.rint(ratio) - ratio, np.clip(ratio, -127, 127))
    expected = (upstream.double().numpy() * by_step).sum((1, 2, 3)) * gradient_scale.numpy()
    assert 0 < inside.sum() < inside.size
    assert np.allclose(factor.grad.numpy(), expected, rtol=1e-3, atol=1e-3)
    assert np.array_equal(weight.grad.numpy(), upstream.numpy() * inside)


def test_one_step_for_all_weights_gets_the_sum_of_all_gradients():
    weight, scale = values(1200).view(4, 300), torch.tensor([0.05])
    upstream = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    one, four = torch.ones(1, requires_grad=True), torch.ones(4, requires_grad=True)
    quantize_weight(weight, scale, Step(one, torch.tensor(2.0))).backward(upstream)
    quantize_weight(weight, scale.expand(4), Step(four, torch.tensor(2.0))).backward(upstream)
    assert float(one.grad) == pytest.approx(float(four.grad.sum()), rel=1e-4)


def test_a_bias_gets_its_gradient_unchanged():
    bias = values(20).requires_grad_()
    upstream = torch.arange(20.0)
    quantize_bias(bias, torch.full((20,), 0.5)).backward(upstream)
    assert torch.equal(bias.grad, upstream)


def test_without_a_learned_step_only_the_values_get_a_gradient():
    x = values().requires_grad_()
    clip = clip_of(GRIDS[2], "none")
    quantize_activation(x, clip, None).sum().backward()
    assert torch.equal(x.grad.bool(), (x.detach() > clip.pass_low) & (x.detach() < clip.pass_high))


def test_relu6_stops_at_the_grid_if_the_grid_ends_first():
    small = clip_of(ActivationQuant(0.01, -128), "relu6")
    assert (small.high, small.stops_at_six) == (255, False)
    large = clip_of(ActivationQuant(0.1, -128), "relu6")
    assert (large.high, large.pass_high, large.stops_at_six) == (60, 6.0, True)
    assert replace(large, high=255, pass_high=math.inf) != large
