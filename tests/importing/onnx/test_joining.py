"""What exporters write in pieces is one function again, whichever way it is written; and nothing else is."""

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from onnx_models import MAP, model_of, shape_of, weight
from torch import nn
from torch.nn import functional as F

from edgesqueeze.importing.onnx.load import load_onnx

node = helper.make_node


def number(value):
    return np.array(value, np.float32)


def clipped_by_three():
    """PaddlePaddle's hard swish."""
    return [
        node("Add", ["v", "three"], ["a"]),
        node("Clip", ["a", "zero", "six"], ["b"]),
        node("Mul", ["v", "b"], ["c"]),
        node("Div", ["c", "six"], ["w"]),
    ]


def gated():
    return [node("HardSigmoid", ["v"], ["a"], alpha=1 / 6), node("Mul", ["a", "v"], ["w"])]


def by_erf():
    """PyTorch's GELU below operator set 20."""
    return [
        node("Div", ["v", "root"], ["a"]),
        node("Erf", ["a"], ["b"]),
        node("Add", ["b", "one"], ["c"]),
        node("Mul", ["v", "c"], ["d"]),
        node("Mul", ["d", "half"], ["w"]),
    ]


def by_tanh():
    """TensorFlow's approximation of it."""
    return [
        node("Pow", ["v", "three"], ["a"]),
        node("Mul", ["a", "cubic"], ["b"]),
        node("Add", ["v", "b"], ["c"]),
        node("Mul", ["c", "scale"], ["d"]),
        node("Tanh", ["d"], ["e"]),
        node("Add", ["e", "one"], ["f"]),
        node("Mul", ["f", "half"], ["g"]),
        node("Mul", ["v", "g"], ["w"]),
    ]


def swish():
    return [node("Sigmoid", ["v"], ["a"]), node("Mul", ["v", "a"], ["w"])]


def mish():
    return [node("Softplus", ["v"], ["a"]), node("Tanh", ["a"], ["b"]), node("Mul", ["b", "v"], ["w"])]


def logistic():
    return [
        node("Neg", ["v"], ["a"]),
        node("Exp", ["a"], ["b"]),
        node("Add", ["b", "one"], ["c"]),
        node("Div", ["one", "c"], ["w"]),
    ]


def bounded():
    return [node("Max", ["v", "zero"], ["a"]), node("Min", ["a", "six"], ["w"])]


NUMBERS = {
    "zero": number(0),
    "one": number(1),
    "half": number([0.5]),
    "three": number(3),
    "six": number(6),
    "root": number(2**0.5),
    "cubic": number(0.044715),
    "scale": number((2 / np.pi) ** 0.5),
}


def network_of(pieces, tmp_path, **more):
    """Pieces from ``v`` to ``w`` between two other operators."""
    nodes = [node("Sin", ["x"], ["v"]), *pieces, node("GlobalAveragePool", ["w"], ["y"])]
    used = {name for one in nodes for name in one.input}
    constants = {name: value for name, value in (NUMBERS | more).items() if name in used}
    onnx.save(model_of(nodes, MAP, **constants), tmp_path / "model.onnx")
    return load_onnx(tmp_path / "model.onnx", shape_of(tmp_path / "model.onnx"))


@pytest.mark.parametrize(
    ("pieces", "function"),
    [
        (clipped_by_three, F.hardswish),
        (gated, F.hardswish),
        (by_erf, F.gelu),
        (swish, F.silu),
        (mish, F.mish),
        (logistic, torch.sigmoid),
        (bounded, F.relu6),
    ],
)
def test_pieces_become_one_function(pieces, function, tmp_path):
    network = network_of(pieces(), tmp_path)
    assert [step.call for step in network._steps][1:-1] == [function]


def test_the_approximation_of_gelu_is_not_taken_for_gelu(tmp_path):
    network = network_of(by_tanh(), tmp_path)
    assert len(network._steps) == 3
    x = torch.linspace(-3, 3, 50)
    assert torch.equal(network._steps[1].call(x), F.gelu(x, approximate="tanh"))


def test_a_piece_that_somebody_else_reads_stays(tmp_path):
    pieces = [node("Sigmoid", ["v"], ["a"]), node("Mul", ["v", "a"], ["b"]), node("Add", ["a", "b"], ["w"])]
    assert len(network_of(pieces, tmp_path)._steps) == 5


def test_another_function_stays_in_pieces(tmp_path):
    pieces = [
        node("Mul", ["v", "scale"], ["a"]),
        node("Sigmoid", ["a"], ["b"]),
        node("Mul", ["v", "b"], ["w"]),
    ]
    assert len(network_of(pieces, tmp_path)._steps) == 5


def norm_in_pieces(square, epsilon="tiny"):
    return [
        node("ReduceMean", ["v"], ["mean"], axes=[-1]),
        node("Sub", ["v", "mean"], ["d"]),
        *square,
        node("ReduceMean", ["s"], ["variance"], axes=[3]),
        node("Add", ["variance", epsilon], ["e"]),
        node("Sqrt", ["e"], ["r"]),
        node("Div", ["d", "r"], ["n"]),
    ]


@pytest.mark.parametrize(
    "square", [[node("Pow", ["d", "two"], ["s"])], [node("Mul", ["d", "d"], ["s"])]], ids=["power", "product"]
)
@pytest.mark.parametrize("gains", [2, 1, 0])
def test_a_layer_norm_in_pieces_is_a_layer_norm(square, gains, tmp_path):
    rows = {"gain": weight(6), "shift": weight(6)}
    pieces = norm_in_pieces(square)
    behind = [node("Mul", ["n", "gain"], ["g"]), node("Add", ["g", "shift"], ["w"])][:gains]
    pieces += behind
    pieces[-1].output[0] = "w"
    network = network_of(pieces, tmp_path, two=number(2), tiny=number(1e-6), **rows)
    (norm,) = [module for module in network.modules() if isinstance(module, nn.LayerNorm)]
    assert norm.eps == pytest.approx(1e-6)
    assert len(network._steps) == 3
    if gains:
        np.testing.assert_array_equal(norm.weight.detach().numpy(), rows["gain"])
    if gains == 2:
        np.testing.assert_array_equal(norm.bias.detach().numpy(), rows["shift"])
