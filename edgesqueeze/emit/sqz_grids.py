"""The ACTQ block of a .sqz file: one activation grid per group of tensors that share it.

The rest of a QuantSpec, the int8 weights and int32 biases, follows from the float weights and these grids
(:func:`edgesqueeze.graph.spec.spec_from_activations`), so it is not stored.
"""

import struct
from math import isfinite

import numpy as np

from edgesqueeze.errors import CodecError
from edgesqueeze.graph.nodes import Graph
from edgesqueeze.graph.ranges import share_groups
from edgesqueeze.graph.spec import ActivationQuant, QuantSpec, WeightQuant, spec_from_activations

_GRID = struct.Struct("<fb")
_SMALLEST_SCALE = 2.0**-40


def encode_grids(graph: Graph, spec: QuantSpec) -> bytes:
    """One float32 scale and int8 zero point per share-group, groups in the order of their first node.

    Raises:
        CodecError: nodes missing, unequal grids in a group, or weights that do not follow from the grids.
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
    expected = _rebuild_spec(graph, spec.activations)
    for name in expected.weights.keys() | spec.weights.keys():
        if not _same_weights(expected.weights.get(name), spec.weights.get(name)):
            raise CodecError(f"the int8 weights of {name!r} do not follow from its float weights")
    return b"".join(_GRID.pack(grid.scale, grid.zero_point) for grid in grids.values())


def decode_grids(graph: Graph, payload: memoryview) -> QuantSpec:
    """The whole QuantSpec from the grids and the graph's float weights.

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
    return _rebuild_spec(graph, {name: grids[group] for name, group in groups.items()})


def _rebuild_spec(graph: Graph, activations: dict[str, ActivationQuant]) -> QuantSpec:
    for name, grid in activations.items():
        if not (isfinite(grid.scale) and grid.scale >= _SMALLEST_SCALE):
            raise CodecError(f"node {name!r} has activation scale {grid.scale}; allowed is 2^-40 and more")
    for name, tensor in graph.tensors.items():
        if not np.isfinite(tensor).all():
            raise CodecError(f"tensor {name!r} has values that are not finite, so it has no int8 form")
    try:
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            return spec_from_activations(graph, activations)
    except FloatingPointError as error:
        raise CodecError(f"weights and activation grids are too far apart for int8: {error}") from error


def _same_weights(one: WeightQuant | None, other: WeightQuant | None) -> bool:
    if one is None or other is None:
        return False
    pairs = ((one.weight, other.weight), (one.scale, other.scale), (one.bias, other.bias))
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


def _is_float32(value: float) -> bool:
    with np.errstate(over="ignore"):
        return float(np.float32(value)) == value
