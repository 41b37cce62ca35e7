import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sqz_networks import DEEP_COMPRESSION_LENET5, every_kind, lenet5, spec_for

from edgesqueeze.coding.container import write_container
from edgesqueeze.errors import CodecError, CorruptFileError
from edgesqueeze.formats.sqz.version1 import describe_v1, emit_v1, read_v1
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.integers.spec import ActivationQuant, QuantSpec


def _same_tensors(one, other):
    assert list(one) == list(other)
    for name, tensor in one.items():
        assert other[name].dtype == np.float32
        assert other[name].shape == tensor.shape
        assert other[name].tobytes() == tensor.tobytes()


@pytest.fixture(scope="module")
def network():
    return every_kind()


@pytest.fixture(scope="module")
def lenet():
    return lenet5()


@pytest.mark.parametrize("index_bits", [None, 2, 5, 12])
def test_the_graph_comes_back_bit_for_bit(network, index_bits):
    graph, spec = read_v1(emit_v1(network, None, index_bits))
    assert spec is None
    assert graph.nodes == network.nodes
    _same_tensors(network.tensors, graph.tensors)


def test_the_int8_form_comes_back_exactly(network):
    spec = spec_for(network)
    data = emit_v1(network, spec)
    _, decoded = read_v1(data)
    assert decoded.activations == spec.activations
    assert list(decoded.weights) == list(spec.weights)
    for name, layer in spec.weights.items():
        for field in ("weight", "scale", "bias"):
            expected, found = getattr(layer, field), getattr(decoded.weights[name], field)
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)
    # Twenty-six nodes in fifteen share-groups, five bytes each, and twelve bytes around the block.
    assert len(data) - len(emit_v1(network, None)) == 12 + 5 * 15


def test_the_same_network_gives_the_same_bytes(network):
    assert emit_v1(network, spec_for(network)) == emit_v1(every_kind(), spec_for(every_kind()))


def test_lenet5_at_the_published_densities_takes_about_the_published_bytes(lenet):
    data = emit_v1(lenet, None, index_bits=5)
    # Han et al. 2016 report 44 KB; an independent count of their scheme on Laplacian weights gave 43.8 KB.
    assert 0.96 * 43_800 < len(data) < 1.04 * 43_800
    assert 4 * 431_080 / len(data) > 38
    assert len(emit_v1(lenet, None)) <= len(data)
    by_name = {tensor.name: tensor for tensor in describe_v1(data).tensors}
    for name, (density, num_bits) in DEEP_COMPRESSION_LENET5.items():
        tensor = by_name[f"{name}.weight"]
        assert tensor.density == pytest.approx(density, abs=0.002)
        assert tensor.codebook_size <= 2**num_bits + (tensor.encoding == "dense codebook")


def test_the_description_accounts_for_every_byte(lenet):
    data = emit_v1(lenet, spec_for(lenet))
    description = describe_v1(data)
    assert description.num_bytes == len(data) == sum(block.num_bytes for block in description.blocks)
    assert [block.tag for block in description.blocks] == ["header", "GRPH", "ACTQ", "TENS"]
    end = 0
    for block in description.blocks:
        assert block.offset == end
        end += block.num_bytes
    tensors_block = description.blocks[-1]
    assert sum(tensor.num_bytes for tensor in description.tensors) == tensors_block.num_bytes - 12
    end = tensors_block.offset + 8
    for tensor in description.tensors:
        assert tensor.offset == end
        end += tensor.num_bytes
        parts = (tensor.table_bytes, tensor.chunk_bytes, tensor.huffman_bytes, tensor.codebook_bytes)
        assert tensor.num_bytes == tensor.header_bytes + tensor.value_bytes + sum(parts)
        assert 2 <= tensor.header_bytes <= 14
        assert tensor.num_weights == lenet.tensors[tensor.name].size
        assert tensor.num_nonzero == np.count_nonzero(lenet.tensors[tensor.name])
        assert tensor.bits_per_weight == pytest.approx(8 * tensor.num_bytes / tensor.num_weights)
        assert tensor.entropy_bits <= tensor.huffman_bits <= 8 * tensor.huffman_bytes
        assert tensor.huffman_bits <= 1.03 * tensor.entropy_bits
    assert end == len(data) - 4


