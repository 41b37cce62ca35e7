"""The int8 weights of files with float activations."""

import numpy as np
import pytest
import torch
from torch import nn

from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.errors import ExportError
from edgesqueeze.network.integers.spec import make_spec
from edgesqueeze.network.integers.weight_only import check_form, int8_weights, is_dynamic
from edgesqueeze.network.reading.torch.build import build_graph


def graph_of(*layers):
    torch.manual_seed(0)
    return build_graph(nn.Sequential(*layers).eval(), torch.zeros(1, 4, 6, 6))


def test_without_a_spec_every_channel_ends_at_127():
    graph = graph_of(nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(96, 5))
    graph.tensors["0.weight"][2] = 0
    graph.tensors["0.weight"][3] *= np.float32(1e-44)
    for name, layer in int8_weights(graph, None).items():
        weight = graph.tensors[f"{name}.weight"]
        assert layer.weight.dtype == np.int8 and layer.scale.dtype == np.float32
        step = layer.scale.reshape(-1, *[1] * (weight.ndim - 1))
        assert (np.abs(layer.dequantized() - weight) <= 0.5001 * step).all()
        largest = np.abs(layer.weight.astype(int)).reshape(len(weight), -1).max(axis=1)
        assert set(largest) <= {0, 127}
    first = int8_weights(graph, None)["0"]
    assert first.scale[2] == first.scale.max() and not first.weight[2].any()
    assert first.scale[3] == 2.0**-40 and np.isfinite(first.dequantized()).all()


def test_a_network_of_zeros_has_usable_scales():
    graph = graph_of(nn.Conv2d(4, 6, 3))
    graph.tensors["0.weight"][:] = 0
    layer = int8_weights(graph, None)["0"]
    assert (layer.scale == 1).all() and not layer.weight.any()


def test_a_quantized_network_keeps_its_integers():
    graph = graph_of(nn.Conv2d(4, 6, 3))
    spec = make_spec(graph, calibrate_min_max(graph, [torch.randn(3, 4, 6, 6)]))
    layer = int8_weights(graph, spec)["0"]
    assert layer.weight is spec.weights["0"].weight and layer.scale is spec.weights["0"].scale


def test_depthwise_layers_are_never_dynamic():
    graph = graph_of(
        nn.Conv2d(4, 8, 3, groups=4), nn.Conv2d(8, 8, 3, groups=2), nn.Flatten(), nn.Linear(32, 5)
    )
    assert [is_dynamic(graph, node) for node in graph.weighted] == [False, True, True]
    check_form(graph, "dynamic")
    alone = graph_of(nn.Conv2d(4, 8, 3, groups=4))
    with pytest.raises(ExportError, match="use int8_weights instead of dynamic"):
        check_form(alone, "dynamic")
    check_form(alone, "fp16")
