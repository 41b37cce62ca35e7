"""Packing codes of varying length into bytes, most significant bit first."""

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import CorruptFileError

MAX_CODE_BITS = 16
_BLOCK = 1 << 20
"""Codes packed at a time: bounds the temporaries to some 50 MB whatever the stream's length."""


def pack_codes(codes: NDArray[np.integer], lengths: NDArray[np.integer]) -> bytes:
    """Concatenate codes; the last byte is filled with zero bits.

    Args:
        codes: [n], each below 2 ** its length.
        lengths: [n], bits per code, 0 to 16.
    """
    num_bits = int(lengths.sum(dtype=np.int64))
    # A code of 16 bits that starts at bit 7 of a byte ends in the third byte.
    packed = np.zeros(num_bits // 8 + 3, np.uint8)
    first_bit = 0
    for start in range(0, len(codes), _BLOCK):
        block_lengths = lengths[start : start + _BLOCK].astype(np.int64)
        ends = first_bit + np.cumsum(block_lengths)
        begins = ends - block_lengths
        shifted = codes[start : start + _BLOCK].astype(np.int64) << (24 - block_lengths - (begins & 7))
        first_byte = first_bit >> 3
        index = (begins >> 3) - first_byte
        for byte in range(3):
            # Bits of different codes never overlap, so a sum is a bitwise or.
            part = np.bincount(index + byte, weights=(shifted >> (16 - 8 * byte)) & 255)
            packed[first_byte : first_byte + len(part)] += part.astype(np.uint8)
        first_bit = int(ends[-1])
    return packed[: (num_bits + 7) // 8].tobytes()


class BitReader:
    """Reads a few bits at a time, most significant first; past the end raises CorruptFileError."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        self.position = 0

    def take(self, num_bits: int) -> int:
        """The next bits as an unsigned integer."""
        end = self.position + num_bits
        if end > 8 * len(self._data):
            raise CorruptFileError(f"{num_bits} bits wanted at bit {self.position}, the data end before")
        first, last = self.position >> 3, (end + 7) >> 3
        window = int.from_bytes(self._data[first:last], "big")
        self.position = end
        return window >> (8 * last - end) & ((1 << num_bits) - 1)

    def finish(self) -> int:
        """Check that the bits up to the next byte boundary are zero; the number of bytes read."""
        if self.take(-self.position % 8):
            raise CorruptFileError(f"the padding before bit {self.position} is not zero")
        return self.position >> 3
