"""Float meaning of the nodes that compute values from values at the same place."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from edgesqueeze.network.floats.rule import Rule, Weights, activate
from edgesqueeze.network.graph.expressions import Primitive, evaluate
from edgesqueeze.network.graph.functions import FUNCTIONS
from edgesqueeze.network.graph.nodes import Add, AnyNode, Clamp, Extreme, MatMul, Mul, Pointwise, Softmax


def _add(node: Add, inputs: list[Tensor], _: Weights) -> Tensor:
    return activate(inputs[0] + inputs[1], node.activation)


def _clamp(node: Clamp, inputs: list[Tensor], _: Weights) -> Tensor:
    return activate(inputs[0], node.activation)


def _mul(_: Mul, inputs: list[Tensor], __: Weights) -> Tensor:
    return inputs[0] * inputs[1]


def _softmax(_: Softmax, inputs: list[Tensor], __: Weights) -> Tensor:
    return torch.softmax(inputs[0], 1)


def _pointwise(node: Pointwise, inputs: list[Tensor], _: Weights) -> Tensor:
    own, call = torch_form(node.function), node.call
    if own is not None:
        return own(inputs[0], *call.parameters)
    return torch.as_tensor(evaluate(call.definition.expression, inputs[0], call.named, _PRIMITIVES))


def _extreme_of(node: Extreme, inputs: list[Tensor], _: Weights) -> Tensor:
    return torch.maximum(*inputs) if node.which == "maximum" else torch.minimum(*inputs)


def _mat_mul(node: MatMul, inputs: list[Tensor], _: Weights) -> Tensor:
    left, right = inputs
    matrices = right.permute(0, 2, 1, 3) if node.along == "channels" else right.permute(0, 2, 3, 1)
    return torch.matmul(left.permute(0, 2, 3, 1), matrices).permute(0, 3, 1, 2)


@cache
def torch_form(function: str) -> Callable[..., Tensor] | None:
    """Torch's own form of a function, where the function names one."""
    name = FUNCTIONS[function].torch
    if name is None:
        return None
    found: Callable[..., Tensor] = getattr(torch, name, None) or getattr(F, name)
    return found


def _extreme(choose: Callable[..., Tensor]) -> Callable[[Any, Any], Tensor]:
    """A maximum or minimum that takes numbers too."""

    def chosen(left: Any, right: Any) -> Tensor:
        like = left if isinstance(left, Tensor) else right
        return choose(*(torch.as_tensor(v, dtype=like.dtype, device=like.device) for v in (left, right)))

    return chosen


_PRIMITIVES: dict[Primitive, Callable[..., Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "maximum": _extreme(torch.maximum),
    "minimum": _extreme(torch.minimum),
    "pow": torch.pow,
    "neg": torch.neg,
    "relu6": F.relu6,
    "abs": torch.abs,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "erf": torch.erf,
    "sin": torch.sin,
    "cos": torch.cos,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round": torch.round,
}
VALUES: dict[type[AnyNode], Rule] = {
    Add: _add,
    Clamp: _clamp,
    Extreme: _extreme_of,
    MatMul: _mat_mul,
    Mul: _mul,
    Pointwise: _pointwise,
    Softmax: _softmax,
}
