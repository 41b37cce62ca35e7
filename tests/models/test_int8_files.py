"""Every kind of built-in network as int8 files: both runtimes give the integers of the reference."""

import numpy as np
import pytest
import torch
from parity_networks import write_files
from torch import nn

from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.measure.proof.verification import verify_files
from edgesqueeze.models import built_in_model
from edgesqueeze.network.integers.spec import make_spec
from edgesqueeze.network.reading.torch.build import build_graph

SMALL = {
    "lenet5_1998": ((1, 28, 28), {}),
    "squeezenet1_0": ((3, 32, 32), {"bypass": "simple"}),
    "squeezenet1_1": ((3, 32, 32), {"bypass": "complex", "activation": "relu6"}),
    "autoencoder_squeeze": ((3, 28, 32), {}),
    "autoencoder_conv": ((3, 28, 32), {}),
    "autoencoder_dense": ((1, 28, 28), {}),
    "squeezenet_segmenter": ((3, 32, 48), {"width": 0.25, "bypass": "simple"}),
    "squeezenet_detector": ((3, 64, 64), {"width": 0.25, "levels": 3}),
}
SLOW = ("squeezenet1_0", "squeezenet1_1", "squeezenet_segmenter", "squeezenet_detector")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in SMALL]
)
def test_both_files_equal_the_reference(name, tmp_path):
    (channels, *size), options = SMALL[name]
    torch.manual_seed(0)
    model = built_in_model(name).build(10, channels, tuple(size), options)
    x = torch.rand(12, channels, *size)
    if any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
        with torch.no_grad():
            for _ in range(20):
                model.train()(x)
    graph = build_graph(model.eval(), x[:1])
    spec = make_spec(graph, calibrate_min_max(graph, [x]))
    other = np.random.default_rng(1).random((4, channels, *size), np.float32)
    files = write_files(tmp_path, graph, spec)
    found = verify_files(graph, spec, files, other)
    assert found.failures() == []
    assert not any(entry.inexact for entry in found.parity.files)
    assert {entry.file for entry in found.parity.files} >= {path.name for path in files}
    fidelity = {layer.name: layer.sqnr_db for layer in found.parity.layers}
    assert all(fidelity[output.node] > 10 for output in graph.outputs)
