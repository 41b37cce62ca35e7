"""Counts of a graph against torch's own counter and published values."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import AlexNet_Weights, SqueezeNet1_0_Weights, SqueezeNet1_1_Weights

from edgesqueeze.models import built_in_model
from edgesqueeze.network.graph.counts import count_graph
from edgesqueeze.network.reading.torch.build import build_graph

# Parameters and multiply-accumulates; those of torchvision's networks are checked against its metadata below.
EXPECTED = {
    "lenet300_100": (266_610, 266_200),
    "lenet5": (431_080, 2_293_000),
    "alexnet": (61_100_840, 714_188_480),
    "squeezenet1_0": (1_248_424, 818_924_576),
    "squeezenet1_1": (1_235_496, 349_151_936),
}
PUBLISHED = {
    "alexnet": AlexNet_Weights.IMAGENET1K_V1,
    "squeezenet1_0": SqueezeNet1_0_Weights.IMAGENET1K_V1,
    "squeezenet1_1": SqueezeNet1_1_Weights.IMAGENET1K_V1,
}


def torch_flops(model: nn.Module, x: torch.Tensor) -> int:
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(x)
    return counter.get_total_flops()


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
def test_reference_networks(name):
    entry = built_in_model(name)
    model, x = entry.build().eval(), torch.zeros(1, *entry.input_shape)
    counts = count_graph(build_graph(model, x))
    assert (counts.params, counts.macs) == EXPECTED[name]
    assert counts.flops == torch_flops(model, x)
    assert counts.params == sum(p.numel() for p in model.parameters())
    if name in PUBLISHED:
        meta = PUBLISHED[name].meta
        assert counts.params == meta["num_params"]
        # torchvision calls this column GFLOPS, and counts a multiply-accumulate as one.
        assert round(counts.macs / 1e9, 3) == meta["_ops"]


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8)
        self.grouped = nn.Conv2d(8, 16, (1, 3), groups=2)
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = self.grouped(x + self.depthwise(x))
        return self.head(x.mean((2, 3)))


def test_strides_groups_dilation_and_folded_batch_norm():
    model, x = Branches().eval(), torch.zeros(1, 3, 17, 12)
    counts = count_graph(build_graph(model, x))
    assert counts.flops == torch_flops(model, x)
    assert [layer.name for layer in counts.layers] == ["stem", "depthwise", "grouped", "head"]
    # The batch norm becomes the stem's bias: 8 numbers, where torch holds 16 and two statistics.
    assert counts.layers[0].params == 3 * 8 * 9 + 8


def test_zeros_lower_the_effective_counts_only():
    model = built_in_model("lenet5").build()
    with torch.no_grad():
        model.conv2.weight[:, ::2] = 0
        model.fc1.weight[:400] = 0
        model.fc1.bias.zero_()
    counts = count_graph(build_graph(model, torch.zeros(1, 1, 28, 28)))
    by_name = {layer.name: layer for layer in counts.layers}
    assert (counts.params, counts.macs) == EXPECTED["lenet5"]
    assert by_name["conv2"].nonzero_params == 12_500 + 50
    assert by_name["conv2"].effective_macs == 12_500 * 64
    assert by_name["fc1"].nonzero_params == 80_000
    assert by_name["fc1"].effective_macs == 80_000
    assert counts.effective_macs == 500 * 576 + 12_500 * 64 + 80_000 + 5_000
    assert counts.nonzero_params == int(sum(np.count_nonzero(p.detach().numpy()) for p in model.parameters()))


def test_json_holds_the_sums_and_the_layers():
    graph = build_graph(built_in_model("lenet300_100").build(), torch.zeros(1, 1, 28, 28))
    data = json.loads(json.dumps(count_graph(graph).to_json()))
    assert data["flops"] == 2 * data["macs"] == 532_400
    assert sum(layer["params"] for layer in data["layers"]) == data["params"]
