"""torchvision's other architectures: float files against torch in float64, int8 files against the reference."""

import copy

import numpy as np
import pytest
import torch
from emit_networks import photos, quantized
from torch import nn
from torchvision import models
from torchvision.models import segmentation
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.resnet import Bottleneck
from torchvision.ops import StochasticDepth

from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.formats.tflite.writing.emit import emit_tflite
from edgesqueeze.measure.checks.delegation import undelegated
from edgesqueeze.measure.proof.parity import check_parity
from edgesqueeze.measure.runtimes.litert import load_tflite
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.network.graph.nodes import LayerNorm
from edgesqueeze.network.integers.reference import run_integer
from edgesqueeze.network.integers.spec import make_spec
from edgesqueeze.network.reading.torch.build import build_graph


class OnlyMaps(nn.Module):
    """A segmenter without the dictionary around its result."""

    def __init__(self, segmenter):
        super().__init__()
        self.segmenter = segmenter

    def forward(self, x):
        return self.segmenter(x)["out"]


def segmenter(make):
    return OnlyMaps(make(weights=None, weights_backbone=None, num_classes=5))


ARCHITECTURES = {
    "mobilenet_v3_small": lambda: models.mobilenet_v3_small(num_classes=7),
    "shufflenet_v2_x0_5": lambda: models.shufflenet_v2_x0_5(num_classes=7),
    "efficientnet_b0": lambda: models.efficientnet_b0(num_classes=7),
    "densenet": lambda: models.DenseNet(16, (2, 3, 3, 2), 32, num_classes=7),
    "mobilenet_v3_large": lambda: models.mobilenet_v3_large(num_classes=7),
    "mnasnet0_5": lambda: models.mnasnet0_5(num_classes=7),
    "googlenet": lambda: models.googlenet(num_classes=7, aux_logits=False, init_weights=False),
    "regnet_y_400mf": lambda: models.regnet_y_400mf(num_classes=7),
    "resnext": lambda: models.ResNet(Bottleneck, [1, 1, 2, 1], 7, groups=32, width_per_group=4),
    "lraspp": lambda: segmenter(segmentation.lraspp_mobilenet_v3_large),
    "deeplab": lambda: segmenter(segmentation.deeplabv3_mobilenet_v3_large),
}


def small_convnext():
    """One stage of two blocks between two layer norms and convolutions that make maps smaller."""
    return ConvNeXt([CNBlockConfig(8, 16, 2), CNBlockConfig(16, None, 1)], layer_scale=0.5, num_classes=7)


def write(directory, graph, spec):
    (directory / "m.onnx").write_bytes(emit_onnx(graph, spec))
    (directory / "m.tflite").write_bytes(emit_tflite(graph, spec))
    return load_onnx(directory / "m.onnx"), load_tflite(directory / "m.tflite")


@pytest.mark.slow
def test_convnext_is_exact_but_for_its_layer_norms(tmp_path):
    torch.manual_seed(0)
    model, x = small_convnext().eval(), photos(4, 32, 0)
    graph = build_graph(model, x[:1])
    spec = make_spec(graph, calibrate_min_max(graph, [x]))
    operators = write_and_count(tmp_path, graph, spec)
    assert not {"TRANSPOSE", "RELU"} & set(operators)
    files = [tmp_path / "m.onnx", tmp_path / "m.tflite"]
    report = check_parity(graph, spec, files, x.numpy())
    report.require()
    norms = [node.name for node in graph.nodes if isinstance(node, LayerNorm)]
    for entry in report.files[:2]:
        assert [node.layer for node in entry.inexact] == norms
        assert all(node.differing <= 0.001 * node.values for node in entry.inexact)
    for predictor in write(tmp_path, graph, None):
        with torch.no_grad():
            np.testing.assert_allclose(predictor.predict(x.numpy()), model(x).numpy(), atol=1e-5)


def write_and_count(directory, graph, spec):
    write(directory, graph, spec)
    assert undelegated(directory / "m.tflite") == ()
    return read_model_file(directory / "m.tflite").operators


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_files_of_an_architecture(name, tmp_path):
    torch.manual_seed(0)
    model = ARCHITECTURES[name]()
    for module in model.modules():
        if isinstance(module, StochasticDepth | nn.Dropout):
            module.p = 0.0
    x = photos(4, 64, 0)
    graph, spec = quantized(model, x)
    with torch.no_grad():
        expected, exact = model(x).numpy(), copy.deepcopy(model).double()(x.double()).numpy()
    # An untrained network amplifies float rounding: torch's own error is the measure of what is equal.
    allowed = 10 * np.abs(expected - exact).max() + 1e-4 * exact.std()
    for predictor in write(tmp_path, graph, None):
        assert np.abs(predictor.predict(x.numpy()) - exact).max() < allowed
    whole = run_integer(graph, spec, x.numpy())
    assert len(np.unique(whole)) > 10
    onnx_file, tflite_file = write(tmp_path, graph, spec)
    np.testing.assert_array_equal(tflite_file.predict_integers(x.numpy()), whole)
    # In ONNX Runtime a bilinear resize follows a rule of its own, which the reference knows.
    whole = run_integer(graph, spec, x.numpy(), "onnxruntime")
    np.testing.assert_array_equal(onnx_file.predict_integers(x.numpy()), whole)
