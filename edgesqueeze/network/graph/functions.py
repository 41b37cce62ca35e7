"""The functions of single values: the one place where one is defined.

To add a function, add an entry to :data:`FUNCTIONS` (at its end: .sqz files number them) and a row to its
test. Reading it from torch, its float meaning, its int8 table and both file formats follow from the entry.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgesqueeze.network.graph.expressions import Constant, Expression, X, apply

_SIXTH = 1 / 6


@dataclass(frozen=True)
class Native:
    """One operator of a file format that computes the function. Attributes are numbers."""

    operator: str
    attributes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PointwiseFunction:
    """What every part of the toolkit has to know about a function.

    In int8 it is a table of 256 values: where a runtime has no integer kernel, its float kernel stands
    between two grids on which float32 finds the nearest integers (``network.integers.tables``).
    """

    expression: Expression
    """Its meaning, and what files hold where their format has no operator for it."""
    aten: str
    """What torch.export calls it."""
    when: Mapping[str, object] = field(default_factory=dict)
    """The arguments that torch's operation must have to be this function."""
    torch: str | None = None
    """Its name in torch.nn.functional or torch, where torch's own form is to be kept bit for bit."""
    onnx: Native | None = None
    tflite: Native | None = None
    grid: tuple[float, int] | None = None
    """Scale and zero point of its int8 result, where the runtimes' kernels have a single one."""
    gate: str | None = None
    """The function g of which it is x · g(x): int8 files hold that product."""
    nonnegative: bool = False
    """Whether no value is below zero."""


def _constant(label: str, value: float | str) -> Constant:
    return Constant(value, label)


def _sigmoid() -> Expression:
    return apply("sigmoid", X, label="gate")


def _hard_sigmoid() -> Expression:
    risen = apply("add", X, _constant("three", 3.0), label="risen")
    return apply(
        "mul", apply("relu6", risen, label="clamped"), _constant("sixth", _SIXTH), label="hardsigmoid"
    )


def _gelu() -> Expression:
    """X · (1 + erf(x / √2)) / 2. ONNX Runtime fuses just these operators in a float file."""
    divided = apply("div", X, _constant("root", 2**0.5), label="divided")
    risen = apply("add", apply("erf", divided, label="erf"), _constant("one", 1.0), label="risen")
    return apply("mul", apply("mul", X, risen, label="gated"), _constant("half", 0.5), label="gelu")


FUNCTIONS: dict[str, PointwiseFunction] = {
    "sigmoid": PointwiseFunction(
        _sigmoid(), "sigmoid", torch="sigmoid", grid=(1 / 256, -128), nonnegative=True
    ),
    "hardsigmoid": PointwiseFunction(
        _hard_sigmoid(),
        "hardsigmoid",
        torch="hardsigmoid",
        onnx=Native("HardSigmoid", {"alpha": _SIXTH, "beta": 0.5}),
        grid=(1 / 255, -128),
        nonnegative=True,
    ),
    "hardswish": PointwiseFunction(
        apply("mul", X, _hard_sigmoid(), label="hardswish"),
        "hardswish",
        torch="hardswish",
        onnx=Native("HardSwish"),
        tflite=Native("HARD_SWISH"),
        gate="hardsigmoid",
    ),
    "silu": PointwiseFunction(
        apply("mul", X, _sigmoid(), label="silu"), "silu", torch="silu", gate="sigmoid"
    ),
    "gelu": PointwiseFunction(
        _gelu(), "gelu", when={"approximate": "none"}, torch="gelu", tflite=Native("GELU")
    ),
}
