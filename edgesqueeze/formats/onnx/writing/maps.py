"""The ONNX operators of nodes without weights that need constants or several operators."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from edgesqueeze.formats.names import Batch
from edgesqueeze.formats.onnx.writing.batch import reduced, target
from edgesqueeze.formats.onnx.writing.functions import write_function
from edgesqueeze.network.graph.nodes import (
    AnyNode,
    ArgMax,
    ChannelMax,
    Crop,
    DepthToSpace,
    Graph,
    GroupNorm,
    LayerNorm,
    MatMul,
    MaxPool,
    MirrorPad,
    Pad,
    Pointwise,
    Rearrange,
    Resize,
    Shuffle,
    Slice,
    bias_name,
    weight_name,
)

_NEXT_TO_ZERO = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class OnnxWriter:
    """What the emitter lends.

    ``op`` appends an operator (kind, inputs, output, attributes), ``constant`` stores an array under a name,
    ``settle`` brings a value onto a node's grid in an int8 file (node, value, name). All return the name of
    their result. ``batch`` and ``opset`` are those of the file.
    """

    op: Callable[[str, list[str], str, dict[str, object]], str]
    constant: Callable[[str, NDArray[Any]], str]
    settle: Callable[[str, str, str], str]
    batch: Batch
    opset: int

    def shape(self, name: str, shape: Sequence[int]) -> str:
        """Store what a Reshape makes of a value with the batch in front, given as [1, …]."""
        return self.constant(name, target(shape, self.batch))


def write_map(writer: OnnxWriter, graph: Graph, node: AnyNode, value: str) -> str:
    """Append a node's operators; the name of the result."""
    return MAPS[type(node)](writer, graph, node, value)


def _slice(writer: OnnxWriter, _: Graph, node: Slice, value: str) -> str:
    ends = [
        writer.constant(f"{node.name}.{name}", np.array([n], np.int64))
        for name, n in (("start", node.start), ("stop", node.stop), ("axis", 1))
    ]
    return writer.op("Slice", [value, *ends], f"{node.name}/raw", {})


def _pad(writer: OnnxWriter, graph: Graph, node: Pad, value: str) -> str:
    top, left, bottom, right = node.pads
    amounts = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    inputs = [value, writer.constant(f"{node.name}.pads", amounts)]
    if any(isinstance(user, MaxPool) for user in graph.users(node.name)):
        # ONNX Runtime takes zeros into the pooling, which then takes them for minus infinity
        inputs.append(writer.constant(f"{node.name}.value", np.array(_NEXT_TO_ZERO, np.float32)))
    return writer.op("Pad", inputs, f"{node.name}/raw", {})


def _pointwise(writer: OnnxWriter, _: Graph, node: Pointwise, value: str) -> str:
    return write_function(writer.op, writer.constant, node, value)


def _crop(writer: OnnxWriter, graph: Graph, node: Crop, value: str) -> str:
    rows, columns = graph.source(node).shape[2:]
    top, left, bottom, right = node.pads
    ends = [
        writer.constant(f"{node.name}.{name}", np.array(pair, np.int64))
        for name, pair in (
            ("start", (top, left)),
            ("stop", (rows - bottom, columns - right)),
            ("axes", (2, 3)),
        )
    ]
    return writer.op("Slice", [value, *ends], f"{node.name}/raw", {})


def _depth_to_space(writer: OnnxWriter, graph: Graph, node: DepthToSpace, value: str) -> str:
    high, wide = node.block
    if high == wide:
        return writer.op("DepthToSpace", [value], f"{node.name}/raw", {"blocksize": high, "mode": "DCR"})
    source = graph.source(node)
    split, order = [high, wide, node.shape[1], *source.shape[2:]], [2, 3, 0, 4, 1]
    stored = np.array(split, np.int64)
    if writer.batch != 1:
        stored, order = target([1, *split], writer.batch), [0, *(axis + 1 for axis in order)]
    value = writer.op(
        "Reshape", [value, writer.constant(f"{node.name}.split", stored)], f"{node.name}/groups", {}
    )
    value = writer.settle(source.name, value, f"{node.name}/groups")
    value = writer.op("Transpose", [value], f"{node.name}/swapped", {"perm": order})
    value = writer.settle(source.name, value, f"{node.name}/swapped")
    shape = writer.shape(f"{node.name}.shape", node.shape)
    return writer.op("Reshape", [value, shape], f"{node.name}/raw", {})


