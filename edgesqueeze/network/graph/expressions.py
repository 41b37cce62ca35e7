"""Functions of one value as expressions of a few primitives.

An expression is data: numpy, torch and both file formats give the primitives their own meaning, so that a
function is written once. A ``label`` names what an application makes in a file: equal labels are equal
expressions, which are written once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

Primitive = Literal[
    "add",
    "sub",
    "mul",
    "div",
    "maximum",
    "minimum",
    "pow",
    "neg",
    "relu6",
    "abs",
    "exp",
    "log",
    "sqrt",
    "tanh",
    "sigmoid",
    "erf",
    "sin",
    "cos",
    "floor",
    "ceil",
    "round",
]
"""What an expression may apply: of two operands down to ``pow``, else of one."""
PRIMITIVES: tuple[Primitive, ...] = get_args(Primitive)
Value = TypeVar("Value")


@dataclass(frozen=True)
class Argument:
    """The value itself."""


@dataclass(frozen=True)
class Constant:
    """A number, or the name of one of the function's parameters."""

    value: float | str
    label: str


@dataclass(frozen=True)
class Apply:
    """A primitive of one or two operands."""

    primitive: Primitive
    operands: tuple["Expression", ...]
    label: str


Expression = Argument | Constant | Apply
X = Argument()


def apply(primitive: Primitive, *operands: Expression, label: str) -> Apply:
    """An application."""
    return Apply(primitive, operands, label)


def evaluate(
    expression: Expression,
    x: Value,
    parameters: Mapping[str, float],
    primitives: Mapping[Primitive, Callable[..., Any]],
) -> Any:
    """The value of an expression.

    Args:
        expression: what to compute.
        x: the argument.
        parameters: the numbers that its named constants stand for.
        primitives: what each primitive does with operands, which are arrays or, for constants, floats.
    """
    match expression:
        case Argument():
            return x
        case Constant():
            return number(expression, parameters)
        case Apply():
            operands = [evaluate(o, x, parameters, primitives) for o in expression.operands]
            return primitives[expression.primitive](*operands)


def number(constant: Constant, parameters: Mapping[str, float]) -> float:
    """What a constant stands for."""
    return parameters[constant.value] if isinstance(constant.value, str) else constant.value


def constants_of(expression: Expression) -> dict[str, Constant]:
    """The constants by label, in the order in which they stand."""
    match expression:
        case Constant():
            return {expression.label: expression}
        case Apply():
            return {k: v for operand in expression.operands for k, v in constants_of(operand).items()}
        case _:
            return {}
