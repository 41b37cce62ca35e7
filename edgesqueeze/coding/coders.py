"""The coders of a .sqz file behind one interface: tensors, and short strings of bytes."""

import zlib

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.coding.byte_reader import ByteReader, encode_varint
from edgesqueeze.coding.tensors import ENCODINGS
from edgesqueeze.coding.tensors import decode_tensor as decode_huffman
from edgesqueeze.coding.tensors import encode_tensor as encode_huffman
from edgesqueeze.coding.tensors import parse_tensor as parse_huffman
from edgesqueeze.errors import CorruptFileError

HUFFMAN, RANGE = 0, 1
CODERS = ("huffman", "range")


def encode_tensor(coder: int, tensor: NDArray[np.float32], index_bits: int | None = None) -> bytes:
    """A float32 tensor as bytes, without loss; ``index_bits`` are for Huffman coding."""
    return encode_huffman(tensor, index_bits)


def decode_tensor(coder: int, payload: memoryview, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The tensor of a payload; the caller bounds ``shape``.

    Raises:
        CorruptFileError: the bytes are no payload of a tensor with this shape.
    """
    return decode_huffman(payload, shape)


def describe_payload(coder: int, payload: memoryview, shape: tuple[int, ...]) -> tuple[str, int]:
    """How a tensor is coded, and how many of its bytes are no symbols: header, codebook, raw values."""
    coded = parse_huffman(payload, int(np.prod(shape)))
    streams = [stream for stream in (coded.gaps, coded.indices) if stream is not None]
    return ENCODINGS[coded.encoding], len(payload) - sum(s.payload_bytes for s in streams)


def pack_bytes(data: bytes) -> bytes:
    """A string of bytes in fewer: its length as varint, then the coded bytes."""
    return encode_varint(len(data)) + zlib.compress(data, 9)


def unpack_bytes(payload: memoryview, limit: int) -> bytes:
    """The inverse of :func:`pack_bytes`; nothing longer than ``limit`` is made.

    Raises:
        CorruptFileError: the bytes are no packed string, or one that is too long.
    """
    reader = ByteReader(payload)
    length = reader.varint()
    if length > limit:
        raise CorruptFileError(f"a packed string of {length} bytes; allowed are {limit}")
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(bytes(reader.take(reader.remaining)), length + 1)
    except zlib.error as error:
        raise CorruptFileError(f"a string cannot be unpacked: {error}") from error
    if not inflater.eof or inflater.unused_data or len(data) != length:
        raise CorruptFileError("a packed string is cut off, or followed by other bytes")
    return data
