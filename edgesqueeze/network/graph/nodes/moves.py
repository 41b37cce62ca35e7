"""Nodes that move values, or bring a map to another size."""

from dataclasses import dataclass, field
from math import prod
from typing import ClassVar, Literal

from edgesqueeze.network.graph.nodes.node import FROM_ZERO, Node, Pads, Pair, Shape

ResizeMode = Literal["nearest", "bilinear", "bilinear_corners"]
"""Nearest takes the value at floor(i · in / out); bilinear has half-pixel centres and clamped edges, or, with
corners, puts the outermost values of both maps at one place (torch's ``align_corners``)."""
Edge = Literal["reflect", "symmetric"]


@dataclass(frozen=True, kw_only=True)
class _Move(Node):
    """A node whose output holds values of its input only."""

    rank: ClassVar[int | None] = 4
    shares_grid: ClassVar[bool] = True

    @property
    def copies(self) -> bool:
        """It does."""
        return True


@dataclass(frozen=True, kw_only=True)
class Flatten(_Move):
    """[1, C, H, W] to [1, C·H·W] in C, H, W order."""

    def output_shape(self, *sources: Shape) -> Shape:
        """[1, features]."""
        return 1, prod(sources[0])


@dataclass(frozen=True, kw_only=True)
class Concat(Node):
    """Concatenation along channels; all inputs and the output share one int8 grid."""

    arity: ClassVar[int | None] = None
    joins_grids: ClassVar[bool] = True

    def output_shape(self, *sources: Shape) -> Shape:
        """The sum of the channels."""
        first = sources[0]
        if any(len(s) != len(first) or s[2:] != first[2:] for s in sources):
            raise self.wrong(f"joins shapes {sources} that differ beyond their channels")
        return 1, sum(s[1] for s in sources), *first[2:]

    @property
    def copies(self) -> bool:
        """It does."""
        return True


@dataclass(frozen=True, kw_only=True)
class Slice(_Move):
    """The channels from ``start`` up to but not including ``stop``."""

    start: int = field(metadata=FROM_ZERO)
    stop: int

    def output_shape(self, *sources: Shape) -> Shape:
        """Fewer channels."""
        (source,) = sources
        if not self.start < self.stop <= source[1]:
            raise self.wrong(f"takes channels {self.start} to {self.stop} of {source[1]}")
        return 1, self.stop - self.start, *source[2:]


@dataclass(frozen=True, kw_only=True)
class Shuffle(_Move):
    """Channel shuffle (Zhang et al. 2018, arXiv 1707.01083): [groups, C / groups] channels transposed."""

    groups: int

    def output_shape(self, *sources: Shape) -> Shape:
        """Its input's."""
        (source,) = sources
        if source[1] % self.groups:
            raise self.wrong(f"shuffles {source[1]} channels in {self.groups} groups")
        return source


@dataclass(frozen=True, kw_only=True)
class Pad(_Move):
    """Rows and columns of zeros around a map."""

    pads: Pads = field(metadata=FROM_ZERO)

    def output_shape(self, *sources: Shape) -> Shape:
        """A larger map."""
        (source,) = sources
        top, left, bottom, right = self.pads
        return 1, source[1], source[2] + top + bottom, source[3] + left + right


@dataclass(frozen=True, kw_only=True)
class Resize(Node):
    """A map brought to ``size`` (height, width)."""

    size: Pair
    mode: ResizeMode
    rank: ClassVar[int | None] = 4
    shares_grid: ClassVar[bool] = True

    def output_shape(self, *sources: Shape) -> Shape:
        """The map's channels, the size asked for."""
        return 1, sources[0][1], *self.size

    @property
    def copies(self) -> bool:
        """Whether it chooses values instead of mixing them."""
        return self.mode == "nearest"


