"""A function of single values in ONNX: its own operator, or its expression operator by operator."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.network.graph.expressions import (
    Apply,
    Argument,
    Constant,
    Expression,
    Primitive,
    constants_of,
    number,
)
from edgesqueeze.network.graph.nodes import Pointwise

_OPERATORS: dict[Primitive, str] = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "maximum": "Max",
    "minimum": "Min",
    "pow": "Pow",
    "neg": "Neg",
    "abs": "Abs",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "erf": "Erf",
    "sin": "Sin",
    "cos": "Cos",
    "floor": "Floor",
    "ceil": "Ceil",
    "round": "Round",
}
Op = Callable[[str, list[str], str, dict[str, object]], str]
Store = Callable[[str, NDArray[Any]], str]


def write_function(op: Op, constant: Store, node: Pointwise, value: str) -> str:
    """Append a function of a value; the name of the result.

    Args:
        op: appends an operator (kind, inputs, output, attributes), returns the output.
        constant: stores an array under a name, returns the name.
        node: the function, whose name the result gets.
        value: what it reads.
    """
    call, result = node.call, f"{node.name}/raw"
    function = call.definition
    if function.onnx is not None:
        return op(function.onnx.operator, [value], result, dict(call.attributes(function.onnx)))
    stored = {
        label: constant(f"{node.name}.{label}", np.array(number(c, call.named), np.float32))
        for label, c in constants_of(function.expression).items()
    }
    return _Walk(op, constant, node.name, value, stored).write(function.expression, result)


@dataclass(frozen=True)
class _Walk:
    op: Op
    store: Store
    name: str
    value: str
    constants: Mapping[str, str]
    written: dict[str, str] = field(default_factory=dict)
    """Label to value: an expression that stands twice is written once."""

    def write(self, expression: Expression, result: str | None = None) -> str:
        match expression:
            case Argument():
                return self.value
            case Constant():
                return self.constants[expression.label]
            case Apply() if expression.label in self.written:
                return self.written[expression.label]
            case Apply():
                operands = [self.write(operand) for operand in expression.operands]
                output = result or f"{self.name}/{expression.label}"
                self.written[expression.label] = output
                if expression.primitive == "relu6":
                    return self._relu6(operands[0], output)
                return self.op(_OPERATORS[expression.primitive], operands, output, {})

    def _relu6(self, value: str, output: str) -> str:
        six = self.store(f"{output}.six", np.array(6.0, np.float32))
        return self.op("Min", [self.op("Relu", [value], f"{output}/relu", {}), six], output, {})
