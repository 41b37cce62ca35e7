"""Reading bytes that nobody vouches for, and the variable-length integers used throughout the format."""

from edgesqueeze.errors import CorruptFileError

_LARGEST = (1 << 32) - 1


def encode_varint(value: int) -> bytes:
    """An integer in [0, 2³²) as 1 to 5 bytes of 7 bits, lowest first; the high bit says that more follow."""
    if not 0 <= value <= _LARGEST:
        raise ValueError(f"varint of {value}; allowed is 0 to {_LARGEST}")
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value: int) -> int:
    """Small integers of either sign to small counts: 0, -1, 1, -2, 2 to 0, 1, 2, 3, 4."""
    return 2 * value if value >= 0 else -2 * value - 1


def unzigzag(value: int) -> int:
    """The inverse of :func:`zigzag`."""
    return (value + 1) // -2 if value & 1 else value // 2


class ByteReader:
    """A cursor over bytes; reading past the end raises CorruptFileError and allocates nothing."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        self.offset = 0

    @property
    def remaining(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self.offset

    def take(self, num_bytes: int) -> memoryview:
        """The next bytes, without a copy."""
        if num_bytes > self.remaining:
            raise CorruptFileError(
                f"{num_bytes} bytes wanted at offset {self.offset}, {self.remaining} are left"
            )
        self.offset += num_bytes
        return self._data[self.offset - num_bytes : self.offset]

    def varint(self) -> int:
        """The next variable-length integer; only the shortest form is valid."""
        value = 0
        for shift in range(0, 35, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value > _LARGEST or (byte == 0 and shift > 0):
                    break
                return value
        raise CorruptFileError(f"a variable-length integer before offset {self.offset} is too long")

    def finish(self, what: str) -> None:
        """Refuse bytes that are left over."""
        if self.remaining:
            raise CorruptFileError(f"{what} is followed by {self.remaining} unexpected bytes")
