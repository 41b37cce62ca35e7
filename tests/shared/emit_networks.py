"""Networks, pictures and small graphs for the emitter tests."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import torch
from sklearn.datasets import load_sample_images
from torch import nn

from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.network.graph.nodes import (
    Add,
    AvgPool,
    Clamp,
    Concat,
    Conv,
    ConvTranspose,
    Crop,
    Dense,
    DepthToSpace,
    Flatten,
    GlobalAvgPool,
    Graph,
    Input,
    LayerNorm,
    MaxPool,
    Mul,
    Pad,
    Pointwise,
    Resize,
    Shuffle,
    Slice,
    Softmax,
    weight_shape,
)
from edgesqueeze.network.integers.spec import activation_quant, make_spec, spec_from_activations
from edgesqueeze.network.reading.torch.build import build_graph


class LeNet5(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 20, 5), nn.Conv2d(20, 50, 5)
        self.fc1, self.fc2 = nn.Linear(800, 500), nn.Linear(500, 10)

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = torch.max_pool2d(torch.relu(self.conv2(x)), 2)
        return self.fc2(torch.relu(self.fc1(torch.flatten(x, 1))))


def photos(count, size, seed):
    """Random crops of two photographs, normalised as for ImageNet: float32 [count, 3, size, size]."""
    rng = np.random.default_rng(seed)
    images, crops = load_sample_images().images, []
    for i in range(count):
        picture = images[i % 2]
        side = int(rng.integers(min(size, 200), 400))
        y, x = (int(rng.integers(0, n - side + 1)) for n in picture.shape[:2])
        crop = torch.from_numpy(picture[y : y + side, x : x + side].copy()).permute(2, 0, 1)[None] / 255.0
        crops.append(nn.functional.interpolate(crop, size=(size, size), mode="bilinear"))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (torch.cat(crops) - mean[:, None, None]) / std[:, None, None]


@torch.no_grad()
def settle(model, x, seed=0):
    """Give a random network the activation scales of a trained one, layer by layer, from one batch."""
    generator = torch.Generator().manual_seed(seed)

    def normalise(layer, inputs, y):
        dims = [0, *range(2, y.ndim)]
        mean, std = y.mean(dims), y.std(dims).clamp_min(1e-3)
        gain = (torch.rand(len(mean), generator=generator) * 1.5 + 0.5) / std
        shift = torch.randn(len(mean), generator=generator) * 0.3
        layer.weight.mul_(gain.view(-1, *[1] * (layer.weight.ndim - 1)))
        layer.bias.copy_((layer.bias - mean) * gain + shift)
        channels = (1, -1, *[1] * (y.ndim - 2))
        return (y - mean.view(channels)) * gain.view(channels) + shift.view(channels)

    hooks = []
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.uniform_(module.bias, -0.3, 0.3, generator=generator)
        elif isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            hooks.append(module.register_forward_hook(normalise))
    has_norms = any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    model.train(has_norms)(x)
    for hook in hooks:
        hook.remove()
    return model.eval()


def quantized(model, x):
    """A settled model's graph and int8 spec, calibrated on the same pictures."""
    graph = build_graph(settle(model, x), x[:1])
    return graph, make_spec(graph, calibrate_min_max(graph, x.split(4)))


# -- small graphs --------------------------------------------------------------------------------------

SOURCE = Input(name="input", inputs=(), shape=(1, 8, 13, 12))


def small_input(count=6):
    return np.random.default_rng(5).normal(size=(count, *SOURCE.shape[1:])).astype(np.float32)


def conv(name, source, shape, **changes):
    """A 3×3 convolution with every field given or defaulted; the output size is worked out."""
    settings = {"kernel": (3, 3), "stride": (1, 1), "pads": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1}
    settings |= {"activation": "none"} | changes
    out = settings.pop("out", 16)
    size = [
        (
            shape[2 + a]
            + settings["pads"][a]
            + settings["pads"][a + 2]
            - settings["dilation"][a] * (settings["kernel"][a] - 1)
            - 1
        )
        // settings["stride"][a]
        + 1
        for a in (0, 1)
    ]
    return Conv(name=name, inputs=(source,), shape=(1, out, *size), **settings)


