"""What meets each column of a layer's weight matrix, at some places of its output."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d)
_Conv = nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d


def groups_of(layer: nn.Module) -> int:
    """In how many groups of channels a layer works, of which each reads inputs of its own."""
    return int(layer.groups) if isinstance(layer, _Conv) else 1


def by_output(layer: nn.Module, weight: Tensor) -> Tensor:
    """A layer's weight as [out, in / groups, …]: transposed convolutions have it the other way round."""
    if not isinstance(layer, TRANSPOSED):
        return weight
    apart = weight.reshape(layer.groups, -1, *weight.shape[1:])
    return apart.transpose(1, 2).reshape(-1, apart.shape[1], *weight.shape[2:])


def as_layer_has_it(layer: nn.Module, weight: Tensor) -> Tensor:
    """The inverse of :func:`by_output`."""
    if not isinstance(layer, TRANSPOSED):
        return weight
    apart = weight.reshape(layer.groups, -1, *weight.shape[1:])
    return apart.transpose(1, 2).reshape(-1, apart.shape[1], *weight.shape[2:])


def drawn_places(layer: nn.Module, x: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Places of a layer's output for inputs like ``x``, drawn without repetition: int64 [up to ``most``]."""
    sizes = x.shape[1:-1] if isinstance(layer, nn.Linear) else _output_size(layer, x)
    count = math.prod(sizes)
    if count <= most:
        return torch.arange(count)
    return torch.randperm(count, generator=generator)[:most].sort().values


def reads(layer: nn.Module, x: Tensor, places: Tensor) -> Tensor:
    """The inputs of a layer's weight matrix at places of the output of every example.

    Args:
        layer: a dense layer or a convolution of any kind.
        x: a batch of its inputs, [N, ...].
        places: int64 [P] as of :func:`drawn_places`.

    Returns:
        [groups, columns, N · P]; columns are in the order of a row of :func:`by_output`'s weight.
    """
    if isinstance(layer, nn.Linear):
        chosen = x.reshape(len(x), -1, x.shape[-1])[:, places]
        return chosen.reshape(1, -1, x.shape[-1]).mT
    assert isinstance(layer, _Conv)
    if x.ndim == 3:
        x = x.unsqueeze(2)
    transposed = isinstance(layer, TRANSPOSED)
    padded = _spread(layer, x) if transposed else _padded(layer, x)
    strides = (1, 1) if transposed else _pair(layer.stride)
    width = _output_size(layer, x)[1]
    indices = []
    for axis, place in enumerate((places // width, places % width)):
        reach = torch.arange(_pair(layer.kernel_size)[axis]) * _pair(layer.dilation)[axis]
        indices.append(place[:, None] * strides[axis] + (reach.flip(0) if transposed else reach))
    rows, columns = indices
    windows = padded[:, :, rows[:, :, None], columns[:, None, :]]  # [N, C, P, rows, columns of the kernel]
    apart = windows.reshape(len(x), layer.groups, -1, *windows.shape[2:]).permute(1, 2, 4, 5, 0, 3)
    return apart.reshape(layer.groups, -1, len(x) * len(places))


def _pair(values: Sequence[int]) -> tuple[int, int]:
    """Height and width; a signal has height 1."""
    return (1, values[0]) if len(values) == 1 else (values[0], values[1])


def _pads(layer: _Conv) -> tuple[tuple[int, int], tuple[int, int]]:
    """Before and behind rows and columns, of an ordinary convolution."""
    reach = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    if layer.padding == "valid":
        both = [(0, 0) for _ in reach]
    elif layer.padding == "same":
        both = [(r // 2, r - r // 2) for r in reach]
    else:
        both = [(int(p), int(p)) for p in layer.padding]
    return ((0, 0), both[0]) if len(both) == 1 else (both[0], both[1])


def _padded(layer: _Conv, x: Tensor) -> Tensor:
    rows, columns = _pads(layer)
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    if x.shape[2] == 1 and rows == (0, 0) and mode != "constant":
        return F.pad(x.squeeze(2), columns, mode).unsqueeze(2)
    return F.pad(x, (*columns, *rows), mode)


def _spread(layer: _Conv, x: Tensor) -> Tensor:
    """Zeros between inputs and around them: what a transposed convolution's mirrored kernel walks over."""
    strides = _pair(layer.stride)
    sizes = [(n - 1) * s + 1 for n, s in zip(x.shape[2:], strides, strict=True)]
    spread = x.new_zeros(*x.shape[:2], *sizes)
    spread[:, :, :: strides[0], :: strides[1]] = x
    pads: list[int] = []
    for axis in (1, 0):
        around = _around(layer, axis)
        pads += [around, around + _extra(layer, axis)]
    return F.pad(spread, pads)


def _around(layer: _Conv, axis: int) -> int:
    padding = [int(p) for p in layer.padding]
    padding = [0, *padding] if len(padding) == 1 else padding
    return _pair(layer.dilation)[axis] * (_pair(layer.kernel_size)[axis] - 1) - padding[axis]


def _extra(layer: _Conv, axis: int) -> int:
    extra = [int(n) for n in layer.output_padding]
    return ([0, *extra] if len(extra) == 1 else extra)[axis]


def _output_size(layer: nn.Module, x: Tensor) -> tuple[int, int]:
    """Height and width of a convolution's output."""
    assert isinstance(layer, _Conv)
    sizes = (1, x.shape[2]) if x.ndim == 3 else (x.shape[2], x.shape[3])
    found = []
    for axis, size in enumerate(sizes):
        reach = _pair(layer.dilation)[axis] * (_pair(layer.kernel_size)[axis] - 1)
        stride = _pair(layer.stride)[axis]
        if isinstance(layer, TRANSPOSED):
            found.append((size - 1) * stride + 1 + 2 * _around(layer, axis) + _extra(layer, axis) - reach)
        else:
            found.append((size + sum(_pads(layer)[axis]) - reach - 1) // stride + 1)
    return found[0], found[1]
