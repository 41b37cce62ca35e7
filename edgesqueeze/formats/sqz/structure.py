"""The nodes of a graph as the compact JSON rows of a .sqz file.

A row is [kind, name, inputs, numbers…]. Kinds, activations and other words are numbers, inputs count
backwards (1 is the node just before), and shapes are left out since they follow from the inputs.
"""

import json
import zlib
from collections.abc import Sequence
from struct import Struct
from typing import Any, get_args, get_origin

from edgesqueeze.coding.byte_reader import ByteReader
from edgesqueeze.errors import CodecError
from edgesqueeze.network.graph.check import check_structure, complete_shapes
from edgesqueeze.network.graph.node_json import (
    field_types,
    field_words,
    is_list,
    parameter_count,
    structure_from_json,
)
from edgesqueeze.network.graph.nodes import NODE_KINDS, AnyNode, Graph, Pointwise
from edgesqueeze.network.graph.nodes.node import Parametric


def _widths(kind: type[AnyNode]) -> dict[str, int]:
    channels = {"channels": 1} if issubclass(kind, Parametric) and kind.names_channels else {}
    return channels | {name: _width(t) for name, t in field_types(kind).items()}


def _width(kind: Any) -> int:
    """How many numbers a field takes; 0 for any number of them, which stands in front."""
    if is_list(kind):
        return 0
    return max(1, len(get_args(kind))) if get_origin(kind) is tuple else 1


def _words() -> dict[str, tuple[str, ...]]:
    fields = {name: t for kind in NODE_KINDS.values() for name, t in field_types(kind).items()}
    found = {name: field_words(name, t) for name, t in fields.items()}
    return {name: words for name, words in found.items() if words is not None}


KINDS = tuple(NODE_KINDS)
FIELDS = {name: _widths(kind) for name, kind in NODE_KINDS.items()}
"""The numbers of a row by kind: field and how many numbers it takes. An input's are its shape.

0 stands for any number of numbers, which is written in front of them.
"""
WORDS = _words()
"""The fields whose value is a word; a row holds its place in these lists."""
MAX_JSON_BYTES = 1 << 24
_PLAIN, _ZLIB = 0, 1
_FLOAT, _FLOAT_BITS = Struct("<f"), Struct("<I")


