"""The .sqz file of version 2: a graph, its weights coded without loss, its int8 form, and templates.

The decoders' side (:mod:`edgesqueeze.coding.decoder`) knows layers by number and no graph; here the two meet.
docs/format.md specifies the bytes.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.coding.byte_reader import encode_varint, zigzag
from edgesqueeze.coding.coders import CODERS, encode_tensor, pack_bytes
from edgesqueeze.coding.decoder.container import write_container
from edgesqueeze.coding.decoder.layers import BIASES, FLOAT, ONE_SCALE, SCALES, WEIGHTS, Layer
from edgesqueeze.coding.decoder.meta import Grid, Meta, check_plausible, encode_sections
from edgesqueeze.coding.decoder.unsqueeze import SqueezedFile, open_squeezed
from edgesqueeze.errors import CodecError, CorruptFileError, UnsupportedVersionError
from edgesqueeze.formats.sqz.graph import decode_graph, encode_graph
from edgesqueeze.formats.sqz.grids import group_grids
from edgesqueeze.formats.sqz.integers import check_layers, derive
from edgesqueeze.formats.sqz.templates import make_templates
from edgesqueeze.formats.sqz.version1 import check_tensors, tensor_layout
from edgesqueeze.network.graph.nodes import Constant, Graph, WeightedNode, bias_name, weight_name
from edgesqueeze.network.integers.ranges import share_groups
from edgesqueeze.network.integers.spec import ActivationQuant, QuantSpec, WeightQuant


@dataclass(frozen=True)
class Coding:
    """How tensors are coded.

    Attributes:
        coder: ``range``, or ``huffman`` as in Han et al. 2016.
        index_bits: r of every sparse tensor, 2 to 12, for ``huffman`` only; None takes the best r per tensor.
    """

    coder: str = "range"
    index_bits: int | None = None

    @property
    def number(self) -> int:
        """The coder's number in the file.

        Raises:
            CodecError: there is no such coder, or it has no index bits.
        """
        if self.coder not in CODERS:
            raise CodecError(f"coder {self.coder!r}; known are {' and '.join(CODERS)}")
        if self.index_bits is not None and self.coder != "huffman":
            raise CodecError(f"index_bits are for the coder huffman; the coder {self.coder} has none")
        return CODERS.index(self.coder)


def emit_v2(graph: Graph, spec: QuantSpec | None, files: Mapping[str, bytes], coding: Coding) -> bytes:
    """A whole .sqz file of version 2.

    Args:
        graph: a graph with its float32 tensors; they come back bit for bit.
        spec: the int8 form to carry along, or None.
        files: model files by name, written from this graph and spec, that the file shall decode to without
            the code that wrote them.
        coding: how tensors are coded.

    Raises:
        CodecError: tensors that do not fit the structure, a spec that does not fit the graph, or a graph
            too large for the format.
    """
    structure = encode_graph(graph)
    check_tensors(graph, tensor_layout(graph.nodes))
    grids: dict[str, ActivationQuant] = {} if spec is None else group_grids(graph, spec)
    if spec is not None:
        check_layers(graph, spec)
    order, groups = list(grids), share_groups(graph)
    layers, parts = [], []
    for node in graph.owners:
        payloads = [graph.weight(node), graph.bias(node)]
        coded = [encode_tensor(coding.number, tensor, coding.index_bits) for tensor in payloads]
        layer = Layer(graph.weight(node).shape)
        if spec is not None and isinstance(node, WeightedNode):
            flags, extra = _encode_integers(graph, node, spec, coding)
            layer = Layer(layer.shape, flags, order.index(groups[node.inputs[0]]))
            coded += extra
        elif spec is not None and isinstance(node, Constant):
            layer = Layer(layer.shape, FLOAT)  # its integers are those of its values on its grid
        layers.append(layer)
        parts += [encode_varint(len(payload)) + payload for payload in coded]
    meta = Meta(
        coding.number,
        structure,
        tuple(Grid(grid.scale, grid.zero_point) for grid in grids.values()),
        tuple(layers),
        make_templates(graph, spec, files),
    )
    tensors = b"".join(parts)
    check_plausible(meta, len(tensors))
    return write_container(pack_bytes(b"".join(encode_sections(meta).values())), tensors)


def read_v2(data: bytes) -> tuple[Graph, QuantSpec | None]:
    """The graph and, if the file carries one, the QuantSpec.

    Raises:
        UnsupportedVersionError: another format.
        CorruptFileError: bytes that are no valid .sqz file, whatever the reason.
    """
    try:
        return network_of(open_squeezed(data))
    except (CorruptFileError, UnsupportedVersionError):
        raise
    except CodecError as error:
        raise CorruptFileError(str(error)) from error


def network_of(squeezed: SqueezedFile) -> tuple[Graph, QuantSpec | None]:
    """The graph and QuantSpec of a file that has been opened.

    Raises:
        CodecError: they do not fit together.
    """
    meta = squeezed.meta
    graph = decode_graph(meta.graph, [layer.shape for layer in meta.layers])
    layout = tensor_layout(graph.nodes)
    for node, layer in zip(graph.owners, meta.layers, strict=True):
        wanted = layout[weight_name(node)]
        if wanted != layer.shape:
            raise CorruptFileError(
                f"layer {node.name!r} has a weight of shape {layer.shape}, its inputs make {wanted}"
            )
    activations = _activations(graph, meta)
    tensors, weights = {}, {}
    layers = list(squeezed.layers())
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # compiled decoding lets other threads run
        by_size = sorted(layers, key=lambda values: prod(values.layer.shape), reverse=True)
        list(pool.map(lambda values: values.weight, by_size))
    for node, values in zip(graph.owners, layers, strict=True):
        tensors[weight_name(node)], tensors[bias_name(node)] = values.weight, values.bias
        if activations and values.layer.has_integers:
            if values.input_scale != activations[node.inputs[0]].scale:
                raise CorruptFileError(f"layer {node.name!r} claims another grid than its input has")
            weights[node.name] = WeightQuant(values.int8_weight, values.scale, values.int32_bias)
    weights |= {n.name: weights[n.owner] for n in graph.weighted if n.owner in weights}
    graph = replace(graph, tensors=tensors)
    return graph, QuantSpec(activations, weights) if activations else None


def _activations(graph: Graph, meta: Meta) -> dict[str, ActivationQuant]:
    """The activation grid of every node; nothing without an int8 form."""
    if not meta.grids:
        return {}
    groups = share_groups(graph)
    order = list(dict.fromkeys(groups.values()))
    if len(order) != len(meta.grids):
        raise CorruptFileError(f"{len(meta.grids)} activation grids for {len(order)} groups")
    grids = {
        group: ActivationQuant(grid.scale, grid.zero_point)
        for group, grid in zip(order, meta.grids, strict=True)
    }
    return {name: grids[group] for name, group in groups.items()}


def _encode_integers(
    graph: Graph, node: WeightedNode, spec: QuantSpec, coding: Coding
) -> tuple[int, list[bytes]]:
    """The flags of a layer whose integers do not all follow, and the payloads that go with them."""
    if node.name not in spec.weights:
        return FLOAT, []
    quant, input_scale = spec.weights[node.name], spec.activations[node.inputs[0]].scale
    derived = derive(graph, node, input_scale, None)
    flags, payloads = 0, []
    if not np.array_equal(derived.scale, quant.scale):
        flags = SCALES | (ONE_SCALE if len(quant.scale) < len(quant.bias) else 0)
        payloads.append(encode_tensor(coding.number, quant.scale))
        derived = derive(graph, node, input_scale, quant.scale)
    weight = quant.weight.astype(np.float32) - derived.weight
    if weight.any():
        flags |= WEIGHTS
        payloads.append(encode_tensor(coding.number, weight))
    bias = quant.bias.astype(np.int64) - derived.bias
    if bias.any():
        flags |= BIASES
        payloads.append(pack_bytes(_encode_steps(bias)))
    return flags, payloads


def _encode_steps(steps: NDArray[np.int64]) -> bytes:
    """Differences of int32 as varints; they wrap around, as the sums that undo them do."""
    wrapped = steps.astype(np.uint32).view(np.int32)
    return b"".join(encode_varint(zigzag(int(step))) for step in wrapped)
