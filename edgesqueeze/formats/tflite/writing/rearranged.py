"""Values in another order and shape in TFLite: only the operators that the order in the file needs."""

from dataclasses import dataclass
from math import prod

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgesqueeze.formats.tflite.order import IN_PLACE
from edgesqueeze.formats.tflite.writing.maps import TfliteWriter
from edgesqueeze.network.graph.nodes import Rearrange

_OP = schema.BuiltinOperator
_MOST_AXES = 6
"""More XNNPACK does not take, nor do LiteRT's own kernels."""


@dataclass(frozen=True)
class Moves:
    """What a file has to do: split into a shape, and put its axes in an order; None where values stay."""

    shape: tuple[int, ...]
    order: tuple[int, ...] | None


def moves_of(node: Rearrange, source: tuple[int, ...]) -> Moves:
    """The moves of a node between NHWC maps, with parts that stay together joined.

    Args:
        node: what is to be moved.
        source: the shape that it reads, as the graph has it.
    """
    before = _channels_last(_parts_by_axis(node.sizes, source))
    left = iter(node.order)
    after = _channels_last([[next(left) for _ in range(count)] for count in node.groups])
    groups: list[list[int]] = []
    places = {part: place for place, part in enumerate(before)}
    for part in after:
        if groups and places[part] == places[groups[-1][-1]] + 1:
            groups[-1].append(part)
        else:
            groups.append([part])
    if len(groups) <= 1:
        return Moves((), None)
    ordered = sorted(groups, key=lambda group: places[group[0]])
    shape = tuple(prod(node.sizes[part] for part in group) for group in ordered)
    return Moves(shape, tuple(ordered.index(group) for group in groups))


def write_rearranged(
    writer: TfliteWriter, node: Rearrange, source_shape: tuple[int, ...], source: int, output: int
) -> None:
    """Append a RESHAPE, or one, a TRANSPOSE and another where values have to move."""
    moves, final = moves_of(node, source_shape), writer.model.shape(output)
    if writer.batch != 1 and moves.order is not None and moves.order[0] != 0:
        moves = Moves((1, *moves.shape), (0, *(axis + 1 for axis in moves.order)))
    if moves.order is None:
        _reshape(writer, f"{node.name}{IN_PLACE}", source, output, final)
        return
    steps, name = steps_of(moves), node.name
    for number, (shape, order) in enumerate(steps):
        result = tuple(shape[axis] for axis in order)
        if writer.model.shape(source) != shape:
            split = writer.plain(f"{name}.groups", shape, node.inputs[0])
            _reshape(writer, f"{name}.split", source, split, shape)
            source = split
        is_last = number == len(steps) - 1 and final == result
        swapped = output if is_last else writer.plain(f"{name}.swapped", result, node.inputs[0])
        places = writer.model.constant(f"{name}.order", np.array(order, np.int32))
        writer.operator(_OP.TRANSPOSE, [source, places], swapped, schema.TransposeOptionsT())
        source, name = swapped, f"{name}.swapped"
    if source != output:
        _reshape(writer, f"{node.name}.shape", source, output, final)


def steps_of(moves: Moves) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Shapes and orders of the transpositions, one after the other, that a runtime has axes enough for.

    Of too many axes one step brings a single one to its place: it changes places with those before it that
    come later, all other axes stay together.
    """
    assert moves.order is not None
    if len(moves.shape) <= _MOST_AXES:
        return [(moves.shape, moves.order)]
    found: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    left = list(range(len(moves.shape)))
    for place, axis in enumerate(moves.order):
        now = left.index(axis)
        if now != place:
            parts = (left[:place], left[place:now], [axis], left[now + 1 :])
            shape = tuple(prod(moves.shape[a] for a in part) for part in parts)
            found.append((shape, (0, 2, 1, 3)))
            left = [*parts[0], axis, *parts[1], *parts[3]]
    return found


def _reshape(writer: TfliteWriter, name: str, source: int, output: int, shape: tuple[int, ...]) -> None:
    options = schema.ReshapeOptionsT()
    options.newShape = np.array(shape, np.int32)
    constant = writer.model.constant(name, options.newShape)
    writer.operator(_OP.RESHAPE, [source, constant], output, options)


def _parts_by_axis(sizes: tuple[int, ...], shape: tuple[int, ...]) -> list[list[int]]:
    """The parts of every axis behind the batch."""
    found, place = [], 0
    for length in shape[1:]:
        parts, left = [], length
        while left > 1:
            parts.append(place)
            left //= sizes[place]
            place += 1
        found.append(parts)
    return found


def _channels_last(axes: list[list[int]]) -> list[int]:
    """The parts in the order of a file: maps are NHWC, everything else as in the graph."""
    ordered = [*axes[1:], axes[0]] if len(axes) == 3 else axes
    return [part for parts in ordered for part in parts]
