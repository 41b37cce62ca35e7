"""Rewriting the few operations that the runtimes' int8 kernels round differently.

ONNX Runtime and LiteRT disagree on halves in an average pool, and on a ReLU that changes the grid; one of
them has no integer kernel for hard sigmoid, hard swish and SiLU. A depthwise convolution they compute alike.
So in int8 these operations are written with one: an average pool as weights of 1 with scale 1 / window size,
a hard sigmoid as x / 6 + 1/2 on a grid that ends at 0 and 1; hard swish and SiLU become a product with their
sigmoid. Where two scales do not suit each other (see ``network.integers.align``), one more depthwise
convolution brings a tensor onto another grid. A transposed convolution becomes one with more channels, see
:mod:`edgesqueeze.network.integers.subpixel`.
"""

from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from edgesqueeze.network.graph.functions import FUNCTIONS, Call
from edgesqueeze.network.graph.nodes import (
    Add,
    AnyNode,
    AvgPool,
    Clamp,
    Conv,
    ConvTranspose,
    Flatten,
    Floats,
    Graph,
    Mul,
    Pair,
    Pointwise,
    Softmax,
    bias_name,
    weight_name,
)
from edgesqueeze.network.integers.align import (
    FIXED_GRIDS,
    HARD_SIGMOID_GRID,
    LARGEST_RATIO,
    LARGEST_SUM_RATIO,
    SIGMOID_GRID,
    is_near,
    product_scale,
    rescaled,
    sum_scale,
    table_grid,
)
from edgesqueeze.network.integers.spec import ActivationQuant, QuantSpec, WeightQuant
from edgesqueeze.network.integers.subpixel import spread, subpixel, subpixel_integers
from edgesqueeze.network.integers.tables import is_table_safe
from edgesqueeze.numerics.integers import BIAS_MAX

_SIXTH = 1 / 6


def lower(graph: Graph, spec: QuantSpec) -> tuple[Graph, QuantSpec]:
    """The same int8 network of convolutions, pools by maximum, sums, products, sigmoids and moves only.

    The new layers' integers are in the returned spec only; a layer kept in float has its weights in the
    returned graph. A convolution that stands for an activation of a
    flattened tensor reads [1, features] as a map of height and width 1.
    """
    lowering = _Lowering(dict(spec.activations), dict(spec.weights), dict(graph.tensors), spec.per_channel)
    for node in graph.nodes:
        lowering.visit(node)
    lowered = replace(graph, nodes=tuple(lowering.nodes), tensors=lowering.tensors)
    return lowered, QuantSpec(lowering.activations, lowering.weights)