def _layer_norm(writer: OnnxWriter, graph: Graph, node: LayerNorm, value: str) -> str:
    """Over the last axis, which is what the operator knows: transposed before and behind for a map."""
    parameters = [
        writer.constant(name(node), values)
        for name, values in ((weight_name, graph.weight(node)), (bias_name, graph.bias(node)))
    ]
    attributes: dict[str, object] = {"axis": -1, "epsilon": node.epsilon}
    if len(node.shape) == 2:
        return writer.op("LayerNormalization", [value, *parameters], f"{node.name}/raw", attributes)
    value = writer.op("Transpose", [value], f"{node.name}/last", {"perm": [0, 2, 3, 1]})
    value = writer.op("LayerNormalization", [value, *parameters], f"{node.name}/norm", attributes)
    return writer.op("Transpose", [value], f"{node.name}/raw", {"perm": [0, 3, 1, 2]})


def _resize(writer: OnnxWriter, graph: Graph, node: Resize, value: str) -> str:
    places = "align_corners" if node.mode == "bilinear_corners" else "half_pixel"
    attributes: dict[str, object] = {"mode": "linear", "coordinate_transformation_mode": places}
    if node.mode == "nearest":
        attributes = {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        }
    inputs = [value, "", *_new_size(writer, graph, node, value)]
    return writer.op("Resize", inputs, f"{node.name}/raw", attributes)


def _new_size(writer: OnnxWriter, graph: Graph, node: Resize, value: str) -> list[str]:
    """The factors of a Resize; or none of them, and the size."""
    if writer.batch == 1:
        return ["", writer.constant(f"{node.name}.size", np.array(node.shape, np.int64))]
    source = np.array(graph.source(node).shape[2:], np.float32)
    factors = np.array(node.size, np.float32) / source  # as ONNX Runtime divides, given the size
    if np.array_equal((factors * source).astype(np.int64), node.size):
        return [writer.constant(f"{node.name}.factors", np.array([1, 1, *factors], np.float32))]
    count = writer.op("Shape", [value], f"{node.name}/batch", {"start": 0, "end": 1})
    size = writer.constant(f"{node.name}.size", np.array(node.shape[1:], np.int64))
    return ["", writer.op("Concat", [count, size], f"{node.name}/size", {"axis": 0})]


