"""Facts of a TFLite file, read from its flatbuffer."""

import struct
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgesqueeze.errors import ExportError
from edgesqueeze.formats.facts import (
    Arithmetic,
    FileFacts,
    MacCount,
    Macs,
    TensorFact,
    WeightFact,
    dtype_totals,
    effective,
    float_weights,
    precision_label,
)
from edgesqueeze.formats.tflite.flatbuffer import described_normalization

Shape = tuple[int, ...]
Table = Any
"""An object of the generated schema, which carries no types."""


def _names(enum: type) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}


_OPERATORS = _names(schema.BuiltinOperator)
_TYPES = {value: name.lower() for value, name in _names(schema.TensorType).items()}
# Where an operator's activation, weight and bias are among its inputs; -1 where it has none.
_ROLES = {
    "CONV_2D": (0, 1, 2),
    "CONV_3D": (0, 1, 2),
    "DEPTHWISE_CONV_2D": (0, 1, 2),
    "FULLY_CONNECTED": (0, 1, 2),
    "TRANSPOSE_CONV": (2, 1, 3),
    "BATCH_MATMUL": (0, 1, -1),
}
# Operators through which a constant stays the same parameters in another form.
_FORWARDS = {"CAST", "DENSIFY", "DEQUANTIZE", "EXPAND_DIMS", "QUANTIZE", "RESHAPE", "SQUEEZE", "TRANSPOSE"}
_UNCOUNTED = {
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    "BIDIRECTIONAL_SEQUENCE_RNN",
    "CALL",
    "CONV_3D_TRANSPOSE",
    "CUSTOM",
    "DELEGATE",
    "IF",
    "LSTM",
    "RFFT2D",
    "RNN",
    "SVDF",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
    "WHILE",
}
_PARAMETER_TYPES = {"float32", "float16", "float64", "bfloat16", "int8", "uint8", "int4", "uint4", "int16"}
_FLOATS = {"float32", "float16", "float64", "bfloat16"}
_VALUE_TYPES = {"bfloat16": np.uint16, "bool": np.bool_}  # zero is all bits zero in both
_BROKEN = (
    struct.error,
    IndexError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
)
"""What Python's flatbuffers and numpy raise when an offset or a length in a file is wrong."""


