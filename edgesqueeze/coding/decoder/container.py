"""The outermost layer of a .sqz file of version 2: a header and two checksummed blocks.

::

    file   = "ESQZ"  version u16 = 2  block "M"  block "T"
    block  = tag (1 ASCII byte)  length varint  payload (length bytes)  CRC-32 u32 (of all before)

``M`` holds everything small, packed; ``T`` the tensors. Integers are little-endian.
"""

import struct
import zlib
from dataclasses import dataclass

from edgesqueeze.coding.byte_reader import ByteReader, encode_varint
from edgesqueeze.errors import CodecError, CorruptFileError, UnsupportedVersionError

MAGIC = b"ESQZ"
VERSION = 2
HEADER_BYTES = 6
META_TAG, TENSORS_TAG = TAGS = ("M", "T")
_CRC = struct.Struct("<I")
_LARGEST_BLOCK = (1 << 32) - 1


@dataclass(frozen=True)
class Block:
    """A block whose checksum was right; ``offset`` is where it starts in the file."""

    tag: str
    offset: int
    num_bytes: int
    payload: memoryview
    crc32: int

    @property
    def payload_offset(self) -> int:
        """Where the payload starts in the file."""
        return self.offset + self.num_bytes - len(self.payload) - _CRC.size


def file_version(data: bytes | memoryview) -> int:
    """The format version that a file states.

    Raises:
        CorruptFileError: it is no .sqz file.
    """
    start = bytes(data[:HEADER_BYTES])
    if len(start) < HEADER_BYTES or not start.startswith(MAGIC):
        raise CorruptFileError(f"not a .sqz file: it starts with {start[: len(MAGIC)]!r}, not {MAGIC!r}")
    return int.from_bytes(start[len(MAGIC) :], "little")


def write_container(meta: bytes, tensors: bytes) -> bytes:
    """A file of version 2.

    Raises:
        CodecError: a payload of 4 GiB or more.
    """
    parts = [MAGIC, VERSION.to_bytes(2, "little")]
    for tag, payload in zip(TAGS, (meta, tensors), strict=True):
        if len(payload) > _LARGEST_BLOCK:
            raise CodecError(f"block {tag} has {len(payload)} bytes; allowed are {_LARGEST_BLOCK}")
        head = tag.encode("ascii") + encode_varint(len(payload))
        parts += [head, payload, _CRC.pack(zlib.crc32(payload, zlib.crc32(head)))]
    return b"".join(parts)


def read_container(data: bytes | memoryview) -> tuple[Block, Block]:
    """The blocks M and T of a file.

    Raises:
        UnsupportedVersionError: another version.
        CorruptFileError: anything else that is wrong.
    """
    version = file_version(data)
    if version != VERSION:
        raise UnsupportedVersionError(f"the file has format version {version}; this decoder reads {VERSION}")
    view = memoryview(data)
    reader = ByteReader(view)
    reader.take(HEADER_BYTES)
    meta, tensors = (_read_block(reader, view, tag) for tag in TAGS)
    reader.finish("the last block")
    return meta, tensors


def _read_block(reader: ByteReader, view: memoryview, tag: str) -> Block:
    offset = reader.offset
    found = chr(reader.take(1)[0])
    if found != tag:
        raise CorruptFileError(f"block {found!r} at offset {offset}; {tag!r} must be there")
    payload = reader.take(reader.varint())
    crc32 = zlib.crc32(view[offset : reader.offset])
    (stored,) = _CRC.unpack(reader.take(_CRC.size))
    if stored != crc32:
        raise CorruptFileError(
            f"block {tag!r} at offset {offset} has CRC {crc32:08x}, the file says {stored:08x}"
        )
    return Block(tag, offset, reader.offset - offset, payload, stored)
