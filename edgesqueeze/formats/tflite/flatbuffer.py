"""A TFLite model under construction: tensors, buffers and operators, then the bytes.

Only the schema that ships with LiteRT and the flatbuffers library are used. Nothing here knows a network.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgesqueeze.network.graph.nodes import Floats
from edgesqueeze.normalization import Normalization, normalization_from

Generated = Any
"""An object of a class that flatc generated; those carry no types."""

_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int32": schema.TensorType.INT32,
}
_FILE_ID = b"TFL3"
_SCHEMA_VERSION = 3
_WRITER = "edgesqueeze"
_ALIGNMENT = 16


@dataclass(frozen=True, eq=False)
class Quantization:
    """Grid of a tensor: float32 scales, int64 zero points (as many), and the axis they run along."""

    scale: Floats
    zero_point: NDArray[np.int64]
    axis: int = 0


def description(normalization: Normalization | None) -> str:
    """What a file says of itself: who wrote it and, if that is known, how pixels become its input."""
    return _WRITER if normalization is None else f"{_WRITER} {normalization.text()}"


def described_normalization(text: str) -> Normalization | None:
    """How pixels become a file's input, from its description; None if it does not say."""
    return normalization_from(text.removeprefix(f"{_WRITER} "))


class AlignedBuffer:
    """Bytes of a constant, packed at a 16-byte boundary as the schema demands.

    The generated ``BufferT`` aligns to one byte, so this stands in for it: same fields, same method.
    """

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = values

    def Pack(self, builder: Generated) -> Generated:  # noqa: N802 - the generated code calls it by this name
        """Write the vector, then the table that points at it."""
        size = self.values.nbytes
        builder.StartVector(1, size, _ALIGNMENT)
        builder.head -= size
        builder.Bytes[builder.head : builder.head + size] = self.values.reshape(-1).view(np.uint8).data
        data = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


class _Grid:
    """Quantization parameters; vectors of zero points that are equal are stored once per file.

    Stands in for ``QuantizationParametersT``, which would write one per tensor: 5 % of a small network.
    """

    def __init__(self, quantization: Quantization, stored: dict[bytes, Generated]) -> None:
        self.quantization = quantization
        self.stored = stored

    def Pack(self, builder: Generated) -> Generated:  # noqa: N802 - as above
        """Write the vectors, then the table that points at them."""
        grid, key = self.quantization, self.quantization.zero_point.tobytes()
        scale = builder.CreateNumpyVector(grid.scale)
        if key not in self.stored:
            self.stored[key] = builder.CreateNumpyVector(grid.zero_point)
        schema.QuantizationParametersStart(builder)
        schema.QuantizationParametersAddScale(builder, scale)
        schema.QuantizationParametersAddZeroPoint(builder, self.stored[key])
        schema.QuantizationParametersAddQuantizedDimension(builder, grid.axis)
        return schema.QuantizationParametersEnd(builder)


class FlatModel:
    """One subgraph, filled operator by operator in execution order."""

    def __init__(self) -> None:
        self._buffers: list[Generated] = [schema.BufferT()]  # buffer 0 is the empty one, by convention
        self._tensors: list[Generated] = []
        self._operators: list[Generated] = []
        self._codes: dict[tuple[int, int], Generated] = {}
        self._zero_points: dict[bytes, Generated] = {}
        self._data_bytes = 0

    def tensor(
        self, name: str, shape: tuple[int, ...], dtype: str, quantization: Quantization | None = None
    ) -> int:
        """Add a tensor that an operator computes (or an input); its index."""
        tensor = schema.TensorT()
        tensor.name = name
        tensor.shape = np.array(shape, np.int32)
        tensor.type = _TYPES[dtype]
        tensor.buffer = 0
        if quantization is not None:
            tensor.quantization = _Grid(quantization, self._zero_points)
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def constant(self, name: str, values: NDArray[Any], quantization: Quantization | None = None) -> int:
        """Add a tensor with stored values (little-endian, C order); its index."""
        values = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))
        index = self.tensor(name, values.shape, values.dtype.name, quantization)
        self._buffers.append(AlignedBuffer(values))
        self._data_bytes += values.nbytes
        self._tensors[index].buffer = len(self._buffers) - 1
        return index

    def float_form(self, index: int) -> int:
        """Add a computed float32 tensor named after another one, of its shape; its index."""
        like = self._tensors[index]
        return self.tensor(f"{like.name}/float", tuple(like.shape), "float32")

    def uint8_form(self, index: int, quantization: Quantization) -> int:
        """Likewise a uint8 tensor on a grid; its index."""
        like = self._tensors[index]
        return self.tensor(f"{like.name}/uint8", tuple(like.shape), "uint8", quantization)

    def shape(self, index: int) -> tuple[int, ...]:
        """The shape of a tensor."""
        return tuple(int(n) for n in self._tensors[index].shape)

    def operator(self, code: int, version: int, inputs: list[int], output: int, options: Generated) -> None:
        """Add one operation with its built-in options object (named after its class)."""
        if (code, version) not in self._codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.version = code, version
            entry.deprecatedBuiltinCode = min(code, 127)
            self._codes[code, version] = entry
        operator = schema.OperatorT()
        operator.opcodeIndex = list(self._codes).index((code, version))
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array([output], np.int32)
        if options is not None:
            operator.builtinOptions = options
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        self._operators.append(operator)

    def pack(
        self,
        sources: Mapping[str, int],
        results: Mapping[str, int],
        normalization: Normalization | None = None,
        change: Callable[[Generated], None] | None = None,
    ) -> bytes:
        """The file, with one signature that names the tensors of inputs and outputs.

        Args:
            sources: input name to tensor.
            results: output name to tensor.
            normalization: said in the description, see :func:`description`.
            change: what is to be done to the whole file, an object of the schema, before it becomes bytes.
        """
        self._zero_points.clear()  # they are offsets in one file
        model = self._model(sources, results)
        model.description = description(normalization)
        if change is not None:
            change(model)
        # Room for the constants from the start: the library grows by doubling and copying.
        builder = flatbuffers.Builder(self._data_bytes + 64 * len(self._buffers) + (1 << 20))
        builder.Finish(model.Pack(builder), _FILE_ID)
        return bytes(builder.Output())

    def _model(self, sources: Mapping[str, int], results: Mapping[str, int]) -> Generated:
        graph = schema.SubGraphT()
        graph.name = "main"
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs = (np.array(list(ends.values()), np.int32) for ends in (sources, results))
        signature = schema.SignatureDefT()
        signature.signatureKey = "serving_default"
        signature.inputs, signature.outputs = (
            [_ending(name, tensor) for name, tensor in ends.items()] for ends in (sources, results)
        )
        model = schema.ModelT()
        model.version = _SCHEMA_VERSION
        model.operatorCodes = list(self._codes.values())
        model.subgraphs = [graph]
        model.buffers = self._buffers
        model.signatureDefs = [signature]
        return model


def _ending(name: str, tensor: int) -> Generated:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, tensor
    return entry
