"""ONNX models of a node or two, for tests of what reads them."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MAP, ROW = (4, 8, 6), (12,)
RNG = np.random.default_rng(0)


def weight(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def model_of(nodes, shape, opset=17, **constants):
    """A model of nodes from ``x`` to ``y``, its batch open."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


def one(kind, *more, shape=MAP, opset=17, attributes=None, **constants):
    node = helper.make_node(kind, ["x", *more], ["y"], **(attributes or {}))
    return model_of([node], shape, opset, **constants)


def int64(*numbers):
    return np.array(numbers, np.int64)


def shape_of(path):
    """The shape of a model's input behind the batch."""
    dims = onnx.load(path).graph.input[0].type.tensor_type.shape.dim
    return tuple(dim.dim_value for dim in dims[1:])
