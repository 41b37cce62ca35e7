"""A network behind pixels answers with the integers of the network behind float preprocessing."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pixel_networks import HALF, IMAGENET, MNIST, every_pixel, pixel_network

from edgesqueeze.errors import ExportError
from edgesqueeze.network.graph.nodes import Conv, Input
from edgesqueeze.network.integers.pixels import PIXEL_GRID, with_pixel_input, without_halves
from edgesqueeze.network.integers.reference import quantize_input, run_integer, run_integer_tensors
from edgesqueeze.network.integers.spec import make_spec
from edgesqueeze.normalization import Normalization, plain


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("normalization", [MNIST, IMAGENET])
def test_the_answers_are_those_behind_float_preprocessing(normalization, per_channel):
    graph, spec = pixel_network(normalization, per_channel=per_channel)
    x = normalization.floats(every_pixel(len(normalization.mean)))
    behind = with_pixel_input(graph, spec)
    assert behind[0].takes_pixels
    expected = run_integer(graph, spec, x)
    assert len(np.unique(expected)) > 5
    np.testing.assert_array_equal(run_integer(*behind, x), expected)


@pytest.mark.parametrize(("normalization", "layers"), [(MNIST, 0), (plain(3), 0), (IMAGENET, 1)])
def test_nothing_is_computed_where_the_grid_is_that_of_pixels(normalization, layers):
    graph, spec = pixel_network(normalization)
    found, integers = with_pixel_input(graph, spec)
    assert len(found.nodes) - len(graph.nodes) == layers
    assert (integers.activations["input"] == PIXEL_GRID) == (layers == 1)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.05, 0.95), st.floats(0.05, 1), st.floats(0.6, 1.5), st.floats(0.6, 1.5))
def test_all_256_integers_are_right_on_any_grid(mean, std, low, high):
    normalization = Normalization((mean,), (std,))
    ends = normalization.limits()
    graph, spec = pixel_network(normalization, ends=(ends[0] * low, ends[1] * high))
    found, integers = with_pixel_input(graph, spec)
    x = normalization.floats(every_pixel(1, 1))
    expected = quantize_input(x, spec.activations["input"])
    first = "input" if len(found.nodes) == len(graph.nodes) else "input/normalized"
    np.testing.assert_array_equal(run_integer_tensors(found, integers, x)[first], expected)


def test_what_cannot_take_pixels_is_refused():
    graph, spec = pixel_network(IMAGENET)
    with pytest.raises(ExportError, match="states no normalization"):
        with_pixel_input(replace(graph, normalization=None), spec)
    with pytest.raises(ExportError, match=r"takes \[1, 3, 16, 16\], and its normalization has 1 channels"):
        with_pixel_input(replace(graph, normalization=MNIST), spec)
    two = replace(graph, nodes=(Input(name="mask", inputs=(), shape=(1, 3, 16, 16)), *graph.nodes))
    with pytest.raises(ExportError, match="networks of one image; this one has inputs mask, input"):
        with_pixel_input(two, spec)


def test_pixels_that_float_preprocessing_rounds_by_chance_are_refused():
    graph, spec = pixel_network(HALF)
    with pytest.raises(ExportError, match="pixels lie halfway between two steps"):
        with_pixel_input(graph, spec)


def test_calibration_leaves_no_pixel_halfway():
    graph, _ = pixel_network(HALF)
    ranges = without_halves(graph, dict.fromkeys(graph.by_name, (-1.0, 1.0)))
    assert ranges["conv"] == (-1.0, 1.0)
    assert ranges["input"] == (-1.001953125, 1.001953125)
    assert without_halves(graph, ranges) == ranges
    behind = with_pixel_input(graph, make_spec(graph, ranges))
    x = HALF.floats(every_pixel(3))
    np.testing.assert_array_equal(run_integer(*behind, x), run_integer(graph, make_spec(graph, ranges), x))


def test_the_layer_stands_in_front_of_all_that_read_the_input():
    found, integers = with_pixel_input(*pixel_network(IMAGENET))
    source, layer, *others = found.nodes
    assert isinstance(layer, Conv)
    assert layer.inputs == (source.name,)
    assert (layer.kernel, layer.pads) == ((1, 1), (0, 0, 0, 0))
    weight = integers.weights[layer.name].weight[:, :, 0, 0]
    assert (weight[~np.eye(3, dtype=bool)] == 0).all()
    assert [node.name for node in others if source.name in node.inputs] == []
