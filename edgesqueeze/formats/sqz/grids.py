"""The ACTQ block of a .sqz file: one activation grid per group of tensors that share it.

The rest of a QuantSpec, the int8 weights and int32 biases, mostly follows from the float weights and these
grids (:func:`edgesqueeze.network.integers.spec.spec_from_activations`); what does not is in the block WGTQ
(:mod:`edgesqueeze.formats.sqz.integers`).
"""

import struct
from math import isfinite

import numpy as np

from edgesqueeze.errors import CodecError
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.integers.ranges import share_groups
from edgesqueeze.network.integers.spec import ActivationQuant, QuantSpec
from edgesqueeze.numerics.integers import SMALLEST_SCALE

_GRID = struct.Struct("<fb")


def encode_grids(graph: Graph, spec: QuantSpec) -> bytes:
    """One float32 scale and int8 zero point per share-group, groups in the order of their first node.

    Raises:
        CodecError: nodes missing, or unequal grids in a group.
    """
    return b"".join(_GRID.pack(grid.scale, grid.zero_point) for grid in group_grids(graph, spec).values())


def group_grids(graph: Graph, spec: QuantSpec) -> dict[str, ActivationQuant]:
    """The grid of every share-group by the group's name, groups in the order of their first node.

    Raises:
        CodecError: nodes missing, unequal grids in a group, or grids that no int8 network can have.
    """
    groups = share_groups(graph)
    if set(spec.activations) != set(groups):
        raise CodecError("the quantization names other nodes than the graph has")
    grids: dict[str, ActivationQuant] = {}
    for name, group in groups.items():
        grid = spec.activations[name]
        if grids.setdefault(group, grid) != grid:
            raise CodecError(
                f"node {name!r} must share its activation grid with {group!r}, but has another one"
            )
        if not _is_float32(grid.scale) or not -128 <= grid.zero_point <= 127:
            raise CodecError(
                f"node {name!r} has grid {grid}; allowed are a float32 scale and an int8 zero point"
            )
        _check_scale(name, grid)
    return grids


def decode_grids(graph: Graph, payload: memoryview) -> dict[str, ActivationQuant]:
    """The activation grid of every node.

    Raises:
        CodecError: too few or too many bytes, or grids that no int8 network can have.
    """
    groups = share_groups(graph)
    order = list(dict.fromkeys(groups.values()))
    if len(payload) != _GRID.size * len(order):
        raise CodecError(f"{len(payload)} bytes of activation grids for {len(order)} groups")
    grids = {
        group: ActivationQuant(*_GRID.unpack_from(payload, _GRID.size * i)) for i, group in enumerate(order)
    }
    for name, grid in grids.items():
        _check_scale(name, grid)
    return {name: grids[group] for name, group in groups.items()}


def _check_scale(name: str, grid: ActivationQuant) -> None:
    if not (isfinite(grid.scale) and grid.scale >= SMALLEST_SCALE):
        raise CodecError(f"node {name!r} has activation scale {grid.scale}; allowed is 2^-40 and more")


def _is_float32(value: float) -> bool:
    with np.errstate(over="ignore"):
        return float(np.float32(value)) == value
