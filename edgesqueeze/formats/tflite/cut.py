"""A TFLite file of ours, parsed so that it can be cut after any node: see ``formats.cuttable``."""

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgesqueeze.formats.cuttable import Order
from edgesqueeze.formats.tflite.flatbuffer import AlignedBuffer
from edgesqueeze.formats.tflite.order import IN_PLACE

_FILE_ID = b"TFL3"
# Operators whose output values have an order of their own, whatever the order of their input.
_MIXING = {
    schema.BuiltinOperator.CONV_2D,
    schema.BuiltinOperator.FULLY_CONNECTED,
    schema.BuiltinOperator.MEAN,
}


class TfliteFile:
    """A TFLite file of ours; ``graph`` is its one subgraph."""

    def __init__(self, path: Path) -> None:
        self.model: Any = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
        self.graph: Any = self.model.subgraphs[0]
        self.makers = {int(out): op for op in self.graph.operators for out in op.outputs}
        self.indices = {tensor.name.decode(): i for i, tensor in enumerate(self.graph.tensors)}
        computed = {name: index for name, index in self.indices.items() if index in self.makers}
        integers = {name: i for name, i in computed.items() if self._is_int8(i)}
        # The float tensors of an int8 file are inside of nodes.
        self.names = tuple(integers or computed)
        ends = [end for signature in self.model.signatureDefs or [] for end in signature.outputs]
        self.results = {end.name.decode(): self._result(int(end.tensorIndex)) for end in ends}

    def _result(self, index: int) -> str:
        """The node whose tensor an output is; behind an int8 one may stand a DEQUANTIZE."""
        maker = self.makers.get(index)
        if maker is not None and self.code(maker) == schema.BuiltinOperator.DEQUANTIZE:
            index = int(maker.inputs[0])
        return str(self.graph.tensors[index].name.decode())

    def _is_int8(self, index: int) -> bool:
        return bool(self.graph.tensors[index].type == schema.TensorType.INT8)

    def code(self, operator: Any) -> int:
        """The built-in code of an operator."""
        return int(self.model.operatorCodes[operator.opcodeIndex].builtinCode)

    def shape(self, index: int) -> tuple[int, ...]:
        """The shape of a tensor."""
        return tuple(int(n) for n in self.graph.tensors[index].shape)

    def cut(self, name: str) -> bytes:
        """A file that computes one node and nothing behind it."""
        return self.watched([name])

    def watched(self, names: Sequence[str]) -> bytes:
        """A file that computes these nodes, which are its outputs, and what they need."""
        ends = [self.indices[name] for name in names]
        operators, buffers = self._needed(ends)
        graph, model = schema.SubGraphT(), schema.ModelT()
        graph.name, graph.tensors, graph.operators = self.graph.name, self.graph.tensors, operators
        graph.inputs, graph.outputs = self.graph.inputs, np.array(ends, np.int32)
        model.version, model.operatorCodes = self.model.version, self.model.operatorCodes
        model.description = self.model.description
        model.subgraphs, model.buffers = [graph], buffers
        return pack_tflite(model)

    def _needed(self, ends: Sequence[int]) -> tuple[Sequence[Any], list[Any]]:
        """The operators that tensors depend on, and all buffers with those they do not read emptied."""
        kept, open_tensors, read = set(), list(ends), set()
        while open_tensors:
            operator = self.makers.get(open_tensors.pop())
            if operator is not None and id(operator) not in kept:
                kept.add(id(operator))
                inputs = [int(i) for i in operator.inputs if i >= 0]
                read |= {int(self.graph.tensors[i].buffer) for i in inputs}
                open_tensors += inputs
        operators = [op for op in self.graph.operators if id(op) in kept]
        buffers = [
            AlignedBuffer(np.asarray(buffer.data, np.uint8))
            if i in read and buffer.data is not None
            else schema.BufferT()
            for i, buffer in enumerate(self.model.buffers)
        ]
        return operators, buffers

    def order(self, name: str) -> Order | None:
        """How a flattened tensor is ordered, None if as in the graph.

        TFLite flattens a map in H, W, C order. What follows value by value keeps that order.
        """
        index = self.indices[name]
        features = self.shape(index)[-1]
        if len(self.shape(index)) != 2:
            return None
        while index in self.makers:
            operator, flat = self.makers[index], len(self.shape(index)) == 2
            if self._stays_in_place(operator):
                return None
            index, code = int(operator.inputs[0]), self.code(operator)
            shape = self.shape(index)
            is_map = len(shape) == 4 and prod(shape[1:3]) > 1
            if code == schema.BuiltinOperator.RESHAPE and is_map and flat:
                places = np.arange(features).reshape(shape[3], *shape[1:3])
                return places.transpose(1, 2, 0).ravel()
            # The channels of a map (before a pool, within a channel shuffle) are in the graph's order.
            if code in _MIXING or is_map or shape[-1] != features:
                return None
        return None

    def _stays_in_place(self, operator: Any) -> bool:
        """Whether a reshape gives what the graph has in this very order, a flattened map of Keras's say."""
        named = len(operator.inputs) > 1 and self.code(operator) == schema.BuiltinOperator.RESHAPE
        return named and self.graph.tensors[int(operator.inputs[1])].name.decode().endswith(IN_PLACE)


def pack_tflite(model: Any) -> bytes:
    """The bytes of a model of the generated schema."""
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), _FILE_ID)
    return bytes(builder.Output())
