from dataclasses import replace

import pytest

from edgesqueeze.errors import CodecError
from edgesqueeze.network.graph.check import check_structure, complete_shapes
from edgesqueeze.network.graph.nodes import (
    Add,
    AvgPool,
    Clamp,
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Input,
    MaxPool,
)

IMAGE = Input(name="x", inputs=(), shape=(1, 4, 10, 9))
VECTOR = Input(name="x", inputs=(), shape=(1, 12))
CONV = Conv(
    name="c",
    inputs=("x",),
    shape=(1, 6, 5, 3),
    kernel=(3, 2),
    stride=(2, 3),
    pads=(1, 0, 1, 2),
    dilation=(1, 2),
    groups=2,
    activation="relu",
)
POOL = MaxPool(name="p", inputs=("x",), shape=(1, 4, 5, 5), kernel=(2, 2), stride=(2, 2), pads=(0, 0, 0, 1))


@pytest.mark.parametrize(
    "nodes",
    [
        (IMAGE, CONV),
        (IMAGE, POOL),
        (IMAGE, AvgPool(name="a", inputs=("x",), shape=(1, 4, 3, 4), kernel=(3, 2), stride=(3, 2))),
        (IMAGE, GlobalAvgPool(name="g", inputs=("x",), shape=(1, 4, 1, 1))),
        (IMAGE, Flatten(name="f", inputs=("x",), shape=(1, 360))),
        (IMAGE, Concat(name="j", inputs=("x", "x", "x"), shape=(1, 12, 10, 9))),
        (IMAGE, Add(name="s", inputs=("x", "x"), shape=(1, 4, 10, 9), activation="none")),
        (IMAGE, Clamp(name="r", inputs=("x",), shape=(1, 4, 10, 9), activation="relu6")),
        (VECTOR, Dense(name="d", inputs=("x",), shape=(1, 7), activation="none")),
    ],
    ids=lambda nodes: type(nodes[1]).__name__,
)
def test_right_shapes_pass_and_wrong_ones_do_not(nodes):
    check_structure(nodes)
    assert complete_shapes(nodes) == nodes
    wrong = replace(nodes[1], shape=(*nodes[1].shape[:-1], nodes[1].shape[-1] + 1))
    if not isinstance(wrong, Dense):  # the features of a dense layer are its own to say
        with pytest.raises(CodecError, match="its inputs make"):
            check_structure((nodes[0], wrong))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((IMAGE,), "no operation"),
        ((IMAGE, replace(CONV, groups=3)), "groups"),
        ((IMAGE, replace(CONV, shape=(1, 5, 5, 3))), "groups"),
        ((IMAGE, replace(CONV, kernel=(30, 1))), "has output"),
        ((VECTOR, CONV), "4 dimensions"),
        ((IMAGE, Dense(name="d", inputs=("x",), shape=(1, 7), activation="none")), "2 dimensions"),
        ((IMAGE, replace(POOL, pads=(2, 0, 0, 1))), "padding"),
        ((IMAGE, replace(POOL, pads=(0, 0, 0, 2))), "padding"),
        ((IMAGE, Clamp(name="r", inputs=("x",), shape=IMAGE.shape, activation="none")), "clamps to nothing"),
        ((IMAGE, POOL, replace(POOL, name="q")), "nothing reads"),
        (
            (IMAGE, POOL, Add(name="s", inputs=("x", "p"), shape=IMAGE.shape, activation="none")),
            "adds shapes",
        ),
        ((IMAGE, POOL, Concat(name="j", inputs=("x", "p"), shape=IMAGE.shape)), "joins shapes"),
        ((IMAGE, replace(CONV, name="x\n")), "unprintable"),
        ((IMAGE, replace(POOL, name="c.weight"), replace(CONV, inputs=("c.weight",))), "that of a weight"),
        ((replace(IMAGE, shape=(1, 4, 1 << 14, 1 << 14)), POOL), "2\\^28"),
        ((replace(IMAGE, shape=(2, 4, 10, 9)), POOL), "allowed is"),
    ],
)
def test_nodes_that_do_not_fit_are_refused(nodes, message):
    with pytest.raises(CodecError, match=message):
        check_structure(nodes)
