"""A small network around a function, and its graph once it has been found to give the same numbers."""

import torch
from torch import nn

from edgesqueeze.network.floats.run import graph_weights, run_graph
from edgesqueeze.network.graph.check import check_structure
from edgesqueeze.network.reading.torch.build import build_graph


class Net(nn.Module):
    """A module around a function, with a few layers to use in it."""

    def __init__(self, body):
        super().__init__()
        torch.manual_seed(0)
        self.body = body
        self.a = nn.Conv2d(3, 6, 3, padding=1)
        self.b = nn.Conv2d(6, 6, 1)
        self.norm = nn.BatchNorm2d(6)
        self.norm.running_mean.uniform_(-1, 1)
        self.norm.running_var.uniform_(0.5, 2)
        nn.init.uniform_(self.norm.weight, -1, 1)
        nn.init.uniform_(self.norm.bias, -1, 1)
        self.fc = nn.Linear(6 * 5 * 5, 4)
        self.up = nn.ConvTranspose2d(6, 6, 3, 2, 1, 1)
        self.up_grouped = nn.ConvTranspose2d(6, 6, 3, groups=2)
        self.up_dilated = nn.ConvTranspose2d(6, 6, 3, dilation=2, output_padding=1)
        self.up_depthwise = nn.ConvTranspose2d(6, 6, 3, 2, 1, groups=6)
        self.last, self.dense = nn.LayerNorm(6), nn.Linear(6, 6)
        nn.init.uniform_(self.last.weight, -1, 1)
        self.gain = nn.Parameter(torch.randn(6, 1, 1))
        self.register_buffer("shift", torch.randn(6, 1, 1), persistent=False)

    def forward(self, x):
        return self.body(self, x)


def built(body, size=10):
    model = Net(body).eval()
    x = torch.randn(1, 3, size, size)
    graph = build_graph(model, x)
    check_structure(graph.nodes)
    batch = torch.randn(5, 3, size, size)
    with torch.no_grad():
        torch.testing.assert_close(
            run_graph(graph, batch, graph_weights(graph)), model(batch), rtol=1e-4, atol=1e-4
        )
    return graph
