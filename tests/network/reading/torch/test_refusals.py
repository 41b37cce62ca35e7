"""What the graph cannot hold is refused, with the operation, the layer and a way out."""

import pytest
import torch
import torch.nn.functional as F
from body_networks import Net
from torch import nn

from edgesqueeze.errors import UnsupportedLayerError
from edgesqueeze.network.floats.run import graph_weights, run_graph
from edgesqueeze.network.reading.torch import build
from edgesqueeze.network.reading.torch.build import build_graph


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            lambda m, x: torch.erf(m.a(x)),
            "operation 'erf' in layer .*is not supported; replace the layer",
        ),
        (lambda m, x: m.a(x)[:, 1::4], "takes every 4th of 6 channels"),
        (lambda m, x: F.pad(m.a(x), (1, 1), value=float("-inf")) + 1, "pads with minus infinity"),
        (lambda m, x: F.pad(m.a(x).flatten(2), (1, 1), mode="reflect"), "mirrors shape|read here"),
        (lambda m, x: F.interpolate(m.a(x), scale_factor=1.25, mode="bilinear"), "give a size instead"),
        (lambda m, x: (m.a(x), m.a.weight), "returns 'output_1', which does not depend on its input"),
        (lambda m, x: (m.a(x), 3), "returns int; tensors are allowed"),
        (lambda m, x: {"a": m.a(x), 1: {}, "b": [m.a(x)]}["b"][:0], "returns no tensor"),
        (
            lambda m, x: F.max_pool2d(m.a(x)[:, :, :1], 2, padding=1, dilation=(2, 1)),
            "lies in the padding altogether",
        ),
        (lambda m, x: F.adaptive_max_pool2d(m.a(x), 3, True)[1] + 1, "places of the largest values"),
        (lambda m, x: m.a(x).mean(), "reduces the batch too"),
        (
            lambda m, x: F.scaled_dot_product_attention(m.a(x), m.a(x), m.a(x), dropout_p=0.1),
            "drops 0.1 of its weights in evaluation too",
        ),
        (
            lambda m, x: F.scaled_dot_product_attention(m.a(x), m.a(x), m.a(x), is_causal=True),
            "is causal",
        ),
        (lambda m, x: m.a(x).std(), "reduces the batch too"),
        (lambda m, x: F.fold(F.unfold(m.a(x), 3), 10, 3), "'col2im' .*is not supported"),
        (lambda m, x: F.avg_pool3d(m.a(x).unsqueeze(1), 2), "'avg_pool3d' .* pools volumes"),
        (lambda m, x: torch.linalg.vector_norm(m.a(x), 3, 1), "is a norm of order 3"),
        (lambda m, x: m.a(x) * (m.a(x) > m.a(x).mean(1, keepdim=True)), "compares two tensors"),
        (lambda m, x: m.a(x).mean(1, dtype=torch.float64), "computes in float64; files compute in float32"),
        (lambda m, x: m.a(x).log_softmax(1, dtype=torch.float64).float(), "computes in float64"),
        (lambda m, x: F.rrelu(m.a(x), training=True), "'rrelu' .*is not supported"),
        (lambda m, x: m.a(x).half().softmax(1), "computes in float16; files compute in float32"),
        (lambda m, x: m.a(x).argmax(), "looks over all dimensions"),
        (lambda m, x: m.a(x).argmax(1) + 1, "is read by 'add'; the places of largest values may only be"),
        (lambda m, x: x.repeat(1, 100, 1, 1).argmax(1), "the largest of 300; 256 are the most"),
        (lambda m, x: x[m.a(x).argmax(1)], "is read by 'index'"),
        (lambda m, x: m.a(x).round(decimals=1), "has decimals=1; allowed is decimals=None"),
        (lambda m, x: (lambda y: torch.where(y > y.flip(3).neg(), y, 0.0))(m.a(x)), "'flip'|two tensors"),
        (lambda m, x: (lambda y: torch.where(y > 2 * y, y, 0.0))(m.a(x)), "by a comparison of two tensors"),
        (lambda m, x: (lambda y: torch.where(y > 0, y, y.exp()))(m.a(x)), "other than numbers and multiples"),
        (lambda m, x: (lambda y: torch.where(y.abs() > 1, y, 2.0))(m.a(x)), "hard and soft shrinkage"),
        (lambda m, x: (lambda y: torch.where(y > 1, y, 2 * y.sign()))(m.a(x)), "multiples of a sign"),
        (lambda m, x: (lambda y: y.masked_fill(y < 0, float("-inf")))(m.a(x)), "that are not finite"),
        (lambda m, x: m.a(x).masked_fill(m.shift > 0, 0.0), "something else than a comparison of a tensor"),
        (lambda m, x: m.a(x).max(1)[1] + x, "places of the largest values"),
        (
            lambda m, x: torch.einsum("bchw,bdij->bcd", m.a(x), x),
            "sums over dimensions of one factor",
        ),
        (lambda m, x: m.a(x).view(6, 100), "its first dimension must be the batch"),
        (lambda m, x: torch.div(m.a(x), 2, rounding_mode="floor"), "a rounding rule of its own"),
        (lambda m, x: torch.sub(1, m.a(x), alpha=2), "a multiple of a tensor to a constant"),
        (lambda m, x: F.conv2d(x, m.a.weight * x.mean()), "weight that is computed from the input|reduces"),
    ],
)
def test_what_the_graph_does_not_know_is_refused_by_name(body, sentence):
    with pytest.raises(UnsupportedLayerError, match=sentence):
        build_graph(Net(body).eval(), torch.randn(1, 3, 10, 10))


def test_a_network_that_is_read_wrongly_is_refused(monkeypatch):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh())
    monkeypatch.setitem(build.TRANSLATIONS, "tanh", build.TRANSLATIONS["sigmoid"])
    with pytest.raises(UnsupportedLayerError, match="read from Sequential answers otherwise than Sequential"):
        build_graph(net, torch.randn(1, 3, 8, 8))


class InFloat32(nn.Sequential):
    """It turns what it is given into float32 by itself, as every layer of Keras does."""

    def forward(self, x):
        return super().forward(x.float())


def test_rounding_is_measured_of_a_network_that_computes_in_float32_alone(monkeypatch):
    net = InFloat32(nn.Conv2d(3, 4, 3), nn.Tanh())
    monkeypatch.setattr(build, "_TOLERANCE", 0.0)  # so that only the network's own rounding allows anything
    x = torch.randn(1, 3, 8, 8)
    graph = build_graph(net, x)
    assert torch.allclose(run_graph(graph, x, graph_weights(graph)), net(x), atol=1e-5)
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    monkeypatch.setitem(build.TRANSLATIONS, "tanh", build.TRANSLATIONS["sigmoid"])
    with pytest.raises(UnsupportedLayerError, match="answers otherwise"):
        build_graph(net, x)
