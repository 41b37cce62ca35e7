"""Choosing activation grids on which both runtimes round a sum, a product and a sigmoid alike.

XNNPACK adds in fixed point and rounds halves up; ONNX Runtime adds in float32 and rounds halves to even.
They agree wherever the exact result is far enough from a half. If the scales of the terms are k / q of the
scale of the sum, with whole k and odd q, the exact result is a multiple of 1 / q and so never nearer to a
half than 1 / (2q). With q = 255 that is more than either kernel's error, and a scale moves by 1 / (2k) at
most: no range need be shared. The same holds for products, where scale · scale / scale of the product must
be 4 / q, and for the mean over a map, with q = 2047: XNNPACK subtracts the zero point only behind the
product, which costs digits. Sigmoid and GELU are tables of 256 entries (``network.integers.tables``);
the scale is chosen so that none of them lies near a half.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from edgesqueeze.network.graph.functions import FUNCTIONS, Call
from edgesqueeze.network.graph.nodes import Add, ArgMax, GlobalAvgPool, Graph, Mul, Pointwise, Softmax
from edgesqueeze.network.integers.grid import QMAX, QMIN, ActivationQuant
from edgesqueeze.network.integers.ranges import share_groups
from edgesqueeze.network.integers.tables import is_table_safe

FIXED_GRIDS = {
    name: ActivationQuant(float(np.float32(function.grid[0])), function.grid[1])
    for name, function in FUNCTIONS.items()
    if function.grid is not None
}
"""The only output grids that the runtimes' int8 kernels of some functions have."""
SIGMOID = Call("sigmoid")
SIGMOID_GRID, HARD_SIGMOID_GRID = FIXED_GRIDS["sigmoid"], FIXED_GRIDS["hardsigmoid"]
"""LiteRT's SOFTMAX has the grid of LOGISTIC."""
PLACES_GRID = ActivationQuant(1.0, QMIN)
"""Whole numbers from 0 on: the places of largest values."""
LARGEST_RATIO = 256.0
"""From here on XNNPACK takes no layer, and no sum of a tensor with such steps against the result's."""
_SUM_PARTS = 255
LARGEST_SUM_RATIO = 8.0
"""From here on XNNPACK's 20-bit multipliers are too coarse to tell the two sides of a half apart."""
_SMALLEST_SUM_RATIO = 0.5 / _SUM_PARTS
_MEAN_PARTS = 2047
_FEWEST_MEAN_PARTS = 20
_LARGEST_MEAN_RATIO = 8.0
_PRODUCT_PARTS = 4
_LARGEST_PRODUCT_RATIO = 0.25
_SMALLEST_PRODUCT_RATIO = _PRODUCT_PARTS / 4096
_EXACT = 1e-6
_NUDGE = 2.0**-13
_NUDGES = 40
_PRODUCT_NUDGE = 2.0**-9


def sum_scale(scale: float, total: float) -> float | None:
    """The nearest scale of a term that suits a sum's scale, float32; None where the term's is far larger."""
    ratio = scale / total
    if ratio >= LARGEST_SUM_RATIO:
        return None
    return float(np.float32(total * (max(round(ratio * _SUM_PARTS), 1) / _SUM_PARTS)))


def mean_scale(scale: float, count: int, mean: float) -> float | None:
    """The nearest scale for the mean of ``count`` values of a scale, float32; None where none is near."""
    parts = round(scale / (count * mean) * _MEAN_PARTS)
    if parts < _FEWEST_MEAN_PARTS or scale / mean > _LARGEST_MEAN_RATIO:
        return None
    return float(np.float32(scale * (_MEAN_PARTS / (count * parts))))


def product_scale(scale: float, other: float, product: float) -> float | None:
    """The nearest scale of a factor that suits the other's and the product's; None where none is near."""
    ratio = scale * other / product
    if not _SMALLEST_PRODUCT_RATIO < ratio < _LARGEST_PRODUCT_RATIO:
        return None
    odd = 2 * round((_PRODUCT_PARTS / ratio - 1) / 2) + 1
    return float(np.float32(_PRODUCT_PARTS / odd * product / other))


def is_near(scale: float, wanted: float | None) -> bool:
    """Whether a scale is the wanted one up to float32 rounding, or no scale is wanted."""
    return wanted is None or abs(scale - wanted) <= _EXACT * wanted


def rescaled(grid: ActivationQuant, scale: float) -> ActivationQuant:
    """A grid of another scale that starts at the same real number."""
    low = (QMIN - grid.zero_point) * grid.scale
    return ActivationQuant(scale, int(np.clip(np.rint(QMIN - low / scale), QMIN, QMAX)))


def ends_of(grid: ActivationQuant) -> tuple[float, float]:
    """The lowest and highest real number of a grid."""
    return (QMIN - grid.zero_point) * grid.scale, (QMAX - grid.zero_point) * grid.scale


def table_grid(call: Call, grid: ActivationQuant, out: ActivationQuant) -> ActivationQuant:
    """The nearest grid on which no entry of a function's table lies near a half."""
    return next((g for g in _nudged(grid) if is_table_safe(call, g, out)), grid)


def _nudged(grid: ActivationQuant) -> Iterator[ActivationQuant]:
    yield grid
    for step in range(1, _NUDGES):
        for sign in (1, -1):
            yield rescaled(grid, float(np.float32(grid.scale * (1 + sign * step * _NUDGE))))


