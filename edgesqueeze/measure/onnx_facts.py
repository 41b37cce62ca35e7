"""Facts of an ONNX file, from its graph and ONNX's own shape inference."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf has no types
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, numpy_helper

from edgesqueeze.errors import ExportError
from edgesqueeze.measure.model_files import (
    FileFacts,
    Macs,
    TensorFact,
    WeightFact,
    add_macs,
    dtype_totals,
    effective,
    float_weights,
    precision_label,
)
from edgesqueeze.measure.onnx_operators import (
    FACTORS,
    FORWARDS,
    INTEGER,
    NEVER_PARAMS,
    SETTINGS,
    UNCOUNTED,
    WEIGHTED,
    ZERO_POINTS,
)

Shape = tuple[int, ...]

_SMALL = 1024


@dataclass
class _Constants:
    """Stored tensors by name, and which value is a form of which of them."""

    stored: dict[str, WeightFact] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)
    dequantized: set[str] = field(default_factory=set)

    def add(self, name: str, tensor: TensorProto, zero_point: NDArray[Any] | None) -> None:
        values = numpy_helper.to_array(tensor)
        zeros = values.size - int(np.count_nonzero(values if zero_point is None else values != zero_point))
        self._add(name, str(values.dtype), tuple(int(d) for d in tensor.dims), zeros)

    def add_sparse(self, tensor: onnx.SparseTensorProto) -> None:
        values = numpy_helper.to_array(tensor.values)
        dims = tuple(int(d) for d in tensor.dims)
        self._add(tensor.values.name, str(values.dtype), dims, prod(dims) - int(np.count_nonzero(values)))

    def _add(self, name: str, dtype: str, dims: Shape, zeros: int) -> None:
        self.stored[name] = WeightFact(name, dtype, prod(dims), prod(dims) - zeros, is_bias=len(dims) < 2)
        self.shapes[name] = dims
        self.origin[name] = name


def read_onnx_file(path: Path) -> FileFacts:
    """The facts of an ONNX file.

    Raises:
        ExportError: the file, or a data file it names, cannot be read as ONNX.
    """
    try:
        model = onnx.load(path, load_external_data=False)
        num_bytes = path.stat().st_size + sum(p.stat().st_size for p in _data_files(path.parent, model))
        onnx.external_data_helper.load_external_data_for_model(model, str(path.parent))
        if not model.graph.node or not model.opset_import:
            raise ExportError(f"{path} is not an ONNX model: it holds no operators")
        if model.functions:
            from onnx.inliner import inline_local_functions

            model = inline_local_functions(model)
        return _facts(path, model, num_bytes)
    except (
        DecodeError,
        OSError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        onnx.checker.ValidationError,
    ) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ExportError(f"{path} is not a readable ONNX model: {reason}") from error


def _facts(path: Path, model: ModelProto, num_bytes: int) -> FileFacts:
    graphs = list(_graphs(model.graph))
    nodes = [node for graph in graphs for node in graph.node]
    constants = _take_constants(graphs)
    known = set(constants.stored)
    inputs = tuple(_tensor_fact(value) for value in model.graph.input if value.name not in known)
    outputs = tuple(_tensor_fact(value) for value in model.graph.output)
    weights = _weights(nodes, constants)
    shapes = _shapes(model, constants)  # changes the model
    macs, effective_macs = add_macs([_macs(nodes, shapes, constants)])
    return FileFacts(
        path=path,
        format="onnx",
        num_bytes=num_bytes,
        params=sum(w.size for w in weights),
        nonzero_params=sum(w.nonzero for w in weights),
        macs=macs,
        effective_macs=effective_macs,
        inputs=inputs,
        outputs=outputs,
        operators=dict(Counter(_label(node) for node in nodes).most_common()),
        weight_dtypes=dtype_totals(weights),
        float_weights=float_weights(weights),
        precision=precision_label(weights, integer_arithmetic=_integer_arithmetic(nodes, constants)),
    )


def _data_files(folder: Path, model: ModelProto) -> set[Path]:
    """The files beside an ONNX file that hold some of its tensors."""
    return {
        folder / entry.value
        for tensor in _all_tensors(model.graph)
        if onnx.external_data_helper.uses_external_data(tensor)
        for entry in tensor.external_data
        if entry.key == "location"
    }


def _all_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    for inner in _graphs(graph):
        yield from inner.initializer
        yield from (a.t for node in inner.node for a in node.attribute if a.HasField("t"))


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """A graph and every branch and loop body inside it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _graphs(inner)


def _text(value: object) -> str:
    """A string of the file; protobuf hands out bytes where it is not UTF-8."""
    if not isinstance(value, str):
        raise ValueError(f"the name {value!r} is not UTF-8")
    return value


def _label(node: NodeProto) -> str:
    kind = _text(node.op_type)
    return kind if _is_standard(node) else f"{_text(node.domain)}.{kind}"


def _is_standard(node: NodeProto) -> bool:
    return node.domain in ("", "ai.onnx")


def _take_constants(graphs: list[GraphProto]) -> _Constants:
    """Note every stored tensor, and drop the bytes of the large ones: shape inference copies the model."""
    stored = {t.name: t for graph in graphs for t in graph.initializer}
    nodes = [node for graph in graphs for node in graph.node]
    for node in nodes:
        if node.op_type == "Constant" and _is_standard(node):
            for value in (a.t for a in node.attribute if a.name == "value"):
                stored[node.output[0]] = value
    constants = _Constants()
    zero_points = _zero_points(nodes, stored)
    for name, tensor in stored.items():
        constants.add(name, tensor, zero_points.get(name))
    for graph in graphs:
        for sparse in graph.sparse_initializer:
            constants.add_sparse(sparse)
        _drop_large(graph)
    return constants


