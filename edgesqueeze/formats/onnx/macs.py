"""How often the operators of an ONNX file multiply, with ONNX's own shape inference."""

from collections.abc import Mapping, Sequence
from math import prod

import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

from edgesqueeze.formats.facts import Macs, TensorFact, WeightFact, effective
from edgesqueeze.formats.onnx.operators import FACTORS, FLOAT_FORMS, UNCOUNTED

Shape = tuple[int, ...]


def text(value: object) -> str:
    """A string of the file; protobuf hands out bytes where it is not UTF-8."""
    if not isinstance(value, str):
        raise ValueError(f"the name {value!r} is not UTF-8")
    return value


def is_standard(node: NodeProto) -> bool:
    """Whether an operator is ONNX's own."""
    return node.domain in ("", "ai.onnx")


def tensor_fact(value: ValueInfoProto) -> TensorFact:
    """An input, output or inferred value."""
    tensor = value.type.tensor_type
    dtype = TensorProto.DataType.Name(tensor.elem_type).lower()
    dims = (d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in tensor.shape.dim)
    return TensorFact(
        text(value.name), tuple(dims), {"float": "float32", "double": "float64"}.get(dtype, dtype)
    )


def fill_open(value: ValueInfoProto, sizes: Sequence[int]) -> None:
    """Fill what an input leaves open: a batch of 1, and behind it ``sizes``, if it has as many."""
    dims = value.type.tensor_type.shape.dim
    filled = (1, *sizes) if len(dims) == len(sizes) + 1 else (1,)
    for dim, size in zip(dims, filled, strict=False):
        if dim.dim_value < 1:
            dim.dim_value = size


def _shapes(model: ModelProto, constants: Mapping[str, Shape]) -> dict[str, Shape]:
    """Every shape that can be known when a dynamic batch is 1."""
    graph = model.graph
    for value in graph.input:
        fill_open(value, ())
    # Shapes written into the file may hold the old, dynamic batch.
    del graph.value_info[:]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(_in_float_form(model), data_prop=True).graph
    except onnx.shape_inference.InferenceError:
        return dict(constants)  # the graph contradicts itself: its activations have no known shape
    shapes = dict(constants)
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        if value.type.tensor_type.HasField("shape"):
            fact = tensor_fact(value).shape
            if None not in fact:
                shapes[value.name] = tuple(d for d in fact if d is not None)
    return shapes


def _in_float_form(model: ModelProto) -> ModelProto:
    """The model with ONNX Runtime's integer operators replaced by standard ones of the same shapes."""
    if not any(_is_microsoft(node) for node in model.graph.node):
        return model
    changed = ModelProto()
    changed.CopyFrom(model)
    for node in changed.graph.node:
        if _is_microsoft(node):
            kind, chosen = FLOAT_FORMS[node.op_type]
            inputs = list(node.input)[chosen]
            node.op_type, node.domain = kind, ""
            node.ClearField("input")
            node.input.extend(inputs)
    return changed


def _is_microsoft(node: NodeProto) -> bool:
    return node.domain == "com.microsoft" and node.op_type in FLOAT_FORMS


def _is_known(node: NodeProto) -> bool:
    """Whether it can be said how often an operator multiplies."""
    if is_standard(node):
        return node.op_type not in UNCOUNTED and bool(onnx.defs.has(node.op_type))
    return _is_microsoft(node)


def count_macs(
    model: ModelProto,
    nodes: Sequence[NodeProto],
    constants: Mapping[str, Shape],
    weights: Mapping[str, WeightFact],
) -> list[Macs | str]:
    """Of every operator, its multiply-accumulates and those on non-zero weights, or why they are not known.

    Args:
        model: the file; shape inference changes it.
        nodes: its operators, those in branches and loops included.
        constants: the shapes of its stored tensors.
        weights: value to the stored tensor that it is a form of.
    """
    shapes = _shapes(model, constants)
    counted: list[Macs | str] = []
    for node in nodes:
        if not _is_known(node):
            kind = node.op_type if is_standard(node) else f"{node.domain}.{node.op_type}"
            counted.append(f"the work of operator {kind} is not known")
        elif node.op_type in FACTORS:
            first, second = (node.input[i] for i in FACTORS[node.op_type])
            left, right, result = shapes.get(first), shapes.get(second), shapes.get(node.output[0])
            if left is None or right is None or result is None:
                counted.append(f"a shape of operator {node.op_type} is only known at run time")
                continue
            macs = _node_macs(node, left, right, result)
            counted.append((macs, effective(macs, weights.get(second))))
    return counted


def _node_macs(node: NodeProto, left: Shape, right: Shape, result: Shape) -> int:
    if node.op_type == "ConvTranspose":  # every input position meets every weight of its group once
        return left[0] * prod(left[2:]) * prod(right)
    if node.op_type in ("Conv", "ConvInteger", "QLinearConv"):
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        if groups == left[1] == prod(right):
            return 0  # a scale per channel: its products are element-wise
        return result[0] * prod(result[2:]) * prod(right)
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return prod(result) * left[0 if transposed else -1]