def _shuffle(writer: OnnxWriter, graph: Graph, node: Shuffle, value: str) -> str:
    channels, area = node.shape[1], prod(node.shape[2:])
    source = graph.source(node).name
    shape = writer.shape(f"{node.name}.grouped", (1, node.groups, channels // node.groups, area))
    value = writer.op("Reshape", [value, shape], f"{node.name}/groups", {})
    value = writer.settle(source, value, f"{node.name}/groups")
    value = writer.op("Transpose", [value], f"{node.name}/swapped", {"perm": [0, 2, 1, 3]})
    value = writer.settle(source, value, f"{node.name}/swapped")
    shape = writer.shape(f"{node.name}.shape", node.shape)
    return writer.op("Reshape", [value, shape], f"{node.name}/raw", {})


def _arg_max(writer: OnnxWriter, _: Graph, node: ArgMax, value: str) -> str:
    places = writer.op("ArgMax", [value], f"{node.name}/places", {"axis": 1, "keepdims": 1})
    return writer.op("Cast", [places], f"{node.name}/raw", {"to": int(TensorProto.FLOAT)})


def _channel_max(writer: OnnxWriter, _: Graph, node: ChannelMax, value: str) -> str:
    return reduced(writer, "ReduceMax", value, [1], f"{node.name}/raw")


def _mirror_pad(writer: OnnxWriter, graph: Graph, node: MirrorPad, value: str) -> str:
    """A reflection; a symmetric one by the operator for edges where a single value is repeated."""
    del graph
    top, left, bottom, right = node.pads
    amounts = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    stored = writer.constant(f"{node.name}.pads", amounts)
    mode = "reflect" if node.edge == "reflect" else "edge"
    return writer.op("Pad", [value, stored], f"{node.name}/raw", {"mode": mode})


def _group_norm(writer: OnnxWriter, graph: Graph, node: GroupNorm, value: str) -> str:
    """Groups as the channels of an instance norm, then a factor and an offset per channel."""
    name, groups = node.name, node.groups
    shape = writer.shape(f"{name}.groups", (1, groups, -1))
    value = writer.op("Reshape", [value, shape], f"{name}/groups", {})
    plain = [
        writer.constant(f"{name}.{label}", np.full(groups, number, np.float32))
        for label, number in (("ones", 1.0), ("zeros", 0.0))
    ]
    value = writer.op("InstanceNormalization", [value, *plain], f"{name}/norm", {"epsilon": node.epsilon})
    shape = writer.shape(f"{name}.shape", node.shape)
    value = writer.op("Reshape", [value, shape], f"{name}/map", {})
    weight, bias = (
        writer.constant(label(node), stored.reshape(-1, 1, 1))
        for label, stored in ((weight_name, graph.weight(node)), (bias_name, graph.bias(node)))
    )
    value = writer.op("Mul", [value, weight], f"{name}/scaled", {})
    return writer.op("Add", [value, bias], f"{name}/raw", {})


def write_mat_mul(writer: OnnxWriter, node: MatMul, values: list[str]) -> str:
    """Matrices as the last two axes, multiplied, and channels first again; all of it on the grids."""
    order = {"channels": [0, 2, 1, 3], "width": [0, 2, 3, 1]}[node.along]
    factors = []
    for value, source, side, perm in zip(
        values, node.inputs, ("left", "right"), ([0, 2, 3, 1], order), strict=True
    ):
        moved = writer.op("Transpose", [value], f"{node.name}/{side}", {"perm": perm})
        factors.append(writer.settle(source, moved, f"{node.name}/{side}"))
    product = writer.op("MatMul", factors, f"{node.name}/product", {})
    product = writer.settle(node.name, product, f"{node.name}/product")
    return writer.op("Transpose", [product], f"{node.name}/raw", {"perm": [0, 3, 1, 2]})


def _rearrange(writer: OnnxWriter, graph: Graph, node: Rearrange, value: str) -> str:
    """Reshape, Transpose, Reshape; what changes nothing is left out."""
    source = graph.source(node)
    steps: list[tuple[str, tuple[int, ...]]] = []
    if node.order != tuple(sorted(node.order)):
        split = (1, *node.sizes)
        swapped = tuple(node.sizes[part] for part in node.order)
        steps += [("parts", split)] if split != source.shape else []
        steps += [("swapped", (0, *(part + 1 for part in node.order)))]
        steps += [("shape", node.shape)] if (1, *swapped) != node.shape else []
    else:
        steps += [("shape", node.shape)]
    for place, (label, numbers) in enumerate(steps):
        output = f"{node.name}/raw" if place == len(steps) - 1 else f"{node.name}/{label}"
        if label == "swapped":
            value = writer.op("Transpose", [value], output, {"perm": list(numbers)})
        else:
            value = writer.op("Reshape", [value, writer.shape(f"{node.name}.{label}", numbers)], output, {})
        if place < len(steps) - 1:
            value = writer.settle(source.name, value, output)
    return value


MAPS: dict[type[AnyNode], Callable[[OnnxWriter, Graph, Any, str], str]] = {
    Crop: _crop,
    ArgMax: _arg_max,
    ChannelMax: _channel_max,
    DepthToSpace: _depth_to_space,
    GroupNorm: _group_norm,
    MirrorPad: _mirror_pad,
    LayerNorm: _layer_norm,
    Pad: _pad,
    Pointwise: _pointwise,
    Rearrange: _rearrange,
    Resize: _resize,
    Shuffle: _shuffle,
    Slice: _slice,
}
"""The kinds of node that are written here."""
