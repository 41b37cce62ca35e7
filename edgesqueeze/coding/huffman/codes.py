"""Length-limited canonical Huffman codes and their compact description.

Lengths come from package-merge (Larmore & Hirschberg 1990), which is optimal under the limit. A code is
given by its lengths alone: codes of equal length count upwards with the symbol, shorter codes come first.

``lengths`` arrays end with the last symbol in use; a symbol that never occurs has length 0. If one symbol
only is in use it needs no bits: all lengths are 0 and the symbol is the last one.
"""

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.coding.byte_reader import unzigzag, zigzag
from edgesqueeze.coding.huffman.bits import BitReader, pack_codes
from edgesqueeze.errors import CodecError, CorruptFileError

MAX_LENGTH = 15
MAX_SYMBOLS = 1 << MAX_LENGTH
CodeLengths = NDArray[np.uint8]


def code_lengths(frequencies: NDArray[np.int64], limit: int = MAX_LENGTH) -> CodeLengths:
    """The lengths, 0 to ``limit``, that code symbols of these frequencies in the fewest bits.

    Raises:
        CodecError: nothing occurs, or more symbols than codes of ``limit`` bits.
    """
    used = np.flatnonzero(frequencies)
    if len(used) == 0 or len(used) > 1 << limit:
        raise CodecError(
            f"a Huffman code of at most {limit} bits for {len(used)} symbols; allowed 1 to {1 << limit}"
        )
    lengths = np.zeros(used[-1] + 1, np.uint8)
    if len(used) > 1:
        order = used[np.argsort(frequencies[used], kind="stable")]
        lengths[order] = _package_merge(frequencies[order].astype(np.int64), limit)
    return lengths


def _package_merge(ascending: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Code lengths of at least two ascending frequencies.

    Every level merges the leaves with pairs packed from the level below. In an optimal choice the chosen
    items are the lightest of their level, so it is enough to know how many chosen ones are leaves.
    """
    num = len(ascending)
    levels = []
    items = ascending
    for _ in range(limit - 1):
        packages = items[: len(items) & ~1].reshape(-1, 2).sum(axis=1)
        both = np.concatenate((ascending, packages))
        order = np.argsort(both, kind="stable")
        levels.append(order < num)
        items = both[order]
    lengths = np.zeros(num, np.int64)
    chosen = 2 * (num - 1)
    for is_leaf in reversed(levels):
        leaves = int(is_leaf[:chosen].sum())
        lengths[:leaves] += 1
        chosen = 2 * (chosen - leaves)
    lengths[:chosen] += 1
    return lengths


def canonical_codes(lengths: CodeLengths) -> NDArray[np.uint16]:
    """The code of every symbol, right-aligned; symbols of length 0 get 0."""
    codes = np.zeros(len(lengths), np.uint16)
    following = 0
    for length in range(1, MAX_LENGTH + 1):
        following <<= 1
        symbols = np.flatnonzero(lengths == length)
        codes[symbols] = following + np.arange(len(symbols))
        following += len(symbols)
    return codes


def lookup_table(lengths: CodeLengths) -> NDArray[np.int32]:
    """For every window of max(lengths) bits: 16 × the symbol whose code starts it + the code's length."""
    longest = int(lengths.max())
    symbols = np.concatenate([np.flatnonzero(lengths == n) for n in range(1, longest + 1)])
    entries = symbols * 16 + lengths[symbols]
    return np.repeat(entries, 1 << (longest - lengths[symbols].astype(np.int64))).astype(np.int32)


def encode_lengths(lengths: CodeLengths) -> bytes:
    """The lengths as bytes: 4 bits for the longest, then the differences in Exp-Golomb code.

    Neighbouring symbols have similar frequencies, so most differences are 0 (1 bit) or ±1 (3 bits). An
    unused symbol counts as one longer than the longest, since it is a neighbour of the rarest.
    """
    longest = int(lengths.max())
    if longest == 0:
        return b"\x00"
    known = np.where(lengths == 0, longest + 1, lengths).astype(np.int64)
    steps = np.diff(known, prepend=longest)
    values, widths = _exp_golomb()
    return pack_codes(
        np.concatenate(([longest], values[steps + MAX_LENGTH])),
        np.concatenate(([4], widths[steps + MAX_LENGTH])),
    )


def _exp_golomb() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Codes and widths of the differences -15 to 15: zigzag + 1, led by one zero per bit after its first."""
    values = np.array([zigzag(step) + 1 for step in range(-MAX_LENGTH, MAX_LENGTH + 1)], np.int64)
    return values, np.array([2 * int(value).bit_length() - 1 for value in values], np.int64)


def decode_lengths(data: memoryview, count: int) -> tuple[CodeLengths, int]:
    """``count`` lengths from the start of ``data``, and how many bytes they took.

    Raises:
        CorruptFileError: lengths that are no complete prefix code.
    """
    if not 1 <= count <= MAX_SYMBOLS:
        raise CorruptFileError(f"a code of {count} symbols; allowed are 1 to {MAX_SYMBOLS}")
    reader = BitReader(data)
    longest = reader.take(4)
    lengths = np.zeros(count, np.uint8)
    if longest > 0:
        current = longest
        for symbol in range(count):
            current += unzigzag(_read_exp_golomb(reader) - 1)
            if not 1 <= current <= longest + 1:
                raise CorruptFileError(f"a code length of {current}; the longest is {longest}")
            lengths[symbol] = current if current <= longest else 0
        used = lengths[lengths > 0].astype(np.int64)
        if (
            int((1 << (MAX_LENGTH - used)).sum()) != 1 << MAX_LENGTH
            or used.max() != longest
            or not lengths[-1]
        ):
            raise CorruptFileError("the code lengths are not those of a complete prefix code")
    return lengths, reader.finish()


def _read_exp_golomb(reader: BitReader) -> int:
    zeros = 0
    while not reader.take(1):
        zeros += 1
        if zeros > 4:
            raise CorruptFileError("an Exp-Golomb code is too long")
    return 1 << zeros | reader.take(zeros)
