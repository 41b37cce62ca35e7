"""Files of version 2: what goes in comes out, what cannot go in is refused, and every byte is accounted for."""

import struct
import subprocess
import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest
from sqz_networks import every_kind, lenet5, spec_for

from edgesqueeze.coding.coders import pack_bytes
from edgesqueeze.coding.decoder.container import write_container
from edgesqueeze.coding.decoder.meta import encode_sections
from edgesqueeze.coding.decoder.unsqueeze import open_squeezed
from edgesqueeze.errors import CodecError, CorruptFileError, UnsupportedVersionError
from edgesqueeze.formats.sqz.describe import describe_v2
from edgesqueeze.formats.sqz.file import MODEL_FILES, Coding, emit_model_file, emit_sqz, read_sqz
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.integers.spec import ActivationQuant, QuantSpec, WeightQuant

CODINGS = {"range": Coding(), "huffman": Coding("huffman"), "paper": Coding("huffman", 5)}


@pytest.fixture(scope="module")
def network():
    return every_kind()


@pytest.fixture(scope="module")
def spec(network):
    return spec_for(network)


def same_tensors(one, other):
    assert list(one) == list(other)
    for name, tensor in one.items():
        assert other[name].dtype == np.float32
        assert other[name].shape == tensor.shape
        assert other[name].tobytes() == tensor.tobytes()


def same_specs(one, other):
    assert one.activations == other.activations
    assert list(one.weights) == list(other.weights)
    for name, layer in one.weights.items():
        for field in ("weight", "scale", "bias"):
            expected, found = getattr(layer, field), getattr(other.weights[name], field)
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)


def with_layer(spec, name, **changes):
    layer = replace(spec.weights[name], **changes)
    return QuantSpec(spec.activations, {**spec.weights, name: layer})


@pytest.mark.parametrize("coding", CODINGS.values(), ids=CODINGS)
def test_network_and_int8_form_come_back_exactly(network, spec, coding):
    graph, found = read_sqz(emit_sqz(network, spec, None, coding))
    assert graph.nodes == network.nodes
    same_tensors(network.tensors, graph.tensors)
    same_specs(spec, found)
    graph, found = read_sqz(emit_sqz(network, None, None, coding))
    assert found is None
    same_tensors(network.tensors, graph.tensors)


def test_the_same_network_gives_the_same_bytes(network, spec):
    assert emit_sqz(network, spec) == emit_sqz(every_kind(), spec_for(every_kind()))


def test_integers_that_do_not_follow_come_back_exactly(network, spec):
    layer = spec.weights["left"]
    changed = np.where(layer.weight != 0, np.clip(layer.weight + 1, -127, 127), 0).astype(np.int8)
    learned = (layer.scale * np.float32(0.7)).astype(np.float32)
    limits = np.resize(np.array([2**31 - 1, -(2**31)], np.int32), layer.bias.shape)
    for flags, changes in [
        (2, {"weight": changed}),
        (4, {"bias": limits}),
        (1, {"scale": learned}),
        (7, {"scale": learned, "weight": -changed, "bias": layer.bias + 3}),
    ]:
        other = with_layer(spec, "left", **changes)
        data = emit_sqz(network, other)
        left = [node.name for node in network.weighted].index("left")
        assert open_squeezed(data).meta.layers[left].flags & flags == flags
        graph, decoded = read_sqz(data)
        same_tensors(network.tensors, graph.tensors)
        same_specs(other, decoded)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": np.full((2, 4, 1, 1), -128, np.int8)}, "is -128"),
        ({"weight": np.zeros((2, 4, 1), np.int8)}, "shapes"),
        ({"bias": np.zeros(2, np.int64)}, "types"),
        ({"scale": np.array([1, np.nan], np.float32)}, "weight scales"),
        ({"scale": np.full(2, 2.0**-40, np.float32)}, "does not fit in int32"),
    ],
)
def test_integers_no_network_can_have_are_refused(network, spec, changes, message):
    network = Graph(network.nodes, {**network.tensors, "left.bias": np.array([1e4, 1], np.float32)})
    with pytest.raises(CodecError, match=message):
        emit_sqz(network, with_layer(spec_for(network), "left", **changes))


