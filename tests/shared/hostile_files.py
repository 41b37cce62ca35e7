"""Model files made to break what reads them: damaged, lying about themselves, or with names that a terminal obeys."""

import json
import struct

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save
from sqz_networks import files_of, small, spec_for

from edgesqueeze.formats.sqz.file import emit_sqz

ESCAPES = (
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\u202eevil",
    "\x9b2J",
    "\u2066x\u2069",
    "a\rb",
    "\x08\x08",
    "\u200b",
)


def good_files():
    """A network in all forms."""
    network = small()
    spec = spec_for(network)
    files = files_of(network, spec)
    return {
        "good.onnx": files["model.onnx"],
        "good.tflite": files["model.tflite"],
        "int8.onnx": files["model_int8.onnx"],
        "int8.tflite": files["model_int8.tflite"],
        "good.sqz": emit_sqz(network, spec, files),
        "good.safetensors": save(network.tensors),
    }


def _onnx(nodes, inputs=None, outputs=None, tensors=()):
    """A model as bytes; one float input x [1, 3, 8, 8] and one float output y unless others are given."""
    inputs = [("x", [1, 3, 8, 8])] if inputs is None else inputs
    outputs = [("y", None)] if outputs is None else outputs
    ends = [
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in end] for end in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "g", *ends, list(tensors))
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def hostile_onnx():
    """Models that parse and do not run, do not end, claim much, or have names that a terminal obeys."""
    node = helper.make_node
    shape = numpy_helper.from_array(np.array([7, 7], np.int64), "s")
    yield _onnx([node("Relu", ["x"], ["y"])], outputs=[])
    yield _onnx([])
    yield _onnx([node("Reshape", ["x", "s"], ["y"])], tensors=[shape])
    yield _onnx([node("Relu", ["x"], ["y"])], inputs=[("x", [1, 2**29])])
    yield _onnx([node("Relu", ["x"], ["y"])], inputs=[("x", [1, 2**40, 2**40])])
    yield _onnx([node("Relu", ["x"], ["y"])], inputs=[("x", [1, 0])])
    yield _onnx([node("Relu", ["x"], ["y"])], inputs=[("x", [1, -5, 3])])
    yield _onnx([node("Relu", ["x"], ["y"])], inputs=[("x", None)])
    yield _onnx([node("Relu", ["y"], ["x2"]), node("Relu", ["x2"], ["y"])])
    yield _onnx([node("NoSuch", ["x"], ["y"])])
    yield _onnx([node("Conv", ["x", "w"], ["y"])])
    yield _onnx([node("Gather", ["x", "i"], ["y"])], tensors=[numpy_helper.from_array(np.array([99]), "i")])
    yield _onnx(
        [node("ConstantOfShape", ["s"], ["c"]), node("Relu", ["c"], ["y"])], tensors=[shape], inputs=[]
    )
    big = numpy_helper.from_array(np.array([2**20, 2**20], np.int64), "s")
    yield _onnx([node("ConstantOfShape", ["s"], ["y"])], tensors=[big])
    yield _onnx(
        [node("Expand", ["x", "e"], ["y"])],
        tensors=[numpy_helper.from_array(np.array([2**50, 3, 8, 8]), "e")],
    )
    for name in ESCAPES:
        relu = node("Relu", ["x"], [name], name=name)
        yield _onnx([relu], outputs=[(name, None)])
        weight = numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), name)
        yield _onnx([node("Conv", ["x", name], ["y"], name=name), node(name, ["y"], ["z"])], tensors=[weight])
    outside = TensorProto(name="w", data_type=1, dims=[4], data_location=TensorProto.EXTERNAL)
    for place in ("../../../../etc/passwd", "/dev/zero", "nothing.bin", "\x1b[31m", "x" * 5000):
        del outside.external_data[:]
        entry = outside.external_data.add()
        entry.key, entry.value = "location", place
        yield _onnx([node("Add", ["x", "w"], ["y"])], tensors=[outside])
    yield _onnx(
        [node("Add", ["x", "w"], ["y"])],
        tensors=[TensorProto(name="w", data_type=1, dims=[2**40], raw_data=b"1")],
    )
    yield _onnx(
        [node("Add", ["x", "w"], ["y"])],
        tensors=[TensorProto(name="w", data_type=99, dims=[1], raw_data=b"1")],
    )
    yield _onnx(
        [node("Add", ["x", "w"], ["y"])],
        tensors=[TensorProto(name="w", data_type=17, dims=[4], raw_data=b"1234")],
    )
    yield b""
    yield b"\x08" * 1000
    yield b"\n" * 100_000


def hostile_tflite(good):
    """Damage where TFLite's reader looks first, and names with escapes in them."""
    rng = np.random.default_rng(2)
    yield b""
    yield good[:8]
    yield b"\xff\xff\xff\xff" + good[4:]
    yield good[:4] + b"TFL3"
    for _ in range(12):  # references and lengths replaced by extremes
        out = bytearray(good)
        place = 4 * int(rng.integers(2, len(good) // 4))
        out[place : place + 4] = struct.pack("<i", int(rng.choice([-1, 2**31 - 1, -(2**31), 4, 1 << 20])))
        yield bytes(out)
    for name in (b"input", b"output", b"conv"):
        for escape in (b"\x1b[31m", b"\x9b1\x07\x08", b"\xe2\x80\xae"):
            yield good.replace(name, escape[: len(name)].ljust(len(name), b"x"))


def hostile_safetensors():
    """Headers that claim, overlap, or name."""

    def file(header, payload=b""):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + payload

    for kind, size in (("F8_E4M3", 1), ("F8_E5M2", 1), ("BF16", 2), ("F8_E8M0", 1), ("C64", 8), ("NO", 1)):
        yield file({"a": {"dtype": kind, "shape": [4], "data_offsets": [0, 4 * size]}}, bytes(4 * size))
    for name in ESCAPES:
        yield file({name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(4))
        yield file({name: {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}, bytes(4))
    yield struct.pack("<Q", 2**63)
    yield struct.pack("<Q", 10**9) + b"{}"
    yield b""
    yield file(b"[" * 100_000)
    yield file({"a": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 4]}}, bytes(4))
    yield file({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]}}, bytes(4))
    yield file({"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}, "__metadata__": 3}, bytes(4))
    yield file({"__metadata__": {"x": "\x1b[31m"}})


def hostile_npy():
    """Arrays of objects, of other types, of more than there is, and headers that are code."""

    def file(header, payload=b""):
        text = header.encode("latin1", "replace").ljust(118) + b"\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + payload

    for kind in (
        "'|O'",
        "'<f4'",
        "'<f8'",
        "'<U9'",
        "'|V3'",
        "'<M8[s]'",
        "[('\x1b[31m', '<f4')]",
        "__import__('os')",
    ):
        yield file(f"{{'descr': {kind}, 'fortran_order': False, 'shape': (2, 1, 6, 6), }}", bytes(288))
    for shape in (
        "(10000000000000,)",
        "(2, -1)",
        "()",
        "(0, 1, 6, 6)",
        "('a',)",
        "(2**99,)",
        "(" * 90 + ")" * 90,
    ):
        yield file(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}", bytes(288))
    yield b""
    yield b"\x93NUMPY\x09\x00"
    yield b"PK\x03\x04" + b"x" * 100
