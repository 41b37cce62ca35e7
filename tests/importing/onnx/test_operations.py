"""Every operator that is read from ONNX answers what ONNX Runtime answers, for batches too."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from onnx_models import MAP, ROW, int64, model_of, one, shape_of, weight

from edgesqueeze.errors import EdgeSqueezeError
from edgesqueeze.importing.onnx.load import load_onnx
from edgesqueeze.importing.onnx.operations import TRANSLATIONS


def conv(kernel, groups=1, out=6, **attributes):
    return one(
        "Conv",
        "w",
        "b",
        attributes=attributes | {"group": groups},
        w=weight(out, 4 // groups, *kernel),
        b=weight(out),
    )


def pool(kind, **attributes):
    return one(kind, attributes={"kernel_shape": [3, 3]} | attributes)


def resize(scales=None, sizes=None, opset=17, **attributes):
    given = {"scales": np.array(scales, np.float32)} if scales else {"sizes": np.array(sizes, np.int64)}
    names = ["", "scales"] if scales else ["", "", "sizes"]
    return one("Resize", *names, opset=opset, attributes=attributes, **given)


def norm():
    return {"g": weight(4), "b": weight(4), "m": weight(4), "v": np.abs(weight(4)) + 0.5}


def of_two(kind, value=None, before=False):
    value = weight(4, 1, 1) if value is None else value
    names = ["c", "x"] if before else ["x", "c"]
    return model_of([helper.make_node(kind, names, ["y"])], MAP, c=value)


def transposed(kernel, groups=1, **attributes):
    tensors = {"w": weight(4, 6 // groups, *kernel), "b": weight(6)}
    return one("ConvTranspose", "w", "b", attributes=attributes | {"group": groups}, **tensors)


def reshaped_by_shape():
    """What exporters write for a flatten: the batch of the input in front of -1."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Unsqueeze", ["batch", "axes"], ["first"]),
        helper.make_node("Concat", ["first", "rest"], ["wanted"], axis=0),
        helper.make_node("Reshape", ["x", "wanted"], ["y"]),
    ]
    return model_of(nodes, MAP, zero=np.array(0, np.int64), axes=int64(0), rest=int64(-1))


