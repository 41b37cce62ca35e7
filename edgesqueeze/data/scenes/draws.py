"""Random numbers of one scene, the same on every machine and with every version of numpy."""

import numpy as np
from numpy.typing import NDArray

_BYTES_SUMMED = 4
_SUM_STD = float(np.sqrt(_BYTES_SUMMED * (256**2 - 1) / 12))


class Draws:
    """Draws that are decided by a seed, a split and the number of a scene in it.

    They are made of raw PCG64 output, whose stream numpy keeps stable; its distributions may change.
    """

    def __init__(self, seed: int, split: int, index: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence([seed, split, index]))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number from low to below high."""
        return low + (high - low) * float(self.uniforms(1)[0])

    def uniforms(self, count: int) -> NDArray[np.float64]:
        """Numbers from 0 to below 1, [count]."""
        raw = np.asarray(self._bits.random_raw(count), np.uint64)
        return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self.uniform() * (high - low + 1))

    def noise(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Nearly normal numbers of mean 0 and standard deviation 1: sums of four bytes."""
        count = int(np.prod(shape)) * _BYTES_SUMMED
        raw = self._bits.random_raw(-(-count // 8)).astype("<u8").view(np.uint8)[:count]
        sums = raw.reshape(_BYTES_SUMMED, *shape).sum(0, dtype=np.uint16)
        middle, std = np.float32(255 * _BYTES_SUMMED / 2), np.float32(_SUM_STD)
        return np.asarray((sums.astype(np.float32) - middle) / std, np.float32)
