"""The torch layer that stands for a Keras layer with weights, and how it is called in Keras's order.

Keras has channels last, [N, *spatial, C], and torch channels first; a counterpart is a plain torch layer, so
that whatever prunes, shares or quantizes torch's layers finds it. Keras's arithmetic: keras.io/api/layers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from edgesqueeze.importing.keras.windows import CroppedTo, Padding

Call = Callable[[nn.Module, Tensor], Tensor]
Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Counterpart:
    """A torch layer, and how it is called with what the Keras layer is given."""

    module: nn.Module
    call: Call


def counterpart(layer: Any) -> Counterpart | None:
    """The torch layer of a Keras layer with weights of its own; None if there is none for its class.

    Args:
        layer: a built ``keras.layers.Layer``.
    """
    for cls in type(layer).__mro__:  # a subclass that overrides call is not the layer it is derived from
        if cls.__name__ in _MAKERS and cls.__module__.startswith("keras."):
            same = type(layer).call is getattr(cls, "call")  # noqa: B009 (mypy knows no call of a type)
            return _MAKERS[cls.__name__](layer, _arrays(layer)) if same else None
    return None


def _arrays(layer: Any) -> Arrays:
    """A layer's own variables by their last name."""
    own = [*layer._trainable_variables, *layer._non_trainable_variables]
    return {v.name: np.asarray(v.value.detach().cpu().numpy()) for v in own if v.dtype.startswith("float")}


# -- convolutions ---------------------------------------------------------------------------------------


_CONVS: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d}
_TRANSPOSED: dict[int, type[nn.Module]] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d}


def _conv(layer: Any, arrays: Arrays) -> Counterpart | None:
    """Conv1D and Conv2D: kernels [*window, in / groups, out]."""
    kernel = np.moveaxis(arrays["kernel"], (-1, -2), (0, 1))
    return _windowed(layer, kernel, arrays.get("bias"), layer.groups)


def _depthwise(layer: Any, arrays: Arrays) -> Counterpart | None:
    """DepthwiseConv1D and 2D: kernels [*window, in, multiplier], outputs ordered by input."""
    return _windowed(layer, _by_input(arrays["kernel"]), arrays.get("bias"), arrays["kernel"].shape[-2])


def _by_input(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    moved = np.moveaxis(kernel, (-2, -1), (0, 1))
    return moved.reshape(-1, 1, *moved.shape[2:])


def _separable(layer: Any, arrays: Arrays) -> Counterpart | None:
    """SeparableConv1D and 2D: a depthwise convolution, then a pointwise one with the bias."""
    if layer.rank not in _CONVS:
        return None
    kernel = arrays["depthwise_kernel"]
    padding = Padding.of(layer)
    made = nn.Sequential()
    made.depthwise = _conv_layer(layer, _by_input(kernel), None, kernel.shape[-2], padding)
    pointwise = np.moveaxis(arrays["pointwise_kernel"], (-1, -2), (0, 1))
    made.pointwise = _filled(
        _CONVS[layer.rank](pointwise.shape[1], len(pointwise), 1, bias=layer.use_bias),
        pointwise,
        arrays.get("bias"),
    )

    def call(module: nn.Module, x: Tensor) -> Tensor:
        first = _in_torch_order(layer, x, lambda y: module(padding(y)))
        return _activated(layer, first)

    return Counterpart(made, call)


def _windowed(
    layer: Any, weight: NDArray[np.float32], bias: NDArray[np.float32] | None, groups: int
) -> Counterpart | None:
    if layer.rank not in _CONVS:
        return None
    padding = Padding.of(layer)
    made = _conv_layer(layer, weight, bias, groups, padding)

    def call(module: nn.Module, x: Tensor) -> Tensor:
        return _activated(layer, _in_torch_order(layer, x, lambda y: module(padding(y))))

    return Counterpart(made, call)


def _conv_layer(
    layer: Any,
    weight: NDArray[np.float32],
    bias: NDArray[np.float32] | None,
    groups: int,
    padding: Padding,
) -> nn.Module:
    channels = weight.shape[1] * groups
    made = _CONVS[layer.rank](
        channels,
        len(weight),
        tuple(weight.shape[2:]),
        tuple(layer.strides),
        padding.inside,
        tuple(layer.dilation_rate),
        groups,
        bias is not None,
    )
    return _filled(made, weight, bias)


def _conv_transpose(layer: Any, arrays: Arrays) -> Counterpart | None:
    """Conv1DTranspose and 2D: kernels [*window, out, in]; what a convolution of this padding would undo."""
    if layer.rank not in _TRANSPOSED:
        return None
    kernel = np.moveaxis(arrays["kernel"], (-1, -2), (0, 1))
    cropped = CroppedTo.of(layer)
    if cropped is None:
        return None
    made = _TRANSPOSED[layer.rank](
        kernel.shape[0],
        kernel.shape[1],
        tuple(kernel.shape[2:]),
        tuple(layer.strides),
        cropped.padding,
        cropped.output_padding,
        bias=layer.use_bias,
        dilation=tuple(layer.dilation_rate),
    )
    _filled(made, kernel, arrays.get("bias"))

    def call(module: nn.Module, x: Tensor) -> Tensor:
        return _activated(layer, _in_torch_order(layer, x, lambda y: cropped(module(y), y)))

    return Counterpart(made, call)


# -- dense and norms ------------------------------------------------------------------------------------


_NORMS: dict[int, Any] = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}