def test_a_spec_of_other_layers_is_refused(network, spec):
    foreign = {**spec.weights, "other": spec.weights["left"]}
    with pytest.raises(CodecError, match="are not those of a layer of the graph"):
        emit_sqz(network, QuantSpec(spec.activations, foreign))


@pytest.mark.parametrize(
    ("name", "grid"),
    [
        ("pool", ActivationQuant(0.5, 3)),
        ("input", ActivationQuant(0.1, 3)),
        ("input", ActivationQuant(0.5, 128)),
    ],
)
def test_activation_grids_that_cannot_be_stored_are_refused(network, spec, name, grid):
    with pytest.raises(CodecError, match="grid"):
        emit_sqz(network, QuantSpec({**spec.activations, name: grid}, spec.weights))


def test_tensors_that_do_not_fit_the_graph_are_refused(network):
    for tensors, message in [
        ({**network.tensors, "more": np.zeros(1, np.float32)}, "more"),
        ({**network.tensors, "left.bias": np.zeros(3, np.float32)}, "shape"),
        ({**network.tensors, "left.bias": np.zeros(2)}, "float64"),
    ]:
        with pytest.raises(CodecError, match=message):
            emit_sqz(Graph(network.nodes, tensors), None)


def test_weights_that_are_not_finite_travel_but_have_no_int8_form(network, spec):
    bias = np.array([np.nan, -np.inf], np.float32)
    odd = Graph(network.nodes, {**network.tensors, "left.bias": bias})
    graph, _ = read_sqz(emit_sqz(odd, None))
    assert graph.tensors["left.bias"].tobytes() == bias.tobytes()
    with pytest.raises(CodecError, match="not finite"):
        emit_sqz(odd, spec)


@pytest.mark.parametrize(
    ("coding", "message"),
    [
        (Coding("lzma"), "coder 'lzma'; known are huffman and range"),
        (Coding("range", 5), "index_bits are for the coder huffman"),
        (Coding("huffman", 13), "index_bits = 13; allowed are 2 to 12"),
    ],
)
def test_unknown_ways_of_coding_are_refused(network, coding, message):
    with pytest.raises(CodecError, match=message):
        emit_sqz(network, None, None, coding)


def test_other_versions_and_other_files_are_refused(network):
    data = emit_sqz(network, None)
    with pytest.raises(UnsupportedVersionError, match="format version 3; this decoder reads 1 and 2"):
        read_sqz(data[:4] + b"\x03\x00" + data[6:])
    with pytest.raises(CorruptFileError, match=r"not a \.sqz file"):
        read_sqz(b"PK\x03\x04" + data)
    for start in range(len(data)):
        with pytest.raises(CorruptFileError):
            read_sqz(data[:start])
    with pytest.raises(CorruptFileError, match="followed by"):
        read_sqz(data + b"\0")
    with pytest.raises(CorruptFileError, match="CRC"):
        read_sqz(data[:-1] + bytes([data[-1] ^ 1]))


def changed(data, **changes):
    """The file with fields of its block M changed, checksums made right."""
    squeezed = open_squeezed(data)
    sections = encode_sections(replace(squeezed.meta, **changes))
    return write_container(pack_bytes(b"".join(sections.values())), bytes(squeezed.tensors_block.payload))


def test_blocks_that_contradict_each_other_are_refused(network, spec):
    data = emit_sqz(network, spec)
    meta = open_squeezed(data).meta
    assert changed(data) == data
    left = meta.layers[1]
    for changes, message in [
        ({"grids": meta.grids[1:]}, "activation grids for"),
        ({"layers": (*meta.layers[:-1], replace(meta.layers[-1], shape=(3, 5)))}, "its inputs make"),
        ({"layers": (meta.layers[0], replace(left, grid=0), *meta.layers[2:])}, "claims another grid"),
        ({"layers": (*meta.layers, left)}, "claimed|wanted|more layers"),
        ({"layers": meta.layers[:-1]}, "followed by"),
        ({"layers": (meta.layers[0], replace(left, flags=1), *meta.layers[2:])}, "."),
        ({"graph": meta.graph[:-1]}, "not as many names"),
        ({"graph": meta.graph + b"more\n"}, "behind the names of the nodes stands 'more'"),
        ({"graph": meta.graph + b"\n"}, "behind the names of the nodes stands ''"),
        ({"graph": meta.graph + b"output 999 a\n"}, "found '999' where the place of one of"),
        ({"graph": meta.graph + b"output -1 a\n"}, "found '-1' where the place of one of"),
        ({"graph": meta.graph + b"output 1 a\noutput 1 a\n"}, "two outputs of the graph have one name"),
        ({"graph": meta.graph + b"output 1 \n"}, "empty, unprintable or too long"),
        ({"graph": meta.graph + b"output 1 a\n"}, "nothing reads the output of"),
        ({"graph": meta.graph + b"shared 1 0\n"}, "."),
        ({"graph": meta.graph + b"shared 1 1\n"}, "."),
        ({"graph": meta.graph + b"shared 1\n"}, "found '' where the place of one of"),
        ({"coder": 0 if meta.coder else 1}, "."),
    ]:
        with pytest.raises(CorruptFileError, match=message):
            read_sqz(changed(data, **changes))