@dataclass(frozen=True, kw_only=True)
class Crop(_Move):
    """A map without its outermost rows and columns."""

    pads: Pads = field(metadata=FROM_ZERO)

    def output_shape(self, *sources: Shape) -> Shape:
        """A smaller map."""
        (source,) = sources
        top, left, bottom, right = self.pads
        return 1, source[1], source[2] - top - bottom, source[3] - left - right


@dataclass(frozen=True, kw_only=True)
class DepthToSpace(_Move):
    """[block height, block width, C] channels become C channels of block height × block width more places."""

    block: Pair

    def output_shape(self, *sources: Shape) -> Shape:
        """Fewer channels, a larger map."""
        (source,) = sources
        if source[1] % prod(self.block):
            raise self.wrong(f"spreads {source[1]} channels over blocks of {self.block}")
        return 1, source[1] // prod(self.block), source[2] * self.block[0], source[3] * self.block[1]


@dataclass(frozen=True, kw_only=True)
class MirrorPad(_Move):
    """A map continued beyond its edges by its own values, mirrored.

    ``reflect`` leaves the outermost value out (fewer values than the map has), ``symmetric`` repeats it.
    """

    pads: Pads = field(metadata=FROM_ZERO)
    edge: Edge

    def output_shape(self, *sources: Shape) -> Shape:
        """A larger map."""
        (source,) = sources
        top, left, bottom, right = self.pads
        most = 1 if self.edge == "reflect" else 0
        if max(top, bottom) > source[2] - most or max(left, right) > source[3] - most:
            raise self.wrong(f"mirrors {self.pads} rows and columns of a map of {source[2:]}")
        return 1, source[1], source[2] + top + bottom, source[3] + left + right


@dataclass(frozen=True, kw_only=True)
class Rearrange(_Move):
    """Values in another order and shape: the axes behind the batch split, put in order, and joined again.

    ``sizes`` are the parts of the input's axes, none of which reaches over two axes; ``order`` says which
    part comes next in the output; ``groups`` how many of them make each of its axes behind the batch (0 makes
    one of length 1).
    """

    sizes: tuple[int, ...]
    order: tuple[int, ...] = field(metadata=FROM_ZERO)
    groups: tuple[int, ...] = field(metadata=FROM_ZERO)
    rank: ClassVar[int | None] = None

    def output_shape(self, *sources: Shape) -> Shape:
        """[1, the lengths of the groups]."""
        (source,) = sources
        self._check_sizes(source)
        if sorted(self.order) != list(range(len(self.sizes))) or sum(self.groups) != len(self.order):
            raise self.wrong(f"puts {len(self.sizes)} parts in order {self.order} and groups {self.groups}")
        left = iter(self.order)
        return 1, *(prod(self.sizes[next(left)] for _ in range(count)) for count in self.groups)

    def _check_sizes(self, source: Shape) -> None:
        parts = list(self.sizes)
        for length in source[1:]:
            left = length
            while left > 1 and parts and left % parts[0] == 0:
                left //= parts.pop(0)
            if left != 1:
                raise self.wrong(f"splits shape {source} into {self.sizes}")
        if parts:
            raise self.wrong(f"splits shape {source} into {self.sizes}")


@dataclass(frozen=True, kw_only=True)
class Join(Node):
    """Concatenation along height (axis 2) or width (axis 3); inputs and output share one int8 grid."""

    axis: int
    arity: ClassVar[int | None] = None
    rank: ClassVar[int | None] = 4
    joins_grids: ClassVar[bool] = True

    def output_shape(self, *sources: Shape) -> Shape:
        """The sum of the rows or columns."""
        axis = self.axis
        first = sources[0]
        rest = [s[:axis] + s[axis + 1 :] for s in sources]
        if axis not in (2, 3) or any(len(s) != 4 or r != rest[0] for s, r in zip(sources, rest, strict=True)):
            raise self.wrong(f"joins shapes {sources} along axis {axis}")
        return *first[:axis], sum(s[axis] for s in sources), *first[axis + 1 :]

    @property
    def copies(self) -> bool:
        """It does."""
        return True
