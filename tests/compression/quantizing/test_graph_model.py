"""What is saved of a quantized network comes back as it was, however its tensors lie in memory."""

import dataclasses

import numpy as np
import torch
from body_networks import Net

from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.compression.quantizing.graph_model import GraphModel, load_graph_model, serialize_graph_model
from edgesqueeze.network.integers.spec import make_spec
from edgesqueeze.network.reading.torch.build import build_graph


def test_transposed_tensors_come_back_as_they_were(tmp_path):
    torch.manual_seed(0)
    x = torch.randn(4, 3, 10, 10)
    graph = build_graph(Net(lambda m, x: m.a(x)).eval(), x[:1])
    tensors = {name: np.asfortranarray(tensor) for name, tensor in graph.tensors.items()}
    assert not all(tensor.flags.c_contiguous for tensor in tensors.values())
    graph = dataclasses.replace(graph, tensors=tensors)
    model = GraphModel(graph, make_spec(graph, calibrate_min_max(graph, [x])))
    path = tmp_path / "model.safetensors"
    path.write_bytes(serialize_graph_model(model))
    loaded = load_graph_model(path)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(loaded.graph.tensors[name], tensor)
    torch.testing.assert_close(loaded(x), model(x), rtol=0, atol=0)
