import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgesqueeze.network.graph.nodes import Conv, Graph, Input
from edgesqueeze.network.integers.spec import activation_quant, quantize_layer

finite = st.floats(-1e6, 1e6, allow_nan=False, width=32)


@given(finite, finite)
def test_an_activation_grid_holds_zero_and_both_ends(a, b):
    low, high = min(a, b), max(a, b)
    grid = activation_quant(low, high)
    assert -128 <= grid.zero_point <= 127
    assert np.float32(grid.scale) == grid.scale
    for value in (low, 0.0, high):
        q = np.clip(np.rint(value / grid.scale) + grid.zero_point, -128, 127)
        assert abs((q - grid.zero_point) * grid.scale - value) <= grid.scale * 1.01
    q0 = np.rint(0 / grid.scale) + grid.zero_point
    assert (q0 - grid.zero_point) * grid.scale == 0.0


def layer(weight, bias):
    weight = np.asarray(weight, np.float32)
    nodes = (
        Input(name="input", inputs=(), shape=(1, weight.shape[1], 4, 4)),
        Conv(
            name="c",
            inputs=("input",),
            shape=(1, len(weight), 4, 4),
            kernel=(1, 1),
            stride=(1, 1),
            pads=(0, 0, 0, 0),
            dilation=(1, 1),
            groups=1,
            activation="none",
        ),
    )
    return Graph(nodes, {"c.weight": weight, "c.bias": np.asarray(bias, np.float32)})


def quantized(weight, bias, input_scale=0.05):
    graph = layer(weight, bias)
    return quantize_layer(graph, graph.nodes[1], input_scale)


def test_weights_use_the_whole_range_per_channel():
    weight = np.random.default_rng(0).normal(size=(8, 6, 1, 1)) * np.arange(1, 9).reshape(-1, 1, 1, 1)
    q = quantized(weight, np.zeros(8))
    assert (np.abs(q.weight).reshape(8, -1).max(axis=1) == 127).all()
    error = np.abs(q.weight * q.scale.reshape(-1, 1, 1, 1) - weight)
    assert (error <= q.scale.reshape(-1, 1, 1, 1) * 0.5001).all()


def test_zero_weights_stay_zero_and_equal_weights_stay_equal():
    weight = np.array([0.0, 0.3, -0.3, 0.3, 0.0, 1.0]).reshape(1, 6, 1, 1)
    q = quantized(weight, [0.1]).weight.ravel()
    assert q[0] == q[4] == 0
    assert q[1] == q[3] == -q[2]


def test_a_large_bias_on_a_small_channel_does_not_overflow():
    q = quantized(np.full((1, 4, 1, 1), 1e-8), [5.0])
    assert abs(int(q.bias[0])) <= 2**30 + 64
    assert float(q.bias[0]) * float(q.bias_scale(0.05)[0]) == pytest.approx(5.0, rel=1e-6)


def test_an_empty_channel_and_an_empty_layer_keep_their_bias():
    weight = np.zeros((2, 3, 1, 1))
    weight[1, 0] = 2.0
    q = quantized(weight, [0.7, 0.2])
    assert q.scale[0] == q.scale[1]
    assert float(q.bias[0]) * float(q.bias_scale(0.05)[0]) == pytest.approx(0.7, abs=1e-3)
    empty = quantized(np.zeros((2, 3, 1, 1)), [0.7, -0.2])
    assert (empty.weight == 0).all()
    assert empty.bias.tolist() == [14, -4]
