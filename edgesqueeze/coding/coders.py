"""The coders of a .sqz file behind one interface: tensors, and short strings of bytes."""

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.coding.byte_reader import ByteReader
from edgesqueeze.coding.byte_strings import decode_bytes, encode_bytes
from edgesqueeze.coding.huffman.tensors import ENCODINGS
from edgesqueeze.coding.huffman.tensors import decode_tensor as decode_huffman
from edgesqueeze.coding.huffman.tensors import encode_tensor as encode_huffman
from edgesqueeze.coding.huffman.tensors import parse_tensor as parse_huffman
from edgesqueeze.coding.weight_tensor import (
    CODEBOOK,
    CODEBOOK_HALF,
    FLOATS,
    GRID,
    GRID_HALF,
    KINDS,
    decode_weights,
    encode_weights,
)
from edgesqueeze.errors import CodecError

HUFFMAN, RANGE = 0, 1
CODERS = ("huffman", "range")


def encode_tensor(coder: int, tensor: NDArray[np.float32], index_bits: int | None = None) -> bytes:
    """A float32 tensor as bytes, without loss; ``index_bits`` are for Huffman coding."""
    return encode_huffman(tensor, index_bits) if coder == HUFFMAN else encode_weights(tensor)


def decode_tensor(coder: int, payload: memoryview, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The tensor of a payload; the caller bounds ``shape``.

    Raises:
        CorruptFileError: the bytes are no payload of a tensor with this shape.
    """
    return decode_huffman(payload, shape) if coder == HUFFMAN else decode_weights(payload, shape)


def describe_payload(coder: int, payload: memoryview, shape: tuple[int, ...]) -> tuple[str, int]:
    """How a tensor is coded, and how many of its bytes are no symbols: header, codebook, plain values."""
    if coder == HUFFMAN:
        coded = parse_huffman(payload, int(np.prod(shape)))
        streams = [stream for stream in (coded.gaps, coded.indices) if stream is not None]
        return ENCODINGS[coded.encoding], len(payload) - sum(s.payload_bytes for s in streams)
    reader = ByteReader(payload)
    kind = reader.take(1)[0]
    if kind in (GRID, GRID_HALF):
        reader.take(4 if kind == GRID else 2)
    elif kind in (CODEBOOK, CODEBOOK_HALF):
        _, _, num_bytes = reader.varint(), reader.varint(), reader.varint()
        reader.take(num_bytes)
    elif kind == FLOATS:
        return KINDS[kind], len(payload)
    return KINDS[kind], reader.offset


def pack_bytes(data: bytes) -> bytes:
    """A string of bytes in fewer.

    Raises:
        CodecError: more than 16 MiB, or so much alike that no reader would believe it.
    """
    packed = encode_bytes(data)
    if len(data) > _longest(len(packed)):
        raise CodecError(
            f"a string of {len(data)} bytes packs into {len(packed)}; that is too few to be read"
        )
    return packed


def unpack_bytes(payload: memoryview, limit: int) -> bytes:
    """The inverse of :func:`pack_bytes`; nothing longer than ``limit`` is made, and not much from few bytes.

    Raises:
        CorruptFileError: the bytes are no packed string, or one that is too long.
    """
    return decode_bytes(payload, min(limit, _longest(len(payload))))


def _longest(num_bytes: int) -> int:
    """How long a string may be that takes so many bytes: time and memory stay in proportion to them."""
    return (1 << 16) + (num_bytes << 8)