def heads():
    """Batches taken together with heads, as in attention."""
    nodes = [
        helper.make_node("Reshape", ["x", "split"], ["parts"]),
        helper.make_node("Transpose", ["parts"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["parts", "turned"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["shares"], axis=-1),
        helper.make_node("MatMul", ["shares", "parts"], ["mixed"]),
        helper.make_node("Reshape", ["mixed", "back"], ["y"]),
    ]
    return model_of(nodes, MAP, split=int64(-1, 8, 6), back=int64(-1, 4, 8, 6))


CASES = {
    "conv": lambda: conv((3, 3), strides=[2, 1], pads=[1, 1, 1, 1]),
    "conv uneven": lambda: conv((3, 3), pads=[0, 1, 2, 0]),
    "conv same upper": lambda: conv((3, 2), auto_pad="SAME_UPPER", strides=[2, 2]),
    "conv same lower": lambda: conv((3, 2), auto_pad="SAME_LOWER", strides=[2, 2]),
    "conv groups": lambda: conv((3, 3), 2, dilations=[2, 2], pads=[2, 2, 2, 2]),
    "conv 1d": lambda: one("Conv", "w", shape=(3, 20), attributes={"pads": [2, 0]}, w=weight(5, 3, 3)),
    "transposed": lambda: transposed((3, 3), strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
    "transposed uneven": lambda: transposed((4, 4), 2, strides=[2, 2], pads=[1, 1, 2, 2]),
    "transposed same": lambda: transposed((3, 3), strides=[2, 2], auto_pad="SAME_UPPER"),
    "gemm": lambda: one("Gemm", "w", "b", shape=ROW, attributes={"transB": 1}, w=weight(5, 12), b=weight(5)),
    "gemm plain": lambda: one("Gemm", "w", shape=ROW, w=weight(12, 5)),
    "matmul": lambda: one("MatMul", "w", w=weight(6, 5)),
    "batch norm": lambda: one("BatchNormalization", "g", "b", "m", "v", **norm()),
    "instance norm": lambda: one("InstanceNormalization", "g", "b", g=weight(4), b=weight(4)),
    "layer norm": lambda: one(
        "LayerNormalization", "g", "b", attributes={"axis": -1}, g=weight(6), b=weight(6)
    ),
    "prelu": lambda: one("PRelu", "s", s=weight(4, 1, 1)),
    "prelu places": lambda: one("PRelu", "s", s=weight(4, 8, 6)),
    "max pool": lambda: pool("MaxPool", strides=[2, 2], pads=[1, 1, 1, 1]),
    "max pool uneven": lambda: pool("MaxPool", strides=[2, 2], auto_pad="SAME_UPPER"),
    "max pool ceil": lambda: pool("MaxPool", strides=[2, 2], ceil_mode=1),
    "average pool": lambda: pool("AveragePool", strides=[2, 2], pads=[1, 1, 1, 1]),
    "average pool counted": lambda: pool("AveragePool", pads=[1, 1, 1, 1], count_include_pad=1),
    "average pool uneven": lambda: pool("AveragePool", strides=[2, 2], auto_pad="SAME_UPPER"),
    "global average": lambda: one("GlobalAveragePool"),
    "global max": lambda: one("GlobalMaxPool"),
    "lrn": lambda: one("LRN", attributes={"size": 3}),
    "resize nearest": lambda: resize(
        [1, 1, 2, 2], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    ),
    "resize half pixel": lambda: resize([1, 1, 2, 3], mode="nearest"),
    "resize linear": lambda: resize(sizes=[1, 4, 13, 9], mode="linear"),
    "resize corners": lambda: resize(
        sizes=[1, 4, 13, 9], mode="linear", coordinate_transformation_mode="align_corners"
    ),
    "upsample": lambda: one(
        "Upsample", "s", opset=9, attributes={"mode": "nearest"}, s=np.array([1, 1, 2, 2], np.float32)
    ),
    "pad": lambda: one("Pad", "p", "v", p=int64(0, 0, 1, 2, 0, 0, 0, 1), v=np.array(0.5, np.float32)),
    "pad old": lambda: one("Pad", opset=10, attributes={"pads": [0, 0, 1, 2, 0, 0, 0, 1]}),
    "pad reflect": lambda: one("Pad", "p", attributes={"mode": "reflect"}, p=int64(0, 0, 1, 2, 0, 0, 0, 1)),
    "depth to space": lambda: one("DepthToSpace", attributes={"blocksize": 2}),
    "depth to space crd": lambda: one("DepthToSpace", attributes={"blocksize": 2, "mode": "CRD"}),
    "space to depth": lambda: one("SpaceToDepth", attributes={"blocksize": 2}),
    "reshape": lambda: one("Reshape", "s", s=int64(0, -1, 3)),
    "reshape by shape": reshaped_by_shape,
    "heads": heads,
    "flatten": lambda: one("Flatten"),
    "transpose": lambda: one("Transpose", attributes={"perm": [0, 2, 3, 1]}),
    "squeeze": lambda: one("Squeeze", "a", shape=(4, 1, 6), a=int64(2)),
    "squeeze old": lambda: one("Squeeze", shape=(4, 1, 6), opset=11, attributes={"axes": [2]}),
    "unsqueeze": lambda: one("Unsqueeze", "a", a=int64(1)),
    "slice": lambda: one(
        "Slice", "s", "e", "a", "t", s=int64(1, -4), e=int64(9999, -1), a=int64(2, 3), t=int64(2, 1)
    ),
    "slice old": lambda: one("Slice", opset=9, attributes={"starts": [1], "ends": [3], "axes": [1]}),
    "slice backward": lambda: one(
        "Slice", "s", "e", "a", "t", s=int64(-1), e=int64(-9999), a=int64(3), t=int64(-1)
    ),
    "gather": lambda: one("Gather", "i", attributes={"axis": 1}, i=int64(2, 0, 3)),
    "gather one": lambda: one("Gather", "i", attributes={"axis": 2}, i=np.array(-1, np.int64)),
    "expand": lambda: one("Expand", "s", shape=(4, 1, 6), s=int64(1, 4, 5, 6)),
    "tile": lambda: one("Tile", "r", r=int64(1, 2, 1, 1)),
    "concat constant": lambda: model_of(
        [helper.make_node("Concat", ["x", "c"], ["y"], axis=1)], (4, 6), c=weight(1, 2, 6)
    ),
    "split": lambda: model_of(
        [
            helper.make_node("Split", ["x", "s"], ["a", "b"], axis=1),
            helper.make_node("Mul", ["b", "b"], ["y"]),
        ],
        MAP,
        s=int64(1, 3),
    ),
    "cast": lambda: one("Cast", attributes={"to": TensorProto.FLOAT}),
    "clip": lambda: one("Clip", "l", "h", l=np.array(-0.5, np.float32), h=np.array(0.7, np.float32)),
    "clip old": lambda: one("Clip", opset=10, attributes={"min": 0.0, "max": 6.0}),
    "softmax": lambda: one("Softmax", attributes={"axis": 1}),
    "softmax old": lambda: one("Softmax", opset=11, attributes={"axis": 1}),
    "gelu": lambda: one("Gelu", opset=20),
    "hard sigmoid": lambda: one("HardSigmoid", attributes={"alpha": 1 / 6}),
    "hard sigmoid other": lambda: one("HardSigmoid"),
    "thresholded": lambda: one("ThresholdedRelu", attributes={"alpha": 0.3}),
    "reduce mean": lambda: one("ReduceMean", attributes={"axes": [2, 3], "keepdims": 0}),
    "reduce sum": lambda: one("ReduceSum", "a", a=int64(1)),
    "reduce l2": lambda: one("ReduceL2", attributes={"axes": [1]}),
    "reduce max": lambda: one("ReduceMax", attributes={"axes": [1]}),
    "pow": lambda: of_two("Pow", np.array(2, np.float32)),
    "mean": lambda: of_two("Mean"),
    "from a number": lambda: of_two("Sub", np.array([1], np.float32), before=True),
    "dropout": lambda: one("Dropout"),
    "argmax": lambda: model_of(
        [
            helper.make_node("ArgMax", ["x"], ["i"], axis=1, keepdims=0),
            helper.make_node("Cast", ["i"], ["y"], to=1),
        ],
        ROW,
    ),
    "where": lambda: model_of(
        [helper.make_node("Greater", ["x", "z"], ["c"]), helper.make_node("Where", ["c", "x", "s"], ["y"])],
        MAP,
        z=np.array(0, np.float32),
        s=np.array(0.25, np.float32),
    ),
}
for kind in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum"):
    CASES[kind.lower()] = lambda kind=kind: of_two(kind)
for kind in [
    "Abs",
    "Ceil",
    "Celu",
    "Cos",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "LogSoftmax",
    "Mish",
    "Neg",
    "Relu",
    "Round",
    "Selu",
    "Sigmoid",
    "Sign",
    "Sin",
    "Softplus",
    "Softsign",
    "Tanh",
]:
    CASES[kind.lower()] = lambda kind=kind: one(kind, opset=18)
for kind in ("Log", "Reciprocal", "Sqrt"):  # of what is positive
    CASES[kind.lower()] = lambda kind=kind: model_of(
        [helper.make_node("Exp", ["x"], ["e"]), helper.make_node(kind, ["e"], ["y"])], MAP
    )
OF_ONE = {"resize linear", "resize corners", "concat constant"}
"""Models whose constants say that there is one image."""
LOGICAL = {"And", "Equal", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or"}


def test_every_operator_has_a_case():
    covered = {node.op_type for make in CASES.values() for node in make().graph.node}
    assert set(TRANSLATIONS) - covered - LOGICAL - {"ReduceMin"} == set()


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_an_operator_answers_what_onnx_runtime_answers(name, tmp_path):
    model = CASES[name]()
    onnx.save(model, tmp_path / "model.onnx")
    shape = shape_of(tmp_path / "model.onnx")
    network = load_onnx(tmp_path / "model.onnx", shape)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for batch in (1,) if name in OF_ONE else (1, 2):
        x = np.random.default_rng(batch).normal(size=(batch, *shape)).astype(np.float32)
        (expected,) = session.run(None, {"x": x})
        found = network(torch.from_numpy(x)).numpy()
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: one("QuantizeLinear", "s", s=np.array(0.1, np.float32)), "quantized already"),
        (lambda: one("LpPool", attributes={"kernel_shape": [2, 2]}), "'y' (LpPool) is not supported"),
        (lambda: one("ReduceMean", attributes={"axes": [0]}), "reduces over the batch"),
        (lambda: one("Reshape", "s", s=int64(-1, 7)), "does not fit what it is given"),
        (
            lambda: model_of(
                [helper.make_node("Concat", ["x", "c"], ["y"], axis=0)], (4, 6), c=weight(2, 4, 6)
            ),
            "mixes",
        ),
        (
            lambda: model_of(
                [
                    helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
                    helper.make_node("Reshape", ["t", "s"], ["y"]),
                ],
                (4, 6),
                s=int64(2, 2, 6),
            ),
            "takes one example alone",
        ),
        (
            lambda: model_of([helper.make_node("Relu", ["c"], ["y"])], MAP, c=weight(2)),
            "does not depend on its input",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(make, sentence, tmp_path):
    onnx.save(make(), tmp_path / "model.onnx")
    with pytest.raises(EdgeSqueezeError) as refused:
        load_onnx(tmp_path / "model.onnx", shape_of(tmp_path / "model.onnx"))
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
