"""Small networks with weights as compression leaves them, made without torch."""

import numpy as np

from edgesqueeze.formats.sqz.file import MODEL_FILES, emit_model_file
from edgesqueeze.network.graph.check import complete_shapes
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
    bias_name,
    weight_name,
    weight_shape,
)
from edgesqueeze.network.integers.ranges import merge_ranges
from edgesqueeze.network.integers.spec import QuantSpec, WeightQuant, make_spec
from edgesqueeze.numerics.kmeans import kmeans_1d

DEEP_COMPRESSION_LENET5 = {"conv1": (0.66, 8), "conv2": (0.12, 8), "fc1": (0.08, 5), "fc2": (0.19, 5)}
"""Kept fraction and bits per weight, Han et al. 2016, Table 3."""


def conv(name, source, channels, kernel, *, stride=1, pad=0, groups=1, activation="relu"):
    return Conv(
        name=name,
        inputs=(source,),
        shape=(1, channels),
        kernel=(kernel, kernel),
        stride=(stride, stride),
        pads=(pad,) * 4,
        dilation=(1, 1),
        groups=groups,
        activation=activation,
    )


def dense(name, source, features, activation="none"):
    return Dense(name=name, inputs=(source,), shape=(1, features), activation=activation)


def max_pool(name, source, kernel, pads=(0, 0, 0, 0)):
    return MaxPool(name=name, inputs=(source,), shape=(), kernel=(kernel, kernel), stride=(2, 2), pads=pads)


def flatten(name, source):
    return Flatten(name=name, inputs=(source,), shape=())


def with_weights(nodes, sparsify):
    """A graph whose weights are Laplacian and treated by ``sparsify``; biases are small and dense."""
    rng = np.random.default_rng(7)
    graph = Graph(complete_shapes(nodes), {})
    tensors = {}
    for node in graph.parametric:
        weight = rng.laplace(scale=0.1, size=weight_shape(graph, node)).astype(np.float32)
        tensors[weight_name(node)] = sparsify(node.name, weight)
        tensors[bias_name(node)] = rng.normal(scale=0.01, size=node.shape[1]).astype(np.float32)
    return Graph(graph.nodes, tensors)


def prune_and_share(weight, density, num_bits):
    """Keep the largest weights and replace them by 2^bits centroids."""
    keep = max(1, round(density * weight.size))
    threshold = np.sort(np.abs(weight), axis=None)[weight.size - keep]
    kept = np.abs(weight) >= threshold
    centroids, indices = kmeans_1d(weight[kept], 2**num_bits)
    result = np.zeros_like(weight)
    result[kept] = centroids[indices]
    return result


def lenet5():
    nodes = [
        Input(name="input", inputs=(), shape=(1, 1, 28, 28)),
        conv("conv1", "input", 20, 5),
        max_pool("pool1", "conv1", 2),
        conv("conv2", "pool1", 50, 5),
        max_pool("pool2", "conv2", 2),
        flatten("flatten", "pool2"),
        dense("fc1", "flatten", 500, "relu"),
        dense("fc2", "fc1", 10),
    ]
    return with_weights(nodes, lambda name, weight: prune_and_share(weight, *DEEP_COMPRESSION_LENET5[name]))


def small():
    """A convolution and a dense layer: little structure, so that many files can be decoded in a short time."""
    nodes = [
        Input(name="input", inputs=(), shape=(1, 1, 6, 6)),
        conv("conv", "input", 3, 3),
        flatten("flat", "conv"),
        dense("fc", "flat", 4),
    ]
    return with_weights(nodes, lambda name, weight: prune_and_share(weight, 0.4, 3))


def every_kind():
    """One node of every kind, in a network of 200 weights: branches, groups, padding, ceil mode."""
    nodes = [
        Input(name="input", inputs=(), shape=(1, 2, 9, 9)),
        conv("stem", "input", 4, 3, stride=2, pad=1),
        max_pool("pool", "stem", 3, pads=(0, 0, 1, 1)),
        conv("left", "pool", 2, 1, activation="relu6"),
        conv("right", "pool", 2, 3, pad=1, groups=2, activation="none"),
        Concat(name="joined", inputs=("left", "right"), shape=()),
        Add(name="sum", inputs=("joined", "pool"), shape=(), activation="none"),
        Clamp(name="clamped", inputs=("sum",), shape=(), activation="relu"),
        AvgPool(name="mean", inputs=("clamped",), shape=(), kernel=(2, 2), stride=(1, 1)),
        Slice(name="half", inputs=("mean",), shape=(), start=1, stop=3),
        Shuffle(name="shuffled", inputs=("half",), shape=(), groups=2),
        Pad(name="padded", inputs=("shuffled",), shape=(), pads=(0, 1, 1, 0)),
        Resize(name="larger", inputs=("padded",), shape=(), size=(7, 5), mode="bilinear"),
        Pointwise(name="swish", inputs=("larger",), shape=(), function="hardswish"),
        GlobalAvgPool(name="squeezed", inputs=("swish",), shape=()),
        Pointwise(name="gate", inputs=("squeezed",), shape=(), function="sigmoid"),
        Mul(name="excited", inputs=("swish", "gate"), shape=()),
        ConvTranspose(
            name="grown",
            inputs=("excited",),
            shape=(1, 4),
            kernel=(3, 2),
            stride=(2, 2),
            pads=(1, 0, 1, 1),
            extra=(1, 0),
            activation="relu",
        ),
        Crop(name="cropped", inputs=("grown",), shape=(), pads=(1, 0, 0, 2)),
        DepthToSpace(name="spread", inputs=("cropped",), shape=(), block=(1, 2)),
        LayerNorm(name="norm", inputs=("spread",), shape=(), epsilon=float(np.float32(1e-6))),
        Pointwise(name="bent", inputs=("norm",), shape=(), function="gelu"),
        GlobalAvgPool(name="pooled", inputs=("bent",), shape=()),
        flatten("flat", "pooled"),
        dense("classes", "flat", 3),
        Softmax(name="chances", inputs=("classes",), shape=()),
    ]
    return with_weights(nodes, lambda name, weight: prune_and_share(weight, 0.4, 3))


def spec_for(graph) -> QuantSpec:
    """Grids of plausible ranges; nothing runs the network here."""
    ranges = {node.name: (-0.5 * place, 1.0 + place) for place, node in enumerate(graph.nodes)}
    return make_spec(graph, merge_ranges(graph, ranges))


def odd_integers(spec):
    """Scales, integers and biases that do not follow."""
    weights = {
        name: WeightQuant(
            np.flip(q.weight).copy(), q.scale * np.float32(0.7), q.bias - np.int32(2**31 - 1 - i)
        )
        for i, (name, q) in enumerate(spec.weights.items())
    }
    return QuantSpec(spec.activations, weights)


def files_of(network, spec):
    names = MODEL_FILES if spec is not None else MODEL_FILES[:2]
    return {name: emit_model_file(name, network, spec) for name in names}
