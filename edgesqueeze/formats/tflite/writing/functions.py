"""A function of single values in TFLite: its own operator, or its expression operator by operator.

In an int8 file both stand between DEQUANTIZE and QUANTIZE, but for the sigmoid, which has an integer kernel.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgesqueeze.formats.tflite.flatbuffer import Generated
from edgesqueeze.formats.tflite.writing.floats import FloatWriter, Island, island
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
    "add": "ADD",
    "sub": "SUB",
    "mul": "MUL",
    "div": "DIV",
    "maximum": "MAXIMUM",
    "minimum": "MINIMUM",
    "pow": "POW",
    "neg": "NEG",
    "relu6": "RELU6",
    "abs": "ABS",
    "exp": "EXP",
    "log": "LOG",
    "sqrt": "SQRT",
    "tanh": "TANH",
    "sigmoid": "LOGISTIC",
    "sin": "SIN",
    "cos": "COS",
    "floor": "FLOOR",
    "ceil": "CEIL",
    "round": "ROUND",
}
_MAX_MIN = ("MAXIMUM", "MINIMUM")


def write_function(writer: FloatWriter, node: Pointwise, source: int, output: int) -> None:
    """Append a function from one tensor to another."""
    call = node.call
    function, native = call.definition, call.definition.tflite
    if writer.spec is not None and function.integer_kernel and native is not None:
        writer.operator(_code(native.operator), [source], output, _options(native.operator, {}))
        return
    part = island(writer, node)
    entered = part.enter(source)
    if native is not None:
        options = _options(native.operator, call.attributes(native))
        part.leave(_code(native.operator), [entered], options, output)
        return
    stored = {
        label: part.constant(label, np.array([number(c, call.named)], np.float32))
        for label, c in constants_of(function.expression).items()
    }
    _Walk(part, entered, stored).leave(function.expression, output)


@dataclass(frozen=True)
class _Walk:
    part: Island
    value: int
    constants: Mapping[str, int]
    written: dict[str, int] = field(default_factory=dict)
    """Label to tensor: an expression that stands twice is written once."""

    def leave(self, expression: Expression, output: int) -> None:
        """Append the whole; its last operator makes the node's output."""
        assert isinstance(expression, Apply)  # a function that is its argument would be no node
        code, operands, options = self._operator(expression)
        self.part.leave(code, operands, options, output)

    def _write(self, expression: Expression) -> int:
        match expression:
            case Argument():
                return self.value
            case Constant():
                return self.constants[expression.label]
            case Apply() if expression.label in self.written:
                return self.written[expression.label]
            case Apply():
                code, operands, options = self._operator(expression)
                made = self.part.op(code, operands, expression.label, options)
                self.written[expression.label] = made
                return made

    def _operator(self, expression: Apply) -> tuple[int, list[int], Generated]:
        """Code, operands and options; a ReLU6 is fused behind the sum that it reads."""
        inner = expression.operands[0]
        fused = expression.primitive == "relu6" and isinstance(inner, Apply) and inner.primitive == "add"
        if fused and isinstance(inner, Apply):
            options = schema.AddOptionsT()
            options.fusedActivationFunction = schema.ActivationFunctionType.RELU6
            return _code("ADD"), [self._write(o) for o in inner.operands], options
        operator = _OPERATORS[expression.primitive]
        return _code(operator), [self._write(o) for o in expression.operands], _options(operator, {})


def _code(operator: str) -> int:
    return int(getattr(schema.BuiltinOperator, operator))


def _options(operator: str, attributes: Mapping[str, float]) -> Generated:
    """The options object of an operator with its attributes; None where the schema has none."""
    name = "MaximumMinimum" if operator in _MAX_MIN else operator.title().replace("_", "")
    made = getattr(schema, f"{name}OptionsT", None)
    if made is None:
        return None
    options = made()
    for attribute, value in attributes.items():
        setattr(options, attribute, value)
    return options
