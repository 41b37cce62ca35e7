"""Whole networks: float files against torch, int8 files against the integer reference in both runtimes."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from emit_networks import LeNet5, photos, quantized
from torchvision import models

from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.formats.tflite.writing.emit import emit_tflite
from edgesqueeze.measure.runtimes.litert import load_tflite
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.integers.reference import run_integer, run_integer_tensors
from edgesqueeze.network.reading.torch.build import build_graph


def digits(count, seed):
    return torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(seed)) * 2 - 0.5


NETWORKS = {
    "lenet5": (LeNet5, lambda count: digits(count, 0)),
    "alexnet": (lambda: models.alexnet(num_classes=7), lambda count: photos(count, 224, 0)),
    "squeezenet1_0": (lambda: models.squeezenet1_0(num_classes=7), lambda count: photos(count, 96, 1)),
    "squeezenet1_1": (lambda: models.squeezenet1_1(num_classes=7), lambda count: photos(count, 96, 2)),
    "resnet18": (lambda: models.resnet18(num_classes=7), lambda count: photos(count, 64, 3)),
    "mobilenet_v2": (lambda: models.mobilenet_v2(num_classes=7), lambda count: photos(count, 64, 4)),
}


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow) if name != "lenet5" else name for name in NETWORKS],
)
def network(request):
    """A settled network, pictures, its graph and its int8 spec (calibrated on the first four pictures)."""
    torch.manual_seed(0)
    make, pictures = NETWORKS[request.param]
    x = pictures(120 if request.param == "lenet5" else 6)
    model = make()
    graph, spec = quantized(model, x[:4])
    return request.param, model, x, graph, spec


def write(directory, graph, spec):
    paths = directory / "m.onnx", directory / "m.tflite"
    for path, emit in zip(paths, (emit_onnx, emit_tflite), strict=True):
        path.write_bytes(emit(graph, spec))
    return load_onnx(paths[0]), load_tflite(paths[1])


def test_float_files_equal_torch(network, tmp_path):
    name, model, x, graph, _ = network
    with torch.no_grad():
        expected = model(x[:4]).numpy()
    assert expected.std() > 0.1
    for predictor in write(tmp_path, graph, None):
        # Depth and ReLU6 amplify float rounding in an untrained MobileNet; the others stay below 1e-4.
        largest = np.abs(predictor.predict(x[:4].numpy()) - expected).max()
        assert largest < (2e-3 if name == "mobilenet_v2" else 2e-4)


def test_int8_files_equal_the_reference(network, tmp_path):
    _, _, x, graph, spec = network
    expected = run_integer(graph, spec, x.numpy())
    assert len(np.unique(expected)) > 20
    onnx_file, tflite_file = write(tmp_path, graph, spec)
    assert np.count_nonzero(tflite_file.predict_integers(x.numpy()) != expected) == 0
    expected = run_integer(graph, spec, x.numpy(), "onnxruntime")
    assert np.count_nonzero(onnx_file.predict_integers(x.numpy()) != expected) == 0


def test_every_operation_is_an_integer_kernel_in_onnx_runtime(network, tmp_path):
    _, _, _, graph, spec = network
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(emit_onnx(graph, spec), options, providers=["CPUExecutionProvider"])
    kernels = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    kinds = Counter(type(node).__name__ for node in graph.nodes)
    assert kernels["QuantizeLinear"] == kernels["DequantizeLinear"] == 1, kernels
    assert kernels["QLinearConv"] == kinds["Conv"]
    assert kernels["QGemm"] == kinds["Dense"]
    assert kernels["QLinearConcat"] == kinds["Concat"]
    assert kernels["QLinearAdd"] == kinds["Add"]
    assert kernels["QLinearGlobalAveragePool"] == kinds["GlobalAvgPool"]
    floats = {
        "Conv",
        "FusedConv",
        "Gemm",
        "FusedGemm",
        "Add",
        "AveragePool",
        "GlobalAveragePool",
        "Relu",
        "Clip",
    }
    assert not floats & set(kernels)


def test_weights_are_stored_once_and_as_bytes(network):
    _, _, _, graph, spec = network
    weights = sum(layer.weight.nbytes for layer in spec.weights.values())
    channels = sum(len(layer.scale) for layer in spec.weights.values())
    for emit in (emit_onnx, emit_tflite):
        assert len(emit(graph, spec)) < weights + 16 * channels + 700 * len(graph.nodes)


@pytest.mark.slow
def test_every_tensor_of_the_reference_equals_a_file_cut_there(tmp_path):
    torch.manual_seed(0)
    x = photos(4, 64, 5)
    graph, spec = quantized(models.squeezenet1_1(num_classes=7), x)
    tensors = run_integer_tensors(graph, spec, x.numpy())
    assert list(tensors) == [node.name for node in graph.nodes]
    for end in range(1, len(graph.nodes), 4):
        node = graph.nodes[end]
        cut = Graph(graph.nodes[: end + 1], graph.tensors)
        for predictor in write(tmp_path, cut, spec) if node.name != "view" else ():
            np.testing.assert_array_equal(
                predictor.predict_integers(x.numpy()), tensors[node.name], err_msg=node.name
            )


@pytest.mark.slow
def test_torchs_own_exporter_agrees(tmp_path, recwarn):
    torch.manual_seed(0)
    model, x = LeNet5().eval(), digits(6, 1)
    torch.onnx.export(
        model, (x[:1],), tmp_path / "torch.onnx", dynamo=True, input_names=["input"], verbose=False
    )
    recwarn.clear()
    expected = load_onnx(tmp_path / "torch.onnx").predict(x.numpy())
    for predictor in write(tmp_path, build_graph(model, x[:1]), None):
        np.testing.assert_allclose(predictor.predict(x.numpy()), expected, atol=1e-5)
