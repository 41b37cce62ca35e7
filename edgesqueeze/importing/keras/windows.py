"""Where Keras puts a window: ``valid``, ``same`` and ``causal`` padding as torch's layers take it."""

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Padding:
    """Zeros around [N, C, *spatial]: those a torch layer adds itself, and those put there before it."""

    kind: str
    windows: tuple[int, ...]
    """Places that a window spans, dilation included."""
    strides: tuple[int, ...]

    @classmethod
    def of(cls, layer: Any) -> "Padding":
        """The padding of a Keras convolution."""
        pairs = zip(layer.kernel_size, layer.dilation_rate, strict=True)
        windows = tuple((size - 1) * step + 1 for size, step in pairs)
        return cls(layer.padding, windows, tuple(layer.strides))

    @property
    def inside(self) -> tuple[int, ...]:
        """What the torch layer adds, on both sides alike."""
        if not self._is_even:
            return (0,) * len(self.windows)
        return tuple((window - 1) // 2 for window in self.windows)

    @property
    def _is_even(self) -> bool:
        odd = all(window % 2 for window in self.windows)
        return self.kind == "same" and odd and set(self.strides) == {1}

    def __call__(self, x: Tensor) -> Tensor:
        """The input with the zeros that the layer does not add itself."""
        if self.kind == "valid" or self._is_even:
            return x
        sides = [self._sides(size, axis) for axis, size in enumerate(x.shape[2:])]
        flat = [n for pair in reversed(sides) for n in pair]  # torch begins with the last axis
        return F.pad(x, flat) if any(flat) else x

    def _sides(self, size: int, axis: int) -> tuple[int, int]:
        """Zeros before and after: as many as ceil(size / stride) windows need, the odd one behind."""
        window, stride = self.windows[axis], self.strides[axis]
        if self.kind == "causal":
            return window - 1, 0
        total = max((-(-size // stride) - 1) * stride + window - size, 0)
        return total // 2, total - total // 2


@dataclass(frozen=True)
class CroppedTo:
    """How much of a transposed convolution's full result is Keras's: what torch's layer gives, and a cut."""

    padding: tuple[int, ...]
    output_padding: tuple[int, ...]
    same: bool
    strides: tuple[int, ...]

    @classmethod
    def of(cls, layer: Any) -> "CroppedTo | None":
        """The cut of a Keras layer; None where its ``output_padding`` is chosen by hand."""
        if layer.output_padding is not None:
            return None
        same = layer.padding == "same"
        padding, more = [], []
        for size, step, dilation in zip(layer.kernel_size, layer.strides, layer.dilation_rate, strict=True):
            window = (size - 1) * dilation + 1
            padding.append(max(window - step, 0) // 2 if same else 0)
            more.append(max(step - window, 0))
        return cls(tuple(padding), tuple(more), same, tuple(layer.strides))

    def __call__(self, x: Tensor, source: Tensor) -> Tensor:
        """The first ``size · stride`` places along every axis, where the padding is ``same``."""
        if not self.same:
            return x
        for axis, (size, stride) in enumerate(zip(source.shape[2:], self.strides, strict=True), start=2):
            if x.shape[axis] > size * stride:
                x = x.narrow(axis, 0, size * stride)
        return x
