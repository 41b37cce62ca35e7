"""What is said of a function of single values: see ``network.graph.functions``."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgesqueeze.network.graph.expressions import Expression

GIVEN = object()
"""Stands in ``when`` for any value but None."""


@dataclass(frozen=True)
class Native:
    """One operator of a file format that computes the function.

    Attributes are numbers, or parameters of the function by name.
    """

    operator: str
    attributes: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """An operation as torch.export calls it, and how its arguments are named there.

    ``when`` are arguments that it must have, ``parameters`` those that are the function's, in its order.
    """

    operation: str
    when: Mapping[str, object] = field(default_factory=dict)
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class PointwiseFunction:
    """What every part of the toolkit has to know about a function.

    In int8 it is a table of 256 values: where a runtime has no integer kernel, its float kernel stands
    between two grids on which float32 finds the nearest integers (``network.integers.tables``).
    """

    expression: Expression
    """Its meaning, and what files hold where their format has no operator for it."""
    readings: tuple[Reading, ...]
    """The operations of torch that are this function."""
    parameters: tuple[str, ...] = ()
    """What its numbers are called."""
    torch: str | None = None
    """Its name in torch.nn.functional or torch, where torch's own form is to be kept bit for bit."""
    onnx: Native | None = None
    tflite: Native | None = None
    grid: tuple[float, int] | None = None
    """Scale and zero point of its int8 result, where the runtimes' kernels have a single one."""
    integer_kernel: bool = False
    """Whether the operator in TFLite computes its int8 table exactly."""
    gate: str | None = None
    """The function g of which it is x · g(x): int8 files hold that product."""
    nonnegative: bool = False
    """Whether no value is below zero."""
