"""Functions of single values as tables: what each of the 256 integers of a grid becomes."""

from collections.abc import Callable
from math import erf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.network.graph.expressions import Primitive, evaluate
from edgesqueeze.network.graph.functions import Call
from edgesqueeze.network.integers.grid import QMAX, QMIN, ActivationQuant

Doubles = NDArray[np.float64]
_MARGIN = 3e-4


def table(call: Call, grid: ActivationQuant, out: ActivationQuant) -> NDArray[np.int8]:
    """For every integer from -128 to 127 of a grid the nearest integer of another to the function's value."""
    return np.clip(np.rint(_entries(call, grid, out)), QMIN, QMAX).astype(np.int8)


def is_table_safe(call: Call, grid: ActivationQuant, out: ActivationQuant) -> bool:
    """Whether every entry is clearly on one side of a half, so that float32 rounds it as exact numbers do.

    Nor may float32 put a value on the other side of a step.
    """
    entries = _entries(call, grid, out)
    within = (entries > QMIN - 1) & (entries < QMAX + 1)
    if not np.all(np.abs(entries[within] % 1.0 - 0.5) > _MARGIN):
        return False
    rounded = _entries(call, grid, out, np.float32)
    within |= (rounded > QMIN - 1) & (rounded < QMAX + 1)
    return bool(np.all(np.abs(entries[within] - rounded[within]) < _MARGIN))


def _entries(
    call: Call, grid: ActivationQuant, out: ActivationQuant, precision: type[np.floating[Any]] = np.float64
) -> Doubles:
    """The function's values in units of the output grid, before rounding.

    ``precision`` is that of the arguments, which runtimes compute in float32.
    """
    integers = np.arange(QMIN, QMAX + 1) - grid.zero_point
    x = (integers.astype(precision) * precision(grid.scale)).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):  # log and 1 / x at the end of their domain
        y = evaluate(call.definition.expression, x, call.named, _PRIMITIVES)
    entries = y / out.scale + out.zero_point
    return np.where(np.isnan(entries), QMIN, entries)


def _sigmoid(x: Doubles) -> Doubles:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -80.0, 80.0))))


def _relu6(x: Doubles) -> Doubles:
    return np.clip(x, 0.0, 6.0)


_ERF = np.vectorize(erf, otypes=[np.float64])
_PRIMITIVES: dict[Primitive, Callable[..., Doubles]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "pow": np.power,
    "neg": np.negative,
    "relu6": _relu6,
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "erf": _ERF,
    "sin": np.sin,
    "cos": np.cos,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
}
