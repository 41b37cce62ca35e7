"""The graph section of a .sqz file of version 2: rows of numbers, then the names.

A row is kind, inputs, numbers as in docs/format.md; inputs count backwards (1 is the node just before).
Kernels and channels of weighted nodes are left out, since the file says the shapes of all weights. Behind the
names stand, if there are any, the layers that use the weights of another, outputs other than the one of the
last node, and how pixels become the input.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from struct import Struct

from edgesqueeze.coding.byte_reader import ByteReader, encode_varint
from edgesqueeze.errors import CorruptFileError
from edgesqueeze.formats.sqz.structure import FIELDS, KINDS, WORDS, float_bits
from edgesqueeze.network.graph.check import check_structure, complete_shapes
from edgesqueeze.network.graph.node_json import parameter_count, structure_from_json
from edgesqueeze.network.graph.nodes import NODE_KINDS, AnyNode, Graph, Output, Pointwise
from edgesqueeze.network.graph.nodes.node import Parametric
from edgesqueeze.normalization import Normalization, normalization_from

Shape = tuple[int, ...]
Row = tuple[list[int], dict[str, object]]
"""The places of the nodes it reads, and its fields."""
_RANKS = {name: kind.weight_rank for name, kind in NODE_KINDS.items() if issubclass(kind, Parametric)}
"""The dimensions of a node's weight."""
_FROM_WEIGHTS = ("channels", "kernel")
_FLOAT, _BITS = Struct("<f"), Struct("<I")
_SHARED, _OUTPUT = "shared", "output"
"""How a line behind the names begins."""
_DIGITS = 9


def encode_graph(graph: Graph) -> bytes:
    """The bytes of the section.

    Raises:
        CodecError: nodes that do not fit together.
    """
    nodes = graph.nodes
    check_structure(nodes, graph.outputs)
    places = {node.name: place for place, node in enumerate(nodes)}
    numbers = [len(nodes)]
    for place, node in enumerate(nodes):
        numbers += _row(node, [place - places[name] for name in node.inputs])
    shared = [(node.name, node.weights_of) for node in graph.parametric if node.weights_of]
    lines = [node.name for node in nodes]
    lines += [f"{_SHARED} {places[name]} {places[owner]}" for name, owner in shared]
    if graph.outputs != (Output("output", nodes[-1].name),):
        lines += [f"{_OUTPUT} {places[output.node]} {output.name}" for output in graph.outputs]
    if graph.normalization is not None:
        lines.append(graph.normalization.text())
    names = "".join(f"{line}\n" for line in lines)
    return b"".join(encode_varint(number) for number in numbers) + names.encode("utf-8")


def decode_graph(data: bytes, shapes: Sequence[Shape]) -> Graph:
    """The graph without tensors, checked to fit together and to have weights of these shapes, in their order.

    Raises:
        CodecError: the bytes are no graph, or not one with such weights.
    """
    reader = ByteReader(data)
    count = reader.varint()
    if count > reader.remaining:
        raise CorruptFileError(f"{count} nodes are claimed in {reader.remaining} bytes")
    rows = [_read_row(reader, place) for place in range(count)]
    lines = _lines(bytes(reader.take(reader.remaining)), count)
    names, extras = lines[:count], _extras(lines[count:], count)
    items = [
        {**row, "name": name, "inputs": [names[place] for place in inputs]}
        for (inputs, row), name in zip(rows, names, strict=True)
    ]
    _add_weights(items, shapes, extras.owners)
    nodes = complete_shapes(structure_from_json(items))
    outputs = tuple(Output(name, names[place]) for place, name in extras.outputs)
    check_structure(nodes, outputs)
    return Graph(nodes, {}, outputs, normalization=extras.normalization)


def _add_weights(
    items: Sequence[dict[str, object]], shapes: Sequence[Shape], owners: Mapping[int, int]
) -> None:
    """Give the rows what follows from the shapes of the weights; owners come before those that use theirs."""
    left, shape_at = iter(shapes), dict[int, Shape]()
    for place, item in enumerate(items):
        kind = str(item["kind"])
        if kind not in _RANKS:
            continue
        shape = next(left, None) if place not in owners else shape_at.get(owners[place])
        item |= _from_weight(kind, place, shape)
        if place in owners:
            item["weights_of"] = items[owners[place]]["name"]
        elif shape is not None:
            shape_at[place] = shape
    if next(left, None) is not None:
        raise CorruptFileError("the file has weights of more layers than the graph")


