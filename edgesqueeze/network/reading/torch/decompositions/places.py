"""What copies, sets, repeats, turns or blanks a part of a tensor, as slices, concatenations and factors."""

from typing import Any

import torch
from torch import Tensor

from edgesqueeze.network.reading.torch.decompositions.decomposition import Decomposition

_ATEN = torch.ops.aten
_END = 2**63 - 1


def _slice_scatter(
    x: Tensor, part: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Any:
    """A slice that was assigned to: what stands before it, the new part, what stands behind."""
    length = x.shape[dim]
    first, last = (0 if start is None else start), (_END if end is None else end)
    first, last = (max(0, min(place + length if place < 0 else place, length)) for place in (first, last))
    if step != 1:
        return NotImplemented
    return _between(x, part, dim, (first, max(first, last)))


def _select_scatter(x: Tensor, part: Tensor, dim: int, index: int) -> Tensor:
    place = index % x.shape[dim]
    return _between(x, part.unsqueeze(dim), dim, (place, place + 1))


def _between(x: Tensor, part: Tensor, dim: int, ends: tuple[int, int]) -> Tensor:
    first, last = ends
    parts = [x.narrow(dim, 0, first), part, x.narrow(dim, last, x.shape[dim] - last)]
    filled = [piece for piece in parts if piece.shape[dim]]
    return filled[0] if len(filled) == 1 else torch.cat(filled, dim)


def _copy(x: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    del non_blocking  # how it is done
    return source.expand(x.shape)


def _repeat_interleave(x: Tensor, repeats: int, dim: int | None = None, *, output_size: Any = None) -> Tensor:
    """Every place several times, one after the other."""
    del output_size  # follows from the others
    x, dim = (x.flatten(), 0) if dim is None else (x, dim % x.dim())
    return torch.stack([x] * repeats, dim + 1).flatten(dim, dim + 1)


def _rot90(x: Tensor, k: int = 1, dims: Any = (0, 1)) -> Tensor:
    first, second = dims
    match k % 4:
        case 1:
            return x.flip(second).transpose(first, second)
        case 2:
            return x.flip(first, second)
        case 3:
            return x.flip(first).transpose(first, second)
        case _:
            return x


def _tril(x: Tensor, diagonal: int = 0) -> Tensor:
    return x * (_columns_ahead(x) <= diagonal).to(x.dtype)


def _triu(x: Tensor, diagonal: int = 0) -> Tensor:
    return x * (_columns_ahead(x) >= diagonal).to(x.dtype)


def _columns_ahead(x: Tensor) -> Tensor:
    """How far the column of every place of a matrix is ahead of its row."""
    return torch.arange(x.shape[-1]) - torch.arange(x.shape[-2]).unsqueeze(1)


def _fill(x: Tensor, value: float | Tensor) -> Tensor:
    return torch.ones_like(x) * value


PLACES: dict[object, Decomposition] = {
    _ATEN.slice_scatter.default: _slice_scatter,
    _ATEN.select_scatter.default: _select_scatter,
    _ATEN.copy.default: _copy,
    _ATEN.repeat_interleave.self_int: _repeat_interleave,
    _ATEN.fill.Scalar: _fill,
    _ATEN.fill.Tensor: _fill,
    _ATEN.rot90.default: _rot90,
    _ATEN.tril.default: _tril,
    _ATEN.triu.default: _triu,
}
