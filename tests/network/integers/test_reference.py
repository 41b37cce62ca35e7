"""The integer reference against independent arithmetic: torch in float64, plain loops, Python integers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesqueeze.network.graph.nodes import (
    Add,
    AvgPool,
    Clamp,
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Graph,
    Input,
    MaxPool,
)
from edgesqueeze.network.integers import reference
from edgesqueeze.network.integers.align import is_near, sum_scale
from edgesqueeze.network.integers.reference import (
    clamp_limits,
    dequantize,
    quantize_input,
    run_integer,
    run_integer_tensors,
)
from edgesqueeze.network.integers.rules import layers
from edgesqueeze.network.integers.spec import ActivationQuant, QuantSpec, WeightQuant, activation_quant

SOURCE = Input(name="input", inputs=(), shape=(1, 4, 9, 8))
GRID = ActivationQuant(float(np.float32(0.03)), -11)


def picture(count=3, shape=SOURCE.shape):
    return np.random.default_rng(0).normal(size=(count, *shape[1:])).astype(np.float32)


def layer(weight_shape, seed=0):
    rng = np.random.default_rng(seed)
    out = weight_shape[0]
    return WeightQuant(
        weight=rng.integers(-127, 128, weight_shape).astype(np.int8),
        scale=rng.uniform(1e-4, 2e-3, out).astype(np.float32),
        bias=rng.integers(-20000, 20000, out).astype(np.int32),
    )


def requantize_in_torch(acc, weights, out, activation):
    """The published rule once more: float32(acc) × float32(s_in · s_weight / s_out), half to even."""
    multiplier = torch.tensor(weights.scale) * torch.tensor(GRID.scale) / torch.tensor(out.scale)
    y = torch.round(acc.to(torch.float32) * multiplier.view(1, -1, *[1] * (acc.ndim - 2))) + out.zero_point
    low = out.zero_point if activation != "none" else -128
    high = min(127, round(6 / out.scale) + out.zero_point) if activation == "relu6" else 127
    return y.clamp(low, high).to(torch.int8).numpy()


@pytest.mark.parametrize("activation", ["none", "relu", "relu6"])
@pytest.mark.parametrize(
    ("kernel", "stride", "pads", "dilation", "groups"),
    [
        ((3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 1),
        ((3, 2), (2, 1), (1, 0, 1, 2), (1, 1), 2),
        ((2, 3), (1, 2), (2, 2, 2, 2), (2, 1), 4),
        ((1, 1), (3, 3), (0, 0, 0, 0), (1, 1), 1),
    ],
)
def test_convolution_equals_torch_in_float64(kernel, stride, pads, dilation, groups, activation):
    weights = layer((8, 4 // groups, *kernel))
    q = quantize_input(picture(), GRID)
    top, left, bottom, right = pads
    centred = F.pad(torch.from_numpy(q.astype(np.float64)) - GRID.zero_point, (left, right, top, bottom))
    w, b = (torch.from_numpy(t.astype(np.float64)) for t in (weights.weight, weights.bias))
    acc = F.conv2d(centred, w, b, stride, 0, dilation, groups)
    node = Conv(
        name="c",
        inputs=("input",),
        shape=(1, *acc.shape[1:]),
        kernel=kernel,
        stride=stride,
        pads=pads,
        dilation=dilation,
        groups=groups,
        activation=activation,
    )
    out = ActivationQuant(float(np.float32(0.05)), -20)
    spec = QuantSpec({"input": GRID, "c": out}, {"c": weights})
    y = run_integer(Graph((SOURCE, node), {}), spec, picture())
    np.testing.assert_array_equal(y, requantize_in_torch(acc, weights, out, activation))
    assert len(np.unique(y)) > 10


def test_blocks_of_rows_and_images_do_not_change_the_answer(monkeypatch):
    node = Conv(
        name="c",
        inputs=("input",),
        shape=(1, 8, 9, 8),
        kernel=(3, 3),
        stride=(1, 1),
        pads=(1, 1, 1, 1),
        dilation=(1, 1),
        groups=2,
        activation="none",
    )
    spec = QuantSpec({"input": GRID, "c": GRID}, {"c": layer((8, 2, 3, 3))})
    graph, x = Graph((SOURCE, node), {}), picture(5)
    whole = run_integer(graph, spec, x)
    for size in (1, 5000, 20000):
        monkeypatch.setattr(layers, "_BLOCK_BYTES", size)
        monkeypatch.setattr(reference, "_BATCH", 2)
        np.testing.assert_array_equal(run_integer(graph, spec, x), whole)


def test_dense_reads_channels_first_order():
    weights = layer((6, 288))
    flat = Flatten(name="f", inputs=("input",), shape=(1, 288))
    node = Dense(name="d", inputs=("f",), shape=(1, 6), activation="none")
    out = ActivationQuant(float(np.float32(0.2)), 3)
    spec = QuantSpec({"input": GRID, "f": GRID, "d": out}, {"d": weights})
    q = quantize_input(picture(), GRID).reshape(3, -1).astype(object) - GRID.zero_point  # Python integers
    acc = q @ weights.weight.astype(object).T + weights.bias.astype(object)
    expected = requantize_in_torch(torch.tensor(acc.astype(np.int64)), weights, out, "none")
    np.testing.assert_array_equal(run_integer(Graph((SOURCE, flat, node), {}), spec, picture()), expected)


def test_max_pool_and_concat_move_integers():
    pool = MaxPool(
        name="p", inputs=("input",), shape=(1, 4, 5, 4), kernel=(3, 3), stride=(2, 2), pads=(1, 1, 1, 0)
    )
    joined = Concat(name="j", inputs=("p", "p"), shape=(1, 8, 5, 4))
    spec = QuantSpec(dict.fromkeys(["input", "p", "j"], GRID), {})
    q = torch.from_numpy(quantize_input(picture(), GRID).astype(np.float32))
    expected = F.max_pool2d(F.pad(q, (1, 0, 1, 1), value=-999), 3, 2).numpy()
    y = run_integer(Graph((SOURCE, pool, joined), {}), spec, picture())
    np.testing.assert_array_equal(y, np.concatenate([expected, expected], 1))


@pytest.mark.parametrize("kind", [AvgPool, GlobalAvgPool])
def test_averages_are_within_half_a_unit_of_the_real_mean(kind):
    window = {"kernel": (3, 2), "stride": (3, 2)} if kind is AvgPool else {}
    shape = (1, 4, 3, 4) if kind is AvgPool else (1, 4, 1, 1)
    node = kind(name="p", inputs=("input",), shape=shape, **window)
    out = GRID if kind is AvgPool else activation_quant(-0.4, 0.5)
    graph, spec = Graph((SOURCE, node), {}), QuantSpec({"input": GRID, "p": out}, {})
    real = torch.from_numpy(dequantize(quantize_input(picture(), GRID), GRID)).double()
    mean = F.avg_pool2d(real, (3, 2) if kind is AvgPool else (9, 8)).numpy()
    y = dequantize(run_integer(graph, spec, picture()), out)
    assert np.abs(y - mean).max() <= out.scale * 0.50001


@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_a_loose_activation_changes_the_grid_and_clamps(activation):
    node = Clamp(name="r", inputs=("input",), shape=SOURCE.shape, activation=activation)
    out = activation_quant(0, 8)
    wide = activation_quant(-9, 9)
    x = picture() * 4
    y = run_integer(Graph((SOURCE, node), {}), QuantSpec({"input": wide, "r": out}, {}), x)
    real = np.clip(dequantize(quantize_input(x, wide), wide), 0, 6 if activation == "relu6" else None)
    assert np.abs(dequantize(y, out) - np.minimum(real, 8)).max() <= out.scale * 0.50001


def sum_errors(grids, out):
    """How far an integer sum of two tensors is from the real sum of their integers, in units of the output."""
    copy = MaxPool(
        name="m", inputs=("input",), shape=SOURCE.shape, kernel=(1, 1), stride=(1, 1), pads=(0,) * 4
    )
    total = Add(name="a", inputs=("input", "m"), shape=SOURCE.shape, activation="none")
    x = picture(1) * np.float32(grids[0].scale * 60)
    q = quantize_input(x, grids[0]).astype(float)
    real = sum((q - grid.zero_point) * grid.scale for grid in grids)
    expected = np.clip(real / out.scale + out.zero_point, -128, 127)
    spec = QuantSpec({"input": grids[0], "m": grids[1], "a": out}, {})
    return np.abs(run_integer(Graph((SOURCE, copy, total), {}), spec, x) - expected)


@st.composite
def sum_grids(draw):
    """The grids of two terms and of their sum."""
    scales = [draw(st.floats(1e-3, 1.0)) for _ in range(2)]
    scales.append(max(scales) * draw(st.floats(0.5, 4)))
    return [ActivationQuant(float(np.float32(s)), draw(st.integers(-128, 127))) for s in scales]


@given(sum_grids())
@settings(max_examples=60)
def test_a_sum_on_aligned_grids_is_the_nearest_integer(grids):
    *terms, out = grids
    aligned = [replace(t, scale=sum_scale(t.scale, out.scale) or t.scale) for t in terms]
    assert sum_errors(aligned, out).max() <= 0.51


@given(sum_grids())
@settings(max_examples=60)
def test_a_sum_on_other_grids_is_rounded_once_more_for_each_term(grids):
    *terms, out = grids
    allowed = 0.51
    for term in terms:
        moved = sum_scale(term.scale, out.scale)
        if moved is not None and not is_near(term.scale, moved):
            # Half a step of the copy's grid. At its ends another half, for the zero point was rounded too, and
            # half a unit of the sum: a scale moves by 1 / 510 of the sum's at most, which 255 steps add up.
            allowed += moved / out.scale + 0.5
    assert sum_errors(terms, out).max() <= allowed


@pytest.mark.parametrize("scales", [(0.7, 0.3, 1.1), (0.031, 0.02, 0.04), (1.0, 1.0, 0.875)])
def test_a_term_on_another_grid_keeps_its_middle(scales):
    """Away from the ends of a grid only the two roundings are left: half a unit, and half a step a term."""
    first, second, out = (ActivationQuant(float(np.float32(s)), 0) for s in scales)
    halves = sum(0.5 * sum_scale(t.scale, out.scale) / out.scale for t in (first, second))
    assert np.median(sum_errors((first, second), out)) < 0.5
    assert np.quantile(sum_errors((first, second), out), 0.8) <= 0.51 + halves


def test_quantize_input_rounds_half_to_even_and_saturates():
    grid = ActivationQuant(0.5, 10)
    x = np.array([[0.25, 0.75, -0.25, 1e9, -1e9, np.inf]], np.float32)
    assert quantize_input(x, grid).tolist() == [[10, 12, 10, 127, -128, 127]]
    np.testing.assert_array_equal(dequantize(np.array([10, 12, -128], np.int8), grid), [0.0, 1.0, -69.0])


def test_clamp_limits():
    assert clamp_limits(ActivationQuant(6 / 255, -128), "relu6") == (-128, 127)
    assert clamp_limits(ActivationQuant(0.1, -28), "relu6") == (-28, 32)
    assert clamp_limits(ActivationQuant(0.1, -28), "relu") == (-28, 127)
    assert clamp_limits(ActivationQuant(0.1, -28), "none") == (-128, 127)


def test_every_tensor_is_given_under_its_node_name():
    pool = AvgPool(name="p", inputs=("input",), shape=(1, 4, 3, 4), kernel=(3, 2), stride=(3, 2))
    flat = Flatten(name="f", inputs=("p",), shape=(1, 48))
    loose = Clamp(name="r", inputs=("f",), shape=(1, 48), activation="relu")
    graph, spec = (
        Graph((SOURCE, pool, flat, loose), {}),
        QuantSpec(dict.fromkeys("pfr", GRID) | {"input": GRID}, {}),
    )
    tensors = run_integer_tensors(graph, spec, picture())
    assert {name: t.shape for name, t in tensors.items()} == {
        "input": (3, 4, 9, 8),
        "p": (3, 4, 3, 4),
        "f": (3, 48),
        "r": (3, 48),
    }
    np.testing.assert_array_equal(tensors["r"], np.maximum(tensors["f"], GRID.zero_point))


def test_a_large_convolution_is_exact():
    """AlexNet's second layer: sums of 1,600 products."""
    source = Input(name="input", inputs=(), shape=(1, 64, 27, 27))
    node = Conv(
        name="c",
        inputs=("input",),
        shape=(1, 192, 27, 27),
        kernel=(5, 5),
        stride=(1, 1),
        pads=(2, 2, 2, 2),
        dilation=(1, 1),
        groups=1,
        activation="relu",
    )
    weights, x = layer((192, 64, 5, 5)), picture(4, source.shape)
    y = run_integer(Graph((source, node), {}), QuantSpec({"input": GRID, "c": GRID}, {"c": weights}), x)
    centred = torch.from_numpy(quantize_input(x, GRID).astype(np.float64)) - GRID.zero_point
    w, b = (torch.from_numpy(t.astype(np.float64)) for t in (weights.weight, weights.bias))
    expected = requantize_in_torch(F.conv2d(centred, w, b, padding=2), weights, GRID, "relu")
    np.testing.assert_array_equal(y, expected)