def _row(node: AnyNode, distances: list[int]) -> list[int]:
    kind = type(node).__name__
    row = [KINDS.index(kind)]
    if kind == "Input":
        return [*row, len(node.shape), *node.shape]
    row += [len(distances), *distances] if node.arity is None else distances
    for field, width in _fields(kind).items():
        if field in WORDS:
            row.append(WORDS[field].index(getattr(node, field)))
        elif field == "epsilon":
            row += _BITS.unpack(_FLOAT.pack(getattr(node, field)))
        elif width == 1:
            row.append(getattr(node, field))
        else:
            row += [] if width else [len(getattr(node, field))]
            row.extend(getattr(node, field))
    if isinstance(node, Pointwise):
        row += float_bits(node.parameters)
    return row


def _fields(kind: str) -> dict[str, int]:
    """The numbers of a row and how wide they are, without those that weights tell."""
    return {
        field: width
        for field, width in FIELDS[kind].items()
        if kind not in _RANKS or field not in _FROM_WEIGHTS
    }


def _read_row(reader: ByteReader, place: int) -> Row:
    """A row as structure_from_json wants it, but for its name and what its weight tells."""
    number = reader.varint()
    if number >= len(KINDS):
        raise CorruptFileError(f"node {place} is of kind {number}; known are 0 to {len(KINDS) - 1}")
    kind = KINDS[number]
    row: dict[str, object] = {"kind": kind, "shape": [1, 1]}
    if kind == "Input":
        return [], row | {"shape": _varints(reader, reader.varint())}
    arity = NODE_KINDS[kind].arity
    width = reader.varint() if arity is None else arity
    inputs = [place - distance for distance in _varints(reader, width)]
    if not all(0 <= source < place for source in inputs):
        raise CorruptFileError(f"node {place} reads a node that is not before it")
    for field, width in _fields(kind).items():
        values = _varints(reader, width or reader.varint())
        if field in WORDS:
            if values[0] >= len(WORDS[field]):
                raise CorruptFileError(f"node {place} has {field} {values[0]}")
            row[field] = WORDS[field][values[0]]
        elif field == "epsilon":
            row[field] = _float_of(place, values[0])
        else:
            row[field] = values[0] if width == 1 else values
    if kind == "Pointwise":
        bits = _varints(reader, parameter_count(str(row["function"])))
        row |= {"parameters": [_float_of(place, number) for number in bits]} if bits else {}
    return inputs, row


def _float_of(place: int, bits: int) -> float:
    if bits >= 1 << 32:
        raise CorruptFileError(f"node {place} has a number of more than 32 bits")
    return float(_FLOAT.unpack(_BITS.pack(bits))[0])


def _from_weight(kind: str, place: int, shape: Shape | None) -> dict[str, object]:
    if shape is None or len(shape) != _RANKS[kind]:
        raise CorruptFileError(f"node {place} is a {kind}, but its weight has shape {shape}")
    return {"shape": [1, shape[0]], **({"kernel": list(shape[2:])} if len(shape) == 4 else {})}


def _varints(reader: ByteReader, count: int) -> list[int]:
    if count > reader.remaining:
        raise CorruptFileError(f"{count} numbers are claimed in {reader.remaining} bytes")
    return [reader.varint() for _ in range(count)]


def _lines(data: bytes, count: int) -> list[str]:
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise CorruptFileError(f"the names of the nodes are not UTF-8: {error}") from error
    if len(lines) <= count or lines.pop():
        raise CorruptFileError(f"the graph has {count} nodes, but not as many names")
    return lines


@dataclass
class _Extras:
    """What stands behind the names: ``owners`` are the layers whose weights others use, by their places."""

    owners: dict[int, int] = dataclasses.field(default_factory=dict)
    outputs: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    normalization: Normalization | None = None


def _extras(lines: Sequence[str], count: int) -> _Extras:
    found = _Extras()
    for line in lines:
        word, _, rest = line.partition(" ")
        normalization = normalization_from(line)
        number, _, what = rest.partition(" ")
        if word == _SHARED:
            found.owners[_place(number, count)] = _place(what, count)
        elif word == _OUTPUT:
            found.outputs.append((_place(number, count), what))
        elif normalization is not None and found.normalization is None:
            found.normalization = normalization
        else:
            raise CorruptFileError(f"behind the names of the nodes stands {line[:60]!r}")
    return found


def _place(number: str, count: int) -> int:
    if not number.isascii() or not number.isdigit() or len(number) > _DIGITS or int(number) >= count:
        raise CorruptFileError(f"found {number[:60]!r} where the place of one of {count} nodes is wanted")
    return int(number)
