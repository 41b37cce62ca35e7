"""Which step lost it: from what every state on the way was worth, to what the file is."""

import math
from collections.abc import Sequence


def losing_step(worth: Sequence[float], limit: float) -> int:
    """The step that lost most, of those since the last state that was still good; 0 leads to the second.

    A loss that a later step has made good again is nobody's: of a network that was pruned hard, trained
    until it was good, and broken afterwards, only what came afterwards is looked at.

    Args:
        worth: of the baseline, of the state behind each stage, and of the file; more is better, NaN is worst.
        limit: what is less than this is lost, as the file is.
    """
    known = [-math.inf if math.isnan(value) else value for value in worth]
    good = [index for index, value in enumerate(known[:-1]) if value >= limit]
    # Minus infinity less itself is no number, and no loss either.
    falls = {
        index: known[index] - known[index + 1] if known[index] > known[index + 1] else 0.0
        for index in range(good[-1] if good else 0, len(known) - 1)
    }
    return max(falls, key=lambda index: falls[index])
