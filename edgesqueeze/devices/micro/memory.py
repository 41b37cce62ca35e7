"""How much memory the activations of a TFLite file need at once."""

from math import prod
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from edgesqueeze.errors import ExportError

_BYTES = {
    schema.TensorType.FLOAT32: 4,
    schema.TensorType.INT32: 4,
    schema.TensorType.INT64: 8,
    schema.TensorType.INT16: 2,
    schema.TensorType.INT8: 1,
    schema.TensorType.UINT8: 1,
    schema.TensorType.BOOL: 1,
}
ALIGNMENT = 16
"""Of every buffer in the arena of TensorFlow Lite Micro."""


def live_peak(path: Path) -> int:
    """Bytes of the activations that are alive at the worst moment.

    An activation lives from the operator that makes it to the last one that reads it, an output to the end.
    No plan of memory needs less unless operators work in place. Scratch buffers of kernels and what an
    interpreter keeps of tensors and operators come on top.

    Args:
        path: a TFLite file.

    Raises:
        ExportError: it has several subgraphs, or a tensor whose size is not known.
    """
    model: Any = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    if len(model.subgraphs) != 1:
        raise ExportError(f"{path.name} has {len(model.subgraphs)} subgraphs; one is wanted")
    graph = model.subgraphs[0]
    first, last = _lifetimes(graph)
    sizes = {index: _size(path, graph.tensors[index]) for index in first}
    moments = range(len(graph.operators))
    alive = (sum(sizes[i] for i in first if first[i] <= moment <= last[i]) for moment in moments)
    return max(alive, default=0)


def _lifetimes(graph: Any) -> tuple[dict[int, int], dict[int, int]]:
    """Of every activation, the operators that make it and that read it last."""
    first = {int(index): 0 for index in graph.inputs}
    last: dict[int, int] = {}
    for moment, operator in enumerate(graph.operators):
        first |= {int(index): moment for index in operator.outputs}
        last |= {int(index): moment for index in (*operator.inputs, *operator.outputs) if index in first}
    last |= {int(index): len(graph.operators) for index in graph.outputs}
    return first, {index: last.get(index, first[index]) for index in first}


def _size(path: Path, tensor: Any) -> int:
    signature = tensor.shapeSignature if tensor.shapeSignature is not None else ()
    if tensor.type not in _BYTES or any(size < 0 for size in (*tensor.shape, *signature)):
        raise ExportError(f"{path.name}: the size of {tensor.name.decode()} is not known")
    size = prod(int(n) for n in tensor.shape) * _BYTES[tensor.type]
    return -(-size // ALIGNMENT) * ALIGNMENT
