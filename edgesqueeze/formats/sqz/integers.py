"""The WGTQ block of a .sqz file: the part of the int8 weights that does not follow from the float weights.

Min-max scales, integers nearest to the float weights and biases nearest to the float biases are not stored.
Learned or searched scales are stored as they are, other integers and biases as differences; a layer kept in
float is marked. A network in which everything follows has no such block.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.coding.byte_reader import ByteReader, encode_varint
from edgesqueeze.coding.huffman.tensors import decode_tensor, encode_tensor
from edgesqueeze.errors import CodecError
from edgesqueeze.network.graph.nodes import Floats, Graph, WeightedNode
from edgesqueeze.network.integers.spec import ActivationQuant, QuantSpec, WeightQuant, quantize_layer
from edgesqueeze.numerics.integers import SMALLEST_SCALE

SCALES, WEIGHTS, BIASES, ONE_SCALE = 1, 2, 4, 8
"""What a layer's entry holds: bits of its first byte. ONE_SCALE goes with SCALES: one for the tensor."""
FLOAT = 16
"""The first and only byte of a layer kept in float."""
_INT32 = np.iinfo(np.int32)


def encode_integers(graph: Graph, spec: QuantSpec) -> bytes:
    """The payload of the block, empty if the whole spec follows from the graph and its activation grids.

    Raises:
        CodecError: foreign layers, or arrays no int8 network can have.
    """
    check_layers(graph, spec)
    entries = [_encode_layer(graph, node, spec) for node in graph.weighted]
    return b"".join(entries) if any(entry != b"\0" for entry in entries) else b""


def decode_integers(
    graph: Graph, activations: dict[str, ActivationQuant], payload: memoryview | None
) -> QuantSpec:
    """The whole QuantSpec; ``payload`` is None if the file has no such block.

    Raises:
        CodecError: bytes that are no such block, or numbers no int8 network can have.
    """
    reader = ByteReader(payload or b"")
    flags, weights = 0, {}
    for node in graph.weighted:
        extra = _Extra(0, None, None, None) if payload is None else _read_layer(reader, graph, node)
        flags |= extra.flags
        if extra.flags == FLOAT:
            continue
        derived = derive(graph, node, activations[node.inputs[0]].scale, extra.scale)
        weights[node.name] = _corrected(node, derived, extra)
    reader.finish("the last layer's integers")
    if payload is not None and not flags:
        raise CodecError("the block of integers says nothing")
    return QuantSpec(activations, weights)


@dataclass(frozen=True, eq=False)
class _Extra:
    flags: int
    scale: Floats | None
    weight: NDArray[np.int64] | None
    bias: NDArray[np.int64] | None


def _encode_layer(graph: Graph, node: WeightedNode, spec: QuantSpec) -> bytes:
    if node.name not in spec.weights:
        return bytes([FLOAT])
    quant, input_scale = spec.weights[node.name], spec.activations[node.inputs[0]].scale
    derived = derive(graph, node, input_scale, None)
    flags, parts = 0, b""
    if not np.array_equal(derived.scale, quant.scale):
        flags, parts = SCALES, quant.scale.astype("<f4").tobytes()
        flags |= ONE_SCALE if len(quant.scale) < len(quant.bias) else 0
        derived = derive(graph, node, input_scale, quant.scale)
    weight = quant.weight.astype(np.float32) - derived.weight
    if weight.any():
        coded = encode_tensor(weight, None)
        flags, parts = flags | WEIGHTS, parts + encode_varint(len(coded)) + coded
    bias = quant.bias.astype(np.int64) - derived.bias
    if bias.any():
        flags, parts = flags | BIASES, parts + bias.astype("<i8").tobytes()
    return bytes([flags]) + parts


