"""The ONNX operators of nodes without weights that need constants or several operators."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.graph.nodes import Graph, Pad, Pointwise, Resize, Shuffle, Slice

MapNode = Pad | Pointwise | Resize | Shuffle | Slice
_SIXTH = 1 / 6


@dataclass(frozen=True)
class OnnxWriter:
    """What the emitter lends.

    ``op`` appends an operator (kind, inputs, output, attributes), ``constant`` stores an array under a name,
    ``settle`` brings a value onto a node's grid in an int8 file (node, value, name). All return the name of
    their result.
    """

    op: Callable[[str, list[str], str, dict[str, object]], str]
    constant: Callable[[str, NDArray[Any]], str]
    settle: Callable[[str, str, str], str]


def write_map(writer: OnnxWriter, graph: Graph, node: MapNode, value: str) -> str:
    """Append a node's operators; the name of the result."""
    result = f"{node.name}/raw"
    match node:
        case Slice():
            ends = [
                writer.constant(f"{node.name}.{name}", np.array([n], np.int64))
                for name, n in (("start", node.start), ("stop", node.stop), ("axis", 1))
            ]
            return writer.op("Slice", [value, *ends], result, {})
        case Pad():
            top, left, bottom, right = node.pads
            amounts = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
            return writer.op("Pad", [value, writer.constant(f"{node.name}.pads", amounts)], result, {})
        case Resize():
            return _resize(writer, node, value)
        case Shuffle():
            return _shuffle(writer, graph, node, value)
        case Pointwise():
            return _pointwise(writer, node, value)


def _resize(writer: OnnxWriter, node: Resize, value: str) -> str:
    size = writer.constant(f"{node.name}.size", np.array(node.shape, np.int64))
    attributes: dict[str, object] = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    if node.mode == "nearest":
        attributes = {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        }
    return writer.op("Resize", [value, "", "", size], f"{node.name}/raw", attributes)


def _shuffle(writer: OnnxWriter, graph: Graph, node: Shuffle, value: str) -> str:
    channels, area = node.shape[1], prod(node.shape[2:])
    source = graph.source(node).name
    grouped = np.array([1, node.groups, channels // node.groups, area], np.int64)
    shape = writer.constant(f"{node.name}.grouped", grouped)
    value = writer.op("Reshape", [value, shape], f"{node.name}/groups", {})
    value = writer.settle(source, value, f"{node.name}/groups")
    value = writer.op("Transpose", [value], f"{node.name}/swapped", {"perm": [0, 2, 1, 3]})
    value = writer.settle(source, value, f"{node.name}/swapped")
    shape = writer.constant(f"{node.name}.shape", np.array(node.shape, np.int64))
    return writer.op("Reshape", [value, shape], f"{node.name}/raw", {})


def _pointwise(writer: OnnxWriter, node: Pointwise, value: str) -> str:
    result = f"{node.name}/raw"
    match node.function:
        case "sigmoid":
            return writer.op("Sigmoid", [value], result, {})
        case "hardsigmoid":
            return writer.op("HardSigmoid", [value], result, {"alpha": _SIXTH, "beta": 0.5})
        case "hardswish":
            return writer.op("HardSwish", [value], result, {})
        case "silu":
            gate = writer.op("Sigmoid", [value], f"{node.name}/gate", {})
            return writer.op("Mul", [value, gate], result, {})
