"""Every way people write a function of single values becomes one node that computes the same."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgesqueeze.network.floats.run import graph_weights, run_graph
from edgesqueeze.network.graph.nodes import Clamp, Pointwise
from edgesqueeze.network.reading.torch.build import build_graph

WAYS = {
    "leaky_relu": nn.LeakyReLU(0.2),
    "leaky_relu default": lambda x: F.leaky_relu(x),
    "elu": nn.ELU(0.5),
    "selu": nn.SELU(),
    "elu of selu": nn.SELU(inplace=True),
    "celu": nn.CELU(2.0),
    "mish": nn.Mish(),
    "softplus": nn.Softplus(beta=2, threshold=15),
    "log_sigmoid": nn.LogSigmoid(),
    "gelu_tanh": nn.GELU(approximate="tanh"),
    "gelu": nn.GELU(),
    "tanh": torch.tanh,
    "clamp": nn.Hardtanh(),
    "clamp 2": lambda x: x.clamp(-0.5, 2),
    "clamp_low": lambda x: x.clamp(min=0.25),
    "clamp_low 2": lambda x: torch.clamp_min(x, -1),
    "clamp_high": lambda x: torch.clamp_max(x, 0.5),
    "clamp_high 2": lambda x: x.clamp(max=1.5),
    "abs": torch.abs,
    "neg": lambda x: -x,
    "exp": torch.exp,
    "log": lambda x: torch.log(x.abs() + 1),
    "sqrt": lambda x: (x.abs() + 1).sqrt(),
    "sqrt 2": lambda x: (x.abs() + 1) ** 0.5,
    "rsqrt": lambda x: torch.rsqrt(x.abs() + 1),
    "reciprocal": lambda x: 1 / (x.abs() + 1),
    "reciprocal 2": lambda x: (x.abs() + 1) ** -1,
    "square": lambda x: x**2,
    "square 2": torch.square,
    "cube": lambda x: x**3,
    "sign": torch.sign,
    "threshold": nn.Threshold(0.1, 0.5),
    "threshold 2": lambda x: torch.where(x > 0.2, x, 0.0),
    "hardshrink": nn.Hardshrink(0.2),
    "hardshrink 2": lambda x: torch.where(x.abs() >= 0.2, x, 0.0),
    "softshrink": nn.Softshrink(0.2),
    "leaky_relu where": lambda x: torch.where(x > 0, x, 0.2 * x),
    "clamp_low where": lambda x: torch.where(x < 0.25, 0.25, x),
    "clamp_high where": lambda x: x.masked_fill(x > 0.25, 0.25),
    "two_lines": lambda x: torch.where(x >= 0, x, 0.5 - x),
    "pow": lambda x: (x.abs() + 1) ** 1.7,
}


class Net(nn.Module):
    def __init__(self, way):
        super().__init__()
        self.conv, self.way = nn.Conv2d(3, 4, 3), way if isinstance(way, nn.Module) else None
        self.function = way

    def forward(self, x):
        return (self.way or self.function)(self.conv(x))


@pytest.mark.parametrize("name", WAYS)
def test_it_becomes_a_node_that_computes_the_same(name):
    net, x = Net(WAYS[name]).eval(), torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(1))
    graph = build_graph(net, x[:1])
    functions = [node.function for node in graph.nodes if isinstance(node, Pointwise)]
    assert name.split()[0] in functions
    torch.testing.assert_close(run_graph(graph, x, graph_weights(graph)), net(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("way", [lambda x: x.clamp(0, 6), lambda x: x.clamp(min=0), nn.Hardtanh(0, 6)])
def test_what_is_a_relu_is_fused_as_one(way):
    graph = build_graph(Net(way).eval(), torch.zeros(1, 3, 9, 9))
    assert not any(isinstance(node, Pointwise | Clamp) for node in graph.nodes)
    assert graph.output.activation in ("relu", "relu6")
