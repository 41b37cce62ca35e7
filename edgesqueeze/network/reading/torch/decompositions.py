"""Torch operations written as others of torch before a program is read: those over [N, C, L], and rare ones.

What is one-dimensional becomes two-dimensional with height 1.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Numbers = int | Sequence[int]
_ATEN = torch.ops.aten


def _two(value: Numbers, first: int) -> list[int]:
    """A number of length as one of height and length."""
    return [first, value if isinstance(value, int) else int(value[0])]


def _conv1d(  # noqa: PLR0913, PLR0917 (torch's own signature)
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Numbers = 1,
    padding: Numbers | str = 0,
    dilation: Numbers = 1,
    groups: int = 1,
) -> Tensor:
    around = padding if isinstance(padding, str) else _two(padding, 0)
    wide = F.conv2d(
        x.unsqueeze(2), weight.unsqueeze(2), bias, _two(stride, 1), around, _two(dilation, 1), groups
    )
    return wide.squeeze(2)


def _conv_transpose1d(  # noqa: PLR0913, PLR0917 (torch's own signature)
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Numbers = 1,
    padding: Numbers = 0,
    output_padding: Numbers = 0,
    groups: int = 1,
    dilation: Numbers = 1,
) -> Tensor:
    stride, padding, output_padding = _two(stride, 1), _two(padding, 0), _two(output_padding, 0)
    rest = (stride, padding, output_padding, groups, _two(dilation, 1))
    return F.conv_transpose2d(x.unsqueeze(2), weight.unsqueeze(2), bias, *rest).squeeze(2)


def _max_pool1d(
    x: Tensor,
    kernel: Numbers,
    stride: Numbers = (),
    padding: Numbers = 0,
    dilation: Numbers = 1,
    ceil_mode: bool = False,
) -> Tensor:
    step = _two(stride or kernel, 1)
    return F.max_pool2d(
        x.unsqueeze(2), _two(kernel, 1), step, _two(padding, 0), _two(dilation, 1), ceil_mode
    ).squeeze(2)


def _avg_pool1d(
    x: Tensor,
    kernel: Numbers,
    stride: Numbers = (),
    padding: Numbers = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    step = _two(stride or kernel, 1)
    return F.avg_pool2d(
        x.unsqueeze(2), _two(kernel, 1), step, _two(padding, 0), ceil_mode, count_include_pad
    ).squeeze(2)


def _adaptive_avg_pool1d(x: Tensor, size: Numbers) -> Tensor:
    rows, columns = _two(size, 1)
    return F.adaptive_avg_pool2d(x.unsqueeze(2), (rows, columns)).squeeze(2)


def _adaptive_max_pool1d(x: Tensor, size: Numbers) -> tuple[Tensor, Tensor]:
    values, places = F.adaptive_max_pool2d(x.unsqueeze(2), _two(size, 1), return_indices=True)
    return values.squeeze(2), places.squeeze(2)


def _nearest1d(x: Tensor, size: Sequence[int] | None, factors: Sequence[float] | None) -> Tensor:
    wide = [1.0, *factors] if factors else None
    return _vector(_ATEN.upsample_nearest2d.vec(x.unsqueeze(2), [1, *size] if size else None, wide))


def _linear1d(
    x: Tensor, size: Sequence[int] | None, corners: bool, factors: Sequence[float] | None
) -> Tensor:
    wide = [1.0, *factors] if factors else None
    return _vector(_ATEN.upsample_bilinear2d.vec(x.unsqueeze(2), [1, *size] if size else None, corners, wide))


def _vector(x: Tensor) -> Tensor:
    return x.squeeze(2)


def _log_softmax(x: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
    """A value less the logarithm of the sum of exponentials: a sum, which int8 grids hold well."""
    del dtype
    return x - torch.logsumexp(x, dim, keepdim=True)


def _logsumexp(x: Tensor, dim: Numbers, keepdim: bool = False) -> Tensor:
    """Shifted by the largest value, so that no power overflows."""
    dims = [dim] if isinstance(dim, int) else list(dim)
    largest = torch.amax(x, dims, keepdim=True)
    total = torch.log(torch.sum(torch.exp(x - largest), dims, keepdim=True)) + largest
    if keepdim:
        return total
    for place in sorted((d % x.dim() for d in dims), reverse=True):
        total = total.squeeze(place)
    return total


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


def _variance(
    x: Tensor, dim: Sequence[int] | None = None, *, correction: float | None = None, keepdim: bool = False
) -> Tensor:
    """The mean of squared differences to the mean, with torch's correction of the count."""
    dims = list(range(x.dim())) if dim is None else list(dim)
    count = 1
    for d in dims:
        count *= x.shape[d]
    centred = x - x.mean(dims, keepdim=True)
    divisor = count - (1 if correction is None else correction)
    return (centred * centred).mean(dims, keepdim=keepdim) * (count / divisor)


