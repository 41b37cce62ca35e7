"""LeNet-5 of 1998: the paper's own counts, layer by layer, and its connection table."""

from math import prod

import pytest
import torch
import torch.nn.functional as F

from edgesqueeze.models import built_in_model
from edgesqueeze.network.graph.counts import count_graph
from edgesqueeze.network.reading.torch.build import build_graph


@pytest.fixture
def network():
    torch.manual_seed(0)
    return built_in_model("lenet5_1998").build().eval()


def test_trainable_parameters_of_each_layer(network):
    """Section II.B gives those up to F6; the dense output has 84 + 1 for each class."""
    counts = {}
    for name, layer in network.named_children():
        weights = layer.coefficient if name.startswith("s") else layer.weight
        mask = layer.mask if name == "c3" else torch.ones(1)
        counts[name] = int(mask.expand_as(weights).sum()) + layer.bias.numel()
    assert counts == {"c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48_120, "f6": 10_164, "output": 850}
    assert sum(counts.values()) == 60_850


def test_connections_of_each_layer(network):
    """Section II.B: a connection is a multiplication or the addition of a bias."""
    graph = build_graph(network, torch.zeros(1, 1, 28, 28))
    values = {node.name: prod(node.shape) for node in graph.nodes}
    found = {
        layer.name: layer.effective_macs + values[layer.name]
        for layer in count_graph(graph).layers
        if layer.name in ("c1", "c3", "c5", "f6")
    }
    assert found == {"c1": 122_304, "c3": 151_600, "c5": 48_120, "f6": 10_164}


def test_the_graph_holds_the_trainable_weights_and_nothing_else(network):
    counts = count_graph(build_graph(network, torch.zeros(1, 1, 28, 28)))
    assert [layer.params for layer in counts.layers] == [156, 12, 2416, 32, 48_120, 10_164, 850]
    assert counts.layers[2].nonzero_params == 1500  # its 16 biases begin at zero


def test_the_squashing_function_is_the_papers(network):
    """Written out as the paper has it, with the amplitude behind each tanh."""

    def squash(y):
        return 1.7159 * torch.tanh(2 / 3 * y)

    def subsample(layer, y):
        return squash(F.avg_pool2d(y, 2) * layer.coefficient + layer.bias)

    x = torch.randn(3, 1, 28, 28)
    with torch.no_grad():
        network.s2.coefficient.normal_()
        y = subsample(network.s2, squash(F.conv2d(F.pad(x, [2] * 4), network.c1.weight, network.c1.bias)))
        y = subsample(network.s4, squash(F.conv2d(y, network.c3.weight, network.c3.bias)))
        y = squash(F.conv2d(y, network.c5.weight, network.c5.bias)).flatten(1)
        y = squash(F.linear(y, network.f6.weight, network.f6.bias))
        y = F.linear(y, network.output.weight, network.output.bias)
        torch.testing.assert_close(network(x), y)
        larger = built_in_model("lenet5_1998").build(image_size=(32, 32)).eval()
        larger.load_state_dict(network.state_dict())
        torch.testing.assert_close(larger(F.pad(x, [2] * 4)), y)


def test_the_absent_connections_are_not_trained(network):
    absent = (network.c3.mask == 0).expand_as(network.c3.weight)
    assert int(absent.sum()) == 900
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    before = network.c3.weight.detach().clone()
    for _ in range(3):
        optimizer.zero_grad()
        network(torch.randn(8, 1, 28, 28)).square().mean().backward()
        optimizer.step()
    assert not torch.equal(network.c3.weight, before)
    assert network.c3.weight[absent].eq(0).all()
