"""Functions over arrays that numba compiles at their first call."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """``function``, compiled at its first call, without the GIL, and kept on disk if there is a place."""
    try:
        return cast("_Function", numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # no place to write a cache to
        return cast("_Function", numba.njit(nogil=True)(function))
