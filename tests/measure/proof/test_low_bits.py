"""Facts, parity and stored numbers of ``int4`` and ``codebook`` files."""

import json

import numpy as np
import onnx
import pytest
import torch
from emit_networks import SMALL_GRAPHS, small_input
from onnx import TensorProto, helper, numpy_helper
from parity_networks import NETWORKS, change_onnx, network, pictures

from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.formats.onnx.writing.codebook import emit_onnx_codebook
from edgesqueeze.formats.onnx.writing.emit import OPSET_OF_INT4, Emitter
from edgesqueeze.formats.onnx.writing.int4 import Int4Store, emit_onnx_int4
from edgesqueeze.measure.checks.file_facts import FileEvidence
from edgesqueeze.measure.checks.smaller import check_smaller
from edgesqueeze.measure.proof.float_reference import float_reference, quantize_in_blocks
from edgesqueeze.measure.proof.low_bits import prove_low_bits
from edgesqueeze.measure.proof.parity import check_parity
from edgesqueeze.measure.proof.verification import verify_files
from edgesqueeze.measure.runtimes.latency import Latency
from edgesqueeze.network.graph.counts import count_graph
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.integers.int4 import int4_weights


def shared(name):
    """A network with 15 or 63 distinct weights in a layer, a third of which are zero."""
    graph, spec = network(name)
    tensors = dict(graph.tensors)
    for i, node in enumerate(graph.weighted):
        weight = graph.weight(node)
        step = np.abs(weight).max() / (31 if i % 2 else 7)
        weight = np.where(np.abs(weight) < np.quantile(np.abs(weight), 1 / 3), 0, weight)
        tensors[f"{node.name}.weight"] = (np.rint(weight / step) * step).astype(np.float32)
    return Graph(graph.nodes, tensors), spec


def write(folder, graph, spec=None):
    paths = {name: folder / f"model_{name}.onnx" for name in ("codebook", "int4")}
    paths["codebook"].write_bytes(emit_onnx_codebook(graph))
    paths["int4"].write_bytes(emit_onnx_int4(graph, int4_weights(graph, spec)))
    return paths


@pytest.fixture
def plain(tmp_path):
    graph, _ = shared("plain")
    return graph, write(tmp_path, graph)


@pytest.mark.parametrize("name", NETWORKS)
def test_right_files_pass_and_store_the_networks_numbers(name, tmp_path):
    graph, spec = shared(name)
    paths = write(tmp_path, graph, spec)
    found = verify_files(graph, spec, list(paths.values()), pictures())
    assert found.failures() == []
    assert [(e.precision, e.reference) for e in found.parity.files[:2]] == [
        ("codebook", "torch"),
        ("int4", "torch with int4 weights"),
    ]
    assert found.parity.files[1].largest < 1e-4  # the rule of MatMulNBits is known
    assert (
        "1 float files equal torch within 0.001, 1 int4 files node by node within 0.01"
        in found.parity.summary()
    )
    assert json.loads(json.dumps(found.to_json()))["holds"] is True
    scales = sum(layer.scale.size for layer in int4_weights(graph, spec).values())
    numbers = count_graph(graph).params
    assert {p.one: p.compared for p in found.proofs} == {
        "int4 weights": numbers + scales,
        "float weights": numbers,
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_facts_come_from_the_file_alone(name, tmp_path):
    graph, _ = shared(name)
    expected = count_graph(graph)
    paths = write(tmp_path, graph)
    codebook, int4 = (read_model_file(paths[n]) for n in ("codebook", "int4"))
    assert (codebook.precision, int4.precision) == ("codebook", "int4")
    for facts in (codebook, int4):
        assert (facts.params, facts.macs) == (expected.params, expected.macs)
        assert facts.float_weights == ()
    assert codebook.nonzero_params == expected.nonzero_params
    assert codebook.effective_macs == expected.effective_macs
    weights = {node.name: graph.weight(node).size for node in graph.weighted}
    assert codebook.weight_dtypes["uint4"] == sum(list(weights.values())[::2])
    assert codebook.weight_dtypes["uint8"] == sum(list(weights.values())[1::2])
    assert int4.weight_dtypes["int4"] == sum(weights.values())
    zeros = sum(int((layer.weight == 0).sum()) for layer in int4_weights(graph, None).values())
    biases = sum(int((graph.bias(node) == 0).sum()) for node in graph.weighted)
    assert int4.nonzero_params == expected.params - zeros - biases


def test_a_table_of_anybodys_is_recognized_without_a_cast(tmp_path):
    indices = np.arange(24, dtype=np.int32).reshape(6, 4) % 3
    nodes = [helper.make_node("Gather", ["table", "i"], ["w"]), helper.make_node("MatMul", ["x", "w"], ["y"])]
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, size]) for n, size in (("x", 6), ("y", 4))
    ]
    table = numpy_helper.from_array(np.array([0, 1, 2], np.float32), "table")
    body = helper.make_graph(nodes, "g", ends[:1], ends[1:], [table, numpy_helper.from_array(indices, "i")])
    onnx.save(helper.make_model(body), tmp_path / "m.onnx")
    facts = read_model_file(tmp_path / "m.onnx")
    assert (facts.precision, facts.params, facts.nonzero_params) == ("codebook", 24, 16)
    assert (facts.macs, facts.effective_macs) == (24, 16)


