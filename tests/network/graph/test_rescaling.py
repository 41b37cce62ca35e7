"""One factor and offset for all pixels moves into the layers that read them, where they can take it over."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgesqueeze.layers import weighted_layers
from edgesqueeze.network.floats.run import graph_weights, run_graph
from edgesqueeze.network.graph.nodes import Conv, Graph
from edgesqueeze.network.graph.rescaling import without_rescaling
from edgesqueeze.network.reading.torch.build import build_graph

SHAPE = (1, 3, 12, 12)


class Rescaled(nn.Module):
    """Pixels rescaled, and what reads them."""

    def __init__(self, behind: nn.Module, factor: float | Tensor = 1 / 127.5, offset: float = -1.0) -> None:
        super().__init__()
        self.behind, self.factor, self.offset = behind, factor, offset

    def forward(self, x: Tensor) -> Tensor:
        return self.behind(x * self.factor + self.offset)


class Twice(nn.Module):
    """Two layers that read one tensor."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.first(x), self.second(x)], 1)


def read(model: nn.Module) -> Graph:
    torch.manual_seed(0)
    return build_graph(model.eval(), torch.zeros(SHAPE))


def answers(graph: Graph, x: Tensor) -> np.ndarray:
    return run_graph(graph, (x,), graph_weights(graph)).numpy()


def depthwise(graph: Graph) -> int:
    return sum(isinstance(node, Conv) and node.groups == 3 and node.kernel == (1, 1) for node in graph.nodes)


TAKEN = {
    "unpadded": Rescaled(nn.Conv2d(3, 8, 3, stride=2)),
    "without a bias": Rescaled(nn.Conv2d(3, 8, 3, bias=False)),
    "depthwise": Rescaled(nn.Conv2d(3, 6, 3, groups=3)),
    "padded, no offset": Rescaled(nn.Conv2d(3, 8, 3, padding=1), offset=0.0),
    "flattened": Rescaled(nn.Sequential(nn.Flatten(), nn.Linear(432, 5), nn.ReLU())),
    "two readers": Rescaled(Twice(nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1))),
}
KEPT = {
    "padded": Rescaled(nn.Conv2d(3, 8, 3, padding=1)),
    "one of two padded": Rescaled(Twice(nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3, padding=1))),
    "a factor per channel": Rescaled(nn.Conv2d(3, 8, 3), torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)),
    "read by a pool": Rescaled(nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(3, 8, 3))),
    "an output": Rescaled(nn.Identity()),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_can_take_it_over_does(name):
    graph = read(TAKEN[name])
    moved = without_rescaling(graph, ())
    assert depthwise(graph) == 1
    assert len(moved.nodes) == len(graph.nodes) - 1
    assert len(moved.tensors) == len(graph.tensors) - 2
    x = torch.rand(4, *SHAPE[1:]) * 255
    np.testing.assert_allclose(answers(moved, x), answers(graph, x), atol=2e-5)


@pytest.mark.parametrize("name", KEPT)
def test_what_cannot_is_left_alone(name):
    graph = read(KEPT[name])
    assert without_rescaling(graph, ()) is graph


def test_a_layer_of_the_users_own_is_left_alone():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 4, 3)).eval()
    graph = build_graph(model, torch.zeros(1, 1, 8, 8))
    assert len(without_rescaling(graph, ()).nodes) == len(graph.nodes) - 1  # it would be one
    assert without_rescaling(graph, weighted_layers(model)) is graph
