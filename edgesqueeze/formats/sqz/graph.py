"""The graph section of a .sqz file of version 2: rows of numbers, then the names.

A row is kind, inputs, numbers as in docs/format.md; inputs count backwards (1 is the node just before).
Kernels and channels of weighted nodes are left out, since the file says the shapes of all weights.
"""

from collections.abc import Iterator, Sequence
from struct import Struct

from edgesqueeze.coding.byte_reader import ByteReader, encode_varint
from edgesqueeze.errors import CorruptFileError
from edgesqueeze.formats.sqz.structure import FIELDS, KINDS, WORDS, float_bits
from edgesqueeze.network.graph.check import check_structure, complete_shapes
from edgesqueeze.network.graph.node_json import parameter_count, structure_from_json
from edgesqueeze.network.graph.nodes import NODE_KINDS, AnyNode, Pointwise
from edgesqueeze.network.graph.nodes.node import Parametric

Shape = tuple[int, ...]
Row = tuple[list[int], dict[str, object]]
"""The places of the nodes it reads, and its fields."""
_RANKS = {name: kind.weight_rank for name, kind in NODE_KINDS.items() if issubclass(kind, Parametric)}
"""The dimensions of a node's weight."""
_FROM_WEIGHTS = ("channels", "kernel")
_FLOAT, _BITS = Struct("<f"), Struct("<I")


def encode_graph(nodes: Sequence[AnyNode]) -> bytes:
    """The bytes of the section.

    Raises:
        CodecError: nodes that do not fit together.
    """
    check_structure(nodes)
    places = {node.name: place for place, node in enumerate(nodes)}
    numbers = [len(nodes)]
    for place, node in enumerate(nodes):
        numbers += _row(node, [place - places[name] for name in node.inputs])
    names = "".join(f"{node.name}\n" for node in nodes)
    return b"".join(encode_varint(number) for number in numbers) + names.encode("utf-8")


def decode_graph(data: bytes, shapes: Sequence[Shape]) -> tuple[AnyNode, ...]:
    """The nodes, checked to fit together and to have weights of these shapes, in their order.

    Raises:
        CodecError: the bytes are no graph, or not one with such weights.
    """
    reader = ByteReader(data)
    count = reader.varint()
    if count > reader.remaining:
        raise CorruptFileError(f"{count} nodes are claimed in {reader.remaining} bytes")
    left = iter(shapes)
    rows = [_read_row(reader, place, left) for place in range(count)]
    if next(left, None) is not None:
        raise CorruptFileError("the file has weights of more layers than the graph")
    names = _names(bytes(reader.take(reader.remaining)), count)
    items = [
        {**row, "name": name, "inputs": [names[place] for place in inputs]}
        for (inputs, row), name in zip(rows, names, strict=True)
    ]
    nodes = complete_shapes(structure_from_json(items))
    check_structure(nodes)
    return nodes


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


def _read_row(reader: ByteReader, place: int, shapes: Iterator[Shape]) -> Row:
    """A row as structure_from_json wants it, but for its name; of its shape only channels are right."""
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
    if kind in _RANKS:
        row |= _from_weight(kind, place, next(shapes, None))
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


def _names(data: bytes, count: int) -> list[str]:
    try:
        names = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise CorruptFileError(f"the names of the nodes are not UTF-8: {error}") from error
    if len(names) != count + 1 or names.pop():
        raise CorruptFileError(f"the graph has {count} nodes, but not as many names")
    return names
