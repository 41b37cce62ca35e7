"""The functions of single values: the one place where one is defined.

To add a function, add an entry to :data:`FUNCTIONS` (at its end: .sqz files number them) and a row to its
test. Reading it from torch, its float meaning, its int8 table and both file formats follow from the entry.
"""

from dataclasses import dataclass

from edgesqueeze.network.graph import function_expressions as expressions
from edgesqueeze.network.graph.expressions import X, apply
from edgesqueeze.network.graph.function_types import GIVEN, Native, PointwiseFunction, Reading

constant = expressions.constant


@dataclass(frozen=True)
class Call:
    """A function with its parameters, float32 values."""

    function: str
    parameters: tuple[float, ...] = ()

    @property
    def definition(self) -> PointwiseFunction:
        """What is known of the function."""
        return FUNCTIONS[self.function]

    @property
    def named(self) -> dict[str, float]:
        """The parameters by name."""
        return dict(zip(self.definition.parameters, self.parameters, strict=True))

    def attributes(self, native: Native) -> dict[str, float]:
        """The attributes of an operator that computes it."""
        named = self.named
        return {k: named[v] if isinstance(v, str) else v for k, v in native.attributes.items()}


FUNCTIONS: dict[str, PointwiseFunction] = {
    "sigmoid": PointwiseFunction(
        expressions.sigmoid(),
        (Reading("sigmoid"),),
        torch="sigmoid",
        tflite=Native("LOGISTIC"),
        grid=(1 / 256, -128),
        integer_kernel=True,
        nonnegative=True,
    ),
    "hardsigmoid": PointwiseFunction(
        expressions.hard_sigmoid(),
        (Reading("hardsigmoid"),),
        torch="hardsigmoid",
        onnx=Native("HardSigmoid", {"alpha": expressions.SIXTH, "beta": 0.5}),
        grid=(1 / 255, -128),
        nonnegative=True,
    ),
    "hardswish": PointwiseFunction(
        apply("mul", X, expressions.hard_sigmoid(), label="hardswish"),
        (Reading("hardswish"),),
        torch="hardswish",
        onnx=Native("HardSwish"),
        tflite=Native("HARD_SWISH"),
        gate="hardsigmoid",
    ),
    "silu": PointwiseFunction(
        apply("mul", X, expressions.sigmoid(), label="silu"), (Reading("silu"),), torch="silu", gate="sigmoid"
    ),
    "gelu": PointwiseFunction(
        expressions.gelu(), (Reading("gelu", {"approximate": "none"}),), torch="gelu", tflite=Native("GELU")
    ),
    "tanh": PointwiseFunction(
        apply("tanh", X, label="tanh"),
        (Reading("tanh"),),
        torch="tanh",
        tflite=Native("TANH"),
        grid=(1 / 128, 0),
        integer_kernel=True,
    ),
    "leaky_relu": PointwiseFunction(
        expressions.leaky_relu(),
        (Reading("leaky_relu", parameters=("negative_slope",)),),
        parameters=("slope",),
        torch="leaky_relu",
        onnx=Native("LeakyRelu", {"alpha": "slope"}),
        tflite=Native("LEAKY_RELU", {"alpha": "slope"}),
    ),
    "elu": PointwiseFunction(
        expressions.exponential("alpha", "scale", "input_scale"),
        (Reading("elu", parameters=("alpha", "scale", "input_scale")),),
        parameters=("alpha", "scale", "input_scale"),
    ),
    "selu": PointwiseFunction(
        expressions.exponential(1.6732632423543772, 1.0507009873554805, 1.0), (Reading("selu"),), torch="selu"
    ),
    "celu": PointwiseFunction(
        expressions.celu(), (Reading("celu", parameters=("alpha",)),), parameters=("alpha",), torch="celu"
    ),
    "mish": PointwiseFunction(
        apply("mul", X, apply("tanh", expressions.softplus(X), label="tanh"), label="mish"),
        (Reading("mish"),),
        torch="mish",
    ),
    "softplus": PointwiseFunction(
        expressions.scaled_softplus(),
        (Reading("softplus", parameters=("beta",)),),
        parameters=("beta",),
        torch="softplus",
        nonnegative=True,
    ),
    "gelu_tanh": PointwiseFunction(expressions.gelu_tanh(), (Reading("gelu", {"approximate": "tanh"}),)),
    "log_sigmoid": PointwiseFunction(
        apply("neg", expressions.softplus(apply("neg", X, label="mirrored")), label="log_sigmoid"),
        (Reading("log_sigmoid"),),
        torch="logsigmoid",
    ),
    "clamp": PointwiseFunction(
        expressions.between("low", "high"),
        (
            Reading("hardtanh", parameters=("min_val", "max_val")),
            Reading("clamp", {"min": GIVEN, "max": GIVEN}, ("min", "max")),
        ),
        parameters=("low", "high"),
        torch="hardtanh",
    ),
    "clamp_low": PointwiseFunction(
        expressions.between("low", None),
        (Reading("clamp", {"min": GIVEN, "max": None}, ("min",)), Reading("clamp_min", parameters=("min",))),
        parameters=("low",),
    ),
    "clamp_high": PointwiseFunction(
        expressions.between(None, "high"),
        (Reading("clamp", {"min": None, "max": GIVEN}, ("max",)), Reading("clamp_max", parameters=("max",))),
        parameters=("high",),
    ),
    "abs": PointwiseFunction(apply("abs", X, label="abs"), (Reading("abs"),), torch="abs", nonnegative=True),
    "neg": PointwiseFunction(apply("neg", X, label="neg"), (Reading("neg"),), torch="neg"),
    "exp": PointwiseFunction(apply("exp", X, label="exp"), (Reading("exp"),), torch="exp", nonnegative=True),
    "log": PointwiseFunction(apply("log", X, label="log"), (Reading("log"),), torch="log"),
    "sqrt": PointwiseFunction(
        apply("sqrt", X, label="sqrt"),
        (Reading("sqrt"), Reading("pow", {"exponent": 0.5})),
        torch="sqrt",
        nonnegative=True,
    ),
    "rsqrt": PointwiseFunction(
        apply("div", constant("one", 1.0), apply("sqrt", X, label="root"), label="rsqrt"),
        (Reading("rsqrt"), Reading("pow", {"exponent": -0.5})),
        torch="rsqrt",
        nonnegative=True,
    ),
    "reciprocal": PointwiseFunction(
        apply("div", constant("one", 1.0), X, label="reciprocal"),
        (Reading("reciprocal"), Reading("pow", {"exponent": -1})),
        torch="reciprocal",
    ),
    "square": PointwiseFunction(
        apply("mul", X, X, label="square"),
        (Reading("square"), Reading("pow", {"exponent": 2})),
        torch="square",
        nonnegative=True,
    ),
    "cube": PointwiseFunction(
        apply("mul", apply("mul", X, X, label="square"), X, label="cube"), (Reading("pow", {"exponent": 3}),)
    ),
    "pow": PointwiseFunction(
        apply("pow", X, constant("exponent", "exponent"), label="pow"),
        (Reading("pow", parameters=("exponent",)),),
        parameters=("exponent",),
    ),
    "sign": PointwiseFunction(expressions.sign(), (Reading("sign"),), torch="sign", onnx=Native("Sign")),
    "threshold": PointwiseFunction(
        expressions.choice(expressions.step(X, "threshold"), X, constant("value", "value")),
        (Reading("threshold", parameters=("threshold", "value")),),
        parameters=("threshold", "value"),
        torch="threshold",
    ),
    "hardshrink": PointwiseFunction(
        apply("mul", X, expressions.step(apply("abs", X, label="size"), "limit"), label="hardshrink"),
        (Reading("hardshrink", parameters=("lambd",)),),
        parameters=("limit",),
        torch="hardshrink",
    ),
    "softshrink": PointwiseFunction(
        expressions.soft_shrink("limit"),
        (Reading("softshrink", parameters=("lambd",)),),
        parameters=("limit",),
        torch="softshrink",
    ),
    "two_lines": PointwiseFunction(
        expressions.choice(
            expressions.step(X, "limit", "included"),
            expressions.line("upper", "factor_above", "offset_above"),
            expressions.line("lower", "factor_below", "offset_below"),
        ),
        (),
        parameters=("limit", "included", "factor_above", "offset_above", "factor_below", "offset_below"),
    ),
    "sin": PointwiseFunction(apply("sin", X, label="sin"), (Reading("sin"),), torch="sin"),
    "cos": PointwiseFunction(apply("cos", X, label="cos"), (Reading("cos"),), torch="cos"),
    "floor": PointwiseFunction(apply("floor", X, label="floor"), (Reading("floor"),), torch="floor"),
    "ceil": PointwiseFunction(apply("ceil", X, label="ceil"), (Reading("ceil"),), torch="ceil"),
    "round": PointwiseFunction(
        apply("round", X, label="round"), (Reading("round", {"decimals": None}),), torch="round"
    ),
    "trunc": PointwiseFunction(
        apply(
            "mul",
            expressions.sign(),
            apply("floor", apply("abs", X, label="size"), label="whole"),
            label="trunc",
        ),
        (Reading("trunc"),),
        torch="trunc",
    ),
}