def test_layers_kept_in_float_are_named(tmp_path):
    graph, spec = network("plain", ("conv2", "fc1"))
    path = tmp_path / "model_int4.onnx"
    path.write_bytes(emit_onnx_int4(graph, int4_weights(graph, spec)))
    assert verify_files(graph, spec, [path], pictures(4)).failures() == []
    facts = read_model_file(path)
    assert facts.precision == "int4" and set(facts.float_weights) == {"conv2.weight", "fc1.weight"}


@pytest.mark.parametrize("name", ["transposed_relu", "transposed_cut"])
def test_transposed_convolutions(name, tmp_path):
    graph = SMALL_GRAPHS[name]
    values = {f"{n.name}.weight": np.sign(graph.weight(n)).astype(np.float32) for n in graph.weighted}
    graph = Graph(graph.nodes, graph.tensors | values)
    paths = list(write(tmp_path, graph).values())
    assert verify_files(graph, None, paths, small_input(4)).failures() == []
    for path in paths:
        assert read_model_file(path).macs == count_graph(graph).macs
        assert read_model_file(path).params == count_graph(graph).params


def test_a_processor_that_keeps_dense_inputs_in_float_passes_too(tmp_path):
    graph, _ = shared("plain")
    store = Int4Store(graph, int4_weights(graph, None))
    path = tmp_path / "model_int4.onnx"  # dense layers like convolutions: computed in float
    path.write_bytes(Emitter(graph, None, store, opset=OPSET_OF_INT4).run())
    entry = check_parity(graph, None, [path], pictures()).files[0]
    assert entry.precision == "int4" and entry.holds and entry.largest < 1e-5
    in_blocks, in_float = (
        reference.tensors(pictures())["fc2"]
        for reference in (float_reference(graph, None, p, "onnxruntime") for p in ("int4", "fp32"))
    )
    assert np.abs(in_blocks - in_float).max() > 1e-3 * np.abs(in_float).max()


def test_inputs_in_blocks():
    x = torch.zeros(2, 35)
    x[0, 0], x[0, 1], x[0, 33], x[0, 34] = 127.0, 0.6, 1.27, 0.006
    expected = torch.zeros(2, 35)
    expected[0, 0], expected[0, 1], expected[0, 33], expected[0, 34] = 127.0, 1.0, 1.27, 0.01
    torch.testing.assert_close(quantize_in_blocks(x), expected)


def negated(values):
    return (-np.clip(values.astype(np.int8), -7, 7)).astype(values.dtype)


def next_index(values):
    return ((values.astype(np.uint8) + 1) % 11).astype(values.dtype)


def one(change):
    def changed(values):
        values.reshape(-1)[5:6] = change(values.reshape(-1)[5:6])
        return values

    return changed


# File, constant, change, the layer the gate must name.
FAULTS = {
    "table": ("codebook", "conv2.weight_table", lambda t: t * np.float32(1.1), "conv2"),
    "indices": ("codebook", "fc1.weight", next_index, "fc1"),
    "convolution": ("int4", "conv2.weight", negated, "conv2"),
    "scale": ("int4", "conv2.weight_scale", lambda s: s * np.float16(1.1), "conv2"),
    "dense": ("int4", "fc1.weight", negated, "fc1"),
    "dense scale": ("int4", "fc2.weight_scale", lambda s: s * np.float16(1.1), "fc2"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_at_its_layer(plain, fault):
    graph, paths = plain
    file, constant, change, layer = FAULTS[fault]
    change_onnx(paths[file], constant, change)
    wrong = [e for e in check_parity(graph, None, list(paths.values()), pictures()).files if not e.holds]
    assert [entry.file for entry in wrong] == [paths[file].name]
    assert wrong[0].first.layer == layer


STORED = {
    "codebook": ("conv1.weight", one(next_index), ("conv1", "weight", 1)),
    "codebook bias": ("fc1.bias", lambda b: b * np.float32(1.001), ("fc1", "bias", 20)),
    "int4": ("conv2.weight", one(lambda v: (v.astype(np.int8) ^ 1).astype(v.dtype)), ("conv2", "weight", 1)),
    "int4 dense": (
        "fc1.weight",
        one(lambda v: (v.astype(np.int8) ^ 1).astype(v.dtype)),
        ("fc1", "weight", 1),
    ),
    "int4 scale": ("fc1.weight_scale", one(lambda s: s * np.float16(1.01)), ("fc1", "weight scale", 1)),
    "int4 bias": ("fc2.bias", lambda b: b * np.float32(1.001), ("fc2", "bias", 10)),
}


@pytest.mark.parametrize("fault", STORED)
def test_one_changed_number_is_found(plain, fault):
    graph, paths = plain
    path = paths[fault.split()[0]]
    constant, change, expected = STORED[fault]
    change_onnx(path, constant, change)
    found = prove_low_bits([path], graph, None)[0].differences
    assert [(e.layer, e.kind, e.differing) for e in found] == [expected]


def test_a_file_that_is_no_smaller_is_a_fault():
    latency = Latency(1e-3, 1e-3, 1e-3, 50, 1, 1, 5)
    files = [
        FileEvidence("model.onnx", "onnx", "fp32", 1000, "onnxruntime", latency),
        FileEvidence("model_codebook.onnx", "onnx", "codebook", 1001, "onnxruntime", latency),
    ]
    found = check_smaller(files, "train", 4000)
    assert "model_codebook.onnx has 1,001 bytes, no fewer than model.onnx with 1,000" in str(found)
