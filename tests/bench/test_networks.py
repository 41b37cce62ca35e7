"""Indices of shared weights, and what they cost without context."""

import math

import numpy as np
import pytest
import torch
from tiny import TinyNet

from bench.index_sizes import IndexSizes, index_sizes
from bench.networks import Network, bias_bytes, deep_weights, indexed_weights, load_network, network_source
from edgesqueeze.compression.weights.weights import serialize_model
from edgesqueeze.errors import RecipeError
from edgesqueeze.formats.sqz.file import emit_sqz
from edgesqueeze.models import built_in_model
from edgesqueeze.network.reading.torch.build import build_graph


@pytest.fixture(scope="module")
def shared():
    """A small network whose weights are 0, ±0.5, 1 or 2."""
    graph = build_graph(TinyNet().eval(), torch.zeros(1, 1, 28, 28))
    values = np.array([-0.5, 0, 0, 0.5, 1, 2], np.float32)
    rng = np.random.default_rng(0)
    tensors = {
        name: rng.choice(values, t.shape).astype(np.float32) if t.ndim > 1 else t
        for name, t in graph.tensors.items()
    }
    return Network("tiny", type(graph)(graph.nodes, tensors), None)


def test_indices_are_signed_ranks_around_zero(shared):
    for layer, node in zip(indexed_weights(shared), shared.graph.weighted, strict=True):
        weight = shared.graph.weight(node)
        assert layer.indices.min() >= -1
        table = dict(zip((-1, 1, 2, 3), (-0.5, 0.5, 1, 2), strict=True)) | {0: 0.0}
        if len(layer.codebook) == 4:
            assert np.array_equal(np.vectorize(table.get, otypes=[np.float32])(layer.indices), weight)
        assert layer.num_nonzero == np.count_nonzero(weight)
        assert np.array_equal(np.sign(layer.indices), np.sign(weight))


def test_weights_that_are_not_shared_are_refused():
    graph = build_graph(built_in_model("lenet5").build().eval(), torch.zeros(1, 1, 28, 28))
    with pytest.raises(RecipeError, match="layer 'conv2' has .* distinct weights"):
        indexed_weights(Network("float", graph, None))


def test_a_sqz_file_and_a_state_give_the_network(shared, tmp_path):
    path = tmp_path / "model.sqz"
    path.write_bytes(emit_sqz(shared.graph, None))
    again = load_network("tiny", str(path))
    assert again.spec is None
    assert bias_bytes(again.graph) == bias_bytes(shared.graph) > 0
    state = tmp_path / "lenet.safetensors"
    model = built_in_model("lenet5").build()
    state.write_bytes(serialize_model(model))
    graph = load_network("lenet", f"lenet5:{state}").graph
    assert np.array_equal(graph.weight(graph.weighted[0]), model.conv1.weight.detach().numpy())


def test_other_sources_are_refused(tmp_path):
    with pytest.raises(
        RecipeError, match="is no .sqz file, no run, not MODEL:state.safetensors and not deep:alexnet"
    ):
        load_network("x", str(tmp_path / "model.onnx"))
    with pytest.raises(Exception, match="'model.sqz' is not of the form LABEL=SOURCE"):
        network_source("model.sqz")
    assert network_source("a=b=c") == ("a", "b=c")


def test_the_bound_is_the_entropy_and_codes_do_not_beat_it():
    rng = np.random.default_rng(1)
    dense = rng.choice([-1, 1, 2, 3], p=[0.5, 0.25, 0.125, 0.125], size=8000).astype(np.int32)
    sizes = index_sizes(dense)
    share = np.unique(dense, return_counts=True)[1] / dense.size
    assert math.isclose(sizes.bound_bytes, 1000 * -float((share * np.log2(share)).sum()))
    assert sizes.fixed_bytes == 2000
    assert sizes.bound_bytes <= sizes.huffman_bytes < sizes.bound_bytes * 1.02


def test_sparse_indices_are_coded_relative_to_each_other():
    sparse = np.zeros(6000, np.int32)
    sparse[5::6] = 1  # 1,000 gaps of 5 zeros: no information in Huffman codes, 3 bits each at fixed length
    sizes = index_sizes(sparse)
    assert sizes.fixed_bytes == (1000 * 3 + 1000 * 1) / 8
    assert sizes.huffman_bytes < 10
    assert index_sizes(sparse.reshape(60, 100)) == sizes
    assert sizes + sizes == IndexSizes(1000, 2 * sizes.huffman_bytes, 2 * sizes.bound_bytes)


@pytest.mark.parametrize(("density", "num_bits"), [(0.09, 5), (0.84, 8)])
def test_made_up_weights_have_the_density_and_the_bits(density, num_bits):
    weights = deep_weights((256, 16, 3, 3), density, num_bits, np.random.default_rng(0))
    assert np.count_nonzero(weights) / weights.size == pytest.approx(density, abs=1e-3)
    assert len(np.unique(weights)) <= 2**num_bits
