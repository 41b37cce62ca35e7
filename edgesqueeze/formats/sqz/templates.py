"""Making templates: finding the weights of a network in a model file that was written from it.

Nothing here knows ONNX or TFLite. Each array of each layer is looked for in every form that the format has;
what is not found stays literal. Every template is filled again and compared with its file.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.coding.coders import pack_bytes
from edgesqueeze.coding.decoder.layers import ONE_SCALE, SCALES, Layer
from edgesqueeze.coding.decoder.spread import Spread
from edgesqueeze.coding.decoder.templates import (
    AS_IT_IS,
    BLOCKS_LAST,
    FORMS,
    IN_LAST,
    Fill,
    Literal,
    Piece,
    Run,
    Template,
    encode_templates,
    filled,
    make_fill,
    make_spread_fill,
)
from edgesqueeze.network.graph.nodes import ConvTranspose, Dense, Flatten, Graph, ParametricNode, WeightedNode
from edgesqueeze.network.integers.spec import QuantSpec, WeightQuant
from edgesqueeze.network.integers.subpixel import subpixel
from edgesqueeze.network.integers.weight_only import Int8Weight, nearest_int8

_SMALLEST_FILL = 8
"""Fewer bytes than these are as cheap as they are."""
_SMALLEST_RUN = 64
_PERIODS = (1, 4, 8)
_ALTERNATIVES = (
    ("weight", "int8_weight", "uint8_weight"),
    ("bias", "int32_bias"),
    ("scale",),
    ("bias_scale",),
)
"""Arrays of a layer of which a file holds one at most."""


def make_templates(graph: Graph, spec: QuantSpec | None, files: Mapping[str, bytes]) -> tuple[Template, ...]:
    """The templates of model files, proven: each of them filled is its file, byte for byte.

    Args:
        graph: the network with its float32 tensors.
        spec: its int8 form, or None.
        files: the files by name.

    Raises:
        AssertionError: a template does not give its file, which is a bug.
    """
    sources = [_Source(graph, spec, node) for node in graph.owners]
    layers = [source.layer for source in sources]
    templates = []
    for name, data in files.items():
        template = Template(name, tuple(_Search(data, sources, layers).pieces()))
        _prove(template, sources, data)
        forms = (template, replace(template, swapped=True))
        templates.append(min(forms, key=lambda form: len(pack_bytes(encode_templates([form])))))
    return tuple(templates)


def _prove(template: Template, sources: Sequence["_Source"], data: bytes) -> None:
    content = bytearray(template.num_bytes)
    for offset, literal in template.skeleton():
        content[offset : offset + len(literal)] = literal
    for offset, fill in template.fills():
        content[offset : offset + fill.num_bytes] = sources[fill.layer].content(fill).tobytes()
    if content != data:
        raise AssertionError(f"the template of {template.name} does not give the file it was made from")


@dataclass(frozen=True, eq=False)
class _Source:
    """A layer and its arrays, the integers being made when they are first looked for."""

    graph: Graph
    spec: QuantSpec | None
    node: ParametricNode

    @cached_property
    def layer(self) -> Layer:
        """What a decoder knows of the layer, as far as templates need it."""
        quant = None if self.spec is None else self.spec.weights.get(self.node.name)
        has_one = quant is not None and len(quant.scale) < len(quant.bias)
        return Layer(self.graph.weight(self.node).shape, SCALES | ONE_SCALE if has_one else 0)

    @cached_property
    def spread(self) -> Spread | None:
        """How int8 files spread it, if it is a transposed convolution of more than one place."""
        if not isinstance(self.node, ConvTranspose):
            return None
        fronts = subpixel(self.node, self.graph.source(self.node).shape).fronts
        spread = Spread(self.node.stride, fronts)
        is_plain = prod(self.node.stride) == prod(self.node.kernel) == 1
        return spread if spread.is_possible and not is_plain else None

    def content(self, fill: Fill) -> NDArray[Any]:
        """The array of a fill, as its bytes lie in the file."""
        array = self.array(FORMS[fill.form].array)
        if array is None:
            raise AssertionError("a template has an array that its layer has not")
        return filled(fill, array)

    def array(self, name: str) -> NDArray[Any] | None:
        """An array of the layer, None if it has no such one."""
        if name in ("weight", "bias"):
            return self.graph.tensors[f"{self.node.name}.{name}"]
        return self._integers.get(name)

    @cached_property
    def _integers(self) -> dict[str, NDArray[Any]]:
        """Those of the spec; without one, the weights that need no activation grids."""
        if not isinstance(self.node, WeightedNode):
            return {}
        if self.spec is None:
            weight = self.graph.weight(self.node)
            return _weights(nearest_int8(weight)) if np.isfinite(weight).all() else {}
        layer = self.spec.weights.get(self.node.name)
        if layer is None:
            return {}
        bias_scale = layer.bias_scale(self.spec.activations[self.node.inputs[0]].scale)
        return {**_weights(layer), "int32_bias": layer.bias, "bias_scale": bias_scale}


def _weights(layer: Int8Weight | WeightQuant) -> dict[str, NDArray[Any]]:
    shifted = (layer.weight.astype(np.int16) + 128).astype(np.uint8)
    return {"int8_weight": layer.weight, "uint8_weight": shifted, "scale": layer.scale}


def _blocks(graph: Graph, node: ParametricNode) -> int:
    """Channels of the map that a dense layer reads flattened; 1 if there is none."""
    if not isinstance(node, Dense):
        return 1
    source = graph.source(node)
    while source.inputs:
        if isinstance(source, Flatten):
            return graph.source(source).shape[1]
        source = graph.source(source)
    return 1


@dataclass
class _Search:
    """Finds arrays in a file. ``claims`` are places that have been found, in the order of the file."""

    data: bytes
    sources: Sequence[_Source]
    layers: Sequence[Layer]
    claims: list[tuple[int, Fill]] = field(default_factory=list)
    favourites: list[int] = field(default_factory=lambda: list(range(len(FORMS))))

    def pieces(self) -> Iterator[Piece]:
        """The file as pieces."""
        self._claim_all()
        end = 0
        for offset, fill in self.claims:
            yield from _literals(self.data[end:offset])
            yield fill
            end = offset + fill.num_bytes
        yield from _literals(self.data[end:])

    def _claim_all(self) -> None:
        """The largest arrays first, so that no small one lands inside of a large one by chance."""
        for arrays in _ALTERNATIVES:
            for layer in sorted(range(len(self.layers)), key=lambda i: -self.layers[i].num_weights):
                self._claim(layer, arrays)

    def _claim(self, layer: int, arrays: tuple[str, ...]) -> None:
        source = self.sources[layer]
        for form in self.favourites:
            array = FORMS[form].array
            if array not in arrays or source.array(array) is None:
                continue
            for fill in self._fills(form, layer):
                content = source.content(fill).tobytes()
                if len(content) < _SMALLEST_FILL or content.count(content[:1]) == len(content):
                    continue  # a run is as cheap
                offset = self._find(content)
                if offset >= 0:
                    self.claims.insert(bisect_right(self._starts(), offset), (offset, fill))
                    self.favourites.remove(form)
                    self.favourites.insert(0, form)
                    return

    def _fills(self, form: int, layer: int) -> list[Fill]:
        """The ways in which the format can describe an array in this form."""
        source, shape = self.sources[layer], self.layers[layer].shape
        if FORMS[form].order != BLOCKS_LAST:
            is_possible = FORMS[form].order == AS_IT_IS or len(shape) > 1
            plain = [make_fill(form, layer, 0, self.layers)] if is_possible else []
            return self._spread_fills(form, layer) + plain
        blocks = _blocks(source.graph, source.node)
        fits = len(shape) == 2 and 1 < blocks < shape[1] and shape[1] % blocks == 0
        return [make_fill(form, layer, blocks, self.layers)] if fits else []

    def _spread_fills(self, form: int, layer: int) -> list[Fill]:
        """The array as int8 files have it of a transposed convolution; it may contain the plain one."""
        spread = self.sources[layer].spread
        if spread is None or FORMS[form].order not in (AS_IT_IS, IN_LAST):
            return []
        return [make_spread_fill(form, layer, spread, self.layers)]

    def _find(self, content: bytes) -> int:
        """The first place of bytes that nothing else has claimed; -1 if there is none."""
        offset, starts = self.data.find(content), self._starts()
        while offset >= 0:
            place = bisect_right(starts, offset + len(content) - 1) - 1
            if place < 0:
                return offset
            start, fill = self.claims[place]
            if start + fill.num_bytes <= offset:
                return offset
            offset = self.data.find(content, start + fill.num_bytes)
        return -1

    def _starts(self) -> list[int]:
        return [start for start, _ in self.claims]


def _literals(content: bytes) -> Iterator[Literal | Run]:
    """Bytes as literals and runs."""
    pieces: list[Literal | Run] = [Literal(content)] if content else []
    for period in _PERIODS:
        split: list[Literal | Run] = []
        for piece in pieces:
            split += _split(piece.content, period) if isinstance(piece, Literal) else [piece]
        pieces = split
    yield from pieces


def _split(content: bytes, period: int) -> Iterator[Literal | Run]:
    """A literal cut where the last ``period`` bytes repeat for long."""
    values = np.frombuffer(content, np.uint8)
    steps = np.diff(np.concatenate(([0], values[period:] == values[:-period], [0])).astype(np.int8))
    done = 0
    for start, stop in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
        first, last = int(start) + period, int(stop) + period
        if last - first >= _SMALLEST_RUN and first - done >= period:
            yield Literal(content[done:first])
            yield Run(period, last - first)
            done = last
    if done < len(content):
        yield Literal(content[done:])
