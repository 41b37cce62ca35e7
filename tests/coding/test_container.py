import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgesqueeze.coding.container import read_container, write_container
from edgesqueeze.errors import CodecError, CorruptFileError, UnsupportedVersionError

TAGS = ("GRPH", "ACTQ", "TENS")
REQUIRED = ("GRPH", "TENS")
FILE = write_container([("GRPH", b"graph"), ("ACTQ", b""), ("TENS", b"tensors")])


def test_blocks_come_back_with_their_places():
    blocks = read_container(FILE, TAGS, REQUIRED)
    assert {tag: bytes(block.payload) for tag, block in blocks.items()} == {
        "GRPH": b"graph", "ACTQ": b"", "TENS": b"tensors",
    }  # fmt: skip
    assert 8 + sum(block.num_bytes for block in blocks.values()) == len(FILE)
    for block in blocks.values():
        assert FILE[block.offset : block.offset + 4].decode() == block.tag
        assert FILE[block.payload_offset :].startswith(bytes(block.payload))


def test_the_layout_is_as_specified():
    body = b"GRPH" + struct.pack("<I", 5) + b"graph"
    assert FILE.startswith(b"ESQZ\x01\x00\x00\x00" + body + struct.pack("<I", zlib.crc32(body)))


@pytest.mark.parametrize("version", [0, 2, 0x100, 0xFFFF])
def test_other_versions_are_named(version):
    data = b"ESQZ" + struct.pack("<H", version) + FILE[6:]
    with pytest.raises(UnsupportedVersionError, match=f"version {version};"):
        read_container(data, TAGS, REQUIRED)


@pytest.mark.parametrize("end", range(len(FILE)))
def test_every_truncation_is_refused(end):
    with pytest.raises(CorruptFileError):
        read_container(FILE[:end], TAGS, REQUIRED)


@pytest.mark.parametrize("position", [p for p in range(len(FILE)) if p not in (4, 5)])
@pytest.mark.parametrize("bit", [0, 5, 7])
def test_every_flipped_bit_is_refused(position, bit):
    data = bytearray(FILE)
    data[position] ^= 1 << bit
    with pytest.raises(CorruptFileError):
        read_container(bytes(data), TAGS, REQUIRED)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([("GRPH", b"")], "'TENS' is missing"),
        ([("TENS", b"")], "'GRPH' is missing"),
        ([], "'GRPH' is missing"),
        ([("GRPH", b""), ("GRPH", b""), ("TENS", b"")], "repeated"),
        ([("TENS", b""), ("GRPH", b"")], "misplaced"),
        ([("GRPH", b""), ("XXXX", b""), ("TENS", b"")], "unknown"),
    ],
)
def test_other_sets_of_blocks_are_refused(blocks, message):
    with pytest.raises(CorruptFileError, match=message):
        read_container(write_container(blocks), TAGS, REQUIRED)


def test_what_follows_the_last_block_is_refused():
    with pytest.raises(CorruptFileError):
        read_container(FILE + b"\x00", TAGS, REQUIRED)


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_refused(data):
    for start in (b"", b"ESQZ\x01\x00\x00\x00"):
        with pytest.raises(CodecError):
            read_container(start + data, TAGS, REQUIRED)
