"""Rare operations value by value, or over two tensors, as sums, products and functions."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from edgesqueeze.network.reading.torch.decompositions.decomposition import Decomposition

_ATEN = torch.ops.aten


def _lerp(start: Tensor, end: Tensor, weight: float | Tensor) -> Tensor:
    return start + (end - start) * weight


def _addcmul(x: Tensor, one: Tensor, other: Tensor, *, value: float = 1) -> Tensor:
    return x + one * other * value


def _addcdiv(x: Tensor, one: Tensor, other: Tensor, *, value: float = 1) -> Tensor:
    return x + one / other * value


def _hypot(x: Tensor, y: Tensor) -> Tensor:
    return torch.sqrt(x * x + y * y)


def _logit(x: Tensor, eps: float | None = None) -> Tensor:
    inner = x if eps is None else x.clamp(eps, 1 - eps)
    return torch.log(inner / (1 - inner))


def _log2(x: Tensor) -> Tensor:
    return torch.log(x) * 1.4426950408889634


def _log10(x: Tensor) -> Tensor:
    return torch.log(x) * 0.4342944819032518


def _log1p(x: Tensor) -> Tensor:
    return torch.log(x + 1)


def _expm1(x: Tensor) -> Tensor:
    return torch.exp(x) - 1


def _sinh(x: Tensor) -> Tensor:
    return (torch.exp(x) - torch.exp(-x)) * 0.5


def _cosh(x: Tensor) -> Tensor:
    return (torch.exp(x) + torch.exp(-x)) * 0.5


def _rrelu(x: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Any:
    """Xu et al. 2015 (arXiv 1505.00853): in evaluation the slope is the middle one."""
    if training:  # asked for by hand: slopes are random
        return NotImplemented
    return F.leaky_relu(x, (lower + upper) / 2)


def _clamp(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Any:
    """Bounds that are tensors; single numbers stay, which are a function."""
    if all(bound is None or bound.numel() == 1 for bound in (low, high)):
        return NotImplemented
    above = x if low is None else torch.maximum(x, low)
    return above if high is None else torch.minimum(above, high)


def _amin(x: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    return -torch.amax(-x, dim, keepdim)


def _min(x: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    values, places = torch.max(-x, dim, keepdim)
    return -values, places


def _cosine_similarity(x: Tensor, y: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Each norm at least ``eps``, as torch has it."""
    sizes = [torch.linalg.vector_norm(v, dim=dim, keepdim=True).clamp(min=eps) for v in (x, y)]
    product: Tensor = (x / sizes[0]) * (y / sizes[1])
    return product.sum(dim)


def _pairwise_distance(
    x: Tensor, y: Tensor, p: float = 2, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    apart: Tensor = (x - y + eps).norm(p, dim=-1, keepdim=keepdim)
    return apart


VALUES: dict[object, Decomposition] = {
    _ATEN.lerp.Scalar: _lerp,
    _ATEN.lerp.Tensor: _lerp,
    _ATEN.addcmul.default: _addcmul,
    _ATEN.addcdiv.default: _addcdiv,
    _ATEN.hypot.default: _hypot,
    _ATEN.logit.default: _logit,
    _ATEN.log2.default: _log2,
    _ATEN.log10.default: _log10,
    _ATEN.log1p.default: _log1p,
    _ATEN.expm1.default: _expm1,
    _ATEN.sinh.default: _sinh,
    _ATEN.cosh.default: _cosh,
    _ATEN.rrelu.default: _rrelu,
    _ATEN.clamp.Tensor: _clamp,
    _ATEN.amin.default: _amin,
    _ATEN.min.dim: _min,
    _ATEN.cosine_similarity.default: _cosine_similarity,
    _ATEN.pairwise_distance.default: _pairwise_distance,
}
