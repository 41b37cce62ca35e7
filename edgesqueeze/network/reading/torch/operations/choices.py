"""Choices between two straight lines by a comparison with a number: ``where`` and ``masked_fill``.

That is what thresholds, shrinking functions and hand-written ReLUs come to. A comparison makes no node of its
own; the choice that reads it becomes one function.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import AnyNode, Clamp, Pointwise
from edgesqueeze.network.reading.torch.builder import Builder, Translation
from edgesqueeze.network.reading.torch.dims.layouts import dims_of, operand
from edgesqueeze.network.reading.torch.dims.shapes import show
from edgesqueeze.network.reading.torch.fx import aten_name, refuse, shape_of

_CONDITION = {"where": 0, "masked_fill": 1}
"""Operations that choose, and which of their arguments is the condition."""


@dataclass(frozen=True)
class Line:
    """factor · x + signs · sign(x) + offset."""

    factor: float = 0.0
    signs: float = 0.0
    offset: float = 0.0

    def plus(self, other: "Line", times: float = 1.0) -> "Line":
        """The sum with a multiple of another."""
        pairs = zip(self.numbers, other.numbers, strict=True)
        return Line(*(a + times * b for a, b in pairs))

    @property
    def numbers(self) -> tuple[float, float, float]:
        """All three."""
        return self.factor, self.signs, self.offset

    @property
    def in_float32(self) -> "Line":
        """The same with float32 numbers, which is what files hold."""
        return Line(*(_float32(n) for n in self.numbers))


_X = Line(factor=1.0)
_ZERO = Line()


def _compared(builder: Builder, fx: FxNode) -> None:
    """A comparison: where only choices read it, it stands for what it compares; else it is 1 or 0."""
    value = operand(builder, fx)
    node = builder.nodes[builder.made[value]]
    if not all(_is_choice_by(user, fx) for user in fx.users):
        limit = _number(builder, fx.args[1])
        if limit is None or not np.isfinite(limit):
            raise refuse(fx, "compares two tensors; a tensor and a finite number are allowed")
        name = aten_name(fx)
        above = float(name in ("gt", "ge"))
        numbers = (_float32(limit), float(name in ("ge", "lt")), 0.0, above, 0.0, 1.0 - above)
        node = _function(builder, fx, node, "two_lines", numbers)
        builder.add(fx, node)
    show(builder, fx, node, dims_of(builder, value))


def _is_choice_by(user: FxNode, condition: FxNode) -> bool:
    """Whether an operation chooses by a value, and reads it as nothing else."""
    if aten_name(user).startswith("_assert"):
        return True
    place = _CONDITION.get(aten_name(user))
    return place is not None and [n for n, value in enumerate(user.args) if value is condition] == [place]


def _where(builder: Builder, fx: FxNode) -> None:
    condition, chosen, other = fx.args[:3]
    _choose(builder, fx, condition, (chosen, other))


def _masked_fill(builder: Builder, fx: FxNode) -> None:
    other, condition, chosen = fx.args[:3]
    _choose(builder, fx, condition, (chosen, other))


def _choose(builder: Builder, fx: FxNode, condition: Any, branches: tuple[object, object]) -> None:
    """What is chosen where the condition holds, and where it does not."""
    known = isinstance(condition, FxNode) and builder.computes(condition)
    if not known or aten_name(condition) not in COMPARISONS:
        raise refuse(fx, "chooses by something else than a comparison of a tensor with a number")
    value, limit = condition.args[0], _number(builder, condition.args[1])
    if not isinstance(value, FxNode) or limit is None:
        raise refuse(fx, "chooses by a comparison of two tensors; one with a number is allowed")
    by_size = aten_name(value) == "abs" and value not in branches
    x: Any = value.args[0] if by_size else value
    lines = [_line(builder, branch, x) for branch in branches]
    if lines[0] is None or lines[1] is None or shape_of(fx) != shape_of(x):
        raise refuse(fx, "chooses between other than numbers and multiples of the tensor that is compared")
    name = aten_name(condition)
    above, below = lines if name in ("gt", "ge") else lines[::-1]
    assert above is not None and below is not None
    if not np.isfinite([*above.numbers, *below.numbers, limit]).all():
        raise refuse(fx, "chooses numbers that are not finite")
    # Where the two are equal: x > limit chooses what is below, x >= limit what is above.
    step = (_float32(limit), name in ("ge", "lt"))
    node = builder.nodes[builder.made[x]]
    make = _by_size if by_size else _by_value
    builder.add(fx, make(builder, fx, node, step, (above.in_float32, below.in_float32)))
    show(builder, fx, builder.nodes[builder.made[fx]], dims_of(builder, x))


def _by_size(
    builder: Builder, fx: FxNode, source: AnyNode, step: tuple[float, bool], lines: tuple[Line, Line]
) -> AnyNode:
    """A choice by the magnitude: hard and soft shrinkage."""
    (limit, included), (above, below) = step, lines
    if included:  # |x| >= limit is |x| > the number before it
        limit = float(np.nextafter(np.float32(limit), np.float32(-np.inf)))
    if limit > 0 and below == _ZERO and above == _X:
        return _function(builder, fx, source, "hardshrink", (limit,))
    if limit > 0 and below == _ZERO and above == Line(1.0, -step[0]):
        return _function(builder, fx, source, "softshrink", (step[0],))
    raise refuse(fx, "chooses by a magnitude; hard and soft shrinkage are allowed")


def _by_value(
    builder: Builder, fx: FxNode, source: AnyNode, step: tuple[float, bool], lines: tuple[Line, Line]
) -> AnyNode:
    (limit, included), (above, below) = step, lines
    if above.signs or below.signs:
        raise refuse(fx, "chooses between multiples of a sign")
    meets = above.factor * limit + above.offset == below.factor * limit + below.offset
    if meets and limit == 0 and above == _X:
        if below == _ZERO:
            name = builder.unused(fx.name)
            return Clamp(name=name, inputs=(source.name,), shape=source.shape, activation="relu")
        return _function(builder, fx, source, "leaky_relu", (below.factor,))
    if meets and above == _X and below.factor == 0:
        return _function(builder, fx, source, "clamp_low", (limit,))
    if meets and below == _X and above.factor == 0:
        return _function(builder, fx, source, "clamp_high", (limit,))
    if not included and above == _X and below.factor == 0:
        return _function(builder, fx, source, "threshold", (limit, below.offset))
    numbers = (limit, float(included), above.factor, above.offset, below.factor, below.offset)
    return _function(builder, fx, source, "two_lines", numbers)


def _function(
    builder: Builder, fx: FxNode, source: AnyNode, function: str, numbers: tuple[float, ...]
) -> Pointwise:
    return Pointwise(
        name=builder.unused(fx.name),
        inputs=(source.name,),
        shape=source.shape,
        function=function,
        parameters=numbers,
    )


def _line(builder: Builder, value: object, x: FxNode) -> Line | None:
    """A branch as a line of the tensor that is compared; None if it is none."""
    number = _number(builder, value)
    if number is not None:
        return Line(offset=number)
    if not isinstance(value, FxNode) or not builder.computes(value):
        return None
    if _is_same(builder, value, x):
        return _X
    name = aten_name(value)
    if name == "sign":
        return Line(signs=1.0) if _is_same(builder, value.args[0], x) else None
    if name == "neg":
        inner = _line(builder, value.args[0], x)
        return None if inner is None else _ZERO.plus(inner, -1.0)
    if name not in ("add", "sub", "rsub", "mul", "div") or value.kwargs:
        return None
    left, right = (_line(builder, operand_, x) for operand_ in value.args[:2])
    return None if left is None or right is None else _combined(name, left, right)


def _is_same(builder: Builder, value: Any, x: FxNode) -> bool:
    """Whether two values are one, maybe seen twice in one way."""
    views = [(builder.made[one], dims_of(builder, one)) for one in (value, x)]
    return views[0] == views[1]


def _combined(name: str, left: Line, right: Line) -> Line | None:
    if name == "rsub":
        name, left, right = "sub", right, left
    if name in ("add", "sub"):
        return left.plus(right, 1.0 if name == "add" else -1.0)
    if name == "mul" and not (left.factor or left.signs):
        left, right = right, left
    if right.factor or right.signs or (name == "div" and not right.offset):
        return None
    return _ZERO.plus(left, right.offset if name == "mul" else 1 / right.offset)


def _number(builder: Builder, value: object) -> float | None:
    """A number, or the single value of a stored tensor."""
    if isinstance(value, int | float):
        return float(value)
    stored = builder.stored(value)
    return float(stored) if stored is not None and stored.numel() == 1 else None


def _float32(number: float) -> float:
    return float(np.float32(number))


COMPARISONS: dict[str, Translation] = dict.fromkeys(("gt", "ge", "lt", "le"), _compared)
"""What torch calls them."""
CHOICES: dict[str, Translation] = {**COMPARISONS, "where": _where, "masked_fill": _masked_fill}
"""What torch calls them; they read a tensor in any order."""