def align_grids(graph: Graph, activations: dict[str, ActivationQuant]) -> dict[str, ActivationQuant]:
    """The grids with scales moved, by less than one percent as a rule, to where both runtimes round alike.

    From the last node to the first, so that the scale of a result is settled before those of its terms. A
    tensor that two results ask for keeps the first one's wish; ``network.integers.lower`` then brings a
    copy of it onto a grid for the other.
    """
    aligner = _Aligner(share_groups(graph), dict(activations))
    for grid in (*FIXED_GRIDS.values(), PLACES_GRID):
        for node in graph.nodes:
            if _fixed_grid(node) == grid:
                aligner.fix(node.name, grid)
    for node in reversed(graph.nodes):
        aligner.visit(node.name, node)
    for node in graph.nodes:
        if isinstance(node, GlobalAvgPool):
            aligner.average(node, prod(graph.source(node).shape[2:]))
    return aligner.activations


def fixed_groups(graph: Graph, activations: dict[str, ActivationQuant]) -> set[str]:
    """The share-groups that have the grid of a sigmoid, softmax or place, which no range decides."""
    groups = share_groups(graph)
    return {groups[node.name] for node in graph.nodes if activations[node.name] == _fixed_grid(node)}


def _fixed_grid(node: object) -> ActivationQuant | None:
    """The only grid that a kind of node has: kernels of values between 0 and 1, and places."""
    if isinstance(node, ArgMax):
        return PLACES_GRID
    if isinstance(node, Softmax):
        return SIGMOID_GRID
    return FIXED_GRIDS.get(node.function) if isinstance(node, Pointwise) else None


@dataclass
class _Aligner:
    """One walk. ``settled`` are the groups whose grid does not move any more."""

    groups: dict[str, str]
    activations: dict[str, ActivationQuant]

    def __post_init__(self) -> None:
        self.settled: set[str] = set()

    def grid(self, name: str) -> ActivationQuant:
        return self.activations[name]

    def fix(self, name: str, grid: ActivationQuant) -> None:
        """Give the group of a sigmoid its own grid, unless it holds other values as well."""
        group, (low, high) = self.groups[name], ends_of(self.grid(name))
        if (
            group not in self.settled
            and low >= ends_of(grid)[0] - _EXACT
            and high <= max(1.0, ends_of(grid)[1]) + _EXACT
        ):
            self.activations.update({n: grid for n, g in self.groups.items() if g == group})
            self.settled.add(group)

    def visit(self, name: str, node: object) -> None:
        if isinstance(node, Pointwise):
            self._free_result(name, node)
        if isinstance(node, Add | Mul | Pointwise):
            self.settled.add(self.groups[name])
        if isinstance(node, Add):
            for term in node.inputs:
                scale, total = self.grid(term).scale, self.grid(name).scale
                # A far finer grid stays as it is, for those who read it too; the sum gets a copy.
                self._move(term, sum_scale(scale, total) if scale > total * _SMALLEST_SUM_RATIO else None)
        elif isinstance(node, Mul):
            moving, other = node.inputs
            if self.groups[moving] in self.settled:
                moving, other = other, moving
            self.settled.add(self.groups[other])
            scales = (self.grid(moving).scale, self.grid(other).scale, self.grid(name).scale)
            self._move(moving, product_scale(*scales))
        elif isinstance(node, Pointwise):
            self._pointwise(name, node)

    def average(self, node: GlobalAvgPool, count: int) -> None:
        """Settle a mean behind its source, since nothing else asks for its scale as a rule."""
        scale, mean = self.grid(node.inputs[0]).scale, self.grid(node.name).scale
        self._move(node.name, mean_scale(scale, count, mean))

    def _free_result(self, name: str, node: Pointwise) -> None:
        """Move the grid of a result that has an entry at a half whatever it reads."""
        if node.function in FIXED_GRIDS or node.call.definition.gate is not None:
            return
        source, out = self.grid(node.inputs[0]), self.grid(name)
        wanted = (g for g in _nudged(out) if is_table_safe(node.call, table_grid(node.call, source, g), g))
        self._move(name, next(wanted, out).scale)

    def _pointwise(self, name: str, node: Pointwise) -> None:
        source = self.grid(node.inputs[0])
        match FUNCTIONS[node.function].gate:
            case "hardsigmoid":
                wanted = product_scale(source.scale, HARD_SIGMOID_GRID.scale, self.grid(name).scale)
                self._move(node.inputs[0], wanted)
            case "sigmoid":
                self._move(node.inputs[0], silu_scale(source, self.grid(name)))
            case _ if node.function != "hardsigmoid":  # that one is a convolution
                out = FIXED_GRIDS.get(node.function, self.grid(name))
                self._move(node.inputs[0], table_grid(node.call, source, out).scale)

    def _move(self, name: str, scale: float | None) -> None:
        group = self.groups[name]
        if scale is not None and group not in self.settled:
            moved = rescaled(self.grid(name), scale)
            self.activations.update({n: moved for n, g in self.groups.items() if g == group})
        self.settled.add(group)


def silu_scale(source: ActivationQuant, product: ActivationQuant) -> float | None:
    """The nearest scale that suits both the table and the product of a SiLU."""
    wanted = [
        product_scale(source.scale * (1 + step * _PRODUCT_NUDGE), SIGMOID_GRID.scale, product.scale)
        for step in (0, 1, -1, 2, -2, 3, -3, 4, -4)
    ]
    known = [scale for scale in wanted if scale is not None]
    safe = (s for s in known if is_table_safe(SIGMOID, rescaled(source, s), SIGMOID_GRID))
    return next(safe, known[0] if known else None)
