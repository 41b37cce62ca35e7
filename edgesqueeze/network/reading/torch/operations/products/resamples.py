"""Resizes that no runtime has in common: products with a matrix along height and along width.

Of nearest-exact those by whole factors are a nearest resize, or places evenly apart.
"""

from typing import Any

import numpy as np
import torch
from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import Floats
from edgesqueeze.network.reading.torch.builder import Builder, Translation
from edgesqueeze.network.reading.torch.dims.layouts import as_torch_has_it
from edgesqueeze.network.reading.torch.dims.strides import crop, every
from edgesqueeze.network.reading.torch.fx import pair_of, shape_of
from edgesqueeze.network.reading.torch.operations.maps import resize_to
from edgesqueeze.network.reading.torch.operations.products.matmuls import along, factor_of, show_product

_LETTERS = "nchw"


def _nearest_exact(builder: Builder, fx: FxNode) -> None:
    """The value whose centre is nearest; where no factor is whole, by a matrix of zeros and ones."""
    value = fx.args[0]
    assert isinstance(value, FxNode)  # torch.export writes nothing else
    size, before = pair_of(shape_of(fx)[2:]), shape_of(value)[2:]
    factors = fx.args[-1] if isinstance(fx.args[-1], list | tuple) and fx.args[1] is None else None
    ratios = [n / m for n, m in zip(size, before, strict=True)]
    if factors is not None and list(factors) != ratios:
        _resample(builder, fx)
    elif not any(n % m for n, m in zip(size, before, strict=True)):  # then nearest is the same
        builder.reading[value] = as_torch_has_it(builder, fx, value).name
        resize_to(builder, fx, size, "nearest")
    elif not any(m % n for n, m in zip(size, before, strict=True)):
        rows, columns = (m // n for n, m in zip(size, before, strict=True))
        source, name = as_torch_has_it(builder, fx, value), builder.unused(f"{fx.name}_from")
        inner = crop(builder, fx, source, (rows // 2, columns // 2, 0, 0), name)
        every(builder, fx, inner, (rows, columns), fx.name)
    else:
        _resample(builder, fx)


def _resample(builder: Builder, fx: FxNode) -> None:
    """Rows and columns as torch weighs them: of four (bicubic, Keys 1981) or of one (nearest-exact)."""
    value = fx.args[0]
    assert isinstance(value, FxNode)  # torch.export writes nothing else
    size, found = shape_of(fx)[2:], factor_of(builder, value, _LETTERS)
    for axis, letter in enumerate("hw"):
        matrix = _matrix(fx, axis, int(value.meta["val"].shape[2 + axis]), size[axis])
        if not np.array_equal(matrix, np.eye(len(matrix))):
            found = along(builder, fx, found, letter, matrix)
    show_product(builder, fx, found)


def _matrix(fx: FxNode, axis: int, length: int, size: int) -> Floats:
    """What the operation makes of every place of an axis by itself, [size, length]."""
    assert callable(fx.target)
    shape, wanted = [length, 1, 1, 1], [1, 1]
    shape[2 + axis], wanted[axis] = length, size
    basis = torch.eye(length).reshape(shape)
    arguments: list[Any] = [basis, wanted, *fx.args[2:-1]]
    factors = fx.args[-1] if isinstance(fx.args[-1], list | tuple) else None
    if factors is not None:  # torch computes places with these, not with the sizes
        kept = [1.0, 1.0]
        kept[axis] = float(factors[axis])  # type: ignore[arg-type]
        arguments[1] = None
        arguments.append(kept)
    else:
        arguments.append(None)
    resized: torch.Tensor = fx.target(*arguments)
    return np.asarray(resized.reshape(length, size).T.numpy(), np.float32)


RESAMPLES: dict[str, Translation] = {
    "upsample_bicubic2d": _resample,
    "_upsample_nearest_exact2d": _nearest_exact,
}
"""What torch calls them; they read a tensor in any order."""
