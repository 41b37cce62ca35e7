"""Block M of a .sqz file: everything small, as one packed string of bytes.

::

    coder byte
    graph: length varint, bytes (edgesqueeze/formats/sqz/graph.py)
    grids: count varint (0 = no int8 form), count × (scale float32, zero point int8)
    layers: count varint; for each: rank byte, shape varints, flags byte and grid varint if there are grids
    files: templates (templates.py), to the end
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, prod

from edgesqueeze.coding.byte_reader import ByteReader, encode_varint
from edgesqueeze.coding.coders import CODERS
from edgesqueeze.coding.decoder.layers import FLOAT, ONE_SCALE, SCALES, Layer
from edgesqueeze.coding.decoder.templates import Template, encode_templates, parse_templates
from edgesqueeze.errors import CodecError, CorruptFileError
from edgesqueeze.numerics.integers import SMALLEST_SCALE

_GRID = struct.Struct("<fb")
MAX_META_BYTES = 1 << 24
MAX_WEIGHTS = 1 << 28
"""Weights and biases of a file."""
_FREE_WEIGHTS, _WEIGHTS_PER_BYTE = 1 << 20, 1 << 10
"""How many weights a file may have however small it is, and how many more for each byte of its tensors."""
_RANKS = (1, 2, 4)


@dataclass(frozen=True)
class Grid:
    """The int8 grid of a group of activation tensors."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Meta:
    """What block M says."""

    coder: int
    graph: bytes
    grids: tuple[Grid, ...]
    layers: tuple[Layer, ...]
    files: tuple[Template, ...]


def encode_sections(meta: Meta) -> dict[str, bytes]:
    """The sections of block M by name, in their order, before they are packed together.

    Raises:
        CodecError: they take more than 16 MiB.
    """
    grids = b"".join(_GRID.pack(grid.scale, grid.zero_point) for grid in meta.grids)
    layers = b"".join(_encode_layer(layer, bool(meta.grids)) for layer in meta.layers)
    sections = {
        "graph": bytes([meta.coder]) + encode_varint(len(meta.graph)) + meta.graph,
        "grids": encode_varint(len(meta.grids)) + grids,
        "layers": encode_varint(len(meta.layers)) + layers,
        "files": encode_templates(meta.files),
    }
    size = sum(len(section) for section in sections.values())
    if size > MAX_META_BYTES:
        raise CodecError(f"graph and templates take {size} bytes; allowed are {MAX_META_BYTES}")
    return sections


def parse_meta(data: bytes) -> Meta:
    """The inverse of :func:`encode_sections`, of all sections together.

    Raises:
        CorruptFileError: the bytes are no such sections.
    """
    reader = ByteReader(data)
    coder = reader.take(1)[0]
    if coder >= len(CODERS):
        raise CorruptFileError(f"tensors are coded by method {coder}; known are 0 to {len(CODERS) - 1}")
    graph = bytes(reader.take(reader.varint()))
    grids = tuple(_read_grid(reader) for _ in range(_count(reader, _GRID.size)))
    layers = tuple(_read_layer(reader, len(grids)) for _ in range(_count(reader, 2)))
    total = sum(layer.num_weights + layer.num_channels for layer in layers)
    if total > MAX_WEIGHTS:
        raise CorruptFileError(f"the file has {total} weights; allowed are {MAX_WEIGHTS}")
    files = parse_templates(reader, layers)
    reader.finish("the last template")
    return Meta(coder, graph, grids, layers, files)


def check_plausible(meta: Meta, num_bytes: int) -> None:
    """Refuse more weights than so many bytes can be meant to hold, before there is memory for them.

    Raises:
        CorruptFileError: a few bytes claim to be a huge network.
    """
    total = sum(layer.num_weights + layer.num_channels for layer in meta.layers)
    if total > _FREE_WEIGHTS + _WEIGHTS_PER_BYTE * num_bytes:
        raise CorruptFileError(f"{num_bytes} bytes of tensors are said to hold {total} weights")


def check_grid(grid: Grid, where: str) -> None:
    """Refuse a scale that no int8 network can have.

    Raises:
        CorruptFileError: the scale is not finite, or below 2^-40.
    """
    if not (isfinite(grid.scale) and grid.scale >= SMALLEST_SCALE):
        raise CorruptFileError(f"{where} has activation scale {grid.scale}; allowed is 2^-40 and more")


def _encode_layer(layer: Layer, has_grids: bool) -> bytes:
    numbers: Sequence[int] = (len(layer.shape), *layer.shape)
    if has_grids and len(layer.shape) > 1:
        numbers = (*numbers, layer.flags, layer.grid or 0)
    return b"".join(encode_varint(number) for number in numbers)


def _read_layer(reader: ByteReader, num_grids: int) -> Layer:
    rank = reader.varint()
    if rank not in _RANKS:
        raise CorruptFileError(f"a weight of {rank} dimensions; allowed are 1, 2 and 4")
    shape = tuple(reader.varint() for _ in range(rank))
    if min(shape) < 1 or prod(shape) > MAX_WEIGHTS:
        raise CorruptFileError(f"a weight of shape {shape}; allowed are 1 to 2^28 values")
    if not num_grids or rank == 1:
        return Layer(shape)
    flags, grid = reader.varint(), reader.varint()
    known = flags < FLOAT and flags & (SCALES | ONE_SCALE) != ONE_SCALE
    if (not known and flags != FLOAT) or grid >= num_grids:
        raise CorruptFileError(f"a layer has flags {flags} and reads grid {grid} of {num_grids}")
    return Layer(shape, flags, grid)


def _read_grid(reader: ByteReader) -> Grid:
    grid = Grid(*_GRID.unpack(reader.take(_GRID.size)))
    check_grid(grid, "the file")
    return grid


def _count(reader: ByteReader, smallest: int) -> int:
    """How many of something follow, each of them in ``smallest`` bytes or more."""
    count = reader.varint()
    if count * smallest > reader.remaining:
        raise CorruptFileError(f"{count} entries are claimed in {reader.remaining} bytes")
    return count
