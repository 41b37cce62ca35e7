"""Float meaning of the nodes that move values, and of pools."""

import torch
import torch.nn.functional as F
from torch import Tensor

from edgesqueeze.network.floats.rule import Rule, Weights, pad
from edgesqueeze.network.graph.mirroring import mirrored_places
from edgesqueeze.network.graph.nodes import (
    AnyNode,
    ArgMax,
    AvgPool,
    ChannelMax,
    Concat,
    Crop,
    DepthToSpace,
    Flatten,
    GlobalAvgPool,
    Join,
    MaxPool,
    MirrorPad,
    Pad,
    Rearrange,
    Resize,
    Shuffle,
    Slice,
)


def _max_pool(node: MaxPool, inputs: list[Tensor], _: Weights) -> Tensor:
    return F.max_pool2d(pad(inputs[0], node.pads, float("-inf")), node.kernel, node.stride)


def _avg_pool(node: AvgPool, inputs: list[Tensor], _: Weights) -> Tensor:
    return F.avg_pool2d(inputs[0], node.kernel, node.stride)


def _global_avg_pool(_: GlobalAvgPool, inputs: list[Tensor], __: Weights) -> Tensor:
    return inputs[0].mean((2, 3), keepdim=True)


def _flatten(_: Flatten, inputs: list[Tensor], __: Weights) -> Tensor:
    return inputs[0].flatten(1)


def _concat(_: Concat, inputs: list[Tensor], __: Weights) -> Tensor:
    count = max(len(x) for x in inputs)  # constants have a batch of 1
    return torch.cat([x.expand(count, *x.shape[1:]) for x in inputs], 1)


def _slice(node: Slice, inputs: list[Tensor], _: Weights) -> Tensor:
    return inputs[0][:, node.start : node.stop]


def _shuffle(node: Shuffle, inputs: list[Tensor], _: Weights) -> Tensor:
    return F.channel_shuffle(inputs[0], node.groups)


def _pad(node: Pad, inputs: list[Tensor], _: Weights) -> Tensor:
    return pad(inputs[0], node.pads, 0.0)


def _resize(node: Resize, inputs: list[Tensor], _: Weights) -> Tensor:
    if node.mode == "bilinear_corners":
        return F.interpolate(inputs[0], size=node.size, mode="bilinear", align_corners=True)
    return F.interpolate(inputs[0], size=node.size, mode=node.mode)


def _crop(node: Crop, inputs: list[Tensor], _: Weights) -> Tensor:
    rows, columns = inputs[0].shape[2:]
    top, left, bottom, right = node.pads
    return inputs[0][:, :, top : rows - bottom, left : columns - right]


def _depth_to_space(node: DepthToSpace, inputs: list[Tensor], _: Weights) -> Tensor:
    return depth_to_space(inputs[0], node.block)


def depth_to_space(x: Tensor, block: tuple[int, int]) -> Tensor:
    """[N, block height · block width · C, H, W] as [N, C, H · block height, W · block width]."""
    count, _, rows, columns = x.shape
    y = x.view(count, *block, -1, rows, columns).permute(0, 3, 4, 1, 5, 2)
    return y.reshape(count, -1, rows * block[0], columns * block[1])


def _channel_max(_: ChannelMax, inputs: list[Tensor], __: Weights) -> Tensor:
    return inputs[0].amax(1, keepdim=True)


def _arg_max(_: ArgMax, inputs: list[Tensor], __: Weights) -> Tensor:
    return inputs[0].argmax(1, keepdim=True).to(torch.float32)


def _mirror_pad(node: MirrorPad, inputs: list[Tensor], _: Weights) -> Tensor:
    (x,) = inputs
    for axis, (before, behind) in ((2, (node.pads[0], node.pads[2])), (3, (node.pads[1], node.pads[3]))):
        places = mirrored_places(x.shape[axis], before, behind, node.edge)
        x = x.index_select(axis, torch.from_numpy(places).to(x.device))
    return x


def _rearrange(node: Rearrange, inputs: list[Tensor], _: Weights) -> Tensor:
    (x,) = inputs
    parts = x.reshape(len(x), *node.sizes).permute(0, *(part + 1 for part in node.order))
    return parts.reshape(len(x), *node.shape[1:])


def _join(node: Join, inputs: list[Tensor], _: Weights) -> Tensor:
    count = max(len(x) for x in inputs)
    return torch.cat([x.expand(count, -1, -1, -1) for x in inputs], node.axis)


MOVES: dict[type[AnyNode], Rule] = {
    MaxPool: _max_pool,
    AvgPool: _avg_pool,
    GlobalAvgPool: _global_avg_pool,
    Flatten: _flatten,
    Concat: _concat,
    Slice: _slice,
    Shuffle: _shuffle,
    Pad: _pad,
    Resize: _resize,
    Crop: _crop,
    DepthToSpace: _depth_to_space,
    ChannelMax: _channel_max,
    ArgMax: _arg_max,
    MirrorPad: _mirror_pad,
    Rearrange: _rearrange,
    Join: _join,
}
