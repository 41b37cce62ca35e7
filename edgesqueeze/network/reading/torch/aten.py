"""How each torch operation is written as nodes of our graph: one function per operation.

Here: layers with weights, and activations that are fused. The others stand beside.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import (
    Activation,
    Add,
    AnyNode,
    Clamp,
    Conv,
    ConvTranspose,
    Dense,
    MaxPool,
    Mul,
    Pad,
    Pads,
    Pair,
    Pointwise,
    Slice,
)
from edgesqueeze.network.reading.torch.builder import Builder, Translation
from edgesqueeze.network.reading.torch.dims.joins import JOINS
from edgesqueeze.network.reading.torch.dims.shapes import SHAPES
from edgesqueeze.network.reading.torch.dims.strides import STRIDES
from edgesqueeze.network.reading.torch.fx import arguments_of, aten_name, pair_of, refuse, shape_of
from edgesqueeze.network.reading.torch.operations.arithmetic import ARITHMETIC
from edgesqueeze.network.reading.torch.operations.channels import CHANNEL_LAYERS, CHANNEL_WINDOWS
from edgesqueeze.network.reading.torch.operations.choices import CHOICES
from edgesqueeze.network.reading.torch.operations.constants import affine
from edgesqueeze.network.reading.torch.operations.functions import function_translations, number_arguments
from edgesqueeze.network.reading.torch.operations.largest import LARGEST
from edgesqueeze.network.reading.torch.operations.maps import MAPS
from edgesqueeze.network.reading.torch.operations.pads import PADS
from edgesqueeze.network.reading.torch.operations.pools import POOLS
from edgesqueeze.network.reading.torch.operations.products.attention import ATTENTION
from edgesqueeze.network.reading.torch.operations.products.matmuls import MATMULS
from edgesqueeze.network.reading.torch.operations.products.resamples import RESAMPLES
from edgesqueeze.network.reading.torch.operations.products.selections import SELECTIONS
from edgesqueeze.network.reading.torch.operations.reductions import GROUP_NORMS, REDUCTIONS
from edgesqueeze.network.reading.torch.operations.transposed import conv_transpose


def _conv(builder: Builder, fx: FxNode) -> None:
    args = arguments_of(fx, ["input", "weight", "bias", "stride", "padding", "dilation", "groups"])
    weight, bias = builder.weight_and_bias(fx, args)
    kernel, dilation = pair_of(weight.shape[2:]), pair_of(args["dilation"] or 1)
    source, pads = _unpadded(builder, builder.source(fx), _conv_pads(args["padding"] or 0, kernel, dilation))
    node = Conv(
        name=builder.layer_name(fx),
        inputs=(source.name,),
        shape=shape_of(fx),
        kernel=kernel,
        stride=pair_of(args["stride"] or 1),
        pads=pads,
        dilation=dilation,
        groups=args["groups"] or 1,
        activation="none",
    )
    builder.add_weighted(fx, node, weight, bias)


def _unpadded(builder: Builder, source: AnyNode, pads: Pads) -> tuple[AnyNode, Pads]:
    """Zeros that were put around a map for a convolution are padding of its own."""
    while isinstance(source, Pad):
        top, left, bottom, right = (own + more for own, more in zip(pads, source.pads, strict=True))
        source, pads = builder.nodes[source.inputs[0]], (top, left, bottom, right)
    return source, pads


def _batch_norm(builder: Builder, fx: FxNode) -> None:
    """A factor and an offset per channel."""
    gain, shift, mean, variance = (builder.constant(fx, a) for a in fx.args[1:5])
    if mean is None or variance is None:
        raise refuse(fx, "has no running statistics")
    epsilon = float(fx.args[6])  # type: ignore[arg-type]
    deviation = np.sqrt(variance.astype(np.float64) + epsilon)
    factor = (np.ones_like(deviation) if gain is None else gain.astype(np.float64)) / deviation
    offset = (0.0 if shift is None else shift) - mean.astype(np.float64) * factor
    affine(builder, fx, builder.source(fx), (factor, offset), builder.layer_name(fx))


def _clamp(builder: Builder, fx: FxNode, activation: Activation) -> None:
    source = builder.source(fx)
    target = _fusable(builder, fx)
    if target is None:
        node = Clamp(name=fx.name, inputs=(source.name,), shape=source.shape, activation=activation)
        builder.add(fx, node)
        return
    builder.nodes[target.name] = replace(target, activation=activation)
    builder.same(fx, source)


def _fusable(builder: Builder, fx: FxNode) -> Conv | ConvTranspose | Dense | Add | None:
    """The node behind which an activation can be fused: reached through max pools, with no other reader."""
    reached = fx.args[0]
    while isinstance(reached, FxNode) and len(reached.users) == 1:
        name = builder.made[reached]
        node = builder.layer_of(builder.nodes[name])
        if not isinstance(node, Conv | ConvTranspose | Dense | Add | MaxPool):
            return None
        before = reached.args[0]
        made_here = not isinstance(before, FxNode) or builder.made.get(before) != name
        if not isinstance(node, MaxPool) and made_here:
            return node if node.activation == "none" else None
        # A max pool, or something that left no node of its own: batch norm, an earlier activation, a copy.
        reached = before
    return None


def _bounded(builder: Builder, fx: FxNode) -> None:
    """Hardtanh and clamp: ReLU and ReLU6 are fused, other bounds are a function."""
    limits = [v for k, v in number_arguments(builder, fx).items() if k.startswith(("min", "max"))]
    low, high = limits if len(limits) == 2 else (limits[0], None)
    if set(limits) == {None}:
        builder.same(fx, builder.source(fx))
    elif low == 0 and high in (None, float("inf"), 6):
        _clamp(builder, fx, "relu6" if high == 6 else "relu")
    else:
        _FUNCTIONS[aten_name(fx)](builder, fx)


def _glu(builder: Builder, fx: FxNode) -> None:
    """Half of the channels times the sigmoid of the others."""
    source, dim = builder.source(fx), arguments_of(fx, ["input", "dim"])["dim"]
    if len(source.shape) != 4 or (-1 if dim is None else dim) % 4 != 1:
        raise refuse(fx, "gates along another dimension than the channels of a map")
    half, shape = source.shape[1] // 2, shape_of(fx)
    left = Slice(name=f"{fx.name}_left", inputs=(source.name,), shape=shape, start=0, stop=half)
    right = Slice(name=f"{fx.name}_right", inputs=(source.name,), shape=shape, start=half, stop=2 * half)
    gate = Pointwise(name=f"{fx.name}_gate", inputs=(right.name,), shape=shape, function="sigmoid")
    for node in (left, right, gate, Mul(name=fx.name, inputs=(left.name, gate.name), shape=shape)):
        builder.add(fx, node)


def _conv_pads(padding: Any, kernel: Pair, dilation: Pair) -> Pads:
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "same":  # torch puts the odd row and column at the bottom and right
        rows, columns = dilation[0] * (kernel[0] - 1), dilation[1] * (kernel[1] - 1)
        return rows // 2, columns // 2, rows - rows // 2, columns - columns // 2
    rows, columns = pair_of(padding)
    return rows, columns, rows, columns


_FUNCTIONS = function_translations()
ANY_ORDER = {
    *SHAPES,
    *JOINS,
    *MATMULS,
    *ATTENTION,
    *REDUCTIONS,
    *LARGEST,
    *PADS,
    *RESAMPLES,
    *CHOICES,
    *CHANNEL_WINDOWS,
    *SELECTIONS,
}
"""Operations that see to the order of what they read themselves."""
TRANSLATIONS: dict[str, Translation] = {
    **_FUNCTIONS,
    **ARITHMETIC,
    **REDUCTIONS,
    **LARGEST,
    **GROUP_NORMS,
    **STRIDES,
    **CHANNEL_LAYERS,
    **SHAPES,
    **JOINS,
    **MATMULS,
    **ATTENTION,
    **MAPS,
    **POOLS,
    **PADS,
    **RESAMPLES,
    **CHOICES,
    **CHANNEL_WINDOWS,
    **SELECTIONS,
    "conv2d": _conv,
    "conv_transpose2d": conv_transpose,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "relu": lambda builder, fx: _clamp(builder, fx, "relu"),
    "relu6": lambda builder, fx: _clamp(builder, fx, "relu6"),
    "hardtanh": _bounded,
    "clamp": _bounded,
    "clamp_min": _bounded,
    "glu": _glu,
}
