"""No kind of node, and no function, is known in one place and forgotten in another."""

import numpy as np
import pytest
import torch

from edgesqueeze.formats.onnx.writing.functions import _OPERATORS as ONNX_OPERATORS
from edgesqueeze.formats.tflite.writing.functions import _OPERATORS as TFLITE_OPERATORS
from edgesqueeze.network.floats.run import RULES as FLOAT_RULES
from edgesqueeze.network.floats.values import _PRIMITIVES as TORCH_PRIMITIVES
from edgesqueeze.network.floats.values import torch_form
from edgesqueeze.network.graph.expressions import PRIMITIVES, evaluate
from edgesqueeze.network.graph.functions import FUNCTIONS, Call
from edgesqueeze.network.graph.nodes import NODE_KINDS, AvgPool, Clamp, ConvTranspose, Input
from edgesqueeze.network.integers.reference import RULES as INTEGER_RULES
from edgesqueeze.network.integers.tables import _PRIMITIVES as NUMPY_PRIMITIVES

PARAMETERS = {
    "leaky_relu": (0.2,),
    "elu": (0.7, 1.2, 0.9),
    "celu": (1.5,),
    "softplus": (2.0,),
    "clamp": (-1.5, 2.0),
    "clamp_low": (-1.0,),
    "clamp_high": (0.5,),
    "pow": (1.7,),
    "threshold": (0.1, -0.2),
    "hardshrink": (0.5,),
    "softshrink": (0.5,),
    "two_lines": (0.25, 1.0, 1.0, 0.5, -2.0, 0.0),
}
POSITIVE = {"log", "sqrt", "rsqrt", "reciprocal", "pow"}
"""Functions that are tried on positive numbers only."""
LOWERED = {AvgPool, Clamp, ConvTranspose}
"""What network.integers.lower writes with other kinds."""


def test_every_kind_has_a_float_rule():
    assert set(FLOAT_RULES) == set(NODE_KINDS.values()) - {Input}


def test_every_kind_has_an_integer_rule_or_is_lowered():
    assert set(INTEGER_RULES) | LOWERED | {Input} == set(NODE_KINDS.values())


def test_every_primitive_means_something_everywhere():
    assert set(NUMPY_PRIMITIVES) == set(TORCH_PRIMITIVES) == set(PRIMITIVES)
    assert set(ONNX_OPERATORS) == set(PRIMITIVES) - {"relu6"}  # written as a Relu and a Min
    assert set(TFLITE_OPERATORS) == set(PRIMITIVES) - {"erf"}  # TFLite has none


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_expression_says_what_torch_computes(name):
    call = Call(name, PARAMETERS.get(name, ()))
    x = np.linspace(0.02 if name in POSITIVE else -9, 9, 360)
    numpy = evaluate(call.definition.expression, x, call.named, NUMPY_PRIMITIVES)
    own = torch_form(name)
    wide = torch.from_numpy(x)
    by_primitives = evaluate(call.definition.expression, wide, call.named, TORCH_PRIMITIVES)
    np.testing.assert_allclose(numpy, by_primitives.numpy(), atol=1e-12)
    if own is not None:
        np.testing.assert_allclose(numpy, own(wide, *call.parameters).numpy(), atol=3e-9)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_said_to_be_nonnegative_is(name):
    call = Call(name, PARAMETERS.get(name, ()))
    x = np.linspace(0.01 if name in POSITIVE else -30, 30, 2001)
    values = evaluate(call.definition.expression, x, call.named, NUMPY_PRIMITIVES)
    if call.definition.nonnegative:
        assert (values >= 0).all()
    else:
        assert (values < 0).any() or name in POSITIVE
