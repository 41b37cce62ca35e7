"""Every function of single values with parameters, and the range of inputs that it is tried on."""

from edgesqueeze.network.graph.functions import FUNCTIONS, Call

PARAMETERS = {
    "leaky_relu": [(0.1,), (0.01,), (0.3,), (-0.5,), (1.7,)],
    "elu": [(1.0, 1.0, 1.0), (0.7, 1.2, 0.9)],
    "celu": [(1.0,), (1.5,)],
    "softplus": [(1.0,), (2.0,)],
    "clamp": [(-1.0, 1.0), (-1.5, 2.0), (0.5, 3.0)],
    "clamp_low": [(-1.0,), (0.5,)],
    "clamp_high": [(0.5,), (-0.25,)],
    "pow": [(1.7,), (0.3,)],
    "threshold": [(0.1, 0.2), (-0.5, 0.0), (0.0, -2.0)],
    "hardshrink": [(0.5,), (0.1,)],
    "softshrink": [(0.5,), (0.1,)],
    "two_lines": [
        (0.0, 1.0, 1.0, 0.0, 0.0, 0.5),
        (0.25, 0.0, -0.5, 1.0, 2.0, 0.0),
        (0.0, 0.0, 2.0, 0.0, -1.0, 0.0),
    ],
}
RANGES = {
    "log": (0.02, 4.0),
    "sqrt": (0.0, 4.0),
    "rsqrt": (0.02, 4.0),
    "reciprocal": (0.05, 4.0),
    "pow": (0.0, 3.0),
    "exp": (-6.0, 3.0),
    "cube": (-2.0, 2.5),
    **dict.fromkeys(("floor", "ceil", "round", "trunc"), (-9.0, 7.6)),
}
"""Where a function is defined, or stays within what eight bits can tell apart."""
CALLS = [Call(name, numbers) for name in FUNCTIONS for numbers in PARAMETERS.get(name, [()])]


def call_id(call: Call) -> str:
    return "_".join([call.function, *(f"{n:g}" for n in call.parameters)])


def range_of(call: Call) -> tuple[float, float]:
    return RANGES.get(call.function, (-5.0, 4.0))