def encode_structure(graph: Graph) -> bytes:
    """The GRPH payload: a method byte, then JSON as it is (0) or packed by zlib (1), whichever is smaller.

    Raises:
        CodecError: nodes that do not fit together, several inputs or outputs or a layer used twice, which
            this version cannot say, or more than 16 MiB of JSON.
    """
    nodes = graph.nodes
    check_structure(nodes, graph.outputs)
    if len(graph.inputs) + len(graph.outputs) > 2 or len(graph.owners) < len(graph.parametric):
        raise CodecError("version 1 has one input, one output, and every layer once; write version 2")
    places = {node.name: place for place, node in enumerate(nodes)}
    rows = [_row(node, [place - places[name] for name in node.inputs]) for place, node in enumerate(nodes)]
    text = json.dumps(rows, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    if len(text) > MAX_JSON_BYTES:
        raise CodecError(f"the graph takes {len(text)} bytes of JSON; allowed are {MAX_JSON_BYTES}")
    packed = zlib.compress(text, 9)
    return bytes([_ZLIB]) + packed if len(packed) < len(text) else bytes([_PLAIN]) + text


def decode_structure(payload: memoryview) -> tuple[AnyNode, ...]:
    """The nodes of a GRPH payload, with all shapes, checked to fit together.

    Raises:
        CodecError: the payload is no graph.
    """
    rows = _load_rows(_text(payload))
    items: list[dict[str, object]] = []
    for row in rows:
        items.append(_item(row, items))
    nodes = complete_shapes(structure_from_json(items))
    check_structure(nodes)
    return nodes


def _row(node: AnyNode, distances: list[int]) -> list[object]:
    kind = type(node).__name__
    row: list[object] = [KINDS.index(kind), node.name]
    if kind == "Input":
        return [*row, *node.shape]
    row.append(distances[0] if len(distances) == 1 else distances)
    for field, width in FIELDS[kind].items():
        if field == "channels":
            row.append(node.shape[1])
        elif field in WORDS:
            row.append(WORDS[field].index(getattr(node, field)))
        elif field == "epsilon":
            row.extend(_FLOAT_BITS.unpack(_FLOAT.pack(getattr(node, field))))
        elif width == 1:
            row.append(getattr(node, field))
        else:
            row += [] if width else [len(getattr(node, field))]
            row.extend(getattr(node, field))
    if isinstance(node, Pointwise):
        row += float_bits(node.parameters)
    return row


def float_bits(values: Sequence[float]) -> list[int]:
    """float32 values as unsigned integers."""
    return [bits for value in values for bits in _FLOAT_BITS.unpack(_FLOAT.pack(value))]


def _text(payload: memoryview) -> bytes:
    reader = ByteReader(payload)
    method = reader.take(1)[0]
    body = bytes(reader.take(reader.remaining))
    if method == _PLAIN and len(body) <= MAX_JSON_BYTES:
        return body
    if method != _ZLIB:
        raise CodecError(f"the graph is stored by method {method} in {len(body)} bytes")
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(body, MAX_JSON_BYTES)
    except zlib.error as error:
        raise CodecError(f"the graph cannot be decompressed: {error}") from error
    if not inflater.eof or inflater.unused_data:
        raise CodecError("the compressed graph is cut off, too large, or followed by other bytes")
    return text


def _load_rows(text: bytes) -> list[object]:
    try:
        rows = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CodecError(f"the graph is not JSON: {error}") from error
    if not isinstance(rows, list):
        raise CodecError("the graph is not a list of rows")
    return rows


def _item(row: object, earlier: list[dict[str, object]]) -> dict[str, object]:
    """A row as structure_from_json wants it; the shape is a stand-in that holds only the channels."""
    if not isinstance(row, list) or len(row) < 2 or type(row[0]) is not int or not 0 <= row[0] < len(KINDS):
        raise CodecError(f"row {len(earlier)} of the graph does not start with a known kind and a name")
    kind = KINDS[row[0]]
    item: dict[str, object] = {"kind": kind, "name": row[1], "inputs": [], "shape": [1, 1]}
    if kind == "Input":
        return item | {"shape": _integers(row[2:], len(row) - 2, earlier)}
    widths = FIELDS[kind]
    item["inputs"] = [earlier[-d]["name"] for d in _distances(row[2:3], earlier)]
    listed = 0 in widths.values()
    count = len(row[3:]) if listed else sum(widths.values()) + _parameter_count(kind, row[3:4])
    numbers = _integers(row[3:], count, earlier)
    for field, width in widths.items():
        values, numbers = _taken(numbers, width, earlier)
        if field == "channels":
            item["shape"] = [1, *values]
        elif field in WORDS:
            if not 0 <= values[0] < len(WORDS[field]):
                raise CodecError(f"row {len(earlier)} of the graph has {field} {values[0]}")
            item[field] = WORDS[field][values[0]]
        elif field == "epsilon":
            item[field] = _float_of(values[0], earlier)
        else:
            item[field] = values[0] if width == 1 else values
    if listed and numbers:
        raise CodecError(f"row {len(earlier)} of the graph has {len(numbers)} numbers too many")
    if kind == "Pointwise" and numbers:
        item["parameters"] = [_float_of(bits, earlier) for bits in numbers]
    return item


def _taken(numbers: list[int], width: int, earlier: list[dict[str, object]]) -> tuple[list[int], list[int]]:
    """The numbers of a field, and those behind it."""
    if width:
        return numbers[:width], numbers[width:]
    if not numbers or not 0 <= numbers[0] < len(numbers):
        raise CodecError(f"row {len(earlier)} of the graph has fewer numbers than it claims")
    return numbers[1 : numbers[0] + 1], numbers[numbers[0] + 1 :]


def _parameter_count(kind: str, function: list[object]) -> int:
    """How many numbers stand behind a function's own."""
    words, place = WORDS["function"], function[0] if function else None
    known = kind == "Pointwise" and type(place) is int and 0 <= place < len(words)
    return parameter_count(words[place]) if known and isinstance(place, int) else 0


def _float_of(bits: int, earlier: list[dict[str, object]]) -> float:
    if not 0 <= bits < 1 << 32:
        raise CodecError(f"row {len(earlier)} of the graph has a number of more than 32 bits")
    return float(_FLOAT.unpack(_FLOAT_BITS.pack(bits))[0])


def _distances(found: list[object], earlier: list[dict[str, object]]) -> list[int]:
    listed = found[0] if found and isinstance(found[0], list) else found
    if len(listed) != 1 or listed is found:  # a single input is written without a list
        distances = _integers(listed, len(listed), earlier)
        if all(1 <= distance <= len(earlier) for distance in distances):
            return distances
    raise CodecError(f"row {len(earlier)} of the graph reads a node that is not before it")


def _integers(values: list[object], count: int, earlier: list[dict[str, object]]) -> list[int]:
    integers = [value for value in values if type(value) is int]
    if len(values) != count or len(integers) != count:
        raise CodecError(
            f"row {len(earlier)} of the graph has {len(values)} numbers; {count} integers are wanted"
        )
    return integers
