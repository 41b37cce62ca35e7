"""The TFLite operators of nodes without weights that need constants or several operators."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgesqueeze.formats.names import Batch
from edgesqueeze.formats.tflite.flatbuffer import FlatModel, Generated, Quantization
from edgesqueeze.network.graph.nodes import (
    AnyNode,
    ArgMax,
    ChannelMax,
    Crop,
    DepthToSpace,
    MirrorPad,
    Pad,
    Resize,
    Shuffle,
    Slice,
)

_OP = schema.BuiltinOperator


class TfliteWriter(Protocol):
    """What the emitter lends: the file, tensors of computed values (shape as NCHW), and operators."""

    batch: Batch
    model: FlatModel

    def computed(self, name: str, shape: tuple[int, ...], grid_of: str) -> int:
        """Add a tensor on a node's grid; its index."""
        ...

    def plain(self, name: str, shape: tuple[int, ...], grid_of: str) -> int:
        """Add a tensor of a shape given as the file has it, on a node's grid; its index."""
        ...

    def grid(self, name: str) -> Quantization | None:
        """The grid of a node's output in an int8 file."""
        ...

    def operator(self, code: int, inputs: list[int], output: int, options: Generated) -> None:
        """Append an operator."""
        ...


def write_map(writer: TfliteWriter, node: AnyNode, source: int, output: int) -> None:
    """Append a node's operators from one tensor to another."""
    MAPS[type(node)](writer, node, source, output)


def _slice(writer: TfliteWriter, node: Slice, source: int, output: int) -> None:
    channels, *area = node.shape[1:]
    start = [0, *[0] * len(area), node.start]
    write_slice(writer, node.name, start, [1, *area, channels], source, output)


def _pad(writer: TfliteWriter, node: Pad, source: int, output: int) -> None:
    top, left, bottom, right = node.pads
    amounts = _indices(writer, f"{node.name}.pads", [[0, 0], [top, bottom], [left, right], [0, 0]])
    writer.operator(_OP.PAD, [source, amounts], output, schema.PadOptionsT())


def _crop(writer: TfliteWriter, node: Crop, source: int, output: int) -> None:
    channels, *area = node.shape[1:]
    write_slice(writer, node.name, [0, *node.pads[:2], 0], [1, *area, channels], source, output)


def _indices(writer: TfliteWriter, name: str, values: list[int] | list[list[int]]) -> int:
    return writer.model.constant(name, np.array(values, np.int32))


def write_slice(
    writer: TfliteWriter, name: str, start: list[int], size: list[int], source: int, output: int
) -> None:
    """Append a slice; ``start`` and ``size`` are in the file's order of axes.

    A file for several inputs has another operator: LiteRT's SLICE keeps to the shape it was written with.
    """
    if writer.batch != 1:
        stop = [first + count for first, count in zip(start, size, strict=True)]
        named = {"start": start, "stop": stop, "steps": [1] * len(start)}
        ends = [_indices(writer, f"{name}.{label}", numbers) for label, numbers in named.items()]
        options = schema.StridedSliceOptionsT()
        options.beginMask = options.endMask = 1  # all of the first axis
        writer.operator(_OP.STRIDED_SLICE, [source, *ends], output, options)
        return
    ends = [_indices(writer, f"{name}.start", start), _indices(writer, f"{name}.size", size)]
    writer.operator(_OP.SLICE, [source, *ends], output, schema.SliceOptionsT())


def _depth_to_space(writer: TfliteWriter, node: DepthToSpace, source: int, output: int) -> None:
    """One operator for a square block; else block height and W swapped in [H, W, block height, rest]."""
    high, wide = node.block
    if high == wide:
        options = schema.DepthToSpaceOptionsT()
        options.blockSize = high
        writer.operator(_OP.DEPTH_TO_SPACE, [source], output, options)
        return
    channels, rows, columns = node.shape[1], node.shape[2] // high, node.shape[3] // wide
    grid, each = node.inputs[0], wide * channels
    grouped = writer.computed(f"{node.name}.groups", (rows, each, columns, high), grid)
    swapped = writer.computed(f"{node.name}.swapped", (rows, each, high, columns), grid)
    _reshape(writer, source, grouped, [rows, columns, high, each])
    order = _indices(writer, f"{node.name}.order", [0, 2, 1, 3])
    writer.operator(_OP.TRANSPOSE, [grouped, order], swapped, schema.TransposeOptionsT())
    _reshape(writer, swapped, output, [1, *node.shape[2:], channels])


