"""From torch modules to the graph: same numbers, folded, fused, or refused by name."""

import itertools
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from body_networks import Net, built
from tiny import TinyNet
from torch import nn
from torchvision.models.swin_transformer import SwinTransformer
from torchvision.models.vision_transformer import VisionTransformer

from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.errors import TaskError, UnsupportedLayerError
from edgesqueeze.network.floats.run import graph_weights, run_graph
from edgesqueeze.network.graph.check import check_structure
from edgesqueeze.network.graph.node_json import structure_from_json, structure_to_json
from edgesqueeze.network.graph.nodes import (
    Add,
    Clamp,
    Concat,
    Conv,
    Dense,
    GlobalAvgPool,
    MaxPool,
)
from edgesqueeze.network.reading.torch.build import build_graph


def kinds(graph):
    return [type(node).__name__ for node in graph.nodes]


def test_names_are_those_of_the_layers():
    graph = built(lambda m, x: m.b(torch.relu(m.a(x))))
    assert [n.name for n in graph.nodes] == ["input", "a", "b"]
    assert set(graph.tensors) == {"a.weight", "a.bias", "b.weight", "b.bias"}


def test_layers_may_be_called_as_what_torch_calls_its_own():
    class Clashing(nn.Module):
        def __init__(self):
            super().__init__()
            self.code = nn.Conv2d(1, 2, 3)
            self.graph = nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2))

        def forward(self, x):
            return self.graph(torch.relu(self.code(x)))

    model, x = Clashing().eval(), torch.randn(1, 1, 8, 8)
    graph = build_graph(model, x)
    assert [node.name for node in graph.nodes] == ["input", "code", "graph.0"]
    assert torch.allclose(run_graph(graph, x, graph_weights(graph)), model(x), atol=1e-6)


def test_an_operation_is_refused_in_the_layer_that_a_clashing_name_is_of():
    class Meta(nn.Module):
        def forward(self, x):
            return torch.erfinv(x)

    model = nn.Sequential(nn.Conv2d(1, 1, 1))
    model.add_module("meta", Meta())
    with pytest.raises(UnsupportedLayerError, match="in layer 'meta'"):
        build_graph(model, torch.zeros(1, 1, 2, 2))


def test_batch_norm_is_folded_and_relu_fused():
    graph = built(lambda m, x: F.relu(m.norm(m.a(x))))
    assert kinds(graph) == ["Input", "Conv"]
    assert graph.by_name["a"].activation == "relu"


def test_relu_is_fused_through_a_max_pool():
    graph = built(lambda m, x: F.relu(F.max_pool2d(m.a(x), 2)))
    assert kinds(graph) == ["Input", "Conv", "MaxPool"]
    assert graph.by_name["a"].activation == "relu"


def test_relu_is_not_fused_where_the_value_before_it_is_read_too():
    graph = built(lambda m, x: (lambda y: m.b(y) + F.relu(y))(m.a(x)))
    assert graph.by_name["a"].activation == "none"
    assert "Clamp" in kinds(graph)


def test_relu_is_not_fused_through_a_pool_that_is_read_too():
    graph = built(lambda m, x: (lambda y: m.b(y) + F.relu(y))(F.max_pool2d(m.a(x), 2)))
    assert graph.by_name["a"].activation == "none"


def test_relu6_and_in_place_relu_on_a_sum():
    graph = built(lambda m, x: (lambda y: F.relu6(m.b(y).add_(y)))(F.relu_(m.a(x))))
    add = next(n for n in graph.nodes if isinstance(n, Add))
    assert add.activation == "relu6"
    assert graph.by_name["a"].activation == "relu"


@pytest.mark.parametrize(("size", "ceil"), [(10, True), (11, True), (11, False), (12, True)])
@pytest.mark.parametrize("padding", [0, 1])
def test_max_pool_padding_is_explicit(size, ceil, padding):
    graph = built(lambda m, x: F.max_pool2d(m.a(x), 3, 2, padding, ceil_mode=ceil), size)
    pool = graph.output
    assert isinstance(pool, MaxPool)
    assert pool.pads[:2] == (padding, padding)


def test_flatten_and_dense():
    graph = built(lambda m, x: m.fc(F.relu(F.max_pool2d(m.a(x), 2)).view(x.shape[0], -1)))
    assert kinds(graph) == ["Input", "Conv", "MaxPool", "Flatten", "Dense"]
    assert isinstance(graph.output, Dense)


