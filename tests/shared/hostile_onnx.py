"""ONNX files that are damaged, or made to break what reads them as networks."""

import os
from itertools import pairwise

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
HUGE = 10**6
"""Cubed, more elements than any machine has memory for; squared, more than a network may have."""
node = helper.make_node


def model(
    nodes, *, shape=("batch", 3, 8, 8), output=("y", ("n", "c", "h", "w")), tensors=(), opset=17, **more
):
    """A model of one input, x, and one output; a convolution's weight w is always there."""
    ends = [
        helper.make_tensor_value_info("x", more.pop("kind", FLOAT), shape),
        helper.make_tensor_value_info(output[0], FLOAT, output[1]),
    ]
    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    constants = [numpy_helper.from_array(weight, "w"), *tensors]
    graph = helper.make_graph(list(nodes), "g", ends[:1], ends[1:], constants)
    opsets = more.pop("opsets", [helper.make_opsetid("", opset)])
    return helper.make_model(graph, opset_imports=opsets, ir_version=more.pop("ir_version", 8), **more)


def numbers(name, *values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


def floats(name, values):
    return numpy_helper.from_array(np.asarray(values, np.float32), name)


CONV = node("Conv", ["x", "w"], ["c"], name="conv")
RELU = node("Relu", ["c"], ["y"])
GOOD = model([CONV, RELU]).SerializeToString()


def after_conv(*nodes, **more):
    return model([CONV, *nodes], **more)


def _stored(**fields):
    """A tensor that says of itself what is not so."""
    tensor = TensorProto(name="t", data_type=fields.pop("data_type", FLOAT), dims=fields.pop("dims", [4]))
    for key, value in fields.pop("external", {}).items():
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)
    if "raw" in fields:
        tensor.raw_data = fields["raw"]
    return after_conv(node("PRelu", ["c", "t"], ["y"]), tensors=[tensor])


def _external(location, dims=(4, 1, 1), **more):
    return _stored(dims=list(dims), external={"location": location, **more})


def _subgraph(kind, **attributes):
    body = helper.make_graph(
        [node("Relu", ["c"], ["b"])], "body", [], [helper.make_tensor_value_info("b", FLOAT, None)]
    )
    return after_conv(node(kind, ["t"], ["y"], **dict.fromkeys(attributes, body)), tensors=[numbers("t", 1)])


def _functions(bodies, domain="d"):
    """Functions by name; each body is a list of nodes from x to y."""
    made = [
        helper.make_function(
            domain, name, ["x"], ["y"], body, [helper.make_opsetid("", 17), helper.make_opsetid(domain, 1)]
        )
        for name, body in bodies.items()
    ]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(domain, 1)]
    return after_conv(node("f0", ["c"], ["y"], domain=domain), opsets=opsets, functions=made)


def _laughs(levels=40):
    """Each function calls the next one twice: 2 to the power of 40 nodes."""
    call = {
        f"f{i}": [node(f"f{i + 1}", ["x"], ["m"], domain="d"), node(f"f{i + 1}", ["m"], ["y"], domain="d")]
        for i in range(levels)
    }
    return _functions(call | {f"f{levels}": [node("Relu", ["x"], ["y"])]})


def _chain(count, kind="Relu"):
    names = ["c", *(f"n{i}" for i in range(count - 1)), "y"]
    return after_conv(*(node(kind, [a], [b]) for a, b in pairwise(names)))


def _doubled(times):
    """A constant that is twice as large with every node."""
    nodes = [node("Concat", [f"k{i}", f"k{i}"], [f"k{i + 1}"], axis=0) for i in range(times)]
    last = node("Gather", [f"k{times}", "one"], ["g"])
    return model(
        [*nodes, last, CONV, node("Mul", ["c", "g"], ["y"])], tensors=[floats("k0", [1.0]), numbers("one", 0)]
    )


def _nested(levels):
    body = helper.make_graph(
        [node("Relu", ["c"], ["b"])], "b", [], [helper.make_tensor_value_info("b", FLOAT, None)]
    )
    for level in range(levels):
        then = node("If", ["t"], ["b"], name=f"if{level}", then_branch=body, else_branch=body)
        del then.attribute[1]
        body = helper.make_graph([then], "b", [], [helper.make_tensor_value_info("b", FLOAT, None)])
    return after_conv(node("If", ["t"], ["y"], then_branch=body), tensors=[numbers("t", 1)])


