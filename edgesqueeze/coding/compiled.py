"""Compile a function where numba is installed; the same function runs as plain Python where it is not."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar, cast, overload

import numpy as np
from numpy.typing import NDArray

try:
    import numba
except ImportError:  # a small device: the same integers, some 300 times slower
    numba = None

_Function = TypeVar("_Function", bound=Callable[..., object])
IS_COMPILED = numba is not None


class Integers(Protocol):
    """A numpy array of one dimension for compiled functions, a list for plain Python.

    Python indexes lists faster, and they keep its integers, which do not overflow as numpy's scalars do.
    """

    @overload
    def __getitem__(self, index: int, /) -> int: ...
    @overload
    def __getitem__(self, index: slice, /) -> "Integers": ...
    def __setitem__(self, index: int, value: int, /) -> None: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[int]: ...


def compiled(function: _Function) -> _Function:
    """``function``, compiled at its first call; its machine code is kept beside the source or in a cache.

    Functions treated so know integers and arrays of integers only, and release the GIL. They allocate
    nothing, so counting references to the arrays (``nrt``) is left out: it would take most of the time.
    """
    if numba is None:
        return function
    try:
        return cast("_Function", numba.njit(cache=True, nogil=True, _nrt=False, forceinline=True)(function))
    except RuntimeError:  # no place to write a cache to
        return cast("_Function", numba.njit(nogil=True, _nrt=False, forceinline=True)(function))


def integers(values: Sequence[int], dtype: type[np.integer[Any]]) -> Integers:
    """These values."""
    return cast("Integers", np.array(values, dtype) if IS_COMPILED else list(values))


def filled(count: int, value: int, dtype: type[np.integer[Any]]) -> Integers:
    """``count`` times the same value."""
    return cast("Integers", np.full(count, value, dtype) if IS_COMPILED else [value] * count)


def from_array(array: NDArray[np.integer[Any]]) -> Integers:
    """The values of an array: itself for compiled functions, a copy for plain Python."""
    return cast("Integers", array if IS_COMPILED else array.tolist())
