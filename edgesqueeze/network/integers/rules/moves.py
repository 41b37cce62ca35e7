"""Integer rules of the nodes that move values, or bring a map to another size."""

import numpy as np

from edgesqueeze.network.graph.mirroring import mirrored_places
from edgesqueeze.network.graph.nodes import (
    AnyNode,
    Concat,
    Crop,
    DepthToSpace,
    Flatten,
    Join,
    MirrorPad,
    Pad,
    Rearrange,
    Resize,
    Shuffle,
    Slice,
)
from edgesqueeze.network.integers.rules.resizes import exact_bits, fixed_point, in_float, nearest_places
from edgesqueeze.network.integers.rules.rule import Int8s, Rule, Setting, dequantize, pad, quantize_input


def _flatten(_: Flatten, inputs: list[Int8s], __: Setting) -> Int8s:
    return inputs[0].reshape(len(inputs[0]), -1)


def _concat(_: Concat, inputs: list[Int8s], __: Setting) -> Int8s:
    return np.concatenate(_of_one_batch(inputs), axis=1)


def _slice(node: Slice, inputs: list[Int8s], _: Setting) -> Int8s:
    return inputs[0][:, node.start : node.stop]


def _shuffle(node: Shuffle, inputs: list[Int8s], _: Setting) -> Int8s:
    (q,) = inputs
    grouped = q.reshape(len(q), node.groups, -1, *q.shape[2:])
    return grouped.swapaxes(1, 2).reshape(q.shape)


def _crop(node: Crop, inputs: list[Int8s], _: Setting) -> Int8s:
    top, left = node.pads[:2]
    return inputs[0][:, :, top : top + node.shape[2], left : left + node.shape[3]]


def _depth_to_space(node: DepthToSpace, inputs: list[Int8s], _: Setting) -> Int8s:
    (q,) = inputs
    rows, columns = q.shape[2:]
    y = q.reshape(len(q), *node.block, -1, rows, columns).transpose(0, 3, 4, 1, 5, 2)
    return y.reshape(len(q), -1, *node.shape[2:])


def _pad(node: Pad, inputs: list[Int8s], setting: Setting) -> Int8s:
    return pad(inputs[0], node.pads, setting.out(node).zero_point)


def _resize(node: Resize, inputs: list[Int8s], setting: Setting) -> Int8s:
    (q,), (grid,), out = inputs, setting.grids(node), setting.out(node)
    if node.mode == "nearest":
        rows, columns = (nearest_places(q.shape[2 + axis], size) for axis, size in enumerate(node.size))
        return q[:, :, rows[:, np.newaxis], columns]
    corners = node.mode == "bilinear_corners"
    if setting.sums == "onnxruntime" and exact_bits(setting.graph, node) is None:
        return quantize_input(in_float(dequantize(q, grid), node.size, corners=corners), out)
    return fixed_point(q, node.size, corners=corners)


def _mirror_pad(node: MirrorPad, inputs: list[Int8s], _: Setting) -> Int8s:
    (q,), (top, left, bottom, right) = inputs, node.pads
    rows = mirrored_places(q.shape[2], top, bottom, node.edge)
    columns = mirrored_places(q.shape[3], left, right, node.edge)
    return q[:, :, rows[:, np.newaxis], columns]


def _rearrange(node: Rearrange, inputs: list[Int8s], _: Setting) -> Int8s:
    (q,) = inputs
    parts = q.reshape(len(q), *node.sizes).transpose(0, *(part + 1 for part in node.order))
    return parts.reshape(len(q), *node.shape[1:])


def _join(node: Join, inputs: list[Int8s], _: Setting) -> Int8s:
    return np.concatenate(_of_one_batch(inputs), axis=node.axis)


def _of_one_batch(inputs: list[Int8s]) -> list[Int8s]:
    """Constants repeated for every sample."""
    count = max(len(q) for q in inputs)
    return [np.broadcast_to(q, (count, *q.shape[1:])) for q in inputs]


MOVES: dict[type[AnyNode], Rule] = {
    Flatten: _flatten,
    Concat: _concat,
    Slice: _slice,
    Shuffle: _shuffle,
    Crop: _crop,
    DepthToSpace: _depth_to_space,
    Pad: _pad,
    MirrorPad: _mirror_pad,
    Resize: _resize,
    Rearrange: _rearrange,
    Join: _join,
}