def test_the_description_says_which_encoding_was_taken(lenet):
    tensors = {tensor.name: tensor for tensor in describe_v1(emit_v1(lenet, None, 6)).tensors}
    fc1 = tensors["fc1.weight"]
    assert (fc1.encoding, fc1.index_bits, fc1.shape) == ("sparse codebook", 6, (500, 800))
    assert (tensors["fc1.bias"].encoding, tensors["fc1.bias"].index_bits) == ("raw", None)
    assert tensors["fc1.bias"].codebook_size is None


def test_tensors_that_do_not_fit_the_graph_are_refused(network):
    name = "left.bias"
    without = {key: value for key, value in network.tensors.items() if key != name}
    for tensors, message in [
        (without, "left.bias"),
        ({**network.tensors, "more": np.zeros(1, np.float32)}, "more"),
        ({**network.tensors, name: np.zeros(3, np.float32)}, "shape"),
        ({**network.tensors, name: np.zeros(2)}, "float64"),
    ]:
        with pytest.raises(CodecError, match=message):
            emit_v1(Graph(network.nodes, tensors), None)


def test_a_graph_whose_shapes_do_not_follow_is_refused(network):
    nodes = (*network.nodes[:-1], replace(network.nodes[-1], inputs=("pooled",)))
    with pytest.raises(CodecError, match="chances"):
        emit_v1(Graph(nodes, network.tensors), None)


def _with_layer(spec, name, **changes):
    layer = replace(spec.weights[name], **changes)
    return QuantSpec(spec.activations, {**spec.weights, name: layer})


def _same_specs(one, other):
    assert one.activations == other.activations
    assert list(one.weights) == list(other.weights)
    for name, layer in one.weights.items():
        for field in ("weight", "scale", "bias"):
            expected, found = getattr(layer, field), getattr(other.weights[name], field)
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)


def test_integers_that_do_not_follow_come_back_exactly(network):
    spec = spec_for(network)
    layer = spec.weights["left"]
    changed = np.where(layer.weight != 0, np.clip(layer.weight + 1, -127, 127), 0).astype(np.int8)
    learned = (layer.scale * np.float32(0.7)).astype(np.float32)
    limits = np.resize(np.array([2**31 - 1, -(2**31)], np.int32), layer.bias.shape)
    for other in (
        _with_layer(spec, "left", weight=changed),
        _with_layer(spec, "left", bias=limits),
        _with_layer(spec, "left", scale=learned),
        _with_layer(spec, "left", scale=learned, weight=-changed, bias=layer.bias + 3),
    ):
        data = emit_v1(network, other)
        assert [b.tag for b in describe_v1(data).blocks] == ["header", "GRPH", "ACTQ", "WGTQ", "TENS"]
        graph, decoded = read_v1(data)
        _same_tensors(network.tensors, graph.tensors)
        _same_specs(other, decoded)


def test_rounding_up_or_down_costs_about_a_bit_per_weight(lenet):
    spec = spec_for(lenet)
    layer = spec.weights["fc1"]
    up = np.random.default_rng(0).random(layer.weight.shape) < 0.3
    moved = np.where(up & (layer.weight != 0), np.clip(layer.weight + 1, -127, 127), layer.weight)
    data = emit_v1(lenet, _with_layer(spec, "fc1", weight=moved.astype(np.int8)))
    extra = len(data) - len(emit_v1(lenet, spec))
    assert extra < np.count_nonzero(layer.weight)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": np.full((2, 4, 1, 1), -128, np.int8)}, "is -128"),
        ({"weight": np.zeros((2, 4, 1), np.int8)}, "shapes"),
        ({"weight": np.zeros((2, 4, 1, 1), np.int16)}, "types"),
        ({"bias": np.zeros(2, np.int64)}, "types"),
        ({"scale": np.zeros(2, np.float32)}, "weight scales"),
        ({"scale": np.array([1, np.nan], np.float32)}, "weight scales"),
        ({"scale": np.full(2, 2.0**-40, np.float32)}, "does not fit in int32"),
    ],
)
def test_integers_no_network_can_have_are_refused(network, changes, message):
    network = Graph(network.nodes, {**network.tensors, "left.bias": np.array([1e4, 1], np.float32)})
    with pytest.raises(CodecError, match=message):
        emit_v1(network, _with_layer(spec_for(network), "left", **changes))