def _resize(writer: TfliteWriter, node: Resize, source: int, output: int) -> None:
    size = _indices(writer, f"{node.name}.size", list(node.size))
    if node.mode == "nearest":
        nearest = schema.ResizeNearestNeighborOptionsT()
        writer.operator(_OP.RESIZE_NEAREST_NEIGHBOR, [source, size], output, nearest)
        return
    options = schema.ResizeBilinearOptionsT()
    options.halfPixelCenters = node.mode == "bilinear"
    options.alignCorners = node.mode == "bilinear_corners"
    writer.operator(_OP.RESIZE_BILINEAR, [source, size], output, options)


def _shuffle(writer: TfliteWriter, node: Shuffle, source: int, output: int) -> None:
    """[H·W, groups, C / groups] with the last two swapped; XNNPACK has a kernel for that."""
    channels, rows, columns = node.shape[1:]
    groups, each, area = node.groups, channels // node.groups, rows * columns
    grid = node.inputs[0]
    grouped = writer.computed(f"{node.name}.groups", (1, each, area, groups), grid)
    swapped = writer.computed(f"{node.name}.swapped", (1, groups, area, each), grid)
    _reshape(writer, source, grouped, [1, area, groups, each])
    order = _indices(writer, f"{node.name}.order", [0, 1, 3, 2])
    writer.operator(_OP.TRANSPOSE, [grouped, order], swapped, schema.TransposeOptionsT())
    _reshape(writer, swapped, output, [1, rows, columns, channels])


def _reshape(writer: TfliteWriter, source: int, output: int, shape: list[int]) -> None:
    options = schema.ReshapeOptionsT()
    options.newShape = np.array(shape, np.int32)
    constant = _indices(writer, "shape_" + "_".join(str(n) for n in shape), shape)
    writer.operator(_OP.RESHAPE, [source, constant], output, options)


def _arg_max(writer: TfliteWriter, node: ArgMax, source: int, output: int) -> None:
    """Whole numbers, which become floats and, in an int8 file, integers of a grid."""
    shape = writer.model.shape(source)
    options = schema.ArgMaxOptionsT()
    options.outputType = schema.TensorType.INT32
    axis = _indices(writer, f"{node.name}.axis", [len(shape) - 1])
    places = writer.model.tensor(f"{node.name}.places", shape[:-1], "int32")
    writer.operator(_OP.ARG_MAX, [source, axis], places, options)
    wide = writer.model.tensor(f"{node.name}.wide", (*shape[:-1], 1), "int32")
    _reshape(writer, places, wide, [*shape[:-1], 1])
    cast = schema.CastOptionsT()
    cast.inDataType, cast.outDataType = schema.TensorType.INT32, schema.TensorType.FLOAT32
    if writer.grid(node.name) is None:
        writer.operator(_OP.CAST, [wide], output, cast)
        return
    real = writer.model.tensor(f"{node.name}.float", (*shape[:-1], 1), "float32")
    writer.operator(_OP.CAST, [wide], real, cast)
    writer.operator(_OP.QUANTIZE, [real], output, schema.QuantizeOptionsT())


def _channel_max(writer: TfliteWriter, node: ChannelMax, source: int, output: int) -> None:
    options = schema.ReducerOptionsT()
    options.keepDims = True
    axis = _indices(writer, f"{node.name}.axis", [3])
    writer.operator(_OP.REDUCE_MAX, [source, axis], output, options)


def _mirror_pad(writer: TfliteWriter, node: MirrorPad, source: int, output: int) -> None:
    top, left, bottom, right = node.pads
    amounts = _indices(writer, f"{node.name}.pads", [[0, 0], [top, bottom], [left, right], [0, 0]])
    options = schema.MirrorPadOptionsT()
    modes = {"reflect": schema.MirrorPadMode.REFLECT, "symmetric": schema.MirrorPadMode.SYMMETRIC}
    options.mode = modes[node.edge]
    writer.operator(_OP.MIRROR_PAD, [source, amounts], output, options)


MAPS: dict[type[AnyNode], Callable[[TfliteWriter, Any, int, int], None]] = {
    ArgMax: _arg_max,
    ChannelMax: _channel_max,
    Crop: _crop,
    DepthToSpace: _depth_to_space,
    MirrorPad: _mirror_pad,
    Pad: _pad,
    Resize: _resize,
    Shuffle: _shuffle,
    Slice: _slice,
}
"""The kinds of node that are written here."""
