"""Operators on values: arithmetic, functions, reductions, choices."""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgesqueeze.importing.onnx.node import OnnxNode
from edgesqueeze.importing.onnx.operations.translation import Translation, Work, with_constants

_SELU = (1.67326319217681884765625, 1.05070102214813232421875)
"""Alpha and gamma where a node does not say them."""


def _function(function: Callable[..., Any], **defaults: float) -> Translation:
    """A function of one tensor, with numbers that the node's attributes may change."""

    def translate(node: OnnxNode) -> Work:
        numbers = [node.attribute(name, value) for name, value in defaults.items()]
        return Work(lambda x: function(x, *numbers))

    return translate


def _of_all(function: Callable[..., Tensor]) -> Translation:
    """A function of two tensors, over all inputs from left to right."""

    def translate(node: OnnxNode) -> Work:
        return with_constants(node, lambda *given: reduce(function, given))

    return translate


def _plain(function: Callable[..., Tensor]) -> Translation:
    return lambda node: with_constants(node, function)


def _extreme(name: str) -> Translation:
    def two(one: Any, other: Any) -> Any:
        if not isinstance(one, Tensor):
            one, other = other, one
        if not isinstance(one, Tensor):  # two numbers in front
            return max(one, other) if name == "max" else min(one, other)
        if isinstance(other, Tensor):
            function: Callable[[Tensor, Tensor], Tensor] = getattr(torch, f"{name}imum")
            return function(one, other)
        bounded: Tensor = one.clamp_min(other) if name == "max" else one.clamp_max(other)
        return bounded

    return _of_all(two)


def _mean(node: OnnxNode) -> Work:
    return with_constants(node, lambda *given: sum(given) / len(given))


def _clip(node: OnnxNode) -> Work:
    low, high = (node.constant(place, name) for place, name in ((1, "min"), (2, "max")))
    bounds = [None if bound is None else float(np.asarray(bound).reshape(-1)[0]) for bound in (low, high)]
    if bounds[0] is not None and bounds[0] <= np.finfo(np.float32).min:
        bounds[0] = None
    if bounds[1] is not None and bounds[1] >= np.finfo(np.float32).max:
        bounds[1] = None
    if bounds == [None, None]:
        return Work(lambda x: x)
    if bounds == [0.0, None]:
        return Work(F.relu)
    return Work(F.relu6) if bounds == [0.0, 6.0] else Work(lambda x: x.clamp(*bounds))


def _softmax(node: OnnxNode) -> Work:
    logarithm = node.kind == "LogSoftmax"
    function: Any = torch.log_softmax if logarithm else torch.softmax
    rank = node.example().ndim
    axis = node.attribute("axis", -1 if node.opset >= 13 else 1) % rank
    if node.opset >= 13 or axis == rank - 1:
        return Work(lambda x: function(x, axis))
    # earlier versions take everything from the axis on as one dimension
    return Work(lambda x: function(x.flatten(axis), axis).reshape(x.shape))


def _gelu(node: OnnxNode) -> Work:
    return Work(partial(F.gelu, approximate=node.attribute("approximate", "none")))


def _hard_sigmoid(x: Tensor, alpha: float, beta: float) -> Tensor:
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return F.hardsigmoid(x)
    return (x * alpha + beta).clamp(0, 1)


def _selu(x: Tensor, alpha: float, gamma: float) -> Tensor:
    if (alpha, gamma) == _SELU:
        return F.selu(x)
    return gamma * F.elu(x, alpha)


def _divided(x: Any, y: Any) -> Tensor:
    """A quotient; of whole numbers, as C has it."""
    whole = all(isinstance(n, int) or (isinstance(n, Tensor) and not n.is_floating_point()) for n in (x, y))
    return torch.div(x, y, rounding_mode="trunc") if whole else x / y


def _thresholded(x: Tensor, alpha: float) -> Tensor:
    return x * (x > alpha).to(x.dtype)


def _reduced(function: Callable[..., Tensor]) -> Translation:
    def translate(node: OnnxNode) -> Work:
        axes = node.numbers(1, "axes")
        if not axes and node.attribute("noop_with_empty_axes", 0):
            raise node.refuse("reduces over nothing")
        rank, keep = node.example().ndim, bool(node.attribute("keepdims", 1))
        dims = sorted(axis % rank for axis in (axes or range(rank)))
        if 0 in dims:
            raise node.refuse("reduces over the batch")
        return Work(lambda x: function(x, dims, keep))

    return translate