def _dense(layer: Any, arrays: Arrays) -> Counterpart:
    kernel = arrays["kernel"]
    made = _filled(nn.Linear(kernel.shape[0], kernel.shape[1], layer.use_bias), kernel.T, arrays.get("bias"))
    return Counterpart(made, lambda module, x: _activated(layer, module(x)))


def _batch_norm(layer: Any, arrays: Arrays) -> Counterpart | None:
    kind = _NORMS.get(layer.input_spec.ndim)
    if kind is None:
        return None
    made = kind(len(arrays["moving_mean"]), layer.epsilon, 1 - layer.momentum)
    _fill_norm(made, arrays)
    with torch.no_grad():
        made.running_mean.copy_(torch.from_numpy(arrays["moving_mean"]))
        made.running_var.copy_(torch.from_numpy(arrays["moving_variance"]))

    def call(module: nn.Module, x: Tensor) -> Tensor:
        axis = _axis(layer, x)
        return module(x.movedim(axis, 1)).movedim(1, axis)  # type: ignore[no-any-return]

    return Counterpart(made, call)


def _layer_norm(layer: Any, arrays: Arrays) -> Counterpart | None:
    shape = next(iter(arrays.values())).shape if arrays else ()
    if len(shape) != 1 or getattr(layer, "rms_scaling", False):
        return None
    made = nn.LayerNorm(shape, layer.epsilon)
    _fill_norm(made, arrays)
    axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]

    def call(module: nn.Module, x: Tensor) -> Tensor:
        return module(x.movedim(axis, -1)).movedim(-1, axis)  # type: ignore[no-any-return]

    return Counterpart(made, call)


def _group_norm(layer: Any, arrays: Arrays) -> Counterpart | None:
    if not arrays or not isinstance(layer.axis, int):
        return None
    count = len(next(iter(arrays.values())))
    made = nn.GroupNorm(count if layer.groups == -1 else layer.groups, count, layer.epsilon)
    _fill_norm(made, arrays)

    def call(module: nn.Module, x: Tensor) -> Tensor:
        axis = _axis(layer, x)
        return module(x.movedim(axis, 1)).movedim(1, axis)  # type: ignore[no-any-return]

    return Counterpart(made, call)


def _fill_norm(made: nn.BatchNorm1d | nn.LayerNorm | nn.GroupNorm, arrays: Arrays) -> None:
    """Gains and offsets; those that the Keras layer does not have stay 1 and 0."""
    with torch.no_grad():
        for name, target in (("gamma", made.weight), ("beta", made.bias)):
            if name in arrays:
                target.copy_(torch.from_numpy(arrays[name]))
            else:
                target.requires_grad_(False)


class Gains(nn.Module):
    """A factor for every channel, the last axis, as in ConvNeXt (Liu et al. 2022, arXiv 2201.03545)."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        """Every channel times its factor."""
        return x * self.weight


def _layer_scale(_: Any, arrays: Arrays) -> Counterpart:
    (gamma,) = arrays.values()  # Keras gives it no name
    return Counterpart(Gains(torch.from_numpy(gamma.copy())), lambda module, x: module(x))


class Slopes(nn.Module):
    """PReLU with slopes for every place, or for some axes: ``weight`` broadcasts against one example."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        """Negative values times their slope."""
        return F.relu(x) - self.weight * F.relu(-x)


def _prelu(_: Any, arrays: Arrays) -> Counterpart:
    alpha = arrays["alpha"]
    if alpha.size == alpha.shape[-1]:  # one slope a channel: torch's own layer
        made = nn.PReLU(alpha.size)
        with torch.no_grad():
            made.weight.copy_(torch.from_numpy(np.array(alpha.reshape(-1))))

        def by_channel(module: nn.Module, x: Tensor) -> Tensor:
            return module(x.movedim(-1, 1)).movedim(1, -1)  # type: ignore[no-any-return]

        return Counterpart(made, by_channel)
    return Counterpart(Slopes(torch.from_numpy(alpha.copy())), lambda module, x: module(x))


# -- what they share ------------------------------------------------------------------------------------


def _filled(made: Any, weight: NDArray[np.float32], bias: NDArray[np.float32] | None) -> nn.Module:
    with torch.no_grad():
        made.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
        if bias is not None:
            made.bias.copy_(torch.from_numpy(bias))
    return made  # type: ignore[no-any-return]


def _in_torch_order(layer: Any, x: Tensor, work: Callable[[Tensor], Tensor]) -> Tensor:
    if layer.data_format == "channels_first":
        return work(x)
    return work(x.movedim(-1, 1)).movedim(1, -1)


def _axis(layer: Any, x: Tensor) -> int:
    return int(layer.axis) % x.ndim


def _activated(layer: Any, x: Tensor) -> Tensor:
    return x if layer.activation is None else layer.activation(x)


_MAKERS: dict[str, Callable[[Any, Arrays], Counterpart | None]] = {
    "Conv1D": _conv,
    "Conv2D": _conv,
    "DepthwiseConv1D": _depthwise,
    "DepthwiseConv2D": _depthwise,
    "SeparableConv1D": _separable,
    "SeparableConv2D": _separable,
    "Conv1DTranspose": _conv_transpose,
    "Conv2DTranspose": _conv_transpose,
    "Dense": _dense,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "GroupNormalization": _group_norm,
    "LayerScale": _layer_scale,
    "PReLU": _prelu,
}
