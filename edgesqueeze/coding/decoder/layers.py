"""The layers of a .sqz file: what the file says of each, and its weights, biases and int8 integers.

Tensors are decoded layer by layer, so that no more than one layer is in memory at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.coding.byte_reader import ByteReader, unzigzag
from edgesqueeze.coding.coders import decode_tensor, unpack_bytes
from edgesqueeze.errors import CorruptFileError
from edgesqueeze.numerics.integers import (
    BIAS_MAX,
    SMALLEST_SCALE,
    Floats,
    bias_scales,
    min_max_scales,
    nearest_biases,
    nearest_weights,
    usable_scale,
)

SCALES, WEIGHTS, BIASES, ONE_SCALE, FLOAT = 1, 2, 4, 8, 16
"""What does not follow from a layer's floats: bits of its flags. The first three each have one more payload;
ONE_SCALE goes with SCALES, which are one for the tensor then; FLOAT stands alone: there are no integers."""
_ROWS_AT_A_TIME = 1 << 20
"""Weights quantized at a time: bounds the float64 temporaries."""


@dataclass(frozen=True)
class Layer:
    """What the file says of a layer: its weight's shape, flags, and the grid (by number) that it reads."""

    shape: tuple[int, ...]
    flags: int = 0
    grid: int | None = None

    @property
    def num_weights(self) -> int:
        """Weights without biases."""
        return prod(self.shape)

    @property
    def num_channels(self) -> int:
        """Output channels, which is also the number of biases."""
        return self.shape[0]

    @property
    def num_parts(self) -> int:
        """Payloads in block T: weight, bias, and one for every flag."""
        return 2 + (self.flags & (SCALES | WEIGHTS | BIASES)).bit_count()

    @property
    def has_integers(self) -> bool:
        """Whether it may have an int8 form; layer norms, of one dimension, never do."""
        return self.flags != FLOAT and len(self.shape) > 1

    @property
    def num_scales(self) -> int:
        """Scales of the int8 weight."""
        return 1 if self.flags & ONE_SCALE else self.num_channels


@dataclass(frozen=True)
class Part:
    """A payload in block T and where its length starts there."""

    offset: int
    payload: memoryview


