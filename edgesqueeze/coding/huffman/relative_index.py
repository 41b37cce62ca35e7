"""Positions of non-zero weights as gaps of r bits (Han et al. 2016, arXiv 1510.00149, section 3.1).

Symbol g in 0 … 2^r - 2 stands for g zeros and the weight behind them. Symbol 2^r - 1 is the escape: it
skips 2^r - 1 zeros and carries no weight. (The paper's filler stands for a stored zero weight instead.)
"""

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import CorruptFileError

MIN_INDEX_BITS, MAX_INDEX_BITS = 2, 12


def gaps_between(positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many zeros lie before each non-zero position; positions ascend."""
    return np.diff(positions, prepend=-1) - 1


def encode_gaps(gaps: NDArray[np.int64], index_bits: int) -> NDArray[np.uint16]:
    """The symbols of gaps, escapes included; zeros behind the last weight are not coded."""
    escape = (1 << index_bits) - 1
    num_escapes, rest = np.divmod(gaps, escape)
    ends = np.cumsum(num_escapes + 1)
    symbols = np.full(int(ends[-1]) if len(ends) else 0, escape, np.uint16)
    symbols[ends - 1] = rest
    return symbols


def symbol_frequencies(
    gap_values: NDArray[np.int64], gap_counts: NDArray[np.int64], index_bits: int
) -> NDArray[np.int64]:
    """How often each symbol occurs, int64 [2^r], from a histogram of the gaps: no symbol is written out."""
    escape = (1 << index_bits) - 1
    num_escapes, rest = np.divmod(gap_values, escape)
    frequencies = np.zeros(escape + 1, np.int64)
    np.add.at(frequencies, rest, gap_counts)
    frequencies[escape] = int((num_escapes * gap_counts).sum())
    return frequencies


def decode_gaps(symbols: NDArray[np.uint16], index_bits: int, num_weights: int) -> NDArray[np.int64]:
    """The positions of the non-zero weights, ascending.

    Raises:
        CorruptFileError: a position beyond the last weight, or an escape at the end.
    """
    if len(symbols) == 0:
        return np.zeros(0, np.int64)
    escape = (1 << index_bits) - 1
    is_weight = symbols != escape
    ends: NDArray[np.int64] = np.cumsum(symbols + is_weight, dtype=np.int64)
    if not is_weight[-1] or ends[-1] > num_weights:
        raise CorruptFileError(
            f"the gaps lead to weight {int(ends[-1])} of {num_weights}, or end in an escape"
        )
    positions: NDArray[np.int64] = ends[is_weight] - 1
    return positions
