"""The weights of ``int4`` and ``codebook`` files."""

import numpy as np
import pytest

from edgesqueeze.errors import ExportError
from edgesqueeze.network.graph.nodes import Conv, Dense, Graph, Input
from edgesqueeze.network.integers.codebook import codebooks
from edgesqueeze.network.integers.int4 import int4_weights
from edgesqueeze.network.integers.spec import make_spec


def graph_of(*shapes):
    """A graph with layers "0", "1" … of random weights of these shapes; nothing else of it is looked at."""
    rng = np.random.default_rng(0)
    nodes, tensors = [Input(name="input", inputs=(), shape=(1, 4, 6, 6))], {}
    for i, shape in enumerate(shapes):
        tensors[f"{i}.weight"] = rng.uniform(-0.2, 0.2, shape).astype(np.float32)
        tensors[f"{i}.bias"] = np.zeros(shape[0], np.float32)
        common = {"name": str(i), "inputs": (nodes[-1].name,), "activation": "none"}
        if len(shape) == 2:
            nodes.append(Dense(**common, shape=(1, shape[0])))
            continue
        settings = {"kernel": shape[2:], "stride": (1, 1), "pads": (0,) * 4, "dilation": (1, 1), "groups": 1}
        nodes.append(Conv(**common, **settings, shape=(1, shape[0], 6, 6)))
    return Graph(tuple(nodes), tensors)


def with_values(count):
    """A graph of one convolution of 9,216 weights with this many distinct ones."""
    graph = graph_of((256, 4, 3, 3))
    values = np.linspace(-1, 1, count).astype(np.float32)
    graph.tensors["0.weight"] = values[np.arange(9_216) % count].reshape(256, 4, 3, 3)
    return graph


@pytest.mark.parametrize(("count", "num_bits"), [(1, 4), (2, 4), (16, 4), (17, 8), (256, 8)])
def test_a_codebook_stands_for_exactly_the_weights(count, num_bits):
    graph = with_values(count)
    book = codebooks(graph)["0"]
    assert book.table.dtype == np.float32 and book.indices.dtype == np.uint8
    assert len(book.table) == count and book.num_bits == num_bits
    np.testing.assert_array_equal(book.table[book.indices], graph.tensors["0.weight"])
    assert book.num_bytes == 9_216 * num_bits // 8 + 4 * count


def test_too_many_values_are_refused_with_layer_and_way_out():
    with pytest.raises(
        ExportError, match="layer '0' has 257 distinct weights; codebook allows 256 a layer, so "
    ):
        codebooks(with_values(257))
    with pytest.raises(ExportError, match="let a 'share' or 'squeeze' stage cover it, or leave codebook out"):
        codebooks(graph_of((256, 4, 3, 3)))


def test_a_layer_that_would_grow_is_left_out():
    graph = graph_of((4, 4, 1, 1), (4, 4, 3, 3))
    graph.tensors["1.weight"] = np.sign(graph.tensors["1.weight"])
    assert set(codebooks(graph)) == {"1"}


def test_blocks_run_along_what_an_output_channel_sums_over():
    graph = graph_of((6, 4, 3, 3), (6, 2, 1, 1), (5, 96))
    shapes = {name: layer.scale.shape for name, layer in int4_weights(graph, None).items()}
    assert shapes == {"0": (6, 2), "1": (6, 1), "2": (5, 3)}
    for name, layer in int4_weights(graph, None).items():
        weight = graph.tensors[f"{name}.weight"]
        assert layer.weight.shape == weight.shape and layer.scale.dtype == np.float16
        rows, integers = weight.reshape(len(weight), -1), layer.weight.reshape(len(weight), -1)
        for start in range(0, rows.shape[1], 32):
            step = layer.scale[:, start // 32 : start // 32 + 1].astype(np.float32)
            block = slice(start, start + 32)
            by_hand = integers[:, block] * step
            np.testing.assert_array_equal(layer.dequantized().reshape(rows.shape)[:, block], by_hand)
            # Half a step, or what is cut off at -8 or 7 by the smallest scale that is tried.
            assert (np.abs(by_hand - rows[:, block]) <= np.maximum(0.501, 7 / 0.75 - 7) * step).all()


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_weights_beyond_float16_have_float32_scales(factor):
    graph = graph_of((6, 4, 3, 3))
    expected = int4_weights(graph, None)["0"].dequantized()
    graph.tensors["0.weight"] *= np.float32(factor)
    layer = int4_weights(graph, None)["0"]
    assert layer.scale.dtype == np.float32
    np.testing.assert_allclose(layer.dequantized() / factor, expected, atol=2e-2 * np.abs(expected).max())


def test_a_layer_of_zeros():
    graph = graph_of((6, 4, 3, 3))
    graph.tensors["0.weight"][:] = 0
    layer = int4_weights(graph, None)["0"]
    assert not layer.weight.any() and not layer.dequantized().any() and np.isfinite(layer.scale).all()


def test_a_layer_kept_in_float_has_no_int4():
    graph = graph_of((6, 4, 3, 3), (6, 6, 3, 3))
    spec = make_spec(graph, dict.fromkeys(graph.by_name, (-1.0, 1.0)), ("0",))
    assert set(int4_weights(graph, spec)) == {"1"}
