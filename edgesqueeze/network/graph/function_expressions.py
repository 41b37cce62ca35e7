"""The expressions of the functions of single values that take more than a line."""

from edgesqueeze.network.graph.expressions import Constant, Expression, X, apply

SIXTH = 1 / 6


def constant(label: str, value: float | str) -> Constant:
    """A number or a parameter."""
    return Constant(value, label)


def sigmoid() -> Expression:
    """1 / (1 + exp(-x))."""
    return apply("sigmoid", X, label="gate")


def hard_sigmoid() -> Expression:
    """min(max(x + 3, 0), 6) / 6."""
    risen = apply("add", X, constant("three", 3.0), label="risen")
    return apply("mul", apply("relu6", risen, label="clamped"), constant("sixth", SIXTH), label="hardsigmoid")


def gelu() -> Expression:
    """X · (1 + erf(x / √2)) / 2. ONNX Runtime fuses just these operators in a float file."""
    divided = apply("div", X, constant("root", 2**0.5), label="divided")
    risen = apply("add", apply("erf", divided, label="erf"), constant("one", 1.0), label="risen")
    return apply("mul", apply("mul", X, risen, label="gated"), constant("half", 0.5), label="gelu")


def positive() -> Expression:
    """max(x, 0)."""
    return apply("maximum", X, constant("zero", 0.0), label="positive")


def negative() -> Expression:
    """min(x, 0)."""
    return apply("minimum", X, constant("zero", 0.0), label="negative")


def leaky_relu() -> Expression:
    """max(x, 0) + slope · min(x, 0)."""
    scaled = apply("mul", negative(), constant("slope", "slope"), label="scaled")
    return apply("add", positive(), scaled, label="leaky_relu")


def exponential(alpha: float | str, scale: float | str, input_scale: float | str) -> Expression:
    """Scale · (max(x, 0) + alpha · (exp(min(x, 0) · input scale) - 1))."""
    scaled = apply("mul", negative(), constant("input_scale", input_scale), label="scaled")
    risen = apply("sub", apply("exp", scaled, label="power"), constant("one", 1.0), label="risen")
    below = apply("mul", risen, constant("alpha", alpha), label="below")
    whole = apply("add", positive(), below, label="whole")
    return apply("mul", whole, constant("factor", scale), label="elu")


def celu() -> Expression:
    """max(x, 0) + alpha · (exp(min(x, 0) / alpha) - 1)."""
    scaled = apply("div", negative(), constant("alpha", "alpha"), label="scaled")
    risen = apply("sub", apply("exp", scaled, label="power"), constant("one", 1.0), label="risen")
    below = apply("mul", risen, constant("alpha", "alpha"), label="below")
    return apply("add", positive(), below, label="celu")


def softplus(x: Expression) -> Expression:
    """log(1 + exp(x)), written so that no power overflows."""
    size = apply("neg", apply("abs", x, label="size"), label="below")
    risen = apply("add", apply("exp", size, label="power"), constant("one", 1.0), label="risen")
    positive = apply("maximum", x, constant("zero", 0.0), label="positive")
    return apply("add", positive, apply("log", risen, label="rest"), label="softplus")


def scaled_softplus() -> Expression:
    """log(1 + exp(beta · x)) / beta."""
    inner = softplus(apply("mul", X, constant("beta", "beta"), label="scaled"))
    return apply("div", inner, constant("beta", "beta"), label="result")


def gelu_tanh() -> Expression:
    """X · (1 + tanh(√(2/π) · (x + 0.044715 · x³))) / 2."""
    cube = apply("mul", apply("mul", X, X, label="square"), X, label="cube")
    bent = apply("add", X, apply("mul", cube, constant("small", 0.044715), label="bend"), label="bent")
    scaled = apply("mul", bent, constant("root", 0.7978845608028654), label="scaled")
    risen = apply("add", apply("tanh", scaled, label="tanh"), constant("one", 1.0), label="risen")
    return apply("mul", apply("mul", X, risen, label="gated"), constant("half", 0.5), label="gelu")


def between(low: str | None, high: str | None) -> Expression:
    """X cut off at one end or both."""
    inner: Expression = X
    if low is not None:
        inner = apply("maximum", inner, constant("low", low), label="risen")
    return inner if high is None else apply("minimum", inner, constant("high", high), label="cut")


_STEEP = 3e38
"""So large a number that its product with any other than zero is at least 1 in magnitude."""


def sign() -> Expression:
    """-1, 0 or 1."""
    steep = apply("mul", X, constant("steep", _STEEP), label="steep")
    risen = apply("maximum", steep, constant("minus_one", -1.0), label="risen")
    return apply("minimum", risen, constant("one", 1.0), label="sign")


def step(x: Expression, limit: str, included: str | None = None) -> Expression:
    """1 where a value is above a limit (or, if ``included`` is 1, at it), else 0."""
    behind = apply("sub", x, constant("limit", limit), label="behind")
    steep = apply("mul", behind, constant("steep", _STEEP), label="steep")
    if included is not None:
        steep = apply("add", steep, constant("included", included), label="moved")
    risen = apply("maximum", steep, constant("zero", 0.0), label="risen")
    return apply("minimum", risen, constant("one", 1.0), label="step")


def choice(step: Expression, above: Expression, below: Expression) -> Expression:
    """One expression where a step is 1, another where it is 0."""
    rest = apply("add", apply("neg", step, label="minus_step"), constant("one", 1.0), label="rest")
    kept, other = apply("mul", above, step, label="kept"), apply("mul", rest, below, label="other")
    return apply("add", kept, other, label="choice")


def line(label: str, factor: str, offset: str) -> Expression:
    """Factor · x + offset."""
    scaled = apply("mul", X, constant(factor, factor), label=f"{label}_scaled")
    return apply("add", scaled, constant(offset, offset), label=label)


def soft_shrink(limit: str) -> Expression:
    """max(x - limit, 0) + min(x + limit, 0)."""
    number, zero = constant("limit", limit), constant("zero", 0.0)
    above = apply("maximum", apply("sub", X, number, label="lowered"), zero, label="positive")
    below = apply("minimum", apply("add", X, number, label="lifted"), zero, label="negative")
    return apply("add", above, below, label="softshrink")