@pytest.mark.parametrize(
    "pool",
    [
        lambda y: F.adaptive_avg_pool2d(y, 1),
        lambda y: F.avg_pool2d(y, 10),
        lambda y: y.mean((2, 3), keepdim=True),
    ],
)
def test_every_way_to_average_a_whole_map_is_one_node(pool):
    assert isinstance(built(lambda m, x: pool(m.a(x))).output, GlobalAvgPool)


def test_average_pools():
    assert kinds(built(lambda m, x: F.avg_pool2d(m.a(x), 3, 2)))[-1] == "AvgPool"
    assert kinds(built(lambda m, x: F.adaptive_avg_pool2d(m.a(x), 5)))[-1] == "AvgPool"
    assert kinds(built(lambda m, x: F.adaptive_avg_pool2d(m.a(x), 10)))[-1] == "Conv"


def test_dropout_and_dead_branches_vanish():
    def body(m, x):
        y = F.dropout(m.a(x), 0.5, training=m.training)
        m.b(y)
        return y

    assert kinds(built(body)) == ["Input", "Conv"]


@pytest.mark.parametrize("padding", ["same", "valid", (2, 1)])
def test_conv_padding(padding):
    conv = nn.Conv2d(3, 4, (3, 5), padding=padding, dilation=2)
    x = torch.randn(1, 3, 12, 12)
    with torch.no_grad():
        expected = conv(x)
    graph = build_graph(nn.Sequential(conv), x)
    torch.testing.assert_close(run_graph(graph, x, graph_weights(graph)), expected)
    assert isinstance(graph.output, Conv)


def test_minus_zero_becomes_zero():
    model = nn.Sequential(nn.Conv2d(1, 1, 1))
    with torch.no_grad():
        model[0].weight.fill_(-0.0)
        model[0].bias.fill_(-0.0)
    graph = build_graph(model, torch.zeros(1, 1, 2, 2))
    assert not np.signbit(graph.tensors["0.weight"]).any()
    assert not np.signbit(graph.tensors["0.bias"]).any()


