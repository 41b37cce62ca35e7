"""Windows of a map as moved maps, and blocks as views."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from edgesqueeze.network.reading.torch.decompositions.decomposition import Decomposition

_ATEN = torch.ops.aten


def _im2col(
    x: Tensor, kernel: Sequence[int], dilation: Sequence[int], padding: Sequence[int], stride: Sequence[int]
) -> Tensor:
    """Unfold: a moved map for every place of the kernel, [N, C · places, windows]; blocks are a view."""
    if list(kernel) == list(stride) and not any(padding) and max(dilation) == 1:
        rows, columns = (x.shape[2 + i] // kernel[i] for i in (0, 1))
        x = x[:, :, : rows * kernel[0], : columns * kernel[1]]
        blocks = x.reshape(x.shape[0], x.shape[1], rows, kernel[0], columns, kernel[1])
        return blocks.permute(0, 1, 3, 5, 2, 4).reshape(x.shape[0], -1, rows * columns)
    x = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    rows, columns = ((x.shape[2 + i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in (0, 1))
    moved = [
        x[
            :,
            :,
            i * dilation[0] : i * dilation[0] + (rows - 1) * stride[0] + 1 : stride[0],
            j * dilation[1] : j * dilation[1] + (columns - 1) * stride[1] + 1 : stride[1],
        ]
        for i in range(kernel[0])
        for j in range(kernel[1])
    ]
    return torch.stack(moved, 2).reshape(x.shape[0], -1, rows * columns)


def _col2im(
    x: Tensor,
    size: Sequence[int],
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Any:
    """Fold: blocks side by side are a view; windows that overlap stay as they are, and are refused."""
    whole = list(kernel) == list(stride) and size[0] % kernel[0] == size[1] % kernel[1] == 0
    if x.dim() != 3 or not whole or any(padding) or max(dilation) > 1:
        return NotImplemented
    rows, columns = size[0] // kernel[0], size[1] // kernel[1]
    blocks = x.reshape(x.shape[0], -1, kernel[0], kernel[1], rows, columns)
    return blocks.permute(0, 1, 4, 2, 5, 3).reshape(x.shape[0], -1, size[0], size[1])


def _windows(x: Tensor, dim: int, size: int, step: int) -> Tensor:
    """``Tensor.unfold``: windows along a dimension, their places last."""
    dim %= x.dim()
    count = (x.shape[dim] - size) // step + 1
    if size == step:
        blocks = x.narrow(dim, 0, count * step).reshape(*x.shape[:dim], count, step, *x.shape[dim + 1 :])
        return blocks.movedim(dim + 1, -1)
    ends = range(size)
    moved = [_ATEN.slice(x, dim, i, i + (count - 1) * step + 1, step) for i in ends]
    return torch.stack(moved, -1)


WINDOWS: dict[object, Decomposition] = {
    _ATEN.im2col.default: _im2col,
    _ATEN.col2im.default: _col2im,
    _ATEN.unfold.default: _windows,
}
