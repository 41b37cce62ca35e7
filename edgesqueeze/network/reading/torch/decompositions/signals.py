"""Operations over [N, C, L] as those over maps of height 1."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from edgesqueeze.network.reading.torch.decompositions.decomposition import Decomposition, Numbers

_ATEN = torch.ops.aten


def _two(value: Numbers, first: int) -> list[int]:
    """A number of length as one of height and length."""
    return [first, value if isinstance(value, int) else int(value[0])]


def _conv1d(  # noqa: PLR0913, PLR0917 (torch's own signature)
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Numbers = 1,
    padding: Numbers | str = 0,
    dilation: Numbers = 1,
    groups: int = 1,
) -> Tensor:
    around = padding if isinstance(padding, str) else _two(padding, 0)
    wide = F.conv2d(
        x.unsqueeze(2), weight.unsqueeze(2), bias, _two(stride, 1), around, _two(dilation, 1), groups
    )
    return wide.squeeze(2)


def _conv_transpose1d(  # noqa: PLR0913, PLR0917 (torch's own signature)
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Numbers = 1,
    padding: Numbers = 0,
    output_padding: Numbers = 0,
    groups: int = 1,
    dilation: Numbers = 1,
) -> Tensor:
    stride, padding, output_padding = _two(stride, 1), _two(padding, 0), _two(output_padding, 0)
    rest = (stride, padding, output_padding, groups, _two(dilation, 1))
    return F.conv_transpose2d(x.unsqueeze(2), weight.unsqueeze(2), bias, *rest).squeeze(2)


def _max_pool1d(
    x: Tensor,
    kernel: Numbers,
    stride: Numbers = (),
    padding: Numbers = 0,
    dilation: Numbers = 1,
    ceil_mode: bool = False,
) -> Tensor:
    step = _two(stride or kernel, 1)
    return F.max_pool2d(
        x.unsqueeze(2), _two(kernel, 1), step, _two(padding, 0), _two(dilation, 1), ceil_mode
    ).squeeze(2)


def _avg_pool1d(
    x: Tensor,
    kernel: Numbers,
    stride: Numbers = (),
    padding: Numbers = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    step = _two(stride or kernel, 1)
    return F.avg_pool2d(
        x.unsqueeze(2), _two(kernel, 1), step, _two(padding, 0), ceil_mode, count_include_pad
    ).squeeze(2)


def _adaptive_avg_pool1d(x: Tensor, size: Numbers) -> Tensor:
    rows, columns = _two(size, 1)
    return F.adaptive_avg_pool2d(x.unsqueeze(2), (rows, columns)).squeeze(2)


def _adaptive_max_pool1d(x: Tensor, size: Numbers) -> tuple[Tensor, Tensor]:
    values, places = F.adaptive_max_pool2d(x.unsqueeze(2), _two(size, 1), return_indices=True)
    return values.squeeze(2), places.squeeze(2)


def _nearest1d(x: Tensor, size: Sequence[int] | None, factors: Sequence[float] | None) -> Tensor:
    wide = [1.0, *factors] if factors else None
    return _vector(_ATEN.upsample_nearest2d.vec(x.unsqueeze(2), [1, *size] if size else None, wide))


def _linear1d(
    x: Tensor, size: Sequence[int] | None, corners: bool, factors: Sequence[float] | None
) -> Tensor:
    wide = [1.0, *factors] if factors else None
    return _vector(_ATEN.upsample_bilinear2d.vec(x.unsqueeze(2), [1, *size] if size else None, corners, wide))


def _vector(x: Tensor) -> Tensor:
    return x.squeeze(2)


SIGNALS: dict[object, Decomposition] = {
    _ATEN.conv1d.default: _conv1d,
    _ATEN.conv1d.padding: _conv1d,
    _ATEN.conv_transpose1d.default: _conv_transpose1d,
    _ATEN.max_pool1d.default: _max_pool1d,
    _ATEN.avg_pool1d.default: _avg_pool1d,
    _ATEN.adaptive_avg_pool1d.default: _adaptive_avg_pool1d,
    _ATEN.adaptive_max_pool1d.default: _adaptive_max_pool1d,
    _ATEN.upsample_nearest1d.vec: _nearest1d,
    _ATEN.upsample_linear1d.vec: _linear1d,
}