def _l2(x: Tensor, dims: list[int], keep: bool) -> Tensor:
    return (x * x).sum(dims, keep).sqrt()


def _arg_max(node: OnnxNode) -> Work:
    axis, keep = node.attribute("axis", 0), bool(node.attribute("keepdims", 1))
    if node.attribute("select_last_index", 0):
        raise node.refuse("takes the last of equal values")
    return Work(lambda x: x.argmax(axis, keep))


def _power(base: Any, exponent: Any) -> Tensor:
    if isinstance(exponent, Tensor) and exponent.numel() == 1:
        exponent = float(exponent)
    if exponent == 2:
        return base * base  # type: ignore[no-any-return]
    return base.sqrt() if exponent == 0.5 else base**exponent  # type: ignore[no-any-return]


def _pow(node: OnnxNode) -> Work:
    if node.is_constant(1) and np.asarray(node.constant(1)).size == 1:
        exponent = float(np.asarray(node.constant(1)).reshape(-1)[0])
        return Work(lambda x: _power(x, exponent))
    return with_constants(node, torch.pow)


def _dropout(node: OnnxNode) -> Work:
    ratio = float(np.asarray(node.constant(1, "ratio", 0.5)).reshape(-1)[0])
    layer = node.layer(lambda: nn.Dropout(ratio), (), node.place)
    return Work(lambda module, x: module(x), layer)


def _where(node: OnnxNode) -> Work:
    return with_constants(node, torch.where)


VALUES: dict[str, Translation] = {
    "Abs": _function(torch.abs),
    "And": _plain(lambda x, y: x & y),
    "ArgMax": _arg_max,
    "Ceil": _function(torch.ceil),
    "Celu": _function(F.celu, alpha=1.0),
    "Clip": _clip,
    "Cos": _function(torch.cos),
    "Div": _plain(_divided),
    "Dropout": _dropout,
    "Elu": _function(F.elu, alpha=1.0),
    "Equal": _plain(lambda x, y: x == y),
    "Erf": _function(torch.erf),
    "Exp": _function(torch.exp),
    "Floor": _function(torch.floor),
    "Gelu": _gelu,
    "Greater": _plain(lambda x, y: x > y),
    "GreaterOrEqual": _plain(lambda x, y: x >= y),
    "HardSigmoid": _function(_hard_sigmoid, alpha=0.2, beta=0.5),
    "HardSwish": _function(F.hardswish),
    "LeakyRelu": _function(F.leaky_relu, alpha=0.01),
    "Less": _plain(lambda x, y: x < y),
    "LessOrEqual": _plain(lambda x, y: x <= y),
    "Log": _function(torch.log),
    "LogSoftmax": _softmax,
    "Max": _extreme("max"),
    "Mean": _mean,
    "Min": _extreme("min"),
    "Mish": _function(F.mish),
    "Mul": _plain(lambda x, y: x * y),
    "Neg": _function(torch.neg),
    "Not": _function(torch.logical_not),
    "Or": _plain(lambda x, y: x | y),
    "Pow": _pow,
    "Reciprocal": _function(torch.reciprocal),
    "ReduceL2": _reduced(_l2),
    "ReduceMax": _reduced(torch.amax),
    "ReduceMean": _reduced(torch.mean),
    "ReduceMin": _reduced(torch.amin),
    "ReduceSum": _reduced(torch.sum),
    "Relu": _function(F.relu),
    "Round": _function(torch.round),
    "Selu": _function(_selu, alpha=_SELU[0], gamma=_SELU[1]),
    "Sigmoid": _function(torch.sigmoid),
    "Sign": _function(torch.sign),
    "Sin": _function(torch.sin),
    "Softmax": _softmax,
    "Softplus": _function(F.softplus),
    "Softsign": _function(F.softsign),
    "Sqrt": _function(torch.sqrt),
    "Sub": _plain(lambda x, y: x - y),
    "Sum": _of_all(lambda x, y: x + y),
    "Tanh": _function(torch.tanh),
    "ThresholdedRelu": _function(_thresholded, alpha=1.0),
    "Where": _where,
}
_OF_MORE = {
    "ArgMax",
    "Dropout",
    "LogSoftmax",
    "ReduceL2",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceSum",
    "Softmax",
}
ELEMENTWISE = {*VALUES, "Add"} - _OF_MORE
"""Operators whose results depend on the values of one place alone."""
