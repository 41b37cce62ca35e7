"""ONNX files of 4-bit weights and of weights from tables, in ONNX Runtime."""

from itertools import pairwise

import numpy as np
import onnx
import pytest
from emit_networks import SMALL_GRAPHS, SOURCE, WEIGHTED, conv, graph_of, kernels, small_input
from onnx.reference import ReferenceEvaluator

from edgesqueeze.errors import ExportError
from edgesqueeze.formats.onnx.writing.codebook import emit_onnx_codebook
from edgesqueeze.formats.onnx.writing.emit import Emitter, emit_onnx
from edgesqueeze.formats.onnx.writing.int4 import emit_onnx_int4
from edgesqueeze.formats.onnx.writing.weights import FloatStore
from edgesqueeze.measure.proof.float_reference import float_reference
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.network.graph.nodes import Dense, Flatten, Graph
from edgesqueeze.network.integers.int4 import int4_weights

NETWORKS = (*WEIGHTED, "transposed_relu", "transposed_cut")


def shared(graph, count):
    """The same network with this many distinct weights in each layer."""
    tensors = dict(graph.tensors)
    for node in graph.weighted:
        weight = graph.weight(node)
        step = np.abs(weight).max() / (count // 2)
        tensors[f"{node.name}.weight"] = np.maximum(np.rint(weight / step), -((count - 1) // 2)) * step
    return Graph(graph.nodes, tensors)


def chain(*sizes, activation="relu"):
    """Dense layers behind a flattened map; the last one has no activation."""
    flat = Flatten(name="flat", inputs=("input",), shape=(1, int(np.prod(SOURCE.shape))))
    sizes = (flat.shape[1], *sizes)
    names = ["flat", *(f"fc{i}" for i in range(1, len(sizes)))]
    layers = [
        Dense(name=name, inputs=(source,), shape=(1, size), activation=activation)
        for (source, name), size in zip(pairwise(names), sizes[1:], strict=True)
    ]
    last = layers.pop()
    return graph_of(
        flat, *layers, Dense(name=last.name, inputs=last.inputs, shape=last.shape, activation="none")
    )


def int4(graph):
    return emit_onnx_int4(graph, int4_weights(graph, None))


def answer(data, x, folder):
    (folder / "m.onnx").write_bytes(data)
    onnx.checker.check_model(onnx.load(folder / "m.onnx"), full_check=True)
    return load_onnx(folder / "m.onnx").predict(x)


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_runtime_computes_what_torch_computes_with_int4_weights(name, tmp_path):
    graph, x = SMALL_GRAPHS[name], small_input()
    y = answer(int4(graph), x, tmp_path)
    expected = float_reference(graph, None, "int4", "onnxruntime").tensors(x)[graph.output.name]
    exact = float_reference(graph, None, "fp32", "any").tensors(x)[graph.output.name]
    assert np.abs(y - expected).max() < 1e-5 * np.abs(expected).max()
    assert np.abs(y - exact).max() > 1e-3 * np.abs(exact).max()


@pytest.mark.parametrize("count", [3, 17])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_codebook_file_answers_as_the_fp32_file_does(name, count, tmp_path):
    graph, x = shared(SMALL_GRAPHS[name], count), small_input()
    y, expected = (answer(data, x, tmp_path) for data in (emit_onnx_codebook(graph), emit_onnx(graph, None)))
    np.testing.assert_allclose(y, expected, rtol=0, atol=3e-7 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["conv_relu", "grouped", "dense_relu6", "transposed_relu"])
def test_onnxs_own_reference_agrees(name):
    graph, x = shared(SMALL_GRAPHS[name], 16), small_input(1)
    blocked = float_reference(graph, None, "int4", "onnxruntime")
    for data, weights in ((emit_onnx_codebook(graph), None), (int4(graph), blocked.weights)):
        reference = float_reference(graph, None, "fp32", "any")
        if weights is not None:
            reference = type(reference)(graph, weights)  # nothing is quantized at run time
        ours = reference.tensors(x)[graph.output.name]
        theirs = ReferenceEvaluator(onnx.load_from_string(data)).run(None, {"input": x})[0]
        np.testing.assert_allclose(theirs, ours, atol=1e-5 * np.abs(ours).max())


@pytest.mark.parametrize("name", ["squeeze_excite", "depthwise", "dense_relu6", "transposed_relu"])
def test_onnx_runtime_makes_the_fp32_files_kernels_of_a_codebook_file(name, tmp_path):
    graph = shared(SMALL_GRAPHS[name], 16)
    assert kernels(emit_onnx_codebook(graph), tmp_path) == kernels(emit_onnx(graph, None), tmp_path)
    loaded = onnx.load(tmp_path / "optimized.onnx")
    assert {t.data_type for t in loaded.graph.initializer if len(t.dims) > 1} == {onnx.TensorProto.FLOAT}


@pytest.mark.parametrize(
    ("channels", "groups", "kernel"),
    [(32, 1, (1, 1)), (48, 1, (1, 1)), (8, 8, (3, 3)), (6, 1, (3, 3)), (16, 2, (3, 3))],
)
def test_convolutions_of_4_bits_are_float_kernels_once_loaded(channels, groups, kernel, tmp_path):
    first = conv("a", "input", SOURCE.shape, out=channels)
    graph = graph_of(first, conv("b", "a", first.shape, out=2 * groups, groups=groups, kernel=kernel))
    found = kernels(int4(graph), tmp_path)
    assert found == kernels(emit_onnx(graph, None), tmp_path)
    y = answer(int4(graph), small_input(), tmp_path)
    expected = float_reference(graph, None, "int4", "any").tensors(small_input())["b"]
    np.testing.assert_allclose(y, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("activation", ["relu", "relu6", "none"])
def test_dense_layers_stay_4_bits_in_memory(activation, tmp_path):
    graph = chain(40, 33, 64, 7, activation=activation)
    found = kernels(int4(graph), tmp_path)
    assert found["MatMulNBits"] == 4
    assert not {"DequantizeLinear", "Gemm", "FusedGemm"} & set(found)
    y = answer(int4(graph), small_input(), tmp_path)
    expected = float_reference(graph, None, "int4", "any").tensors(small_input())["fc4"]
    # A value between two steps may go to either, once for each layer.
    assert np.abs(y - expected).max() < 5e-3 * np.abs(expected).max()


def test_what_the_files_hold(tmp_path):
    graph = shared(chain(300, 5), 16)
    weights = sum(graph.weight(node).size for node in graph.weighted)
    biases = 4 * 305
    stored = {"4 bits": emit_onnx_codebook(graph), "int4": int4(graph)}
    assert weights / 2 < len(stored["4 bits"]) - biases < weights / 2 + 1_500
    assert weights * 4.5 / 8 < len(stored["int4"]) - biases < weights * 4.5 / 8 + 1_500
    eight = emit_onnx_codebook(shared(chain(300, 5), 200))
    assert weights < len(eight) - biases < weights + 3_000
    opsets = [onnx.load_from_string(data).opset_import[0].version for data in (*stored.values(), eight)]
    assert opsets == [21, 21, 17]
    assert int4(graph) == stored["int4"] and emit_onnx_codebook(graph) == stored["4 bits"]


def test_layers_without_4_bits_stay_float(tmp_path):
    graph, x = SMALL_GRAPHS["squeeze_excite"], small_input()
    data = emit_onnx_int4(graph, {})
    np.testing.assert_array_equal(answer(data, x, tmp_path), answer(emit_onnx(graph, None), x, tmp_path))


def test_a_layer_with_too_many_values_is_refused():
    graph = chain(300, 5)
    with pytest.raises(ExportError, match="layer 'fc1' has [0-9]+ distinct weights; codebook allows 256"):
        emit_onnx_codebook(graph)


def test_every_other_operation_is_the_same_in_the_newer_opset(tmp_path):
    for name, graph in SMALL_GRAPHS.items():
        newer = Emitter(graph, None, FloatStore(graph), opset=21).run()
        y, expected = (answer(data, small_input(1), tmp_path) for data in (newer, emit_onnx(graph, None)))
        np.testing.assert_allclose(y, expected, atol=3e-7 * np.abs(expected).max(), err_msg=name)