def conv_transpose(name, source, shape, **changes):
    """A 3×3 transposed convolution of stride 2 with every field given or defaulted."""
    settings = {"kernel": (3, 3), "stride": (2, 2), "pads": (0, 0, 0, 0), "extra": (0, 0)}
    settings |= {"activation": "none"} | changes
    size = [
        (shape[2 + a] - 1) * settings["stride"][a]
        + settings["kernel"][a]
        - settings["pads"][a]
        - settings["pads"][a + 2]
        + settings["extra"][a]
        for a in (0, 1)
    ]
    return ConvTranspose(name=name, inputs=(source,), shape=(1, 5, *size), **settings)


def max_pool(name, source, shape, kernel, stride, pads):
    size = [(shape[2 + a] + pads[a] + pads[a + 2] - kernel[a]) // stride[a] + 1 for a in (0, 1)]
    return MaxPool(
        name=name, inputs=(source,), shape=(1, shape[1], *size), kernel=kernel, stride=stride, pads=pads
    )


def graph_of(*nodes, seed=1, scale=0.2):
    """A graph with random float tensors of the right shapes behind the standard input."""
    rng, nodes = np.random.default_rng(seed), (SOURCE, *nodes)
    tensors, bare = {}, Graph(nodes, {})
    for node in bare.parametric:
        weight = rng.normal(size=weight_shape(bare, node)) * scale
        tensors[f"{node.name}.weight"] = weight.astype(np.float32)
        tensors[f"{node.name}.bias"] = rng.normal(size=node.shape[1]).astype(np.float32)
    return Graph(nodes, tensors)


def calibrated(graph, x):
    """The spec of a small graph from the ranges it really has."""
    return make_spec(graph, calibrate_min_max(graph, [torch.from_numpy(x)]))


def with_grids(graph, ranges):
    """The spec of a small graph from stated ranges."""
    return spec_from_activations(graph, {name: activation_quant(*ends) for name, ends in ranges.items()})


_EPSILON = float(np.float32(1e-5))
_FLAT = Flatten(name="flat", inputs=("pool",), shape=(1, 8 * 6 * 6))
_POOL = max_pool("pool", "input", SOURCE.shape, (2, 2), (2, 2), (0, 0, 0, 0))
_C1 = conv("c1", "input", SOURCE.shape, activation="relu", pads=(1, 1, 1, 1))
_C2 = conv("c2", "input", SOURCE.shape, pads=(1, 1, 1, 1))
_HEAD = Dense(name="fc", inputs=("flat",), shape=(1, 10), activation="none")


def _conv(**changes):
    return graph_of(conv("c", "input", SOURCE.shape, **changes))


def _joined(node, *more):
    return graph_of(_C1, _C2, node, *more)


def _pointwise(function):
    return Pointwise(name="f", inputs=("input",), shape=SOURCE.shape, function=function)


def _transposed(**changes):
    return graph_of(conv_transpose("t", "input", SOURCE.shape, **changes))


def _resized(mode, size):
    return graph_of(Resize(name="r", inputs=("input",), shape=(1, 8, *size), size=size, mode=mode))


_SQUEEZED = GlobalAvgPool(name="squeezed", inputs=("c1",), shape=(1, 16, 1, 1))
_PADDED = Pad(name="pad", inputs=("input",), shape=(1, 8, 15, 15), pads=(1, 1, 1, 2))

SMALL_GRAPHS = {
    "conv_valid": _conv(),
    "conv_relu": _conv(activation="relu"),
    "conv_relu6": _conv(activation="relu6", pads=(1, 1, 1, 1)),
    "conv_same": _conv(pads=(1, 1, 1, 1)),
    "conv_same_stride": _conv(pads=(1, 0, 1, 1), stride=(2, 2)),
    "conv_torch_stride": _conv(pads=(1, 1, 1, 1), stride=(2, 2)),
    "conv_unused_pads": _conv(pads=(2, 2, 2, 2), stride=(3, 4)),
    "conv_unused_rows": _conv(stride=(4, 5)),
    "conv_odd_pads": _conv(pads=(0, 2, 1, 0), kernel=(2, 3)),
    "conv_same_even": _conv(pads=(0, 0, 1, 1), kernel=(2, 2)),
    "conv_not_same_even": _conv(pads=(1, 0, 0, 1), kernel=(2, 2)),
    "conv_dilated": _conv(pads=(2, 2, 2, 2), dilation=(2, 2)),
    "conv_dilated_explicit": _conv(pads=(1, 0, 1, 2), dilation=(2, 3)),
    "conv_one": _conv(kernel=(1, 1)),
    "depthwise": _conv(groups=8, out=8, pads=(1, 1, 1, 1), activation="relu"),
    "depthwise_multiplier": _conv(groups=8, out=24, stride=(2, 1), pads=(1, 1, 1, 1)),
    "depthwise_dilated": _conv(groups=8, out=8, dilation=(2, 2), pads=(2, 2, 2, 2)),
    "grouped": _conv(groups=2, out=16, activation="relu"),
    "grouped_stride": _conv(groups=4, out=8, stride=(2, 2), pads=(1, 1, 1, 1)),
    "dense": graph_of(_POOL, _FLAT, _HEAD),
    "dense_relu6": graph_of(
        _POOL, _FLAT, Dense(name="fc", inputs=("flat",), shape=(1, 10), activation="relu6")
    ),
    "max_pool": graph_of(_POOL),
    "max_pool_overlap": graph_of(max_pool("p", "input", SOURCE.shape, (3, 3), (2, 2), (0, 0, 0, 0))),
    "max_pool_ceil": graph_of(max_pool("p", "input", SOURCE.shape, (3, 3), (2, 2), (0, 0, 0, 1))),
    "max_pool_padded": graph_of(max_pool("p", "input", SOURCE.shape, (3, 3), (2, 2), (1, 1, 1, 1))),
    "max_pool_padded_relu": graph_of(_C1, max_pool("p", "c1", _C1.shape, (3, 3), (2, 2), (1, 1, 1, 1))),
    "avg_pool": graph_of(
        AvgPool(name="p", inputs=("input",), shape=(1, 8, 6, 6), kernel=(2, 2), stride=(2, 2))
    ),
    "avg_pool_overlap": graph_of(
        AvgPool(name="p", inputs=("input",), shape=(1, 8, 6, 10), kernel=(3, 3), stride=(2, 1))
    ),
    "global_avg_pool": graph_of(GlobalAvgPool(name="p", inputs=("input",), shape=(1, 8, 1, 1))),
    "global_avg_pool_relu": graph_of(
        _C1,
        GlobalAvgPool(name="p", inputs=("c1",), shape=(1, 16, 1, 1)),
        Flatten(name="f", inputs=("p",), shape=(1, 16)),
    ),
    "concat": _joined(Concat(name="cat", inputs=("c1", "c2", "c1"), shape=(1, 48, 13, 12))),
    "add": _joined(Add(name="sum", inputs=("c1", "c2"), shape=_C1.shape, activation="none")),
    "add_relu": _joined(Add(name="sum", inputs=("c2", "c1"), shape=_C1.shape, activation="relu")),
    "add_relu6": _joined(Add(name="sum", inputs=("c2", "c2"), shape=_C1.shape, activation="relu6")),
    "clamp": _joined(
        Clamp(name="r", inputs=("c2",), shape=_C1.shape, activation="relu"),
        Concat(name="cat", inputs=("r", "c2"), shape=(1, 32, 13, 12)),
    ),
    "clamp_relu6": graph_of(Clamp(name="r", inputs=("input",), shape=SOURCE.shape, activation="relu6")),
    "clamp_flat": graph_of(
        _POOL,
        _FLAT,
        Clamp(name="r", inputs=("flat",), shape=_FLAT.shape, activation="relu"),
        Dense(name="fc", inputs=("r",), shape=(1, 10), activation="none"),
    ),
    "sigmoid": graph_of(_pointwise("sigmoid")),
    "hardsigmoid": graph_of(_pointwise("hardsigmoid")),
    "hardswish": graph_of(_pointwise("hardswish")),
    "silu": graph_of(_pointwise("silu")),
    "hardswish_flat": graph_of(
        _POOL,
        _FLAT,
        Pointwise(name="f", inputs=("flat",), shape=_FLAT.shape, function="hardsigmoid"),
        Dense(name="fc", inputs=("f",), shape=(1, 10), activation="none"),
    ),
    "mul": _joined(Mul(name="product", inputs=("c1", "c2"), shape=_C1.shape)),
    "squeeze_excite": graph_of(
        _C1,
        _SQUEEZED,
        Pointwise(name="gate", inputs=("squeezed",), shape=(1, 16, 1, 1), function="sigmoid"),
        Mul(name="excited", inputs=("c1", "gate"), shape=_C1.shape),
        Add(name="sum", inputs=("excited", "c1"), shape=_C1.shape, activation="relu"),
    ),
    "slice": graph_of(Slice(name="s", inputs=("input",), shape=(1, 3, 13, 12), start=2, stop=5)),
    "shuffle": graph_of(Shuffle(name="s", inputs=("input",), shape=SOURCE.shape, groups=2)),
    "shuffle_four": graph_of(Shuffle(name="s", inputs=("input",), shape=SOURCE.shape, groups=4)),
    "shuffle_flat": graph_of(
        Shuffle(name="s", inputs=("input",), shape=SOURCE.shape, groups=2),
        AvgPool(name="p", inputs=("s",), shape=(1, 8, 1, 1), kernel=(13, 12), stride=(1, 1)),
        Flatten(name="flat", inputs=("p",), shape=(1, 8)),
        Dense(name="fc", inputs=("flat",), shape=(1, 10), activation="none"),
    ),
    "pad": graph_of(_PADDED),
    "pad_avg_pool": graph_of(
        _PADDED, AvgPool(name="p", inputs=("pad",), shape=(1, 8, 13, 13), kernel=(3, 3), stride=(1, 1))
    ),
    "resize_nearest": _resized("nearest", (26, 36)),
    "resize_bilinear": _resized("bilinear", (26, 48)),
    "resize_bilinear_uneven": _resized("bilinear", (17, 9)),
    "resize_single": graph_of(
        _C1,
        _SQUEEZED,
        Resize(name="r", inputs=("squeezed",), shape=_C1.shape, size=(13, 12), mode="bilinear"),
    ),
    "transposed": _transposed(),
    "transposed_relu": _transposed(activation="relu", pads=(1, 1, 1, 1), extra=(1, 1)),
    "transposed_relu6": _transposed(activation="relu6", kernel=(2, 2)),
    "transposed_same": _transposed(kernel=(4, 4), pads=(1, 1, 1, 1)),
    "transposed_odd": _transposed(pads=(1, 0, 1, 0), extra=(0, 1)),
    "transposed_cut": _transposed(kernel=(5, 4), stride=(3, 2), pads=(2, 1, 0, 3)),
    "transposed_far_cut": _transposed(kernel=(2, 3), stride=(2, 2), pads=(5, 4, 1, 0)),
    "transposed_gaps": _transposed(kernel=(2, 1), stride=(3, 3), extra=(2, 1)),
    "transposed_gaps_cut": _transposed(kernel=(1, 1), stride=(3, 2), pads=(2, 0, 0, 1)),
    "transposed_one": _transposed(stride=(1, 1), pads=(1, 1, 1, 1), activation="relu"),
    "transposed_one_cut": _transposed(stride=(1, 1), kernel=(2, 3), pads=(3, 0, 0, 1)),
    "crop": graph_of(Crop(name="c", inputs=("input",), shape=(1, 8, 10, 9), pads=(1, 0, 2, 3))),
    "depth_to_space": graph_of(DepthToSpace(name="d", inputs=("input",), shape=(1, 2, 26, 24), block=(2, 2))),
    "depth_to_space_oblong": graph_of(
        DepthToSpace(name="d", inputs=("input",), shape=(1, 2, 13, 48), block=(1, 4))
    ),
    "gelu": graph_of(_C2, Pointwise(name="f", inputs=("c2",), shape=_C2.shape, function="gelu"), scale=0.5),
    "softmax": graph_of(_C1, Softmax(name="s", inputs=("c1",), shape=_C1.shape)),
    "softmax_flat": graph_of(_POOL, _FLAT, _HEAD, Softmax(name="s", inputs=("fc",), shape=_HEAD.shape)),
    "layer_norm": graph_of(_C2, LayerNorm(name="n", inputs=("c2",), shape=_C2.shape, epsilon=_EPSILON)),
    "layer_norm_flat": graph_of(
        _POOL, _FLAT, _HEAD, LayerNorm(name="n", inputs=("fc",), shape=_HEAD.shape, epsilon=_EPSILON)
    ),
    "input_only": graph_of(),
}
"""Every node kind and every way a window can lie at an edge, as float graphs."""


# Grouped, depthwise, 1 × 1 (a dense layer to XNNPACK), strided, padded, dense, flattened, joined, gated.
WEIGHTED = (
    "conv_relu",
    "conv_relu6",
    "conv_torch_stride",
    "conv_dilated_explicit",
    "conv_one",
    "grouped",
    "depthwise",
    "depthwise_multiplier",
    "dense_relu6",
    "clamp_flat",
    "hardswish_flat",
    "concat",
    "add_relu6",
    "squeeze_excite",
    "shuffle_flat",
)


def kernels(data, folder):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node)
