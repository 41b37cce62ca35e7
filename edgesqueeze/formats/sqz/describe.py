"""Where the bytes of a .sqz file of version 2 go."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.coding.byte_reader import encode_varint
from edgesqueeze.coding.coders import CODERS, decode_tensor, describe_payload, pack_bytes
from edgesqueeze.coding.decoder.container import HEADER_BYTES, VERSION
from edgesqueeze.coding.decoder.layers import BIASES, SCALES, WEIGHTS, Layer, Part, read_steps
from edgesqueeze.coding.decoder.meta import encode_sections
from edgesqueeze.coding.decoder.unsqueeze import SqueezedFile, open_squeezed
from edgesqueeze.formats.sqz.inputs import network_input_lines, template_input_lines
from edgesqueeze.formats.sqz.version2 import network_of
from edgesqueeze.network.graph.nodes import Graph, ParametricNode, bias_name, weight_name
from edgesqueeze.network.integers.spec import float_layers

Shape = tuple[int, ...]


@dataclass(frozen=True)
class BlockDescription:
    """A part of the file; the first one is the header, which has no checksum."""

    tag: str
    offset: int
    num_bytes: int
    crc32: int | None


@dataclass(frozen=True)
class SectionDescription:
    """A part of block M: bytes before packing, and what it adds to the packed bytes of all before it."""

    name: str
    num_bytes: int
    packed_bytes: int


@dataclass(frozen=True)
class TemplateDescription:
    """A model file that the .sqz file has a template of: its size, and how much of it is cut out."""

    name: str
    num_bytes: int
    filled_bytes: int
    num_fills: int


@dataclass(frozen=True)
class CodedDescription:
    """What one tensor costs: a length, ``side_bytes`` (codebook, header) and ``symbol_bytes``.

    ``num_symbols`` counts distinct values. ``entropy_bits`` is the zeroth-order entropy of all values as
    symbols: what no coder can undercut that treats them alike wherever they lie. None where values are raw.
    """

    name: str
    shape: Shape
    offset: int
    num_bytes: int
    encoding: str
    num_weights: int
    num_nonzero: int
    num_symbols: int
    side_bytes: int
    symbol_bytes: int
    entropy_bits: float | None

    @property
    def density(self) -> float:
        """Fraction of values that are not zero."""
        return self.num_nonzero / self.num_weights

    @property
    def bits_per_weight(self) -> float:
        """All bits of the tensor over all of its values, zeros included."""
        return 8 * self.num_bytes / self.num_weights

    @property
    def over_bound(self) -> float | None:
        """By which fraction the symbols take more than their zeroth-order entropy; negative below it."""
        return 8 * self.symbol_bytes / self.entropy_bits - 1 if self.entropy_bits else None


@dataclass(frozen=True)
class SqzDescription:
    """A .sqz file byte by byte: ``blocks`` sum to ``num_bytes``, ``tensors`` to the payload of T.

    ``float_layers`` are the layers that the int8 form keeps in float; ``input_lines`` say what inputs expect,
    of the network and of each file that there is a template of.
    """

    version: int
    num_bytes: int
    coder: str
    has_int8: bool
    blocks: tuple[BlockDescription, ...]
    sections: tuple[SectionDescription, ...]
    templates: tuple[TemplateDescription, ...]
    tensors: tuple[CodedDescription, ...]
    float_layers: tuple[str, ...]
    input_lines: tuple[str, ...]


def describe_v2(data: bytes) -> SqzDescription:
    """What is in a .sqz file of version 2 and where its bytes go; the file is decoded in full first.

    Raises:
        CodecError: as :func:`edgesqueeze.formats.sqz.file.read_sqz`.
    """
    squeezed = open_squeezed(data)
    graph, spec = network_of(squeezed)
    meta_block, tensors_block = squeezed.meta_block, squeezed.tensors_block
    blocks = [BlockDescription("header", 0, HEADER_BYTES, None)]
    blocks += [BlockDescription(b.tag, b.offset, b.num_bytes, b.crc32) for b in (meta_block, tensors_block)]
    templates = [
        TemplateDescription(
            t.name, t.num_bytes, sum(fill.num_bytes for _, fill in t.fills()), len(list(t.fills()))
        )
        for t in squeezed.meta.files
    ]
    return SqzDescription(
        VERSION,
        len(data),
        CODERS[squeezed.meta.coder],
        bool(squeezed.meta.grids),
        tuple(blocks),
        tuple(_describe_sections(squeezed)),
        tuple(templates),
        tuple(_describe_tensors(squeezed, graph)),
        () if spec is None else float_layers(graph, spec),
        (*network_input_lines(graph), *template_input_lines(squeezed.meta.files)),
    )


def template_bytes(data: bytes) -> int:
    """How many bytes a .sqz file of version 2 would save without its templates; no tensor is decoded.

    Raises:
        CodecError: as :func:`edgesqueeze.coding.decoder.unsqueeze.open_squeezed`.
    """
    sections = encode_sections(open_squeezed(data).meta)
    files = sections.pop("files")
    small = b"".join(sections.values())
    return len(pack_bytes(small + files)) - len(pack_bytes(small))


def _describe_sections(squeezed: SqueezedFile) -> Iterator[SectionDescription]:
    before, packed = b"", 0
    for name, content in encode_sections(squeezed.meta).items():
        before += content
        size = len(pack_bytes(before))
        yield SectionDescription(name, len(content), size - packed)
        packed = size


def _describe_tensors(squeezed: SqueezedFile, graph: Graph) -> Iterator[CodedDescription]:
    meta, block = squeezed.meta, squeezed.tensors_block
    for node, layer, parts in zip(graph.owners, meta.layers, squeezed.parts, strict=True):
        for (name, shape), part in zip(_names(node, layer), parts, strict=True):
            if name.endswith(_STEPS):
                steps = read_steps(part.payload, layer.num_channels)
                values, encoding, side_bytes = steps.astype(np.float32), "packed", len(part.payload)
            else:
                values = decode_tensor(meta.coder, part.payload, shape)
                encoding, side_bytes = describe_payload(meta.coder, part.payload, shape)
            yield _describe(name, part, block.payload_offset, values, (encoding, side_bytes))


_STEPS = ".int32_bias_steps"


def _names(node: ParametricNode, layer: Layer) -> Iterator[tuple[str, Shape]]:
    """The names of a layer's tensors in the order of the file, and their shapes."""
    yield weight_name(node), layer.shape
    yield bias_name(node), (layer.num_channels,)
    if layer.flags & SCALES:
        yield f"{node.name}.int8_scale", (layer.num_scales,)
    if layer.flags & WEIGHTS:
        yield f"{node.name}.int8_weight_steps", layer.shape
    if layer.flags & BIASES:
        yield f"{node.name}{_STEPS}", (layer.num_channels,)


def _describe(
    name: str, part: Part, base: int, values: NDArray[np.float32], coded: tuple[str, int]
) -> CodedDescription:
    encoding, side_bytes = coded
    patterns, counts = np.unique(np.ascontiguousarray(values).view(np.uint32), return_counts=True)
    shares = counts / values.size
    num_bytes = len(encode_varint(len(part.payload))) + len(part.payload)
    symbol_bytes = len(part.payload) - side_bytes
    return CodedDescription(
        name=name,
        shape=values.shape,
        offset=base + part.offset,
        num_bytes=num_bytes,
        encoding=encoding,
        num_weights=values.size,
        num_nonzero=int(counts[patterns != 0].sum()),
        num_symbols=len(patterns),
        side_bytes=side_bytes,
        symbol_bytes=symbol_bytes,
        entropy_bits=float(-(counts * np.log2(shares)).sum()) if symbol_bytes and len(counts) > 1 else None,
    )