def _named(name):
    conv = node("Conv", ["x", "w"], ["c"], name=name)
    return model([conv, node("NoSuch", ["c"], ["y"], name=name)])


def _quantized():
    scale = [floats("s", 0.1), numpy_helper.from_array(np.array(0, np.uint8), "z")]
    first = node("QuantizeLinear", ["x", "s", "z"], ["q"])
    back = node("DequantizeLinear", ["q", "s", "z"], ["d"])
    return model([first, back, node("Conv", ["d", "w"], ["y"])], tensors=scale)


GROWN = numbers("huge", 1, 1, HUGE, HUGE)
"""More than a network may have, in the shape of a map."""
MODELS = {
    "cycle": lambda: model(
        [node("Relu", ["b"], ["a"]), node("Relu", ["a"], ["b"]), node("Add", ["x", "b"], ["y"])]
    ),
    "a node that reads itself": lambda: model([node("Add", ["x", "y"], ["y"])]),
    "nodes out of order": lambda: model([RELU, CONV]),
    "a value nobody makes": lambda: model([node("Add", ["x", "nowhere"], ["y"])]),
    "an output made twice": lambda: model([CONV, RELU, node("Tanh", ["c"], ["y"])]),
    "an initializer twice": lambda: after_conv(RELU, tensors=[floats("w", [1.0])]),
    "a weight of another shape": lambda: model(
        [node("Conv", ["x", "t"], ["y"])], tensors=[floats("t", np.ones((4, 5, 3, 3)))]
    ),
    "a weight of two dimensions": lambda: model(
        [node("Conv", ["x", "t"], ["y"])], tensors=[floats("t", np.ones((4, 3)))]
    ),
    "NaN weights": lambda: model(
        [node("Conv", ["x", "t"], ["y"])], tensors=[floats("t", np.full((4, 3, 3, 3), np.nan))]
    ),
    "infinite weights": lambda: model(
        [node("Conv", ["x", "t"], ["y"])], tensors=[floats("t", np.full((4, 3, 3, 3), np.inf))]
    ),
    "fewer bytes than dims": lambda: _stored(raw=b"1234"),
    "dims of 10^18 elements": lambda: _stored(dims=[HUGE] * 3, raw=b"1234"),
    "dims whose product overflows": lambda: _stored(dims=[2**32, 2**32], raw=b""),
    "negative dims": lambda: _stored(dims=[-4], raw=b"1" * 16),
    "strings as weights": lambda: _stored(data_type=TensorProto.STRING, raw=b""),
    "complex weights": lambda: _stored(data_type=TensorProto.COMPLEX64, raw=b"1" * 32),
    "an unknown type of weights": lambda: _stored(data_type=999, raw=b"1" * 16),
    "ConstantOfShape of 10^12": lambda: after_conv(
        node("ConstantOfShape", ["huge"], ["k"]), node("Add", ["c", "k"], ["y"]), tensors=[GROWN]
    ),
    "a constant expanded to 10^12": lambda: after_conv(
        node("Expand", ["one", "huge"], ["k"]),
        node("Add", ["c", "k"], ["y"]),
        tensors=[GROWN, floats("one", [1.0])],
    ),
    "a constant tiled to 10^12": lambda: after_conv(
        node("Tile", ["one", "huge"], ["k"]),
        node("Add", ["c", "k"], ["y"]),
        tensors=[GROWN, floats("one", np.ones((1, 1, 1, 1)))],
    ),
    "Range to 10^12": lambda: after_conv(
        node("Range", ["a", "b", "s"], ["k"]),
        node("ReduceMax", ["k"], ["m"], keepdims=0),
        node("Cast", ["m"], ["f"], to=FLOAT),
        node("Add", ["c", "f"], ["y"]),
        tensors=[
            numpy_helper.from_array(np.array(v, np.int64), n) for n, v in (("a", 0), ("b", 10**12), ("s", 1))
        ],
    ),
    "OneHot of depth 10^12": lambda: after_conv(
        node("OneHot", ["i", "d", "v"], ["k"]),
        node("ReduceMax", ["k"], ["m"], keepdims=0),
        node("Add", ["c", "m"], ["y"]),
        tensors=[
            numbers("i", 1, 2),
            numpy_helper.from_array(np.array(10**12, np.int64), "d"),
            floats("v", [0, 1]),
        ],
    ),
    "a constant doubled 40 times": lambda: _doubled(40),
    "an outer product of constants": lambda: after_conv(
        node("ConstantOfShape", ["n"], ["k"]),
        node("ConstantOfShape", ["m"], ["l"]),
        node("MatMul", ["k", "l"], ["p"]),
        node("ReduceMax", ["p"], ["s"], keepdims=0),
        node("Add", ["c", "s"], ["y"]),
        tensors=[numbers("n", HUGE, 1), numbers("m", 1, HUGE)],
    ),
    "ConstantOfShape of 2^30": lambda: after_conv(
        node("ConstantOfShape", ["n"], ["k"]),
        node("ReduceMax", ["k"], ["m"], keepdims=0),
        node("Add", ["c", "m"], ["y"]),
        tensors=[numbers("n", 2**15, 2**15)],
    ),
    "a map expanded to 2^30": lambda: after_conv(
        node("Expand", ["one", "n"], ["k"]),
        node("Add", ["c", "k"], ["y"]),
        tensors=[numbers("n", 1, 1, 2**15, 2**15), floats("one", [1.0])],
    ),
    "a map resized to 2^30": lambda: after_conv(
        node("Resize", ["c", "", "", "n"], ["y"]), tensors=[numbers("n", 1, 4, 2**14, 2**14)]
    ),
    "a map padded to 2^30": lambda: after_conv(
        node("Pad", ["c", "n"], ["y"]), tensors=[numbers("n", 0, 0, 0, 0, 0, 0, 2**14, 2**14)]
    ),
    "a map multiplied to 2^30": lambda: after_conv(
        node("Reshape", ["c", "n"], ["f"]),
        node("Tile", ["f", "t"], ["a"]),
        node("Transpose", ["a"], ["b"], perm=[0, 2, 1]),
        node("MatMul", ["b", "a"], ["y"]),
        tensors=[numbers("n", 0, 1, -1), numbers("t", 1, 1, 300)],
    ),
    "a map expanded to 10^12": lambda: after_conv(
        node("Expand", ["c", "huge"], ["y"]), tensors=[numbers("huge", HUGE, HUGE, 4, 6, 6)]
    ),
    "a map tiled to 10^12": lambda: after_conv(node("Tile", ["c", "huge"], ["y"]), tensors=[GROWN]),
    "a map resized to 10^12": lambda: after_conv(
        node("Resize", ["c", "", "", "huge"], ["y"]), tensors=[numbers("huge", 1, 4, HUGE, HUGE)]
    ),
    "a map padded to 10^12": lambda: after_conv(
        node("Pad", ["c", "huge"], ["y"]), tensors=[numbers("huge", 0, 0, 0, 0, 0, 0, HUGE, HUGE)]
    ),
    "a convolution padded by 10^6": lambda: model([node("Conv", ["x", "w"], ["y"], pads=[HUGE] * 4)]),
    "a transposed convolution of stride 10^6": lambda: after_conv(
        node("ConvTranspose", ["c", "t"], ["y"], strides=[HUGE, HUGE]),
        tensors=[floats("t", np.ones((4, 1, 3, 3)))],
    ),
    "a stride of zero": lambda: model([node("Conv", ["x", "w"], ["y"], strides=[0, 0])]),
    "a group of zero": lambda: model([node("Conv", ["x", "w"], ["y"], group=0)]),
    "a pool larger than its map": lambda: after_conv(node("MaxPool", ["c"], ["y"], kernel_shape=[99, 99])),
    "Reshape to nothing": lambda: after_conv(
        node("Reshape", ["c", "t"], ["y"]), tensors=[numbers("t", -1, -1)]
    ),
    "an axis that is not there": lambda: after_conv(node("Softmax", ["c"], ["y"], axis=77)),
    "Loop": lambda: _subgraph("Loop", body=1),
    "If": lambda: _subgraph("If", then_branch=1, else_branch=1),
    "Scan": lambda: _subgraph("Scan", body=1),
    "an unknown operator": lambda: after_conv(node("NoSuch", ["c"], ["y"])),
    "an unknown domain": lambda: after_conv(
        node("Conv", ["c"], ["y"], domain="evil"),
        opsets=[helper.make_opsetid("", 17), helper.make_opsetid("evil", 1)],
    ),
    "a function that calls itself": lambda: _functions({"f0": [node("f0", ["x"], ["y"], domain="d")]}),
    "functions that call each other": lambda: _functions(
        {"f0": [node("f1", ["x"], ["y"], domain="d")], "f1": [node("f0", ["x"], ["y"], domain="d")]}
    ),
    "functions of 2^40 nodes": _laughs,
    "10^5 nodes": lambda: _chain(100_000),
    "branches 20 deep": lambda: _nested(20),
    "quantized by QDQ": _quantized,
    "quantized by QLinearConv": lambda: model(
        [node("QLinearConv", ["x", "s", "z", "w", "s", "z", "s", "z"], ["y"])],
        tensors=[floats("s", 0.1), numpy_helper.from_array(np.array(0, np.uint8), "z")],
    ),
    "quantized dynamically": lambda: model(
        [
            node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
            node("ConvInteger", ["q", "w"], ["i"]),
            node("Cast", ["i"], ["y"], to=FLOAT),
        ]
    ),
    "operator set 3": lambda: model([CONV, RELU], opset=3),
    "operator set 9999": lambda: model([CONV, RELU], opset=9999),
    "no operator set": lambda: model([CONV, RELU], opsets=[]),
    "IR version 10^6": lambda: model([CONV, RELU], ir_version=HUGE),
    "an input of integers": lambda: model([node("Cast", ["x"], ["y"], to=FLOAT)], kind=INT64),
    "an input of 10^12 pixels": lambda: model([CONV, RELU], shape=("batch", 3, HUGE, HUGE)),
    "an input of six dimensions": lambda: model([CONV, RELU], shape=(1, 1, 1, 3, 8, 8)),
    "an output that is constant": lambda: model([node("Identity", ["w"], ["y"])]),
    "an output nobody makes": lambda: model([CONV], output=("z", ("n", "c", "h", "w"))),
    "names that a terminal obeys": lambda: _named("\x1b[31m\x1b]0;t\x07\n\u202e"),
    "a name of a million letters": lambda: _named("n" * HUGE),
    "a name with dots alone": lambda: _named("..../.."),
    "data in the parent's folder": lambda: _external("../outside.bin"),
    "data in /etc/passwd": lambda: _external("/etc/passwd"),
    "data in a link out of the folder": lambda: _external("link.bin"),
    "data that are not there": lambda: _external("nothing.bin"),
    "data that are too short": lambda: _external("short.bin"),
    "data of a negative offset": lambda: _external("data.bin", offset=-4),
    "data behind the end": lambda: _external("data.bin", offset=HUGE),
    "data of 40 GB": lambda: _external("sparse.bin", dims=(HUGE, 10_000)),
}


