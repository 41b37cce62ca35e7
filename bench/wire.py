"""Where the bytes of a protobuf message go, field by field, to the last one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Field:
    """One field of a message as it lies in the file.

    ``overhead`` counts its tag and, if it has one, its length; ``value`` is what is behind them.
    """

    number: int
    overhead: int
    value: memoryview


def fields(message: memoryview) -> Iterator[Field]:
    """The fields of a message in the order of the file; their bytes sum to the message's.

    Raises:
        ValueError: the bytes are no message.
    """
    position = 0
    while position < len(message):
        start = position
        tag, position = _varint(message, position)
        kind = tag & 7
        if kind == _LENGTH:
            size, position = _varint(message, position)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        elif kind == _VARINT:
            size = _varint(message, position)[1] - position
        else:
            raise ValueError(f"wire type {kind} at byte {start}")
        if position + size > len(message):
            raise ValueError(f"the field at byte {start} ends behind its message")
        yield Field(tag >> 3, position - start, message[position : position + size])
        position += size


def field_numbers(message: Any) -> dict[str, int]:
    """Name to number of a generated message class's fields."""
    return {field.name: field.number for field in message.DESCRIPTOR.fields}


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """The number at a position, and the position behind it."""
    value = shift = 0
    while True:
        if position >= len(message):
            raise ValueError("a number ends behind its message")
        byte = message[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
