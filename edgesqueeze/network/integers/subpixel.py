"""A transposed convolution as a convolution whose channels are then spread over rows and columns.

Output row o = stride · q + r gets weights r, r + stride, r + 2 · stride … of the kernel only, so each of the
stride · stride places within a block is a convolution of its own, and all of them are one with as many times
the channels (Shi et al. 2016, arXiv 1609.07009, section 2). ONNX Runtime has no integer kernel for the
transposed form, and XNNPACK takes twice the time for it. Kernels that are no multiple of the stride get
zeros at an end.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.coding.decoder.spread import Spread
from edgesqueeze.network.graph.nodes import AnyNode, Conv, ConvTranspose, Crop, DepthToSpace
from edgesqueeze.network.integers.spec import WeightQuant


@dataclass(frozen=True)
class _Axis:
    """Rows or columns: how long the kernel is per place, what is padded and cropped, how many are computed.

    ``front`` zeros stand before the kernel.
    """

    taps: int
    front: int
    pads: tuple[int, int]
    rows: int
    crop: tuple[int, int]


@dataclass(frozen=True)
class Subpixel:
    """The convolution, and the moves behind it, the last of which has the name of the whole."""

    conv: Conv
    moves: tuple[AnyNode, ...]
    fronts: tuple[int, int]


def subpixel(node: ConvTranspose, source: tuple[int, ...]) -> Subpixel:
    """What a transposed convolution of an input of this shape becomes."""
    rows, columns = (_axis(node, source[2 + axis], axis) for axis in (0, 1))
    channels, names = node.shape[1], iter(_names(node.name, _has_blocks(node), _has_crop(rows, columns)))
    conv = Conv(
        name=next(names),
        inputs=node.inputs,
        shape=(1, channels * node.stride[0] * node.stride[1], rows.rows, columns.rows),
        kernel=(rows.taps, columns.taps),
        stride=(1, 1),
        pads=(rows.pads[0], columns.pads[0], rows.pads[1], columns.pads[1]),
        dilation=(1, 1),
        groups=1,
        activation=node.activation,
    )
    moves: list[AnyNode] = []
    last: AnyNode = conv
    if _has_blocks(node):
        shape = (1, channels, rows.rows * node.stride[0], columns.rows * node.stride[1])
        last = DepthToSpace(name=next(names), inputs=(last.name,), shape=shape, block=node.stride)
        moves.append(last)
    if _has_crop(rows, columns):
        crop = (rows.crop[0], columns.crop[0], rows.crop[1], columns.crop[1])
        moves.append(Crop(name=next(names), inputs=(last.name,), shape=node.shape, pads=crop))
    return Subpixel(conv, tuple(moves), (rows.front, columns.front))


def subpixel_integers(node: ConvTranspose, parts: Subpixel, integers: WeightQuant) -> WeightQuant:
    """The convolution's integers from those of the transposed convolution."""
    copies = node.stride[0] * node.stride[1]
    per_channel = len(integers.scale) == len(integers.bias)
    return WeightQuant(
        weight=spread(integers.weight, node, parts),
        scale=np.tile(integers.scale, copies) if per_channel else integers.scale,
        bias=np.tile(integers.bias, copies),
    )


def _axis(node: ConvTranspose, length: int, axis: int) -> _Axis:
    kernel, stride = node.kernel[axis], node.stride[axis]
    taps = -(-kernel // stride)
    # Whole strides that are cut off in front need not be computed; what is left is cut off afterwards, or
    # becomes zeros before the kernel where there is room for them.
    skipped, crop = divmod(node.pads[axis], stride)
    front = 0
    if crop and kernel - crop <= (taps - 1) * stride:
        skipped, crop, front = skipped + 1, 0, stride - crop
    if skipped > taps - 1:
        skipped, crop = taps - 1, crop + (skipped - taps + 1) * stride
    before = taps - 1 - skipped
    wanted = crop + node.shape[2 + axis]
    rows = max(-(-wanted // stride), length + before - taps + 1)
    after = rows + taps - 1 - length - before
    return _Axis(taps, front, (before, after), rows, (crop, rows * stride - wanted))


def _has_blocks(node: ConvTranspose) -> bool:
    return node.stride != (1, 1)


def _has_crop(rows: _Axis, columns: _Axis) -> bool:
    return any((*rows.crop, *columns.crop))


def _names(name: str, blocks: bool, crop: bool) -> list[str]:
    inner = [f"{name}/conv"] * (blocks or crop) + [f"{name}/blocks"] * (blocks and crop)
    return [*inner, name]


def spread(weight: NDArray[Any], node: ConvTranspose, parts: Subpixel) -> NDArray[Any]:
    """A weight [out, in, kernel…] as the convolution's, [block height · block width · out, in, taps…]."""
    return Spread(node.stride, parts.fronts).weight(weight)
