"""A small network of images with padding, and images that hold every pixel."""

import numpy as np

from edgesqueeze.network.graph.nodes import Conv, Dense, Flatten, Graph, Input
from edgesqueeze.network.integers.pixels import without_halves
from edgesqueeze.network.integers.spec import make_spec, spec_from_activations
from edgesqueeze.normalization import Normalization

IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
MNIST = Normalization((0.1307,), (0.3081,))
HALF = Normalization((0.5,) * 3, (0.5,) * 3)
SIDE = 16


def pixel_network(normalization, *, per_channel=True, ends=None):
    """A padded convolution and a dense layer behind it, on a grid for the whole range of the input.

    ``ends`` is another range, from which calibration takes care of halves.
    """
    rng, channels = np.random.default_rng(0), len(normalization.mean)
    nodes = (
        Input(name="input", inputs=(), shape=(1, channels, SIDE, SIDE)),
        Conv(
            name="conv",
            inputs=("input",),
            shape=(1, 4, 8, 8),
            kernel=(3, 3),
            stride=(2, 2),
            pads=(1, 1, 1, 1),
            dilation=(1, 1),
            groups=1,
            activation="relu",
        ),
        Flatten(name="flat", inputs=("conv",), shape=(1, 256)),
        Dense(name="fc", inputs=("flat",), shape=(1, 5), activation="none"),
    )
    tensors = {
        "conv.weight": rng.normal(size=(4, channels, 3, 3)),
        "conv.bias": rng.normal(size=4),
        "fc.weight": rng.normal(size=(5, 256)) / 16,
        "fc.bias": rng.normal(size=5),
    }
    tensors = {name: values.astype(np.float32) for name, values in tensors.items()}
    graph = Graph(nodes, tensors, normalization=normalization)
    ranges = {"input": ends or normalization.limits(), "conv": (0.0, 12.0), "flat": (0.0, 12.0)}
    ranges["fc"] = (-8.0, 8.0)
    ranges = ranges if ends is None else without_halves(graph, ranges)
    spec = make_spec(graph, ranges)
    if not per_channel:
        spec = spec_from_activations(graph, spec.activations, per_channel=False)
    return graph, spec


def every_pixel(channels, images=4):
    """uint8 [images, channels, 16, 16]; each channel of each image holds all 256, in its own order."""
    rng = np.random.default_rng(1)
    planes = [rng.permutation(256).reshape(SIDE, SIDE) for _ in range(images * channels)]
    return np.array(planes, np.uint8).reshape(images, channels, SIDE, SIDE)
