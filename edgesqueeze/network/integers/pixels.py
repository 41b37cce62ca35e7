"""An int8 network that takes pixels, 0 to 255, and answers with the integers of the one that takes floats.

There are 256 pixels a channel, so what float preprocessing and quantization make of each is known. Where that
is the pixel itself but for the type (q = p - 128, one mean and std and a grid calibrated on full black and
white), nothing is left to compute. Else a 1 x 1 convolution of integers does it, channel by channel:

    q = clamp(rint(float32(weight · p + bias) · m) + zero_point),    m = scale_w / scale_q

with a weight, bias and scale_w for each channel such that all 256 integers are right. (The weights are a
diagonal: that takes both runtimes less time than a depthwise convolution of so few channels.) Padding of the
first layer comes after it, so that it pads with real zero, as ever. (What has to hold of m for one channel is
that it lies between 512 bounds; of all pairs of weight and bias the one that leaves it most room is taken.)
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import ExportError
from edgesqueeze.network.graph.nodes import AnyNode, Conv, Floats, Graph, bias_name, weight_name
from edgesqueeze.network.integers.grid import QMAX, QMIN, ActivationQuant, activation_quant
from edgesqueeze.network.integers.ranges import Range, share_groups
from edgesqueeze.network.integers.rules.rule import Int8s, quantize_input, requantize
from edgesqueeze.network.integers.spec import QuantSpec, WeightQuant
from edgesqueeze.normalization import Normalization

PIXEL_GRID = ActivationQuant(1.0, QMIN)
"""The grid of pixels as they are, shifted from uint8 to int8."""
_LARGEST = 255
_PIXELS = np.arange(_LARGEST + 1)
_WEIGHTS = np.arange(1, QMAX + 1)
_NEAR = np.arange(-1, 3)
"""Biases are tried around weight · offset, rounded down."""
_SMALLEST_MULTIPLIER, _LARGEST_MULTIPLIER = 1e-6, 128.0
"""Runtimes take multipliers below 256."""
_WIDER, _TRIES = 2.0**-9, 8


def check_pixel_input(graph: Graph) -> None:
    """Refuse a network that cannot take pixels.

    Raises:
        ExportError: it has several inputs, or is not known to be given normalized images.
    """
    if len(graph.inputs) > 1:
        names = ", ".join(node.name for node in graph.inputs)
        raise ExportError(f"input: uint8 is for networks of one image; this one has inputs {names}")
    if graph.normalization is None:
        raise ExportError(
            "input: uint8 needs to know how pixels become the network's input; the task states no "
            "normalization, mean and std of images scaled to [0, 1]"
        )
    shape, channels = graph.inputs[0].shape, len(graph.normalization.mean)
    if len(shape) != 4 or shape[1] != channels:
        raise ExportError(
            f"input: uint8 is for images; the network takes {list(shape)}, and its normalization has "
            f"{channels} channels"
        )


def with_pixel_input(graph: Graph, spec: QuantSpec) -> tuple[Graph, QuantSpec]:
    """The same int8 network behind pixels; ``takes_pixels`` is set.

    Raises:
        ExportError: it cannot take pixels, or no integers give what float preprocessing gives.
    """
    check_pixel_input(graph)
    assert graph.normalization is not None
    source, grid = graph.inputs[0], spec.activations[graph.inputs[0].name]
    wanted = _integers_of_pixels(graph.normalization, grid)
    if (wanted == _PIXELS + QMIN).all():
        return replace(graph, takes_pixels=True), spec
    layer = Conv(
        name=f"{source.name}/normalized",
        inputs=(source.name,),
        shape=source.shape,
        kernel=(1, 1),
        stride=(1, 1),
        pads=(0, 0, 0, 0),
        dilation=(1, 1),
        groups=1,
        activation="none",
    )
    integers = _integers_for(graph.normalization, grid, wanted)
    activations = {**spec.activations, source.name: PIXEL_GRID, layer.name: grid}
    return _behind(graph, layer, integers), QuantSpec(activations, {layer.name: integers, **spec.weights})


def pixel_integers(graph: Graph, x: Floats) -> Int8s:
    """The pixels of what float preprocessing gives, [N, C, H, W], as the integers that a network reads.

    Args:
        graph: a network that takes pixels.
        x: float32 [N, C, H, W]; what is no pixel is rounded to the nearest.
    """
    assert graph.normalization is not None
    return (graph.normalization.pixels(x).astype(np.int16) + QMIN).astype(np.int8)


def without_halves(graph: Graph, ranges: dict[str, Range]) -> dict[str, Range]:
    """Activation ranges that let a network take pixels, those of its input widened a little if need be.

    With mean and std 0.5 and a range of -1 to 1, every pixel lies halfway between two integers, where float
    preprocessing rounds by chance. A range wider by 0.2 % puts each on one side.
    """
    normalization = graph.normalization
    if len(graph.inputs) > 1 or normalization is None or graph.inputs[0].shape[1] != len(normalization.mean):
        return ranges
    groups, source = share_groups(graph), graph.inputs[0].name
    for factor in 1 + _WIDER * np.arange(_TRIES):
        low, high = (float(end * factor) for end in ranges[source])
        if _takes_pixels(normalization, activation_quant(low, high)):
            return {n: (low, high) if groups[n] == groups[source] else r for n, r in ranges.items()}
    return ranges


def _takes_pixels(normalization: Normalization, grid: ActivationQuant) -> bool:
    wanted = _integers_of_pixels(normalization, grid)
    try:
        _integers_for(normalization, grid, wanted)
    except ExportError:
        return bool((wanted == _PIXELS + QMIN).all())
    return True


def _behind(graph: Graph, layer: Conv, integers: WeightQuant) -> Graph:
    """A graph whose input goes through a layer first."""
    (source,) = graph.inputs
    nodes: list[AnyNode] = []
    for node in graph.nodes:
        read = tuple(layer.name if name == source.name else name for name in node.inputs)
        nodes += [source, layer] if node is source else [replace(node, inputs=read)]
    outputs = tuple(
        replace(output, node=layer.name) if output.node == source.name else output for output in graph.outputs
    )
    weight = integers.weight * integers.scale.reshape(-1, 1, 1, 1)
    bias = integers.bias * integers.bias_scale(PIXEL_GRID.scale)
    tensors = {weight_name(layer): weight.astype(np.float32), bias_name(layer): bias.astype(np.float32)}
    return replace(
        graph,
        nodes=tuple(nodes),
        tensors={**graph.tensors, **tensors},
        outputs=outputs,
        takes_pixels=True,
    )


def _integers_of_pixels(normalization: Normalization, grid: ActivationQuant) -> Int8s:
    """What float preprocessing and quantization make of every pixel, [C, 256]."""
    channels = len(normalization.mean)
    pixels = np.tile(_PIXELS.astype(np.uint8), (1, channels, 1))
    return np.asarray(quantize_input(normalization.floats(pixels), grid)[0])


def _integers_for(normalization: Normalization, grid: ActivationQuant, wanted: Int8s) -> WeightQuant:
    """Those of the layer that makes what is wanted, [C, 256]; see :func:`_fitted`."""
    offsets = -_LARGEST * np.array(normalization.mean)
    channels = [_fitted(*pair, grid) for pair in zip(wanted, offsets, strict=True)]
    weight, scale, bias = (
        np.concatenate([getattr(channel, part) for channel in channels])
        for part in ("weight", "scale", "bias")
    )
    diagonal = np.eye(len(weight), dtype=np.int8)[:, :, None, None] * weight
    return WeightQuant(diagonal, scale, bias)


def _fitted(wanted: Int8s, offset: float, grid: ActivationQuant) -> WeightQuant:
    """Weight, bias and scale of one channel that make these integers of its 256 pixels.

    Raises:
        ExportError: there are none.
    """
    sums = _WEIGHTS[:, None, None] * _PIXELS + _biases(offset)[:, :, None]
    least, most = _bounds(wanted, sums, grid)
    room = np.where(most > 0, (most - least) / np.maximum(most, _SMALLEST_MULTIPLIER), -np.inf)
    place = np.unravel_index(np.argmax(room), room.shape)
    multiplier = (least[place] + most[place]) / 2
    found = WeightQuant(
        weight=_WEIGHTS[place[0]].astype(np.int8).reshape(1, 1, 1, 1),
        scale=np.array([multiplier * grid.scale], np.float32),
        bias=_biases(offset)[place].astype(np.int32).reshape(1),
    )
    stored = np.asarray(found.weight.ravel() * _PIXELS.astype(np.int64) + found.bias, np.float64)
    factor = found.bias_scale(PIXEL_GRID.scale)[0] / np.float32(grid.scale)
    if not np.array_equal(requantize(stored, factor, grid, "none"), wanted):
        raise ExportError(
            "input: uint8 is not possible here: pixels lie halfway between two steps of the input's grid, "
            "where float preprocessing rounds by chance, so no integers give what it gives"
        )
    return found


def _biases(offset: float) -> NDArray[np.int64]:
    """A few for every weight, [weights, biases]."""
    return np.asarray(np.floor(_WEIGHTS * offset).astype(np.int64)[:, None] + _NEAR)


def _bounds(
    wanted: Int8s, sums: NDArray[np.int64], grid: ActivationQuant
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Between which multipliers all sums [weights, biases, 256] become what is wanted; crossed if none do."""
    target = wanted.astype(np.float64) - grid.zero_point
    low = np.where(wanted == QMIN, -np.inf, target - 0.5)
    high = np.where(wanted == QMAX, np.inf, target + 0.5)
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = low / sums, high / sums
    least, most = np.where(sums > 0, ends, ends[::-1])
    is_free = (low < 0) & (high > 0)
    least = np.where(sums == 0, np.where(is_free, -np.inf, np.inf), least)
    most = np.where(sums == 0, np.inf, most)
    return np.maximum(least.max(axis=2), 0.0), np.minimum(most.min(axis=2), _LARGEST_MULTIPLIER)
