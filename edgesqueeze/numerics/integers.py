"""The arithmetic that turns float weights into the integers of an int8 layer, in numpy alone.

Everything is computed in float64 from float32 values and rounded once, halves to even. The decoders of the
.sqz format do the same (docs/format.md), so each line here is part of that format.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
SMALLEST_SCALE = 2.0**-40
BIAS_MAX = 2**31 - 1
_BIAS_LIMIT = 2.0**30


def min_max_scales(weight: NDArray[np.floating], *, per_channel: bool = True) -> NDArray[np.float64]:
    """The largest magnitude of every output channel / 127, [out], or that of the tensor, [1]."""
    rows = np.abs(weight).reshape(len(weight) if per_channel else 1, -1)
    return np.asarray(rows.max(axis=1).astype(np.float64) / 127.0)


def usable_scale(scale: NDArray[np.float64], bias: Floats, input_scale: float) -> Floats:
    """Weight scales [out] or [1] made fit for use, as float32.

    A channel's scale is raised where its bias would not fit in 31 bits, which happens when pruning leaves
    a channel with tiny weights; a channel without any weight (scale 0) takes the layer's largest scale,
    since every scale is right for zeros.
    """
    largest = scale.max()
    positive = np.where(scale > 0, scale, largest if largest > 0 else 1.0)
    needed = np.abs(bias.astype(np.float64)) / (_BIAS_LIMIT * input_scale)
    if len(scale) < len(needed):
        needed = needed.max(keepdims=True)
    return np.asarray(np.maximum(np.maximum(positive, needed), SMALLEST_SCALE), np.float32)


def nearest_weights(weight: Floats, scale: Floats) -> NDArray[np.int8]:
    """The integers in [-127, 127] nearest to weight [out, …] / scale, which is [out] or [1]."""
    grid = scale.astype(np.float64).reshape(-1, *[1] * (weight.ndim - 1))
    return np.clip(np.rint(weight.astype(np.float64) / grid), -127, 127).astype(np.int8)


def nearest_biases(bias: Floats, bias_scale: Floats) -> NDArray[np.float64]:
    """The whole numbers nearest to bias [out] / bias scale; they may be too large for int32."""
    return np.rint(bias.astype(np.float64) / bias_scale.astype(np.float64))


def bias_scales(scale: Floats, input_scale: float) -> Floats:
    """The grid of a layer's biases, float32 [out] or [1]: input scale × weight scale, rounded."""
    return scale * np.float32(input_scale)