@pytest.mark.parametrize(
    "body",
    [
        lambda m, x: m.a(x).split(5, 2)[0],
        lambda m, x: m.a(x).transpose(1, 2),
        lambda m, x: m.a(x).view(x.shape[0], 2, 3, 10, 10).relu(),
        lambda m, x: m.a(x).view(x.shape[0], 2, 3, 10, 10).reshape(x.shape[0], 3, 20, 10),
        lambda m, x: torch.cat([m.a(x), m.a.bias.view(1, 6, 1, 1).expand(len(x), 6, 10, 10)], 1),
        lambda m, x: m.a(x).view(x.shape[0], 6, 100),
        lambda m, x: m.a(x) + torch.arange(10.0),
        lambda m, x: torch.arange(10.0) - m.a(x),
        lambda m, x: m.a(x) * m.fc.weight[:1, :10],
        lambda m, x: m.a(x) / (m.fc.weight[:1, :10].T.exp()),
        lambda m, x: F.layer_norm(m.a(x), (10,)),
        lambda m, x: m.a(x)[:, 0],
        lambda m, x: m.a(x).permute(0, 2, 3, 1).flatten(1),
    ],
)
def test_shapes_of_any_rank_and_order_keep_their_numbers(body):
    built(body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (lambda m, x: F.relu(m.up_grouped(m.a(x))), ["Conv"]),
        (lambda m, x: F.conv_transpose2d(x, m.a.weight[:3], padding=3, groups=3), ["Crop", "Conv"]),
        (lambda m, x: m.up_dilated(m.a(x)), ["Conv"]),
        (lambda m, x: F.conv_transpose2d(m.a(x), m.b.weight, stride=2, dilation=2), ["ConvTranspose"]),
        (
            lambda m, x: F.relu(m.norm(m.up_depthwise(m.a(x)))),
            ["Conv", "Shuffle", "DepthToSpace", "Crop"],
        ),
    ],
)
def test_a_grouped_or_dilated_transposed_convolution_is_one_convolution(body, expected):
    assert [kind for kind in kinds(built(body)) if kind != "Input"][-len(expected) :] == expected


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        (lambda m, x: F.hardswish(m.a(x)), ["Pointwise"]),
        (
            lambda m, x: (lambda y: F.silu(y) * torch.sigmoid(y.mean((2, 3), keepdim=True)))(m.a(x)),
            ["Pointwise", "GlobalAvgPool", "Pointwise", "Mul"],
        ),
        (lambda m, x: m.a(x)[:, 1:4], ["Slice"]),
        (lambda m, x: torch.cat(m.a(x).chunk(2, 1)[::-1], 1), ["Slice", "Slice", "Concat"]),
        (lambda m, x: m.a(x).view(1, 2, 3, 10, 10).transpose(1, 2).reshape(1, 6, 10, 10), ["Shuffle"]),
        (lambda m, x: F.pad(m.a(x), (1, 0, 2, 3)), ["Pad"]),
        (lambda m, x: F.avg_pool2d(m.a(x), 3, 1, 1), ["Pad", "AvgPool"]),
        (lambda m, x: F.adaptive_avg_pool2d(m.a(x), 20), ["Resize"]),
        (lambda m, x: F.interpolate(m.a(x), scale_factor=2.0), ["Resize"]),
        (lambda m, x: F.interpolate(m.a(x), size=(15, 7), mode="bilinear"), ["Resize"]),
        (lambda m, x: F.relu(m.norm(F.relu(m.a(x)))), ["Conv"]),
        (lambda m, x: F.relu(m.norm(m.up(m.a(x)))), ["ConvTranspose"]),
        (lambda m, x: F.gelu(m.a(x)).softmax(-3), ["Pointwise", "Softmax"]),
        (lambda m, x: m.a(x)[:, :, 2:-1, -4:], ["Crop", "Crop"]),
        (lambda m, x: F.pad(m.a(x), (1, -2, 0, -1)), ["Pad", "Crop"]),
        (
            lambda m, x: F.pixel_shuffle(m.b(F.pad(m.a(x), (1, 1)))[:, :4], 2),
            ["Conv", "Slice", "DepthToSpace"],
        ),
        (lambda m, x: F.pixel_shuffle(torch.cat([m.a(x)] * 2, 1), 2), ["Concat", "Shuffle", "DepthToSpace"]),
        (lambda m, x: (lambda y: torch.cat((y[:, 1].unsqueeze(1), y), 1))(m.a(x)), ["Slice", "Concat"]),
        (
            lambda m, x: m.dense(m.last(m.a(x).permute(0, 2, 3, 1)).relu()).permute(0, 3, 1, 2),
            ["LayerNorm", "Clamp", "Conv"],
        ),
        (
            lambda m, x: (m.last(m.a(x).permute(0, 2, 3, 1)) * m.last.weight).permute(0, 3, 1, 2),
            ["LayerNorm", "Conv"],
        ),
        (
            lambda m, x: m.last(m.dense(m.a(x).mean((2, 3)))),
            ["GlobalAvgPool", "Flatten", "Dense", "LayerNorm"],
        ),
        (lambda m, x: 1 - (m.gain * m.a(x) / 3 + m.shift - 2), []),
        (lambda m, x: (lambda y: y + (m.gain * y - 0.25))(m.a(x)), ["Conv", "Add"]),
        (
            lambda m, x: (lambda y: torch.cat([torch.cat([x, y], 1), torch.cat([x, y, y], 1)], 1))(m.a(x)),
            ["Concat", "Concat", "Concat"],
        ),
        (lambda m, x: torch.cat([x, m.a(x), x, x, x, x, x, x, x, x], 1), ["Concat", "Concat", "Concat"]),
        (lambda m, x: torch.cat([m.a(x)], 1), []),
        (lambda m, x: {"aux": x, "out": m.a(x)}, []),
        (lambda m, x: (lambda y: m.norm(y) + y)(m.a(x)), ["Conv", "Add"]),
    ],
)
def test_what_the_graph_knows_keeps_its_numbers(body, kinds):
    model, x = Net(body).eval(), torch.randn(1, 3, 10, 10)
    graph = build_graph(model, x)
    with torch.no_grad():
        expected = model(x)
        torch.testing.assert_close(run_graph(graph, x, graph_weights(graph)), expected)
    check_structure(graph.nodes)
    assert [type(node).__name__ for node in graph.nodes[2:]] == kinds


