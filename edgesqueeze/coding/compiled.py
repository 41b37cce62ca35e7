"""Compile a function where numba is installed; the same function runs as plain Python where it is not."""

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

try:
    import numba
except ImportError:  # a small device: the same integers, some hundred times slower
    numba = None

_Function = TypeVar("_Function", bound=Callable[..., object])
IS_COMPILED = numba is not None


def compiled(function: _Function) -> _Function:
    """``function``, compiled at its first call; the machine code is kept beside the source or in the user's cache.

    The functions treated so know integers and one-dimensional arrays only, and release the GIL.
    """
    if numba is None:
        return function
    try:
        return cast("_Function", numba.njit(cache=True, nogil=True, _nrt=False)(function))
    except RuntimeError:  # no place to write a cache to
        return cast("_Function", numba.njit(nogil=True, _nrt=False)(function))


def integers(values: Sequence[int], dtype: type[np.integer]) -> NDArray[np.integer]:
    """An array for compiled functions, a list for plain Python, which indexes lists faster.

    Lists also keep Python's integers, which do not overflow where numpy's scalars would.
    """
    return np.array(values, dtype) if IS_COMPILED else cast("NDArray[np.integer]", list(values))


def filled(count: int, value: int, dtype: type[np.integer]) -> NDArray[np.integer]:
    """``count`` times the same value, as :func:`integers` keeps them."""
    return np.full(count, value, dtype) if IS_COMPILED else cast("NDArray[np.integer]", [value] * count)


def from_array(array: NDArray[np.integer]) -> NDArray[np.integer]:
    """An existing array as compiled functions or plain Python want it."""
    return array if IS_COMPILED else cast("NDArray[np.integer]", array.tolist())
