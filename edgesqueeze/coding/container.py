"""The outermost layer of a .sqz file: a header and checksummed blocks.

::

    file   = "ESQZ"  version u16  flags u16 = 0  block…
    block  = tag (4 ASCII bytes)  length u32  payload (length bytes)  CRC-32 u32 (of tag, length, payload)

All integers are little-endian. The CRC is the one of zlib, PNG and Ethernet.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from edgesqueeze.coding.byte_reader import ByteReader
from edgesqueeze.errors import CodecError, CorruptFileError, UnsupportedVersionError

MAGIC = b"ESQZ"
VERSION = 1
HEADER_BYTES = 8
BLOCK_OVERHEAD = 12
_HEADER = struct.Struct("<4sHH")
_BLOCK = struct.Struct("<4sI")
_CRC = struct.Struct("<I")
_LARGEST_BLOCK = (1 << 32) - 1


@dataclass(frozen=True)
class Block:
    """A block whose checksum was right; ``offset`` is where it starts in the file."""

    tag: str
    offset: int
    payload: memoryview
    crc32: int

    @property
    def num_bytes(self) -> int:
        """Bytes of the block with its tag, length and CRC."""
        return len(self.payload) + BLOCK_OVERHEAD

    @property
    def payload_offset(self) -> int:
        """Where the payload starts in the file."""
        return self.offset + _BLOCK.size


def write_container(blocks: Sequence[tuple[str, bytes]]) -> bytes:
    """A file of the given (tag, payload) blocks, in that order.

    Raises:
        CodecError: a payload of 4 GiB or more.
    """
    parts = [_HEADER.pack(MAGIC, VERSION, 0)]
    for tag, payload in blocks:
        if len(payload) > _LARGEST_BLOCK:
            raise CodecError(f"block {tag} has {len(payload)} bytes; allowed are {_LARGEST_BLOCK}")
        body = _BLOCK.pack(tag.encode("ascii"), len(payload)) + payload
        parts += [body, _CRC.pack(zlib.crc32(body))]
    return b"".join(parts)


def read_container(
    data: bytes | memoryview, allowed: Sequence[str], required: Sequence[str]
) -> dict[str, Block]:
    """The blocks of a file by tag.

    Args:
        data: the whole file.
        allowed: the tags that may occur, each at most once and in this order.
        required: those of them that must occur.

    Raises:
        UnsupportedVersionError: a version other than 1.
        CorruptFileError: anything else that is wrong.
    """
    view = memoryview(data)
    _check_header(view)
    reader = ByteReader(view)
    reader.take(HEADER_BYTES)
    blocks: dict[str, Block] = {}
    expected = list(allowed)
    while reader.remaining:
        block = _read_block(reader, view)
        if block.tag not in expected:
            raise CorruptFileError(
                f"unknown, repeated or misplaced block {block.tag!r} at offset {block.offset}"
            )
        del expected[: expected.index(block.tag) + 1]
        blocks[block.tag] = block
    missing = [tag for tag in required if tag not in blocks]
    if missing:
        raise CorruptFileError(f"block {missing[0]!r} is missing")
    return blocks


def _check_header(view: memoryview) -> None:
    if len(view) < HEADER_BYTES or view[: len(MAGIC)] != MAGIC:
        raise CorruptFileError(
            f"not a .sqz file: it starts with {bytes(view[: len(MAGIC)])!r}, not {MAGIC!r}"
        )
    _, version, flags = _HEADER.unpack(view[:HEADER_BYTES])
    if version != VERSION:
        raise UnsupportedVersionError(f"the file has format version {version}; this decoder reads {VERSION}")
    if flags:
        raise CorruptFileError(f"the file has flags {flags:#06x}; version {VERSION} knows none")


def _read_block(reader: ByteReader, view: memoryview) -> Block:
    offset = reader.offset
    raw_tag, length = _BLOCK.unpack(reader.take(_BLOCK.size))
    tag = raw_tag.decode("ascii", errors="backslashreplace")
    payload = reader.take(length)
    found = zlib.crc32(view[offset : reader.offset])
    (stored,) = _CRC.unpack(reader.take(_CRC.size))
    if stored != found:
        raise CorruptFileError(
            f"block {tag!r} at offset {offset} has CRC {found:08x}, the file says {stored:08x}"
        )
    return Block(tag, offset, payload, stored)