TRANSFORMERS = {
    "vit": lambda: VisionTransformer(32, 16, 1, 2, 16, 32),
    "swin": lambda: SwinTransformer([4, 4], 8, [2, 2], [2, 4], [4, 4]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers_are_read(name):
    model, x = TRANSFORMERS[name]().eval(), torch.randn(2, 3, 32, 32)
    for module in model.modules():
        if isinstance(module, nn.Linear):  # a head that begins at zero would answer nothing
            nn.init.normal_(module.weight, std=0.2)
    graph = build_graph(model, x[:1])
    torch.testing.assert_close(run_graph(graph, x, graph_weights(graph)), model(x), atol=1e-4, rtol=1e-4)


def test_a_concatenation_reads_what_an_earlier_one_has_joined():
    def dense(m, x):
        parts = [x]
        for _ in range(7):
            parts.append(F.avg_pool2d(torch.cat(parts, 1)[:, :2], 3, 1, 1))
        return torch.cat(parts, 1)

    joins = [node for node in built(dense).nodes if isinstance(node, Concat)]
    assert [len(node.inputs) for node in joins] == [2] * 7
    assert all(after.inputs[0] == before.name for before, after in itertools.pairwise(joins))


def test_equal_windows_of_an_adaptive_pool_are_made_once():
    graph = built(lambda m, x: F.adaptive_avg_pool2d(m.a(x)[:, :, :2, :2], (7, 1)))
    made = kinds(graph)[4:]  # behind what the network cuts out: rows 0, 0 and 1, and 1
    assert sorted(made) == ["Crop"] * 2 + ["GlobalAvgPool"] * 3 + ["Join"] * 3


def test_a_model_that_cannot_be_traced_is_refused():
    class Branching(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(TaskError, match=r"torch\.export cannot trace Branching: "):
        build_graph(Branching(), torch.randn(1, 3, 4, 4))


def test_inputs_have_the_names_of_forward():
    class Two(nn.Module):
        def forward(self, left, right=None):
            return left if right is None else left + right

    left, right = torch.randn(1, 3, 4, 4), torch.randn(1, 3, 4, 4)
    assert [node.name for node in build_graph(Two(), (left, right)).inputs] == ["left", "right"]
    assert [node.name for node in build_graph(Two(), {"left": left, "right": right}).inputs] == [
        "left",
        "right",
    ]
    assert [node.name for node in build_graph(Two(), left).inputs] == ["input"]
    with pytest.raises(TaskError, match="cannot trace Two"):
        build_graph(Two(), (left, right, left))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("alexnet", marks=pytest.mark.slow),
        pytest.param("squeezenet1_0", marks=pytest.mark.slow),
        "squeezenet1_1",
        pytest.param("resnet18", marks=pytest.mark.slow),
        pytest.param("mobilenet_v2", marks=pytest.mark.slow),
        pytest.param("vgg11_bn", marks=pytest.mark.slow),
    ],
)
def test_torchvision_networks_keep_their_numbers(name):
    torch.manual_seed(0)
    size = 224 if name in ("alexnet", "vgg11_bn") else 96
    model = getattr(torchvision.models, name)(num_classes=7).eval()
    x = torch.randn(2, 3, size, size)
    graph = build_graph(model, x[:1])
    with torch.no_grad():
        expected = model(x)
    got = run_graph(graph, x, graph_weights(graph))
    assert float((got - expected).abs().max()) < 1e-4 * max(1.0, float(expected.abs().max()))
    assert not any(isinstance(node, Clamp) for node in graph.nodes)


def test_structure_survives_json():
    graph = build_graph(TinyNet().eval(), torch.zeros(1, 1, 28, 28))
    items = structure_to_json(graph)
    assert structure_from_json(json.loads(json.dumps(items))) == graph.nodes


def test_calibration_covers_every_value_and_shares_ranges():
    graph = build_graph(TinyNet().eval(), torch.zeros(1, 1, 28, 28))
    batches = [torch.randn(4, 1, 28, 28), 3 * torch.randn(4, 1, 28, 28)]
    ranges = calibrate_min_max(graph, batches)
    seen = {}

    def observe(node, y):
        low, high = seen.get(node.name, (float("inf"), -float("inf")))
        seen[node.name] = (min(low, float(y.min())), max(high, float(y.max())))
        return y

    with torch.no_grad():
        for x in batches:
            run_graph(graph, x, graph_weights(graph), observe)
    for name, (low, high) in seen.items():
        assert ranges[name][0] <= low
        assert ranges[name][1] >= high
    concat = next(n for n in graph.nodes if type(n).__name__ == "Concat")
    assert {ranges[name] for name in concat.inputs} == {ranges[concat.name]}
    assert ranges["input"] == seen["input"]