@dataclass
class _Lowering:
    """One walk over the nodes; activations, weights, tensors and nodes grow."""

    activations: dict[str, ActivationQuant]
    weights: dict[str, WeightQuant]
    tensors: dict[str, Floats]
    per_channel: bool
    nodes: list[AnyNode] = field(default_factory=list)
    convs: dict[str, str] = field(default_factory=dict)
    """Transposed convolution to the one that stands for it."""

    def visit(self, node: AnyNode) -> None:
        """Append what stands for a node; its last part has the node's name."""
        match node:
            case AvgPool():
                layer = _depthwise(node.name, node.inputs[0], node.shape)
                layer = replace(layer, kernel=node.kernel, stride=node.stride)
                self._append(layer, _constant(layer, 1, 1 / prod(node.kernel), 0.0, 1.0))
            case Clamp():
                layer = replace(_depthwise(node.name, node.inputs[0], node.shape), activation=node.activation)
                self._append(layer, _constant(layer, 1, 1.0, 0.0, 1.0))
            case ConvTranspose():
                self._transposed(node)
            case Softmax():
                self._softmax(node)
            case Pointwise():
                self._pointwise(node)
            case Add():
                self._sum(node)
            case Mul():
                self._product(node)
            case _:
                self.nodes.append(node)

    def _transposed(self, node: ConvTranspose) -> None:
        source = next(n for n in self.nodes if n.name == node.inputs[0])
        parts = subpixel(node, source.shape)
        self.convs[node.name] = parts.conv.name
        if node.weights_of:
            conv = replace(parts.conv, weights_of=self.convs[node.weights_of])
            parts = replace(parts, conv=conv)
        if node.name in self.weights:
            self.weights[parts.conv.name] = subpixel_integers(node, parts, self.weights.pop(node.name))
        elif not node.weights_of:  # kept in float
            weight, bias = self.tensors[weight_name(node)], self.tensors[bias_name(node)]
            self.tensors[weight_name(parts.conv)] = spread(weight, node, parts)
            self.tensors[bias_name(parts.conv)] = np.tile(bias, prod(node.stride))
        for part in (parts.conv, *parts.moves):
            self.activations[part.name] = self.activations[node.name]
            self.nodes.append(part)

    def _softmax(self, node: Softmax) -> None:
        if self.activations[node.name] == SIGMOID_GRID:
            self.nodes.append(node)
            return
        inner = f"{node.name}/softmax"
        self.activations[inner] = SIGMOID_GRID
        self.nodes.append(replace(node, name=inner))
        self._copy(inner, node.name, self.activations[node.name], node.shape)

    def _pointwise(self, node: Pointwise) -> None:
        function = FUNCTIONS[node.function]
        if function.gate is not None:
            gate = f"{node.name}/gate"
            self._gate(node, gate, function.gate)
            self._product(Mul(name=node.name, inputs=(node.inputs[0], gate), shape=node.shape))
            return
        fixed = FIXED_GRIDS.get(node.function)
        if fixed is None:
            source = self._table_source(node.inputs[0], node.name, node.call, node.shape)
            self.nodes.append(replace(node, inputs=(source,)))
            return
        if self.activations[node.name] == fixed:
            self._gate(node, node.name, node.function)
            return
        self._gate(node, f"{node.name}/gate", node.function)
        self._copy(f"{node.name}/gate", node.name, self.activations[node.name], node.shape)

    def _gate(self, node: Pointwise, name: str, function: str) -> None:
        """A sigmoid, tanh or hard sigmoid of a node's input on the grid that goes with it."""
        source = node.inputs[0]
        if function != "hardsigmoid":
            self.activations[name] = FIXED_GRIDS[function]
            source = self._table_source(source, name, Call(function), node.shape)
            self.nodes.append(Pointwise(name=name, inputs=(source,), shape=node.shape, function=function))
            return
        self.activations[name] = HARD_SIGMOID_GRID
        layer = _depthwise(name, source, node.shape)
        self._append(layer, _constant(layer, 127, _SIXTH, 0.5, self.activations[source].scale))

    def _table_source(self, source: str, name: str, call: Call, shape: tuple[int, ...]) -> str:
        """The input of a table, or a copy of it on a grid that leaves no entry near a half."""
        grid, out = self.activations[source], self.activations[name]
        if is_table_safe(call, grid, out):
            return source
        return self._copy(source, f"{name}/source", table_grid(call, grid, out), shape)

    def _sum(self, node: Add) -> None:
        total = self.activations[node.name].scale
        inputs = []
        for place, name in enumerate(node.inputs):
            grid = self.activations[name]
            wanted = sum_scale(grid.scale, total)
            if grid.scale >= total * LARGEST_RATIO:
                inputs.append(self._finer(name, f"{node.name}/term{place}", total))
            elif wanted is None or is_near(grid.scale, wanted):
                inputs.append(name)
            else:
                copy = f"{node.name}/term{place}"
                inputs.append(self._copy(name, copy, rescaled(grid, wanted), self._shape(name)))
        self.nodes.append(replace(node, inputs=tuple(inputs)))

    def _finer(self, source: str, name: str, total: float) -> str:
        """A term with steps too large for any kernel, on a grid that still reaches over the whole sum's.

        One step of such a term is more than the sum's range, so all but its zero saturates anyway. A copy
        cannot be finer by more than what a layer takes, so there may be several, each finer.
        """
        steps = 0
        while (scale := self.activations[source].scale) >= total * LARGEST_SUM_RATIO:
            coarsest = scale * 2 / LARGEST_RATIO
            last = coarsest < total * LARGEST_SUM_RATIO
            wanted = total * (LARGEST_SUM_RATIO / 2) if last else coarsest
            copy = name if last else f"{name}/step{steps}"
            grid = ActivationQuant(float(np.float32(wanted)), self.activations[source].zero_point)
            source, steps = self._copy(source, copy, grid, self._shape(source)), steps + 1
        return source

    def _product(self, node: Mul) -> None:
        left, right = node.inputs
        grid = self.activations[left]
        wanted = product_scale(grid.scale, self.activations[right].scale, self.activations[node.name].scale)
        if wanted is not None and not is_near(grid.scale, wanted):
            left = self._copy(left, f"{node.name}/factor", rescaled(grid, wanted), node.shape)
        self.nodes.append(replace(node, inputs=(left, right)))

    def _shape(self, name: str) -> tuple[int, ...]:
        """The shape of what has been written already."""
        return next(node.shape for node in self.nodes if node.name == name)

    def _copy(self, source: str, name: str, grid: ActivationQuant, shape: tuple[int, ...]) -> str:
        """A tensor on another grid; the name of the copy."""
        self.activations[name] = grid
        layer = _depthwise(name, source, shape)
        self._append(layer, _constant(layer, 1, 1.0, 0.0, 1.0))
        return name

    def _append(self, layer: Conv, integers: WeightQuant) -> None:
        if not self.per_channel:
            integers = replace(integers, scale=integers.scale[:1])
        if len(layer.shape) == 4:
            self.weights[layer.name] = integers
            self.nodes.append(layer)
            return
        mapped = replace(layer, name=f"{layer.name}/map", shape=(*layer.shape, 1, 1))
        self.weights[mapped.name] = integers
        self.activations[mapped.name] = self.activations[layer.name]
        self.nodes += [mapped, Flatten(name=layer.name, inputs=(mapped.name,), shape=layer.shape)]


_ONE: Pair = (1, 1)


def _depthwise(name: str, source: str, shape: tuple[int, ...]) -> Conv:
    return Conv(
        name=name,
        inputs=(source,),
        shape=shape,
        kernel=_ONE,
        stride=_ONE,
        pads=(0, 0, 0, 0),
        dilation=_ONE,
        groups=shape[1],
        activation="none",
    )


def _constant(layer: Conv, integer: int, factor: float, offset: float, input_scale: float) -> WeightQuant:
    """Equal weights ``factor``, held as ``integer``, and equal biases ``offset`` for every channel."""
    channels, scale = layer.shape[1], np.float32(factor / integer)
    if abs(offset) > BIAS_MAX * float(scale) * input_scale:  # a source so small that only the offset counts
        scale = np.float32(abs(offset) / (BIAS_MAX // 2 * input_scale))
        integer = round(factor / float(scale))
    bias = np.rint(offset / float(scale * np.float32(input_scale)))
    return WeightQuant(
        weight=np.full((channels, 1, *layer.kernel), integer, np.int8),
        scale=np.full(channels, scale, np.float32),
        bias=np.full(channels, bias, np.int32),
    )
