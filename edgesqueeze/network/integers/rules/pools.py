"""Integer rules of the nodes that summarize windows of a map."""

from math import prod

import numpy as np

from edgesqueeze.network.graph.nodes import AnyNode, ArgMax, ChannelMax, GlobalAvgPool, MaxPool
from edgesqueeze.network.integers.grid import QMIN, ActivationQuant
from edgesqueeze.network.integers.rules.rule import Int8s, Rule, Setting, pad, requantize, saturate
from edgesqueeze.network.integers.rules.windows import windows_of


def _max_pool(node: MaxPool, inputs: list[Int8s], _: Setting) -> Int8s:
    padded = pad(inputs[0].astype(np.int16), node.pads, QMIN)
    windows = windows_of(padded, node.kernel, node.stride, (1, 1))[:, :, : node.shape[2], : node.shape[3]]
    return np.asarray(windows.max(axis=(4, 5)), np.int8)


def _global_avg_pool(node: GlobalAvgPool, inputs: list[Int8s], setting: Setting) -> Int8s:
    mean = _mean if setting.sums == "xnnpack" else _mean_centred
    return mean(inputs[0], setting.grids(node)[0], setting.out(node))


def _mean(q: Int8s, source: ActivationQuant, out: ActivationQuant) -> Int8s:
    """XNNPACK's mean: the zero point is subtracted behind the product, everything rounded to float32."""
    count = np.float32(prod(q.shape[2:]))
    multiplier = np.float32(source.scale) / np.float32(out.scale) * (np.float32(1) / count)
    offset = np.float32(out.zero_point) - np.float32(source.zero_point) * count * multiplier
    total = q.astype(np.int64).sum(axis=(2, 3), keepdims=True).astype(np.float32)
    return saturate(np.rint(total * multiplier + offset))


def _mean_centred(q: Int8s, source: ActivationQuant, out: ActivationQuant) -> Int8s:
    """ONNX Runtime's mean: the zero point is subtracted from the sum, exactly."""
    count = prod(q.shape[2:])
    total = q.astype(np.int64).sum(axis=(2, 3), keepdims=True) - source.zero_point * count
    multiplier = np.float32(source.scale) / (np.float32(count) * np.float32(out.scale))
    return requantize(total.astype(np.float64), multiplier, out, "none")


def _channel_max(_: ChannelMax, inputs: list[Int8s], __: Setting) -> Int8s:
    return np.asarray(inputs[0].max(axis=1, keepdims=True), np.int8)


def _arg_max(_: ArgMax, inputs: list[Int8s], __: Setting) -> Int8s:
    """The number of the first of the largest, on the grid of whole numbers from 0 on."""
    return np.asarray(inputs[0].argmax(axis=1, keepdims=True) + QMIN, np.int8)


POOLS: dict[type[AnyNode], Rule] = {
    MaxPool: _max_pool,
    ChannelMax: _channel_max,
    ArgMax: _arg_max,
    GlobalAvgPool: _global_avg_pool,
}
