"""What takes stored places of a dimension, in any order, and running sums: products with a stored matrix.

A matrix of zeros and ones moves values exactly, in float and, on one grid, in integers.
"""

from math import prod

import numpy as np
from numpy.typing import NDArray
from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import Floats
from edgesqueeze.network.reading.torch.builder import Builder, Translation
from edgesqueeze.network.reading.torch.fx import arguments_of, refuse, shape_of
from edgesqueeze.network.reading.torch.operations.products.matmuls import along, factor_of, show_product

_LETTERS = "nabcdefghijklm"
Places = NDArray[np.int64]


def _by_matrices(builder: Builder, fx: FxNode, matrices: dict[int, Floats]) -> None:
    """Dimensions multiplied by matrices [out, in], one after the other."""
    value = fx.args[0]
    assert isinstance(value, FxNode)  # torch.export writes nothing else
    if 0 in matrices:
        raise refuse(fx, "takes places of the batch; every sample has an answer of its own here")
    found = factor_of(builder, value, _LETTERS[: len(value.meta["val"].shape)])
    for dim, matrix in matrices.items():
        if not np.array_equal(matrix, np.eye(len(matrix))):
            found = along(builder, fx, found, _LETTERS[dim], matrix)
    show_product(builder, fx, found)


def _chosen(length: int, places: Places) -> Floats:
    return np.eye(length, dtype=np.float32)[places]


def _index_select(builder: Builder, fx: FxNode) -> None:
    args = arguments_of(fx, ["input", "dim", "index"])
    lengths = _lengths(fx)
    dim = int(args["dim"]) % len(lengths)
    _by_matrices(builder, fx, {dim: _chosen(lengths[dim], _stored_places(builder, fx, args["index"]))})


def _index(builder: Builder, fx: FxNode) -> None:
    """Places of one dimension, or of several as a grid: ``x[:, rows[:, None], columns]``."""
    lengths, indices = _lengths(fx), list(arguments_of(fx, ["input", "indices"])["indices"])
    given = {dim: _stored_places(builder, fx, i) for dim, i in enumerate(indices) if i is not None}
    rank = max(places.ndim for places in given.values())
    shapes = [(1,) * (rank - places.ndim) + places.shape for places in given.values()]
    grid = rank == len(given) and all(prod(shape) == shape[axis] for axis, shape in enumerate(shapes))
    together = list(given) == list(range(min(given), max(given) + 1))
    if not grid or not together:
        raise refuse(fx, "takes places that are no list for one dimension, or no grid over neighbouring ones")
    _by_matrices(builder, fx, {d: _chosen(lengths[d], places.reshape(-1)) for d, places in given.items()})


def _flip(builder: Builder, fx: FxNode) -> None:
    lengths = _lengths(fx)
    dims = {int(d) % len(lengths) for d in arguments_of(fx, ["input", "dims"])["dims"]}
    _by_matrices(builder, fx, {d: _chosen(lengths[d], np.arange(lengths[d])[::-1]) for d in sorted(dims)})


def _cumsum(builder: Builder, fx: FxNode) -> None:
    dim = int(arguments_of(fx, ["input", "dim"])["dim"]) % len(shape_of(fx))
    _by_matrices(builder, fx, {dim: np.tril(np.ones([shape_of(fx)[dim]] * 2, np.float32))})


def _lengths(fx: FxNode) -> tuple[int, ...]:
    value = fx.args[0]
    assert isinstance(value, FxNode)
    return tuple(int(n) for n in value.meta["val"].shape)


def _stored_places(builder: Builder, fx: FxNode, value: object) -> Places:
    stored = builder.stored(value)
    if stored is None or stored.dtype.is_floating_point or stored.dtype.is_complex:
        raise refuse(fx, "takes places that are computed from the input; stored ones are allowed")
    if stored.dtype.itemsize == 1 and not stored.dtype.is_signed:  # a mask, maybe as bytes
        raise refuse(fx, "takes places by a mask; give their numbers")
    return np.asarray(stored.cpu().numpy(), np.int64)


SELECTIONS: dict[str, Translation] = {
    "index": _index,
    "index_select": _index_select,
    "flip": _flip,
    "cumsum": _cumsum,
}
"""What torch calls them; they read a tensor in any order."""