def _read_layer(reader: ByteReader, graph: Graph, node: WeightedNode) -> _Extra:
    flags, channels = reader.take(1)[0], node.shape[1]
    known = flags <= SCALES | WEIGHTS | BIASES | ONE_SCALE and flags & (SCALES | ONE_SCALE) != ONE_SCALE
    if not known and flags != FLOAT:
        raise CodecError(f"the integers of {node.name!r} have flags {flags:#04x}")
    scale = weight = bias = None
    if flags & SCALES:
        count = 1 if flags & ONE_SCALE else channels
        scale = np.frombuffer(reader.take(4 * count), "<f4").astype(np.float32)
        _check_scales(node, scale)
    if flags & WEIGHTS:
        floats = decode_tensor(reader.take(reader.varint()), graph.weight(node).shape)
        if not (np.abs(floats) <= 254).all() or not (floats == np.rint(floats)).all():
            raise CodecError(f"the integers of {node.name!r} differ by more than integers can")
        weight = floats.astype(np.int64)
    if flags & BIASES:
        bias = np.frombuffer(reader.take(8 * channels), "<i8").astype(np.int64)
    return _Extra(flags, scale, weight, bias)


def _corrected(node: WeightedNode, derived: WeightQuant, extra: _Extra) -> WeightQuant:
    weight, bias = derived.weight.astype(np.int64), derived.bias.astype(np.int64)
    if extra.weight is not None:
        weight = weight + extra.weight
    if extra.bias is not None:
        if np.abs(extra.bias).max() > 2 * _INT32.max:
            raise CodecError(f"a bias of {node.name!r} is no int32")
        bias = bias + extra.bias
    if np.abs(weight).max() > 127 or bias.min() < _INT32.min or bias.max() > _INT32.max:
        raise CodecError(f"the integers of {node.name!r} lie outside of int8 weights and int32 biases")
    return WeightQuant(weight.astype(np.int8), derived.scale, bias.astype(np.int32))


def derive(graph: Graph, node: WeightedNode, input_scale: float, scale: Floats | None) -> WeightQuant:
    """The integers that follow from a layer's floats, and from its scales where they are given.

    Raises:
        CodecError: values that are not finite or too far apart.
    """
    for tensor in (graph.weight(node), graph.bias(node)):
        if not np.isfinite(tensor).all():
            raise CodecError(f"layer {node.name!r} has values that are not finite, so it has no int8 form")
    try:
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            return quantize_layer(graph, node, input_scale, scale)
    except FloatingPointError as error:
        raise CodecError(f"weights and activation grids are too far apart for int8: {error}") from error


def check_layers(graph: Graph, spec: QuantSpec) -> None:
    """Refuse int8 layers that are no layers of the graph.

    Raises:
        CodecError: foreign layers, or arrays no int8 network can have.
    """
    foreign = set(spec.weights) - {node.name for node in graph.weighted}
    if foreign:
        raise CodecError(f"the int8 weights of {min(foreign)!r} are not those of a layer of the graph")
    for node in graph.weighted:
        if node.name in spec.weights:
            _check_layer(graph, node, spec.weights[node.name])
            _check_owner(graph, node, spec)


def _check_owner(graph: Graph, node: WeightedNode, spec: QuantSpec) -> None:
    """Refuse integers of a layer's second use that are not those of its first: a file holds them once."""
    one, other = spec.weights[node.name], spec.weights.get(node.owner)
    grids = [spec.activations[n.inputs[0]] for n in (node, graph.by_name[node.owner])]
    parts = ("weight", "scale", "bias")
    equal = other is not None and all(np.array_equal(getattr(one, p), getattr(other, p)) for p in parts)
    if not equal or grids[0] != grids[1]:
        raise CodecError(f"layer {node.name!r} uses the weights of {node.owner!r} with other integers")


def _check_layer(graph: Graph, node: WeightedNode, quant: WeightQuant) -> None:
    shapes = (quant.weight.shape, quant.scale.shape, quant.bias.shape)
    types = tuple(str(array.dtype) for array in (quant.weight, quant.scale, quant.bias))
    channels = (node.shape[1],)
    scales = quant.scale.shape if quant.scale.shape in ((1,), channels) else channels
    if shapes != (graph.weight(node).shape, scales, channels) or types != ("int8", "float32", "int32"):
        raise CodecError(f"the integers of {node.name!r} have shapes {shapes} and types {types}")
    _check_scales(node, quant.scale)
    if quant.weight.min() < -127:
        raise CodecError(f"an int8 weight of {node.name!r} is -128; allowed is -127 to 127")


def _check_scales(node: WeightedNode, scale: Floats) -> None:
    if not (np.isfinite(scale) & (scale >= SMALLEST_SCALE)).all():
        raise CodecError(f"layer {node.name!r} has weight scales outside of 2^-40 and more")
