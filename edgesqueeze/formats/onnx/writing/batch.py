"""What a file that takes several inputs at once says in another way than one that takes a single one.

A batch of 1 keeps the form that files have always had, to the byte: `.sqz` files are decoded to it.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, ValueInfoProto, helper

from edgesqueeze.formats.batch import repeated
from edgesqueeze.formats.names import Batch
from edgesqueeze.network.graph.nodes import Constant, Graph

OPEN_NAME = "N"
"""What an open batch is called in a file."""
_OPSET_OF_REDUCED_AXES = 18


class BatchWriter(Protocol):
    """What the emitter lends; see ``OnnxWriter``."""

    @property
    def op(self) -> Callable[[str, list[str], str, dict[str, object]], str]:
        """Appends an operator."""
        ...

    @property
    def constant(self) -> Callable[[str, NDArray[Any]], str]:
        """Stores an array."""
        ...

    @property
    def batch(self) -> Batch:
        """How many inputs the file takes at once."""
        ...

    @property
    def opset(self) -> int:
        """The file's version of ONNX's operators."""
        ...


def end_info(name: str, shape: Sequence[int], batch: Batch, kind: int = TensorProto.FLOAT) -> ValueInfoProto:
    """An input or output of a file, of a shape given as [1, …]."""
    first = OPEN_NAME if batch == "open" else batch
    return helper.make_tensor_value_info(name, kind, [first, *shape[1:]])


def target(shape: Sequence[int], batch: Batch) -> NDArray[np.int64]:
    """What a Reshape makes of a value with the batch in front, given as [1, …]; its 0 keeps the batch."""
    return np.array([1 if batch == 1 else 0, *shape[1:]], np.int64)


def reduced(writer: BatchWriter, kind: str, value: str, axes: list[int], output: str) -> str:
    """Append a ReduceMax or ReduceMin that keeps its axes; the name of the result."""
    if writer.opset < _OPSET_OF_REDUCED_AXES:
        return writer.op(kind, [value], output, {"axes": axes, "keepdims": 1})
    stored = writer.constant(f"{output}.axes", np.array(axes, np.int64))
    return writer.op(kind, [value, stored], output, {"keepdims": 1})


def spread(writer: BatchWriter, graph: Graph, node: Constant, stored: str) -> str:
    """A stored map [1, C, height, width], once for every example where it must be; the name of the result."""
    if writer.batch == 1 or node.name not in repeated(graph):
        return stored
    if writer.batch == "open":
        size = writer.op("Shape", [graph.inputs[0].name], f"{node.name}/batch", {"start": 0, "end": 1})
        map_size = writer.constant(f"{node.name}.map", np.array(node.shape[1:], np.int64))
        shape = writer.op("Concat", [size, map_size], f"{node.name}/shape", {"axis": 0})
    else:
        shape = writer.constant(f"{node.name}.shape", np.array((writer.batch, *node.shape[1:]), np.int64))
    return writer.op("Expand", [stored, shape], f"{node.name}/spread", {})