def read_tflite_file(path: Path) -> FileFacts:
    """The facts of a TFLite file.

    Raises:
        ExportError: the bytes are not those of a TFLite file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror}") from error
    if data[4:8] != b"TFL3":
        raise ExportError(f"{path} is not a TFLite model: bytes 4 to 8 are {data[4:8]!r}, not b'TFL3'")
    try:
        return _facts(path, data)
    except _BROKEN as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ExportError(
            f"{path} is damaged or cut short, TFLite's layout does not hold: {reason}"
        ) from error


def _facts(path: Path, data: bytes) -> FileFacts:
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    graphs = [_Subgraph(model, graph, data) for graph in model.subgraphs]
    weights = [weight for graph in graphs for weight in graph.weights.values()]
    main = graphs[0]
    count = MacCount.of([part for graph in graphs for part in graph.macs()])
    operators = Counter(name for graph in graphs for name in graph.operators)
    return FileFacts(
        path=path,
        format="tflite",
        num_bytes=len(data),
        params=sum(w.size for w in weights),
        nonzero_params=sum(w.nonzero for w in weights),
        macs=count.macs,
        effective_macs=count.effective_macs,
        inputs=tuple(main.tensor_fact(int(i), _signature_names(model)) for i in main.graph.inputs),
        outputs=tuple(main.tensor_fact(int(i)) for i in main.graph.outputs),
        operators=dict(operators.most_common()),
        weight_dtypes=dtype_totals(weights),
        float_weights=float_weights(weights),
        precision=precision_label(
            weights,
            {kind for graph in graphs for kind in graph.arithmetic()},
            on_grids=main.tensor_fact(int(main.graph.inputs[0])).dtype in ("int8", "uint8"),
        ),
        normalization=described_normalization((model.description or b"").decode(errors="replace")),
        macs_unknown=count.unknown,
    )


def _signature_names(model: Table) -> dict[int, str]:
    """Tensor to the name of the input that it is, in a model of one signature."""
    signatures = model.signatureDefs or []
    ends = (signatures[0].inputs or []) if len(signatures) == 1 else []
    return {int(end.tensorIndex): end.name.decode() for end in ends}


class _Subgraph:
    """One subgraph: its operators by name, and its constant tensors by index."""

    def __init__(self, model: Table, graph: Table, data: bytes) -> None:
        self.graph = graph
        self.data = data
        self.buffers = model.buffers
        codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
        self.operators = [_OPERATORS[codes[op.opcodeIndex]] for op in graph.operators or []]
        self.calls = list(zip(self.operators, graph.operators or [], strict=True))
        # A form of a constant leads back to the constant itself.
        self.origin = {i: i for i in range(len(graph.tensors)) if self._stored_bytes(i) is not None}
        for name, op in self.calls:
            if name in _FORWARDS and int(op.inputs[0]) in self.origin:
                self.origin.update({int(out): self.origin[int(op.inputs[0])] for out in op.outputs})

    def _stored_bytes(self, index: int) -> NDArray[np.uint8] | None:
        buffer = self.buffers[self.graph.tensors[index].buffer]
        if buffer.data is not None and len(buffer.data):
            return np.asarray(buffer.data, np.uint8)
        if buffer.offset > 1:  # files beyond 2 GB keep their tensors behind the flatbuffer
            if buffer.offset + buffer.size > len(self.data):
                raise ValueError("a tensor lies beyond the end of the file")
            return np.frombuffer(self.data, np.uint8, buffer.size, buffer.offset)
        return None

    def tensor_fact(self, index: int, names: Mapping[int, str] | None = None) -> TensorFact:
        """An input or output; ``names`` are those of a signature, where it has some."""
        tensor = self.graph.tensors[index]
        shape = self._signature(index)
        dims = tuple(None if d < 0 else d for d in shape)
        name = (names or {}).get(index) or (tensor.name.decode() if tensor.name else "")
        return TensorFact(name, dims, _TYPES[tensor.type], *_grid(tensor))

    def _signature(self, index: int) -> Shape:
        """The shape, with -1 where it is only known at run time."""
        tensor = self.graph.tensors[index]
        signature = tensor.shapeSignature
        shape = tensor.shape if signature is None or not len(signature) else signature
        return tuple(int(d) for d in (shape if shape is not None else ()))

    def _shape(self, index: int) -> Shape | None:
        """The shape with a dynamic batch taken as 1, None if more than the batch is dynamic."""
        shape = self._signature(index)
        if any(d < 0 for d in shape[1:]):
            return None
        return tuple(1 if d < 0 else d for d in shape)

    @cached_property
    def weights(self) -> dict[int, WeightFact]:
        """The constant tensors that are parameters by index, each once however often it is used."""
        found: dict[int, WeightFact] = {}
        for name, op in self.calls:
            for position, index in enumerate(int(i) for i in op.inputs):
                if index not in self.origin or (position == 0 and name in _FORWARDS):
                    continue
                stored = self.origin[index]
                if stored not in found and self._is_parameter(name, position, stored):
                    found[stored] = self._weight_fact(stored)
        return found

    def _is_parameter(self, name: str, position: int, stored: int) -> bool:
        roles = _ROLES.get(name)
        if roles is not None and position in roles:
            return True
        dtype = _TYPES[self.graph.tensors[stored].type]
        # 0.5 in a hard sigmoid, or the value of a padding, is part of the operation.
        return dtype in _PARAMETER_TYPES and prod(self._signature(stored)) > 1

    def _weight_fact(self, index: int) -> WeightFact:
        tensor = self.graph.tensors[index]
        dtype, shape = _TYPES[tensor.type], self._signature(index)
        size = prod(shape)
        raw = self._stored_bytes(index)
        if raw is None:
            raise ValueError(f"tensor {index} has no values")
        if dtype in ("int4", "uint4"):
            values = np.stack([raw & 15, raw >> 4], axis=1).reshape(-1)[:size]
        else:
            values = raw.view(_VALUE_TYPES.get(dtype) or np.dtype(dtype))
        if tensor.sparsity is None and values.size != size:
            raise ValueError(f"tensor {index} of shape {shape} holds {values.size} values")
        if tensor.sparsity is None:
            values = values.reshape(shape)
        nonzero = int(np.count_nonzero(values if dtype in _FLOATS else values != _zero_point(tensor)))
        name = tensor.name.decode() if tensor.name else str(index)
        squeezed = [d for d in shape if d != 1]
        return WeightFact(name, dtype, size, nonzero, is_bias=len(squeezed) < 2)

    def arithmetic(self) -> set[Arithmetic]:
        """What the weighted operations compute in. float32 next to int8 is quantized at run time."""
        found: set[Arithmetic] = set()
        for name, op in self.calls:
            if name in _ROLES:
                activation, weight = (
                    _TYPES[self.graph.tensors[int(op.inputs[role])].type].startswith(("int", "uint"))
                    for role in _ROLES[name][:2]
                )
                found.add("integer" if activation else "dynamic" if weight else "float")
        return found

    def macs(self) -> list[Macs | str]:
        """Of every operator, its multiply-accumulates and those on non-zero weights, or why not."""
        counted: list[Macs | str] = []
        for name, op in self.calls:
            if name in _UNCOUNTED or name.startswith("STABLEHLO_"):
                counted.append(f"the work of operator {name} is not known")
            elif name in _ROLES:
                activation, weight, _ = _ROLES[name]
                left = self._shape(int(op.inputs[activation]))
                right = self._shape(int(op.inputs[weight]))
                result = self._shape(int(op.outputs[0]))
                if not left or not right or not result:
                    counted.append(f"a shape of operator {name} is only known at run time")
                    continue
                macs = _operator_macs(name, op, (left, right, result))
                stored = self.origin.get(int(op.inputs[weight]))
                counted.append((macs, effective(macs, None if stored is None else self.weights[stored])))
        return counted


def _grid(tensor: Table) -> tuple[float, int] | tuple[None, None]:
    """Scale and zero point of a tensor that has one of each."""
    quantization = tensor.quantization
    parts = () if quantization is None else (quantization.scale, quantization.zeroPoint)
    if len(parts) < 2 or any(part is None or len(part) != 1 for part in parts):
        return None, None
    return float(parts[0][0]), int(parts[1][0])


def _zero_point(tensor: Table) -> NDArray[np.int64] | int:
    """The integer that means zero, in a shape that broadcasts over the tensor."""
    quantization = tensor.quantization
    if quantization is None or quantization.zeroPoint is None:
        return 0
    points = np.asarray(quantization.zeroPoint, np.int64)
    if len(points) < 2 or not points.any():
        return int(points[0]) if len(points) else 0
    axis = quantization.quantizedDimension
    return points.reshape([-1 if i == axis else 1 for i in range(len(tensor.shape))])


def _operator_macs(name: str, op: Table, shapes: tuple[Shape, Shape, Shape]) -> int:
    left, right, result = shapes
    if name == "TRANSPOSE_CONV":  # every input position meets every weight once
        return prod(left[:-1]) * prod(right)
    if name in ("CONV_2D", "DEPTHWISE_CONV_2D") and left[-1] == result[-1] == prod(right):
        return 0  # a scale per channel: its products are element-wise
    if name == "CONV_2D":  # [out, height, width, in / groups]
        return prod(result) * prod(right[1:])
    if name == "DEPTHWISE_CONV_2D":  # [1, height, width, out]
        return prod(result) * prod(right[1:3])
    if name == "CONV_3D":  # [depth, height, width, in, out]
        return prod(result) * prod(right[:4])
    if name == "FULLY_CONNECTED":  # [out, in]
        return prod(result) * right[-1]
    return prod(result) * left[-2 if op.builtinOptions is not None and op.builtinOptions.adjX else -1]
