"""Functions of single values as tables: what each of the 256 integers of a grid becomes."""

from collections.abc import Callable
from math import erf

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.network.graph.nodes import Function
from edgesqueeze.network.integers.grid import QMAX, QMIN, ActivationQuant

Doubles = NDArray[np.float64]
_MARGIN = 3e-4


def table(function: Function, grid: ActivationQuant, out: ActivationQuant) -> NDArray[np.int8]:
    """For every integer from -128 to 127 of a grid the nearest integer of another to the function's value."""
    return np.clip(np.rint(_entries(function, grid, out)), QMIN, QMAX).astype(np.int8)


def is_table_safe(function: Function, grid: ActivationQuant, out: ActivationQuant) -> bool:
    """Whether every entry is clearly on one side of a half, so that float32 rounds it as exact numbers do."""
    entries = _entries(function, grid, out)
    within = (entries > QMIN - 1) & (entries < QMAX + 1)
    return bool(np.all(np.abs(entries[within] % 1.0 - 0.5) > _MARGIN))


def _entries(function: Function, grid: ActivationQuant, out: ActivationQuant) -> Doubles:
    """The function's values in units of the output grid, before rounding."""
    x = (np.arange(QMIN, QMAX + 1, dtype=np.float64) - grid.zero_point) * grid.scale
    return np.asarray(_FUNCTIONS[function](x) / out.scale + out.zero_point, np.float64)


def _sigmoid(x: Doubles) -> Doubles:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -80.0, 80.0))))


def _gelu(x: Doubles) -> Doubles:
    return np.array([v * (1.0 + erf(v / 2**0.5)) / 2.0 for v in x])


_FUNCTIONS: dict[Function, Callable[[Doubles], Doubles]] = {"sigmoid": _sigmoid, "gelu": _gelu}