def test_a_spec_of_other_layers_is_refused(network):
    spec = spec_for(network)
    weights = {**spec.weights, "other": spec.weights["left"]}
    with pytest.raises(CodecError, match="'other' are not those of a layer of the graph"):
        emit_v1(network, QuantSpec(spec.activations, weights))


def test_layers_kept_in_float_come_back_without_integers(network):
    spec = spec_for(network)
    for kept in (["left"], list(spec.weights)):
        weights = {name: layer for name, layer in spec.weights.items() if name not in kept}
        data = emit_v1(network, QuantSpec(spec.activations, weights))
        graph, decoded = read_v1(data)
        _same_tensors(network.tensors, graph.tensors)
        _same_specs(QuantSpec(spec.activations, weights), decoded)
        assert describe_v1(data).float_layers == tuple(kept)
    assert describe_v1(emit_v1(network, spec)).float_layers == ()


def test_a_damaged_block_of_integers_is_refused(network):
    spec = spec_for(network)
    scale = spec.weights["left"].scale * np.float32(0.7)
    blocks = _payloads(emit_v1(network, _with_layer(spec, "left", scale=scale.astype(np.float32))))
    silent = bytes(len(spec.weights))
    for payload in (
        silent,
        b"\x08" + silent[1:],
        b"\x11" + silent[1:],
        blocks["WGTQ"][:-1],
        blocks["WGTQ"] + b"\0",
        b"",
    ):
        with pytest.raises(CorruptFileError):
            read_v1(write_container([*{**blocks, "WGTQ": payload}.items()]))
    del blocks["ACTQ"]
    with pytest.raises(CorruptFileError, match="no activation grids"):
        read_v1(write_container([*blocks.items()]))


@pytest.mark.parametrize(
    ("name", "grid"),
    [
        ("pool", ActivationQuant(0.5, 3)),
        ("input", ActivationQuant(0.1, 3)),
        ("input", ActivationQuant(1e300, 3)),
        ("input", ActivationQuant(0.5, 128)),
        ("input", ActivationQuant(0.0, 0)),
        ("input", ActivationQuant(-0.5, 0)),
        ("input", ActivationQuant(float("inf"), 0)),
        ("input", ActivationQuant(float("nan"), 0)),
    ],
)
def test_activation_grids_that_cannot_be_stored_are_refused(network, name, grid):
    spec = spec_for(network)
    with pytest.raises(CodecError, match=r"grid|scale"):
        emit_v1(network, QuantSpec({**spec.activations, name: grid}, spec.weights))
    missing = {key: value for key, value in spec.activations.items() if key != name}
    with pytest.raises(CodecError, match="names other nodes"):
        emit_v1(network, QuantSpec(missing, spec.weights))


def test_weights_that_are_not_finite_travel_but_have_no_int8_form(network):
    bias = np.array([np.nan, -np.inf], np.float32)
    odd = Graph(network.nodes, {**network.tensors, "left.bias": bias})
    graph, _ = read_v1(emit_v1(odd, None))
    assert graph.tensors["left.bias"].tobytes() == bias.tobytes()
    with pytest.raises(CodecError, match="not finite"):
        emit_v1(odd, spec_for(network))


def test_tensors_and_grids_of_another_length_are_refused(network):
    structure = _payloads(emit_v1(network, spec_for(network)))
    for tag, change in [
        ("ACTQ", lambda p: p[:-1]), ("ACTQ", lambda p: p + b"\x00" * 5), ("TENS", lambda p: p + b"\x00"),
        ("TENS", lambda p: b""), ("GRPH", lambda p: p[:-1]), ("GRPH", lambda p: b""),
    ]:  # fmt: skip
        blocks = [(t, change(p) if t == tag else p) for t, p in structure.items()]
        with pytest.raises(CorruptFileError):
            read_v1(write_container(blocks))


def _payloads(data):
    description = describe_v1(data)
    return {b.tag: data[b.offset + 8 : b.offset + b.num_bytes - 4] for b in description.blocks[1:]}


def test_reading_needs_no_torch_and_no_runtime():
    forbidden = "('torch', 'onnx', 'onnxruntime', 'flatbuffers', 'ai_edge_litert')"
    code = (
        "import sys, edgesqueeze.formats.sqz.file; "
        f"found = [m for m in {forbidden} if m in sys.modules]; sys.exit(' '.join(found) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
