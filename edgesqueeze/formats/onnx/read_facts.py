"""Facts of an ONNX file, from its graph."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf has no types
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from edgesqueeze.errors import ExportError
from edgesqueeze.formats.facts import (
    Arithmetic,
    FileFacts,
    MacCount,
    WeightFact,
    dtype_totals,
    float_weights,
    precision_label,
)
from edgesqueeze.formats.onnx.macs import Shape, count_macs, fill_open, is_standard, tensor_fact, text
from edgesqueeze.formats.onnx.operators import (
    FACTORS,
    FORWARDS,
    INTEGER,
    INTEGER_BIAS,
    INTEGERS_AT_RUN_TIME,
    NEVER_PARAMS,
    SETTINGS,
    WEIGHTED,
    ZERO_POINTS,
    measured,
)
from edgesqueeze.importing.onnx.files import data_files, graphs_of
from edgesqueeze.normalization import METADATA_KEY, Normalization, normalization_from

_SMALL = 1024


@dataclass
class _Constants:
    """Stored tensors by name, and which value is a form of which of them.

    ``measured`` are the scales that DynamicQuantizeLinear finds, and their products; ``tables`` hold the
    values of stored tensors that are indices.
    """

    stored: dict[str, WeightFact] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)
    dequantized: set[str] = field(default_factory=set)
    measured: set[str] = field(default_factory=set)
    tables: dict[str, NDArray[Any]] = field(default_factory=dict)

    def add(self, name: str, tensor: TensorProto, zero_point: NDArray[Any] | None) -> None:
        values = numpy_helper.to_array(tensor)
        dtype, table = str(values.dtype), self.tables.get(name)
        if table is not None:
            values = table[values.astype(np.intp)]
        zeros = values.size - int(np.count_nonzero(values if zero_point is None else values != zero_point))
        self._add(name, dtype, tuple(int(d) for d in tensor.dims), zeros)

    def picks(self, node: NodeProto) -> bool:
        """Whether an operator turns stored indices into the values of their table."""
        indices = self.origin.get(node.input[1], "") if node.op_type == "Gather" else ""
        if indices in self.tables:
            self.origin[node.output[0]] = indices
        return indices in self.tables

    def scales(self, node: NodeProto) -> bool:
        """Whether a product is but a matter of scale: integers that become real, or a measured scale."""
        if node.op_type != "Mul":
            return False
        first, second = (self.origin.get(name) for name in node.input)
        if first is not None and second is not None and "int" in self.stored[first].dtype:
            self.origin[node.output[0]] = first
            return True
        if self.measured & set(node.input):
            self.measured.update(node.output)
            return True
        return False

    def add_sparse(self, tensor: onnx.SparseTensorProto) -> None:
        values = numpy_helper.to_array(tensor.values)
        dims = tuple(int(d) for d in tensor.dims)
        self._add(tensor.values.name, str(values.dtype), dims, prod(dims) - int(np.count_nonzero(values)))

    def _add(self, name: str, dtype: str, dims: Shape, zeros: int) -> None:
        is_bias = len(dims) < 2 or (len(dims) == 3 and dims[1:] == (1, 1))
        self.stored[name] = WeightFact(
            name, dtype, prod(dims), prod(dims) - zeros, is_bias=is_bias, is_indices=name in self.tables
        )
        self.shapes[name] = dims
        self.origin[name] = name


def read_onnx_file(path: Path, sizes: Sequence[int] | None = None) -> FileFacts:
    """The facts of an ONNX file.

    Args:
        path: the file.
        sizes: of an input without the batch, where the file leaves some of them open.

    Raises:
        ExportError: the file, or a data file it names, cannot be read as ONNX.
    """
    try:
        model = onnx.load(path, load_external_data=False)
        num_bytes = path.stat().st_size + sum(p.stat().st_size for p in data_files(path.parent, model))
        onnx.external_data_helper.load_external_data_for_model(model, str(path.parent))
        if not model.graph.node or not model.opset_import:
            raise ExportError(f"{path} is not an ONNX model: it holds no operators")
        if model.functions:
            from onnx.inliner import inline_local_functions

            model = inline_local_functions(model)
        return _facts(path, model, num_bytes, sizes)
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


def _facts(path: Path, model: ModelProto, num_bytes: int, sizes: Sequence[int] | None) -> FileFacts:
    graphs = list(graphs_of(model.graph))
    nodes = [node for graph in graphs for node in graph.node]
    constants = _take_constants(graphs)
    known = set(constants.stored)
    inputs = tuple(tensor_fact(value) for value in model.graph.input if value.name not in known)
    outputs = tuple(tensor_fact(value) for value in model.graph.output)
    for value in model.graph.input:
        fill_open(value, sizes or ())
    weights = _weights(nodes, constants)
    kernels = {name: constants.stored[origin] for name, origin in constants.origin.items()}
    count = MacCount.of(count_macs(model, nodes, constants.shapes, kernels))
    return FileFacts(
        path=path,
        format="onnx",
        num_bytes=num_bytes,
        params=sum(w.size for w in weights),
        nonzero_params=sum(w.nonzero for w in weights),
        macs=count.macs,
        effective_macs=count.effective_macs,
        inputs=inputs,
        outputs=outputs,
        operators=dict(Counter(_label(node) for node in nodes).most_common()),
        weight_dtypes=dtype_totals(weights),
        float_weights=float_weights(weights),
        precision=precision_label(weights, _arithmetic(nodes, constants), on_grids=_quantizes(nodes)),
        normalization=_normalization(model),
        macs_unknown=count.unknown,
    )


def _normalization(model: ModelProto) -> Normalization | None:
    said = next((entry.value for entry in model.metadata_props if entry.key == METADATA_KEY), "")
    return normalization_from(said)


def _quantizes(nodes: Sequence[NodeProto]) -> bool:
    return any(node.op_type == "QuantizeLinear" for node in nodes)


def _label(node: NodeProto) -> str:
    kind = text(node.op_type)
    return kind if is_standard(node) else f"{text(node.domain)}.{kind}"


def _take_constants(graphs: list[GraphProto]) -> _Constants:
    """Note every stored tensor, and drop the bytes of the large ones: shape inference copies the model."""
    stored = {t.name: t for graph in graphs for t in graph.initializer}
    nodes = [node for graph in graphs for node in graph.node]
    for node in nodes:
        if node.op_type == "Constant" and is_standard(node):
            for value in (a.t for a in node.attribute if a.name == "value"):
                stored[node.output[0]] = value
    constants = _Constants(tables=_tables(nodes, stored))
    zero_points = _zero_points(nodes, stored)
    for name, tensor in stored.items():
        constants.add(name, tensor, zero_points.get(name))
    for graph in graphs:
        for sparse in graph.sparse_initializer:
            constants.add_sparse(sparse)
        _drop_large(graph)
    return constants


def _tables(nodes: list[NodeProto], stored: dict[str, TensorProto]) -> dict[str, NDArray[Any]]:
    """The table of values that a stored tensor of indices picks from, by name of the indices."""
    cast = {node.output[0]: node.input[0] for node in nodes if node.op_type == "Cast"}
    found = {}
    for node in (node for node in nodes if node.op_type == "Gather" and is_standard(node)):
        indices = cast.get(node.input[1], node.input[1])
        if node.input[0] in stored and indices in stored and len(stored[indices].dims) > 1:
            table = numpy_helper.to_array(stored[node.input[0]])
            if table.ndim == 1 and table.dtype.kind == "f":
                found[indices] = table
    return found


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
        constants.measured.update(measured(node, constants.measured))
        folded = constants.scales(node) or constants.picks(node)
        for position, name in enumerate([] if folded else node.input):
            if name not in constants.origin or position in SETTINGS.get(node.op_type, set()):
                continue
            if position == 0 and node.op_type in FORWARDS:
                for output in node.output:
                    constants.origin[output] = constants.origin[name]
                if node.op_type == "DequantizeLinear" or name in constants.dequantized:
                    constants.dequantized.update(node.output)
                continue
            stored = constants.stored[constants.origin[name]]
            is_bias = node.op_type == "Add" and not constants.measured.isdisjoint(node.input)
            if is_bias or _is_parameter(node, position, stored, dequantized=name in constants.dequantized):
                found[stored.name] = stored
    return list(found.values())


def _is_parameter(node: NodeProto, position: int, stored: WeightFact, *, dequantized: bool) -> bool:
    if stored.is_indices:
        return True
    if stored.dtype in NEVER_PARAMS:
        return False
    if stored.dtype in ("int32", "uint32") and not dequantized:
        return INTEGER_BIAS.get(node.op_type) == position
    # 0.5 in a hard sigmoid is part of the operation; a bias of one channel is learned.
    return stored.size > 1 or node.op_type in WEIGHTED


def _arithmetic(nodes: list[NodeProto], constants: _Constants) -> set[Arithmetic]:
    """What the weighted operations compute in; a float operator in QDQ form computes in integers."""
    makers = {out: node.op_type for node in nodes for out in node.output}
    found: set[Arithmetic] = set()
    for node in nodes:
        if node.op_type in INTEGER:
            dynamic = makers.get(node.input[0]) in INTEGERS_AT_RUN_TIME
            found.add("dynamic" if dynamic else "integer")
        elif node.op_type in FACTORS:
            activations = [name for name in node.input[:2] if name not in constants.origin]
            in_qdq = all(makers.get(name) == "DequantizeLinear" for name in activations)
            found.add("integer" if in_qdq else "float")
    return found
