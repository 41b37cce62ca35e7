"""The .sqz file of version 1, which is still read, and written for comparison.

Everything else is rebuilt from these: shapes from the structure, int8 weights from the float weights
(:func:`edgesqueeze.network.integers.spec.spec_from_activations`) but for what a block of its own says.
docs/format_v1.md specifies the bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from edgesqueeze.coding.byte_reader import ByteReader, encode_varint
from edgesqueeze.coding.container import HEADER_BYTES, VERSION, Block, read_container, write_container
from edgesqueeze.coding.huffman.tensors import (
    ENCODINGS,
    CodedTensor,
    decode_tensor,
    encode_tensor,
    parse_tensor,
)
from edgesqueeze.errors import CodecError, CorruptFileError, UnsupportedVersionError
from edgesqueeze.formats.sqz.grids import decode_grids, encode_grids
from edgesqueeze.formats.sqz.integers import decode_integers, encode_integers
from edgesqueeze.formats.sqz.structure import decode_structure, encode_structure
from edgesqueeze.network.graph.check import MAX_ELEMENTS
from edgesqueeze.network.graph.nodes import AnyNode, Graph, bias_name, weight_name, weight_shape
from edgesqueeze.network.integers.spec import QuantSpec, float_layers

GRAPH_TAG, GRIDS_TAG, INTEGERS_TAG, TENSORS_TAG = TAGS = ("GRPH", "ACTQ", "WGTQ", "TENS")
Shape = tuple[int, ...]


def emit_v1(graph: Graph, spec: QuantSpec | None, index_bits: int | None = None) -> bytes:
    """A whole .sqz file of version 1.

    Args:
        graph: a graph with its float32 tensors; they come back bit for bit.
        spec: the int8 form to carry along, or None.
        index_bits: r of every sparse tensor, 2 to 12 (Han et al. use one r per network); None takes the
            best r per tensor.

    Raises:
        CodecError: tensors that do not fit the structure, a spec that does not fit the graph, or a graph
            too large for the format.
    """
    structure = encode_structure(graph)
    layout = tensor_layout(graph.nodes)
    check_tensors(graph, layout)
    blocks = [(GRAPH_TAG, structure)]
    if spec is not None:
        blocks.append((GRIDS_TAG, encode_grids(graph, spec)))
        integers = encode_integers(graph, spec)
        if integers:
            blocks.append((INTEGERS_TAG, integers))
    coded = [encode_tensor(graph.tensors[name], index_bits) for name in layout]
    blocks.append((TENSORS_TAG, b"".join(encode_varint(len(payload)) + payload for payload in coded)))
    return write_container(blocks)


def read_v1(data: bytes) -> tuple[Graph, QuantSpec | None]:
    """The graph and, if the file carries one, the QuantSpec.

    Raises:
        UnsupportedVersionError: a newer format.
        CorruptFileError: bytes that are no valid .sqz file, whatever the reason.
    """
    try:
        blocks = read_container(data, TAGS, (GRAPH_TAG, TENSORS_TAG))
        nodes = decode_structure(blocks[GRAPH_TAG].payload)
        layout = tensor_layout(nodes)
        pieces = _tensor_pieces(blocks[TENSORS_TAG], len(layout))
        tensors = {
            name: decode_tensor(payload, shape)
            for (name, shape), (_, payload) in zip(layout.items(), pieces, strict=True)
        }
        graph = Graph(nodes, tensors)
        spec = _read_spec(graph, blocks)
    except (CorruptFileError, UnsupportedVersionError):
        raise
    except CodecError as error:
        raise CorruptFileError(str(error)) from error
    return graph, spec


def _read_spec(graph: Graph, blocks: dict[str, Block]) -> QuantSpec | None:
    integers = blocks[INTEGERS_TAG].payload if INTEGERS_TAG in blocks else None
    if GRIDS_TAG in blocks:
        return decode_integers(graph, decode_grids(graph, blocks[GRIDS_TAG].payload), integers)
    if integers is not None:
        raise CorruptFileError("the file has integers but no activation grids")
    return None


@dataclass(frozen=True)
class BlockDescription:
    """A part of the file; the first one is the header, which has no checksum."""

    tag: str
    offset: int
    num_bytes: int
    crc32: int | None


@dataclass(frozen=True)
class TensorDescription:
    """What one tensor costs. The six ``…_bytes`` below ``num_bytes`` sum to it.

    ``codebook_size`` and ``index_bits`` are None where the encoding has none. ``huffman_bits`` are the bits
    of all codes, ``entropy_bits`` the zeroth-order entropy of the same symbols, which is their bound.
    """

    name: str
    shape: Shape
    offset: int
    num_bytes: int
    encoding: str
    num_weights: int
    num_nonzero: int
    codebook_size: int | None
    index_bits: int | None
    header_bytes: int
    table_bytes: int
    chunk_bytes: int
    huffman_bytes: int
    codebook_bytes: int
    value_bytes: int
    huffman_bits: int
    entropy_bits: float

    @property
    def density(self) -> float:
        """Fraction of weights that are not zero."""
        return self.num_nonzero / self.num_weights

    @property
    def bits_per_weight(self) -> float:
        """All bits of the tensor over all of its weights, zeros included."""
        return 8 * self.num_bytes / self.num_weights


@dataclass(frozen=True)
class SqzDescription:
    """A .sqz file byte by byte: ``blocks`` sum to ``num_bytes``, ``tensors`` to the payload of TENS.

    ``float_layers`` are the layers that the int8 form keeps in float.
    """

    version: int
    num_bytes: int
    has_int8: bool
    blocks: tuple[BlockDescription, ...]
    tensors: tuple[TensorDescription, ...]
    float_layers: tuple[str, ...] = ()


def describe_v1(data: bytes) -> SqzDescription:
    """What is in a .sqz file and where its bytes go; the file is decoded in full first.

    Raises:
        CodecError: as :func:`read_v1`.
    """
    graph, spec = read_v1(data)
    blocks = read_container(data, TAGS, (GRAPH_TAG, TENSORS_TAG))
    parts = [BlockDescription("header", 0, HEADER_BYTES, None)]
    parts += [BlockDescription(b.tag, b.offset, b.num_bytes, b.crc32) for b in blocks.values()]
    layout = tensor_layout(graph.nodes)
    pieces = _tensor_pieces(blocks[TENSORS_TAG], len(layout))
    tensors = [
        _describe_tensor(name, shape, offset, payload)
        for (name, shape), (offset, payload) in zip(layout.items(), pieces, strict=True)
    ]
    kept = () if spec is None else float_layers(graph, spec)
    return SqzDescription(VERSION, len(data), spec is not None, tuple(parts), tuple(tensors), kept)


def _describe_tensor(name: str, shape: Shape, offset: int, payload: memoryview) -> TensorDescription:
    coded: CodedTensor = parse_tensor(payload, prod(shape))
    streams = [stream for stream in (coded.gaps, coded.indices) if stream is not None]
    codebook_size = None if coded.codebook is None else len(coded.codebook)
    sizes = {
        "table_bytes": sum(stream.table_bytes for stream in streams),
        "chunk_bytes": sum(stream.chunk_bytes for stream in streams),
        "huffman_bytes": sum(stream.payload_bytes for stream in streams),
        "codebook_bytes": 4 * (codebook_size or 0),
        "value_bytes": 0 if coded.values is None else 4 * len(coded.values),
    }
    num_bytes = len(encode_varint(len(payload))) + len(payload)
    return TensorDescription(
        name=name,
        shape=shape,
        offset=offset,
        num_bytes=num_bytes,
        encoding=ENCODINGS[coded.encoding],
        num_weights=coded.num_weights,
        num_nonzero=coded.num_nonzero,
        codebook_size=codebook_size,
        index_bits=coded.index_bits or None,
        header_bytes=num_bytes - sum(sizes.values()),
        **sizes,
        huffman_bits=sum(stream.payload_bits for stream in streams),
        entropy_bits=sum(stream.entropy_bits for stream in streams),
    )


def tensor_layout(nodes: Sequence[AnyNode]) -> dict[str, Shape]:
    """The tensors in the order of the file, weight then bias of every weighted node, and their shapes.

    Raises:
        CodecError: the graph has more weights than the format takes.
    """
    graph = Graph(tuple(nodes), {})
    layout: dict[str, Shape] = {}
    for node in graph.owners:
        layout[weight_name(node)] = weight_shape(graph, node)
        layout[bias_name(node)] = (node.shape[1],)
    total = sum(prod(shape) for shape in layout.values())
    if total > MAX_ELEMENTS:
        raise CodecError(f"the graph has {total} weights; allowed are {MAX_ELEMENTS}")
    return layout


def check_tensors(graph: Graph, layout: dict[str, Shape]) -> None:
    """Refuse a graph whose tensors are not those of its structure.

    Raises:
        CodecError: a tensor is missing, foreign, or of another shape.
    """
    if set(graph.tensors) != set(layout):
        odd = sorted(set(graph.tensors) ^ set(layout))
        raise CodecError(f"tensors missing from the graph or foreign to it: {', '.join(odd)}")
    for name, shape in layout.items():
        if graph.tensors[name].shape != shape:
            raise CodecError(f"tensor {name!r} has shape {graph.tensors[name].shape}; the graph says {shape}")


def _tensor_pieces(block: Block, count: int) -> list[tuple[int, memoryview]]:
    """Where each tensor starts in the file (at its length) and its payload."""
    reader = ByteReader(block.payload)
    pieces = []
    for _ in range(count):
        offset = block.payload_offset + reader.offset
        pieces.append((offset, reader.take(reader.varint())))
    reader.finish("the last tensor")
    return pieces