def _zero_points(nodes: list[NodeProto], stored: dict[str, TensorProto]) -> dict[str, NDArray[Any]]:
    """The integer that means zero, by name of the stored tensor and in a shape that broadcasts over it."""
    found: dict[str, NDArray[Any]] = {}
    for node in nodes:
        tensor, point, axis = ZERO_POINTS.get(node.op_type, (0, len(node.input), 0))
        if point >= len(node.input) or node.input[tensor] not in stored or node.input[point] not in stored:
            continue
        dims = stored[node.input[tensor]].dims
        values = numpy_helper.to_array(stored[node.input[point]])
        axis = next((a.i for a in node.attribute if a.name == "axis"), axis)
        if values.size > 1 and values.ndim == 1:
            values = values.reshape([-1 if i == axis % len(dims) else 1 for i in range(len(dims))])
        elif values.ndim > 1:  # one zero point for each block along the axis
            values = np.repeat(values, -(-dims[axis] // values.shape[axis]), axis)[tuple(map(slice, dims))]
        found[node.input[tensor]] = values
    return found


def _drop_large(graph: GraphProto) -> None:
    """Turn large initializers into inputs: a type and a shape are all that shape inference needs."""
    declared = {value.name for value in graph.input}
    small = [tensor for tensor in graph.initializer if prod(tensor.dims) <= _SMALL]
    for tensor in graph.initializer:
        if prod(tensor.dims) > _SMALL and tensor.name not in declared:
            graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    del graph.initializer[:]
    graph.initializer.extend(small)


def _weights(nodes: list[NodeProto], constants: _Constants) -> list[WeightFact]:
    """The stored tensors that are parameters, each once however often it is used."""
    found: dict[str, WeightFact] = {}
    for node in nodes:
        for position, name in enumerate(node.input):
            if name not in constants.origin or position in SETTINGS.get(node.op_type, set()):
                continue
            if position == 0 and node.op_type in FORWARDS:
                for output in node.output:
                    constants.origin[output] = constants.origin[name]
                if node.op_type == "DequantizeLinear" or name in constants.dequantized:
                    constants.dequantized.update(node.output)
                continue
            stored = constants.stored[constants.origin[name]]
            if _is_parameter(node, position, stored, dequantized=name in constants.dequantized):
                found[stored.name] = stored
    return list(found.values())


def _is_parameter(node: NodeProto, position: int, stored: WeightFact, *, dequantized: bool) -> bool:
    if stored.dtype in NEVER_PARAMS:
        return False
    if stored.dtype in ("int32", "uint32") and not dequantized:
        return node.op_type == "QLinearConv" and position == 8
    # 0.5 in a hard sigmoid is part of the operation; a bias of one channel is learned.
    return stored.size > 1 or node.op_type in WEIGHTED


def _integer_arithmetic(nodes: list[NodeProto], constants: _Constants) -> bool:
    """Whether every weighted operation reads integers: it is an integer operator, or stands in QDQ form."""
    dequantized = {out for node in nodes if node.op_type == "DequantizeLinear" for out in node.output}
    for node in nodes:
        if node.op_type in FACTORS and node.op_type not in INTEGER:
            activations = [name for name in node.input[:2] if name not in constants.origin]
            if any(name not in dequantized for name in activations):
                return False
    return True


def _tensor_fact(value: ValueInfoProto) -> TensorFact:
    tensor = value.type.tensor_type
    dtype = TensorProto.DataType.Name(tensor.elem_type).lower()
    dims = (d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in tensor.shape.dim)
    return TensorFact(
        _text(value.name), tuple(dims), {"float": "float32", "double": "float64"}.get(dtype, dtype)
    )


def _shapes(model: ModelProto, constants: _Constants) -> dict[str, Shape]:
    """Every shape that can be known when a dynamic batch is 1."""
    graph = model.graph
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        if dims and dims[0].dim_value < 1:
            dims[0].dim_value = 1
    # Shapes written into the file may hold the old, dynamic batch.
    del graph.value_info[:]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except onnx.shape_inference.InferenceError:
        return dict(constants.shapes)  # the graph contradicts itself: its activations have no known shape
    shapes = dict(constants.shapes)
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        if value.type.tensor_type.HasField("shape"):
            fact = _tensor_fact(value).shape
            if None not in fact:
                shapes[value.name] = tuple(d for d in fact if d is not None)
    return shapes


def _macs(nodes: list[NodeProto], shapes: dict[str, Shape], constants: _Constants) -> Macs | None:
    counted: list[Macs] = []
    for node in nodes:
        if not _is_standard(node) or node.op_type in UNCOUNTED or not onnx.defs.has(node.op_type):
            return None
        if node.op_type in FACTORS:
            first, second = (node.input[i] for i in FACTORS[node.op_type])
            left, right, result = shapes.get(first), shapes.get(second), shapes.get(node.output[0])
            if left is None or right is None or result is None:
                return None
            macs = _node_macs(node, left, right, result)
            weight = constants.stored.get(constants.origin.get(second, ""))
            counted.append((macs, effective(macs, weight)))
    return sum(macs for macs, _ in counted), sum(useful for _, useful in counted)


def _node_macs(node: NodeProto, left: Shape, right: Shape, result: Shape) -> int:
    if node.op_type == "ConvTranspose":  # every input position meets every weight of its group once
        return left[0] * prod(left[2:]) * prod(right)
    if node.op_type in ("Conv", "ConvInteger", "QLinearConv"):
        return result[0] * prod(result[2:]) * prod(right)
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return prod(result) * left[0 if transposed else -1]