def test_the_description_accounts_for_every_byte():
    network = lenet5()
    spec = spec_for(network)
    layer = spec.weights["fc2"]
    other = WeightQuant(np.flip(layer.weight).copy(), layer.scale * np.float32(0.7), layer.bias + np.int32(3))
    spec = QuantSpec(spec.activations, {**spec.weights, "fc2": other})
    files = {"model.onnx": emit_model_file("model.onnx", network, None)}
    data = emit_sqz(network, spec, files)
    found = describe_v2(data)
    assert found.num_bytes == len(data) == sum(block.num_bytes for block in found.blocks)
    header, meta, tensors = found.blocks
    assert (header.offset, meta.offset, tensors.offset) == (
        0,
        header.num_bytes,
        header.num_bytes + meta.num_bytes,
    )
    for block in (meta, tensors):
        end = block.offset + block.num_bytes
        assert struct.unpack("<I", data[end - 4 : end]) == (block.crc32,)
        assert zlib.crc32(data[block.offset : end - 4]) == block.crc32
        assert data[block.offset : block.offset + 1] == block.tag.encode()
    assert sum(section.packed_bytes for section in found.sections) == meta.num_bytes - 1 - 2 - 4
    end = tensors.offset + 1 + 3
    for tensor in found.tensors:
        assert tensor.offset == end
        end += tensor.num_bytes
        assert 1 <= tensor.num_bytes - tensor.side_bytes - tensor.symbol_bytes <= 3
    assert end == len(data) - 4
    assert [t.name for t in found.tensors[-3:]] == [
        "fc2.int8_scale",
        "fc2.int8_weight_steps",
        "fc2.int32_bias_steps",
    ]
    by_name = {tensor.name: tensor for tensor in found.tensors}
    for name, values in network.tensors.items():
        assert by_name[name].shape == values.shape
        assert by_name[name].num_nonzero == np.count_nonzero(values)
        assert by_name[name].num_symbols == len(np.unique(values))
    fc1 = by_name["fc1.weight"]
    _, counts = np.unique(network.tensors["fc1.weight"], return_counts=True)
    shares = counts / counts.sum()
    assert fc1.entropy_bits == pytest.approx(-400_000 * (shares * np.log2(shares)).sum())
    assert (found.templates[0].name, found.templates[0].filled_bytes) == ("model.onnx", 4 * 431_080)


def test_reading_needs_no_torch_and_no_runtime():
    forbidden = "('torch', 'onnx', 'onnxruntime', 'flatbuffers', 'ai_edge_litert', 'pydantic')"
    code = (
        "import sys, edgesqueeze.formats.sqz.file; "
        f"found = [m for m in {forbidden} if m in sys.modules]; sys.exit(' '.join(found) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_overhead_is_small(network):
    data = emit_sqz(network, None)
    blocks = describe_v2(data).blocks
    assert (
        len(data)
        - sum(len(b.payload) for b in (open_squeezed(data).meta_block, open_squeezed(data).tensors_block))
        <= 20
    )
    assert [block.tag for block in blocks] == ["header", "M", "T"]


def test_templates_cost_little():
    network = lenet5()
    spec = spec_for(network)
    files = {name: emit_model_file(name, network, spec) for name in MODEL_FILES}
    alone = len(emit_sqz(network, spec))
    assert len(emit_sqz(network, spec, {"model.onnx": files["model.onnx"]})) - alone < 800
    assert len(emit_sqz(network, spec, files)) - alone < 3000