@dataclass(frozen=True, eq=False)
class LayerValues:
    """One layer, decoded as far as anybody asks.

    Attributes:
        layer: what the file says of it.
        coder: how its tensors are coded.
        input_scale: scale of the grid the layer reads, None without an int8 form.
        parts: its payloads.
    """

    layer: Layer
    coder: int
    input_scale: float | None
    parts: tuple[Part, ...]
    decoded: list[Floats] = field(default_factory=list, repr=False)

    @property
    def weight(self) -> Floats:
        """float32 [out, …], decoded once.

        Layers are decoded side by side, which ``cached_property`` does not let them before Python 3.12: it
        has one lock for the attribute of all objects.
        """
        if not self.decoded:
            self.decoded.append(decode_tensor(self.coder, self.parts[0].payload, self.layer.shape))
        return self.decoded[0]

    @cached_property
    def bias(self) -> Floats:
        """float32 [out]."""
        return decode_tensor(self.coder, self.parts[1].payload, (self.layer.num_channels,))

    @cached_property
    def scale(self) -> Floats:
        """The scales of the int8 weight, float32 [out] or [1].

        Raises:
            CorruptFileError: there is no int8 form, or not one with these values.
        """
        if not self.layer.has_integers:
            raise CorruptFileError("integers are wanted of a layer that has none")
        if not (np.isfinite(self.weight).all() and np.isfinite(self.bias).all()):
            raise CorruptFileError("a layer has values that are not finite, so it has no int8 form")
        with np.errstate(over="ignore"):
            if self.layer.flags & SCALES:
                scale = decode_tensor(self.coder, self._extra(SCALES), (self.layer.num_scales,))
            elif self.input_scale is None:  # biases are float then, and need no room
                scale = usable_scale(min_max_scales(self.weight), np.zeros_like(self.bias), 1.0)
            else:
                scale = usable_scale(min_max_scales(self.weight), self.bias, self.input_scale)
            usable = np.isfinite(scale) & (scale >= SMALLEST_SCALE)
            if not usable.all() or not np.isfinite(bias_scales(scale, self.input_scale or 1.0)).all():
                raise CorruptFileError("a layer has weight scales outside of 2^-40 and more")
        return scale

    @cached_property
    def bias_scale(self) -> Floats:
        """The grid of the int32 biases, float32 [out] or [1].

        Raises:
            CorruptFileError: as for ``scale``, or there are no activation grids.
        """
        if self.input_scale is None:
            raise CorruptFileError("int32 biases are wanted, but the file has no activation grids")
        return bias_scales(self.scale, self.input_scale)

    @cached_property
    def int8_weight(self) -> NDArray[np.int8]:
        """int8 [out, …] in [-127, 127]."""
        scale, integers = self.scale, np.empty(self.layer.shape, np.int8)
        rows = max(1, _ROWS_AT_A_TIME * len(integers) // integers.size)
        for row in range(0, len(integers), rows):
            part = slice(row, row + rows)
            integers[part] = nearest_weights(self.weight[part], scale if len(scale) == 1 else scale[part])
        if self.layer.flags & WEIGHTS:
            steps = decode_tensor(self.coder, self._extra(WEIGHTS), self.layer.shape)
            if not (np.abs(steps) <= 254).all() or not (steps == np.rint(steps)).all():
                raise CorruptFileError("int8 weights differ by more than integers can")
            moved = integers + steps.astype(np.int16)
            if np.abs(moved).max() > 127:
                raise CorruptFileError("an int8 weight lies outside of -127 to 127")
            integers = moved.astype(np.int8)
        return integers

    @cached_property
    def uint8_weight(self) -> NDArray[np.uint8]:
        """The int8 weight + 128, uint8 [out, …]."""
        return (self.int8_weight.astype(np.int16) + 128).astype(np.uint8)

    @cached_property
    def int32_bias(self) -> NDArray[np.int32]:
        """int32 [out]."""
        nearest = nearest_biases(self.bias, self.bias_scale)
        if not (np.abs(nearest) <= BIAS_MAX).all():
            raise CorruptFileError("a bias does not fit in int32 on the grid of its weights")
        integers = nearest.astype(np.int64)
        if self.layer.flags & BIASES:
            integers += read_steps(self._extra(BIASES), self.layer.num_channels)
        return integers.astype(np.uint32).view(np.int32)  # sums are taken modulo 2^32

    def check(self) -> None:
        """Decode all there is of the layer: what templates want does not decide whether a file is damaged.

        Raises:
            CorruptFileError: a tensor cannot be decoded, or the file has activation grids and the integers
                do not fit them.
        """
        integers = self.input_scale is not None and self.layer.has_integers
        for array in ("weight", "bias", *(("int8_weight", "int32_bias") if integers else ())):
            getattr(self, array)

    def _extra(self, flag: int) -> memoryview:
        return self.parts[2 + (self.layer.flags & (flag - 1)).bit_count()].payload


def split_tensors(tensors: memoryview, layers: Sequence[Layer]) -> tuple[tuple[Part, ...], ...]:
    """The payloads of every layer.

    Raises:
        CorruptFileError: too few bytes, or too many.
    """
    reader = ByteReader(tensors)
    found = []
    for layer in layers:
        parts = []
        for _ in range(layer.num_parts):
            offset = reader.offset
            parts.append(Part(offset, reader.take(reader.varint())))
        found.append(tuple(parts))
    reader.finish("the last tensor")
    return tuple(found)


def read_steps(payload: memoryview, count: int) -> NDArray[np.int64]:
    """The differences of int32 biases.

    Raises:
        CorruptFileError: there are not as many.
    """
    reader = ByteReader(unpack_bytes(payload, 5 * count))
    steps = [unzigzag(reader.varint()) for _ in range(count)]
    reader.finish("the last bias")
    return np.array(steps, np.int64)
