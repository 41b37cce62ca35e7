"""TFLite files for several inputs at once: for a fixed number, or for any after ``resize_tensor_input``.

Everything is written for one. What names the batch is then changed: the shapes of the tensors that depend on
an input, and those that RESHAPE and TRANSPOSE_CONV are told. An open batch is 1 until the interpreter is told
another; ``shape_signature`` says so at the ends, and LiteRT's shape functions carry it to all other tensors.
"""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgesqueeze.errors import ExportError
from edgesqueeze.formats.batch import without_batch
from edgesqueeze.formats.names import Batch
from edgesqueeze.formats.tflite.flatbuffer import AlignedBuffer, Generated
from edgesqueeze.formats.tflite.writing.maps import TfliteWriter
from edgesqueeze.network.graph.nodes import Concat, Graph, Join

_OP = schema.BuiltinOperator
_SHAPES = {_OP.RESHAPE: 1, _OP.TRANSPOSE_CONV: 0}
"""Operator to where a stored shape with the batch in front is among its inputs."""


def set_batch(model: Generated, batch: Batch) -> None:
    """Make a finished file for one input one for several.

    Raises:
        ExportError: an open batch, and a transposed convolution, whose operator is told the batch.
    """
    graph = model.subgraphs[0]
    dependent = _dependent(graph)
    for index in dependent:
        tensor = graph.tensors[index]
        if batch != "open":
            tensor.shape[0] *= batch
        elif index in graph.inputs or index in graph.outputs:
            tensor.shapeSignature = np.array([-1, *tensor.shape[1:]], np.int32)
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex].builtinCode
        result = graph.tensors[int(operator.outputs[0])]
        if code in _SHAPES and int(operator.outputs[0]) in dependent:
            if code == _OP.TRANSPOSE_CONV and batch == "open":
                layer = str(result.name).removesuffix(".whole").removesuffix(".float")
                raise ExportError(
                    f"layer {layer!r} is a transposed convolution in float, which a TFLite file tells "
                    "its batch; write it with batch: 1 or another number"
                )
            first = result.shape[0] if code == _OP.TRANSPOSE_CONV else -1
            _rewrite(model, operator, _SHAPES[code], int(first))


def _rewrite(model: Generated, operator: Generated, place: int, first: int) -> None:
    """Another first number in a stored shape; minus one stands for what is left."""
    buffer = model.subgraphs[0].tensors[int(operator.inputs[place])].buffer
    shape = np.array([first, *model.buffers[buffer].values[1:]], np.int32)
    model.buffers[buffer] = AlignedBuffer(shape)
    if isinstance(operator.builtinOptions, schema.ReshapeOptionsT):
        operator.builtinOptions.newShape = shape


def _dependent(graph: Generated) -> set[int]:
    """The tensors that depend on an input."""
    found = {int(index) for index in graph.inputs}
    for operator in graph.operators:
        if not found.isdisjoint(int(index) for index in operator.inputs):
            found.update(int(index) for index in operator.outputs)
    return found


def write_concatenation(
    writer: TfliteWriter, graph: Graph, node: Concat | Join, inputs: Sequence[int], output: int
) -> None:
    """Append a concatenation, in a file for several inputs also of what is the same for all of them."""
    axis = (len(node.shape) if isinstance(node, Concat) else node.axis) - 1
    alone = without_batch(graph) if writer.batch != 1 else frozenset()
    parts = [(tensor, name in alone) for tensor, name in zip(inputs, node.inputs, strict=True)]
    if len({is_alone for _, is_alone in parts}) > 1:
        _write_spread(writer, node.name, axis, parts, output)
    else:
        _concatenate(writer, inputs, axis, output)


def _concatenate(writer: TfliteWriter, inputs: Sequence[int], axis: int, output: int) -> None:
    options = schema.ConcatenationOptionsT()
    options.axis = axis
    writer.operator(_OP.CONCATENATION, list(inputs), output, options)


def _write_spread(
    writer: TfliteWriter, node: str, axis: int, parts: Sequence[tuple[int, bool]], output: int
) -> None:
    """Append a concatenation of tensors, of which some are the same for every example, along a file's axis.

    CONCATENATION would need these as often as there are examples; ADD spreads them. So the others leave room
    for them, zeros, and they are added. In int8 all of it is on one grid, where such a sum is exact.
    """
    starts = [0, *accumulate(writer.model.shape(tensor)[axis] for tensor, _ in parts)]
    free = [place for place, (_, alone) in enumerate(parts) if not alone]
    whole, joined, begin = writer.model.shape(output), [], 0
    for place in free:
        end = starts[-1] if place == free[-1] else starts[place + 1]
        room = (starts[place] - begin, end - starts[place + 1])
        joined.append(_with_room(writer, node, axis, parts[place][0], room))
        begin = end
    value = joined[0]
    if len(joined) > 1:
        value = writer.plain(f"{node}.joined", whole, node)
        _concatenate(writer, joined, axis, value)
    spread = [place for place, (_, alone) in enumerate(parts) if alone]
    for place in spread:
        room = (starts[place], starts[-1] - starts[place + 1])
        added = _with_room(writer, node, axis, parts[place][0], room)
        is_last = place == spread[-1]
        result = output if is_last else writer.plain(f"{node}.with_{place}", whole, node)
        writer.operator(_OP.ADD, [value, added], result, schema.AddOptionsT())
        value = result


def _with_room(writer: TfliteWriter, node: str, axis: int, tensor: int, room: tuple[int, int]) -> int:
    """A tensor with zeros before and behind it along an axis."""
    if room == (0, 0):
        return tensor
    shape = list(writer.model.shape(tensor))
    shape[axis] += sum(room)
    amounts = np.zeros((len(shape), 2), np.int32)
    amounts[axis] = room
    name = f"{node}.room_{tensor}"
    result = writer.plain(name, tuple(shape), node)
    operands = [tensor, writer.model.constant(f"{name}.pads", amounts)]
    writer.operator(_OP.PAD, operands, result, schema.PadOptionsT())
    return result