def _text(content):
    return lambda folder: (folder / "net.onnx").write_bytes(content)


def _sparse(path, size):
    with path.open("wb") as file:
        os.truncate(file.fileno(), size)


FILES = {
    "an empty file": _text(b""),
    "a folder": lambda folder: (folder / "net.onnx").mkdir(),
    "a link to itself": lambda folder: (folder / "net.onnx").symlink_to("net.onnx"),
    "a link to /etc/passwd": lambda folder: (folder / "net.onnx").symlink_to("/etc/passwd"),
    "a link to /dev/zero": lambda folder: (folder / "net.onnx").symlink_to("/dev/zero"),
    "a page of HTML": _text(b"<!DOCTYPE html><title>404</title>"),
    "a pointer of Git LFS": _text(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"),
    "half of a file": _text(GOOD[: len(GOOD) // 2]),
    "a file without its last byte": _text(GOOD[:-1]),
    "bytes turned over": _text(GOOD[:40] + bytes(255 - b for b in GOOD[40:90]) + GOOD[90:]),
    "a megabyte of zeros": _text(bytes(10**6)),
    "six sparse gigabytes": lambda folder: _sparse(folder / "net.onnx", 6 * 2**30),
}


def write(name, folder):
    """Write a file of this name into an empty folder; what it refers to lies there or above."""
    (folder.parent / "outside.bin").write_bytes(bytes(64))
    if name in FILES:
        FILES[name](folder)
        return
    (folder / "data.bin").write_bytes(bytes(64))
    (folder / "short.bin").write_bytes(b"1")
    (folder / "link.bin").symlink_to(folder.parent / "outside.bin")
    if "GB" in name:
        _sparse(folder / "sparse.bin", 4 * HUGE * 10_000)
    (folder / "net.onnx").write_bytes(MODELS[name]().SerializeToString())


NAMES = (*FILES, *MODELS)
