"""Variances, norms and logarithms of sums as means, sums and functions."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from edgesqueeze.network.reading.torch.decompositions.decomposition import Decomposition, Numbers

_ATEN = torch.ops.aten


def _log_softmax(x: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
    """A value less the logarithm of the sum of exponentials: a sum, which int8 grids hold well."""
    x = x if dtype is None else x.to(dtype)
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


STATISTICS: dict[object, Decomposition] = {
    _ATEN.log_softmax.int: _log_softmax,
    _ATEN.logsumexp.default: _logsumexp,
    _ATEN.var.correction: _variance,
    _ATEN.var.dim: _variance_of,
    _ATEN.std.correction: _deviation,
    _ATEN.std.dim: _deviation_of,
    _ATEN.layer_norm.default: _layer_norm,
    _ATEN.rms_norm.default: _rms_norm,
}
