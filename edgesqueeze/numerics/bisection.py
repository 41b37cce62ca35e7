"""Bisection for the highest setting that still serves, where nobody knows the curve and a look is dear."""

from collections.abc import Callable
from math import sqrt

_DIGITS = 4
"""Significant digits of what is tried, so that it can be read and typed."""


def highest(serves: Callable[[float], bool], lowest: float, top: float, tries: int) -> float | None:
    """Halve the range between two positive values on a logarithmic scale, again and again.

    What is given back has served when it was tried, however the curve runs. Where it is monotone nothing
    higher serves but for the last half of the range; where it is noisy something higher may. The values
    tried follow from the answers alone.

    Args:
        serves: whether a value serves.
        lowest: values are above this; it is not tried itself.
        top: values are below this.
        tries: how often ``serves`` is asked.

    Returns:
        The highest value that served, None if none of those tried did.
    """
    found = None
    for _ in range(tries):
        middle = float(f"{sqrt(lowest * top):.{_DIGITS}g}")
        if serves(middle):
            lowest = found = middle
        else:
            top = middle
    return found