def _deviation(
    x: Tensor, dim: Sequence[int] | None = None, *, correction: float | None = None, keepdim: bool = False
) -> Tensor:
    return torch.sqrt(_variance(x, dim, correction=correction, keepdim=keepdim))


def _layer_norm(
    x: Tensor,
    shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn: bool = True,
) -> Any:
    """Over several dimensions (Ba et al. 2016, arXiv 1607.06450); one alone has a node, and stays."""
    del cudnn  # how a graphics card computes it
    if len(shape) == 1:
        return NotImplemented
    dims = list(range(-len(shape), 0))
    centred = x - x.mean(dims, keepdim=True)
    normal = centred * torch.rsqrt((centred * centred).mean(dims, keepdim=True) + eps)
    scaled = normal if weight is None else normal * weight
    return scaled if bias is None else scaled + bias


def _rms_norm(
    x: Tensor, shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """Zhang and Sennrich 2019 (arXiv 1910.07467), equation 4."""
    dims = list(range(-len(shape), 0))
    epsilon = torch.finfo(x.dtype).eps if eps is None else eps
    normal = x * torch.rsqrt((x * x).mean(dims, keepdim=True) + epsilon)
    return normal if weight is None else normal * weight


def _variance_of(x: Tensor, dim: Sequence[int], unbiased: bool = True, keepdim: bool = False) -> Tensor:
    return _variance(x, dim, correction=float(unbiased), keepdim=keepdim)


def _deviation_of(x: Tensor, dim: Sequence[int], unbiased: bool = True, keepdim: bool = False) -> Tensor:
    return torch.sqrt(_variance_of(x, dim, unbiased, keepdim))


Decomposition = Callable[..., Any]
DECOMPOSITIONS: dict[Any, Decomposition] = {
    _ATEN.conv1d.default: _conv1d,
    _ATEN.conv1d.padding: _conv1d,
    _ATEN.conv_transpose1d.default: _conv_transpose1d,
    _ATEN.max_pool1d.default: _max_pool1d,
    _ATEN.avg_pool1d.default: _avg_pool1d,
    _ATEN.adaptive_avg_pool1d.default: _adaptive_avg_pool1d,
    _ATEN.adaptive_max_pool1d.default: _adaptive_max_pool1d,
    _ATEN.upsample_nearest1d.vec: _nearest1d,
    _ATEN.upsample_linear1d.vec: _linear1d,
    _ATEN.log_softmax.int: _log_softmax,
    _ATEN.logsumexp.default: _logsumexp,
    _ATEN.im2col.default: _im2col,
    _ATEN.col2im.default: _col2im,
    _ATEN.var.correction: _variance,
    _ATEN.var.dim: _variance_of,
    _ATEN.std.correction: _deviation,
    _ATEN.std.dim: _deviation_of,
    _ATEN.layer_norm.default: _layer_norm,
    _ATEN.rms_norm.default: _rms_norm,
}
"""What ``run_decompositions`` replaces, and by what."""
