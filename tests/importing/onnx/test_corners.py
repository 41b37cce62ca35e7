"""Attributes and shapes in which operators are rarely written: read right, or refused, never otherwise."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from onnx_models import MAP, ROW, int64, model_of, one, shape_of, weight

from edgesqueeze.errors import EdgeSqueezeError
from edgesqueeze.importing.onnx.load import load_onnx

node = helper.make_node


def shared_matrix(*nodes):
    return model_of([node("MatMul", ["x", "w"], ["a"]), *nodes], (12,), w=weight(12, 12), b=weight(12))


def resized(sizes, **attributes):
    return one("Resize", "", "", "sizes", opset=18, attributes=attributes, sizes=int64(1, 4, *sizes))


def transposed(**attributes):
    return one("ConvTranspose", "w", attributes={"strides": [2, 2]} | attributes, w=weight(4, 6, 3, 3))


READ = {
    "slopes along the width": lambda: one("PRelu", "s", shape=(6, 8, 6), s=weight(6)),
    "slopes along the height": lambda: one("PRelu", "s", shape=(6, 6, 8), s=weight(6, 1)),
    "slopes of a row": lambda: one("PRelu", "s", shape=ROW, s=weight(12)),
    "selu of other numbers": lambda: one("Selu", attributes={"alpha": 1.3, "gamma": 0.7}),
    "whole quotients": lambda: model_of(
        [
            node("Cast", ["x"], ["i"], to=TensorProto.INT32),
            node("Div", ["i", "n"], ["q"]),
            node("Cast", ["q"], ["y"], to=TensorProto.FLOAT),
        ],
        ROW,
        n=np.array(2, np.int32),
    ),
    "a slice of the whole batch": lambda: one("Slice", "s", "e", "a", s=int64(0), e=int64(2**62), a=int64(0)),
    "two numbers and a map": lambda: model_of(
        [node("Max", ["c", "d", "x"], ["y"])], MAP, c=np.array(0.1, np.float32), d=np.array(0.2, np.float32)
    ),
    "a mask that nobody reads": lambda: model_of([node("Dropout", ["x"], ["y", "mask"])], MAP),
    "one part": lambda: model_of([node("Split", ["x"], ["y"], axis=1, num_outputs=1)], MAP, opset=18),
    "a matrix both ways round": lambda: model_of(
        [node("Gemm", ["x", "w"], ["a"], transB=1), node("Gemm", ["a", "w"], ["y"])], ROW, w=weight(12, 12)
    ),
    "a matrix with a bias and without": lambda: shared_matrix(
        node("Add", ["a", "b"], ["c"]), node("MatMul", ["c", "w"], ["y"])
    ),
    "transposed to a size": lambda: transposed(output_shape=[16, 12]),
    "transposed lower": lambda: transposed(auto_pad="SAME_LOWER"),
    "transposed with more": lambda: transposed(auto_pad="SAME_UPPER", output_padding=[1, 1]),
    "nearest rounded down": lambda: resized(
        (16, 12), coordinate_transformation_mode="asymmetric", nearest_mode="round_prefer_floor"
    ),
}


@pytest.mark.parametrize("name", READ)
@torch.no_grad()
def test_a_corner_is_read_right(name, tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(READ[name](), path)
    network = load_onnx(path, shape_of(path))
    session = onnxruntime.InferenceSession(path)
    x = 3 * np.random.default_rng(0).normal(size=(3, *shape_of(path))).astype(np.float32)
    expected = np.concatenate([session.run(None, {"x": one_of})[0] for one_of in np.split(x, 3)])
    np.testing.assert_allclose(network(torch.from_numpy(x)).numpy(), expected, rtol=0, atol=2e-5)


REFUSED = {
    "nearest to three times": (
        lambda: resized((24, 18), coordinate_transformation_mode="asymmetric"),
        "asymmetric, round_prefer_floor",
    ),
    "nearest rounded up": (lambda: resized((16, 12), nearest_mode="ceil"), "half_pixel, ceil"),
    "one and a half": (
        lambda: one("Resize", "", "s", s=np.array([1, 1, 1.3, 1.5], np.float32)),
        "no whole number of places",
    ),
    "smoothed": (lambda: resized((4, 3), mode="linear", antialias=1), "which torch does not have"),
    "aspect kept": (
        lambda: resized((16, 18), keep_aspect_ratio_policy="not_larger"),
        "keeps the aspect ratio",
    ),
    "to one place": (
        lambda: resized((1, 1), mode="linear", coordinate_transformation_mode="pytorch_half_pixel"),
        "pytorch_half_pixel",
    ),
    "a sum of all": (
        lambda: one("ReduceSum", "a", attributes={"keepdims": 0}, a=int64()),
        "reduces over the batch",
    ),
    "a sum of nothing": (
        lambda: one("ReduceSum", "a", attributes={"noop_with_empty_axes": 1}, a=int64()),
        "reduces over nothing",
    ),
    "a mask that is read": (
        lambda: model_of(
            [node("Dropout", ["x"], ["z", "mask"]), node("Cast", ["mask"], ["y"], to=TensorProto.FLOAT)], MAP
        ),
        "gives 'mask' too",
    ),
    "drawn anew": (
        lambda: model_of(
            [node("RandomNormal", [], ["r"], shape=[1, 12]), node("Add", ["x", "r"], ["y"])], ROW
        ),
        "otherwise than ONNX Runtime",
    ),
    "no runtime": (lambda: one("LRN", attributes={"size": 2}), "ONNX Runtime does not run it"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_corner_is_refused(name, tmp_path):
    make, sentence = REFUSED[name]
    path = tmp_path / "model.onnx"
    onnx.save(make(), path)
    with pytest.raises(EdgeSqueezeError) as refused:
        load_onnx(path, shape_of(path))
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
