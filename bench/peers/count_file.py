"""An ONNX or TFLite file counted by onnx-tool and onnx-opcounter, printed as a JSON line.

Runs in the environment of requirements-counters.txt:

    python count_file.py MODEL.onnx 1,3,48,192
    python count_file.py MODEL.tflite

A TFLite file is first converted by tf2onnx. The file is run once in ONNX Runtime, on zeros, for the shapes
that its convolutions and matrix products really meet; each of these is then given to both counters as a model
of its own, since both also count activations, norms and additions, each in its own way.
"""

import contextlib
import json
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from math import prod
from pathlib import Path

import numpy as np
import onnx
import onnx_tool
import onnxruntime
from onnx import ModelProto, NodeProto, helper, numpy_helper
from onnx_opcounter import calculate_macs

COUNTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
Shapes = dict[str, tuple[int, ...]]


def main() -> None:
    """Count one file."""
    path = Path(sys.argv[1])
    shape = tuple(int(size) for size in sys.argv[2].split(",")) if len(sys.argv) > 2 else None
    with contextlib.redirect_stdout(sys.stderr):  # both counters print
        model = onnx.load(path) if path.suffix == ".onnx" else converted(path)
        shapes = real_shapes(model, shape)
        nodes = [node for node in model.graph.node if node.op_type in COUNTED]
        transposed = [node for node in nodes if node.op_type == "ConvTranspose"]
        found = {
            **counted(nodes, shapes, model),
            "transposed": counted(transposed, shapes, model),
            "transposed_by_input": sum(by_input(node, shapes) for node in transposed),
            "versions": {name: version(name) for name in ("onnx-tool", "onnx-opcounter", "tf2onnx")},
        }
    print(json.dumps(found))


def counted(nodes: Sequence[NodeProto], shapes: Shapes, model: ModelProto) -> dict[str, int]:
    """Multiply-accumulates of some operators, by both."""
    singles = [single(node, shapes, model) for node in nodes]
    return {
        "onnx_tool": sum(by_onnx_tool(one, shapes) for one in singles),
        "onnx_opcounter": sum(int(calculate_macs(one)) for one in singles),
    }


def by_input(node: NodeProto, shapes: Shapes) -> int:
    """Of a transposed convolution: every place of its input meets every weight of its group once."""
    source, weight = (shapes[name] for name in node.input[:2])
    return source[0] * prod(source[2:]) * prod(weight)


def converted(path: Path) -> ModelProto:
    """A TFLite file as ONNX."""
    from tf2onnx.convert import from_tflite

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "model.onnx"
        from_tflite(str(path), opset=17, output_path=str(target))
        return onnx.load(target)


def real_shapes(model: ModelProto, shape: tuple[int, ...] | None) -> Shapes:
    """Of everything that a counted operator reads or makes, from a run on zeros."""
    stored = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    stored |= {
        node.output[0]: tuple(node.attribute[0].t.dims)
        for node in model.graph.node
        if node.op_type == "Constant" and node.attribute[0].HasField("t")
    }
    counted = [node for node in model.graph.node if node.op_type in COUNTED]
    wanted = dict.fromkeys(name for node in counted for name in (*node.input, *node.output) if name)
    inputs = [value for value in model.graph.input if value.name not in stored]
    feeds = {value.name: zeros(value, shape if len(inputs) == 1 else None) for value in inputs}
    known = {**stored, **{name: array.shape for name, array in feeds.items()}}
    names = [name for name in wanted if name not in known]
    probed = ModelProto()
    probed.CopyFrom(model)
    del probed.graph.output[:]
    probed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(probed.SerializeToString(), options)
    return known | {name: array.shape for name, array in zip(names, session.run(names, feeds), strict=True)}


def zeros(value: onnx.ValueInfoProto, shape: tuple[int, ...] | None) -> np.ndarray:
    """An input of a file; what it leaves open is 1 unless a shape is given."""
    tensor = value.type.tensor_type
    own = tuple(dim.dim_value if dim.dim_value > 0 else 1 for dim in tensor.shape.dim)
    return np.zeros(shape or own, helper.tensor_dtype_to_np_dtype(tensor.elem_type))


def single(node: NodeProto, shapes: Shapes, model: ModelProto) -> ModelProto:
    """One operator without its bias as a model: its first input is what flows, the other is stored."""
    bare = NodeProto()
    bare.CopyFrom(node)
    del bare.input[2:]
    first, *others = bare.input
    flow = helper.make_tensor_value_info(first, onnx.TensorProto.FLOAT, shapes[first])
    result = helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, shapes[node.output[0]])
    tensors = [numpy_helper.from_array(np.zeros(shapes[name], np.float32), name) for name in others]
    graph = helper.make_graph([bare], "single", [flow], [result], tensors)
    opsets = [one for one in model.opset_import if one.domain == ""]
    return helper.make_model(graph, opset_imports=opsets, ir_version=min(model.ir_version, 10))


def by_onnx_tool(model: ModelProto, shapes: Shapes) -> int:
    """Multiply-accumulates of one operator as onnx-tool has them."""
    graph = onnx_tool.Model(model).graph
    name = model.graph.input[0].name
    graph.shape_infer({name: np.zeros(shapes[name], np.float32)})
    graph.profile()
    (node,) = graph.nodemap.values()
    return int(node.macs[0])


if __name__ == "__main__":
    main()
