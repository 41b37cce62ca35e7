"""No kind of node, and no function, is known in one place and forgotten in another."""

import numpy as np
import pytest
import torch

from edgesqueeze.formats.onnx.write_functions import _OPERATORS as ONNX_OPERATORS
from edgesqueeze.formats.tflite.write_functions import _OPERATORS as TFLITE_OPERATORS
from edgesqueeze.network.floats.run import RULES as FLOAT_RULES
from edgesqueeze.network.floats.values import _PRIMITIVES as TORCH_PRIMITIVES
from edgesqueeze.network.floats.values import torch_form
from edgesqueeze.network.graph.expressions import PRIMITIVES, evaluate
from edgesqueeze.network.graph.functions import FUNCTIONS
from edgesqueeze.network.graph.nodes import NODE_KINDS, AvgPool, Clamp, ConvTranspose, Input
from edgesqueeze.network.integers.reference import RULES as INTEGER_RULES
from edgesqueeze.network.integers.tables import _PRIMITIVES as NUMPY_PRIMITIVES

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
    x = np.linspace(-9, 9, 361)
    numpy = evaluate(FUNCTIONS[name].expression, x, {}, NUMPY_PRIMITIVES)
    own = torch_form(name)
    wide = torch.from_numpy(x)
    by_primitives = evaluate(FUNCTIONS[name].expression, wide, {}, TORCH_PRIMITIVES)
    np.testing.assert_allclose(numpy, by_primitives.numpy(), atol=1e-12)
    if own is not None:
        np.testing.assert_allclose(numpy, own(wide).numpy(), atol=1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_said_to_be_nonnegative_is(name):
    values = evaluate(FUNCTIONS[name].expression, np.linspace(-30, 30, 2001), {}, NUMPY_PRIMITIVES)
    assert FUNCTIONS[name].nonnegative == bool((values >= 0).all())
