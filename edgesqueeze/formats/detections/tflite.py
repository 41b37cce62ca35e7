"""A TFLite detector with TFLite_Detection_PostProcess behind it.

The operator takes boxes as centre and logarithm of size beside anchors. The anchors written here lie at 0 and
have size 1, so that what it decodes is the box as it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers
from numpy.typing import NDArray

from edgesqueeze.formats.detections.sides import FOUND, check_ends, sides_of
from edgesqueeze.formats.tflite.cut import pack_tflite
from edgesqueeze.formats.tflite.flatbuffer import AlignedBuffer
from edgesqueeze.numerics.boxes import BoxDecoding

_OP, _TYPE = schema.BuiltinOperator, schema.TensorType
_KINDS = {"float32": _TYPE.FLOAT32, "int32": _TYPE.INT32}
_SWAPPED = np.array([1, 0, 3, 2], np.int32)
"""From x, y to y, x, and back."""
_CUSTOM = "TFLite_Detection_PostProcess"


def tflite_with_detections(data: bytes, decoding: BoxDecoding) -> bytes:
    """The bytes of a file that does what ``decoding`` says to the outputs of another.

    Raises:
        ExportError: the file's outputs are not those of such a detector.
    """
    model: Any = schema.ModelT.InitFromPackedBuf(data, 0)
    ends = {end.name.decode(): int(end.tensorIndex) for end in model.signatureDefs[0].outputs}
    shapes = {name: [int(n) for n in model.subgraphs[0].tensors[i].shape] for name, i in ends.items()}
    for tensor in model.subgraphs[0].tensors:
        tensor.shapeSignature = None  # an open batch stays 1: boxes of several images would go into one list
    classes = check_ends(list(ends), shapes, decoding)
    model.buffers = [
        schema.BufferT() if buffer.data is None else AlignedBuffer(np.asarray(buffer.data, np.uint8))
        for buffer in model.buffers
    ]
    _Suppression(model, decoding, classes).write(ends)
    return pack_tflite(model)


@dataclass
class _Suppression:
    """The operators behind a detector, appended one by one."""

    model: Any
    decoding: BoxDecoding
    classes: int

    @property
    def graph(self) -> Any:
        return self.model.subgraphs[0]

    def write(self, ends: dict[str, int]) -> None:
        boxes, scores = (self._as_float(ends[name], name) for name in ("boxes", "scores"))
        shares = self._op(_OP.LOGISTIC, [scores], "shares", self._shape(scores))
        encoded, anchors = self._encoded(self._sides(boxes)), self._anchors()
        found = self._suppressed([encoded, shares, anchors])
        swapped = self._reordered(found[0], "boxes_found")
        results = dict(zip(FOUND, (swapped, found[2], found[1], found[3]), strict=True))
        self.graph.outputs = np.array(list(results.values()), np.int32)
        self.model.signatureDefs[0].outputs = [_ending(name, index) for name, index in results.items()]

    def _as_float(self, index: int, name: str) -> int:
        if self.graph.tensors[index].type == _TYPE.FLOAT32:
            return index
        return self._op(
            _OP.DEQUANTIZE, [index], f"{name}_float", self._shape(index), schema.DequantizeOptionsT()
        )

    def _sides(self, distances: int) -> int:
        """Sides of all boxes, cut off at the image, as y1, x1, y2, x2."""
        sides, shape = sides_of(self.decoding), self._shape(distances)
        swapped = self._reordered(distances, "swapped")
        factor, offset, limit = (array[..., _SWAPPED] for array in (sides.factor, sides.offset, sides.limit))
        reach = self._op(
            _OP.MUL, [swapped, self._constant("factor", factor)], "reach", shape, schema.MulOptionsT()
        )
        free = self._op(
            _OP.ADD, [reach, self._constant("offset", offset)], "free", shape, schema.AddOptionsT()
        )
        zero = self._constant("zero", np.zeros(4, np.float32))
        above = self._op(_OP.MAXIMUM, [free, zero], "above", shape, schema.MaximumMinimumOptionsT())
        ends = [above, self._constant("limit", limit)]
        return self._op(_OP.MINIMUM, ends, "sides", shape, schema.MaximumMinimumOptionsT())

    def _encoded(self, sides: int) -> int:
        """Centre and logarithm of size of boxes."""
        places = self._shape(sides)[1]
        shape = (1, places, 2)
        ends = []
        for side, start in (("near", 0), ("far", 2)):
            begin = self._constant(f"{side}_begin", np.array([0, 0, start], np.int32))
            size = self._constant(f"{side}_size", np.array(shape, np.int32))
            ends.append(self._op(_OP.SLICE, [sides, begin, size], side, shape, schema.SliceOptionsT()))
        total = self._op(_OP.ADD, ends, "total", shape, schema.AddOptionsT())
        half = self._constant("half", np.array(0.5, np.float32))
        centre = self._op(_OP.MUL, [total, half], "centre", shape, schema.MulOptionsT())
        extent = self._op(_OP.SUB, ends[::-1], "extent", shape, schema.SubOptionsT())
        size = self._op(_OP.LOG, [extent], "size", shape)
        options = schema.ConcatenationOptionsT()
        options.axis = 2
        return self._op(_OP.CONCATENATION, [centre, size], "encoded", (1, places, 4), options)

    def _anchors(self) -> int:
        places = len(self.decoding.places())
        return self._constant("anchors", np.tile(np.array([0, 0, 1, 1], np.float32), (places, 1)))

    def _suppressed(self, inputs: Sequence[int]) -> list[int]:
        """Boxes, labels, scores and their count, as the operator orders them."""
        most = self.decoding.max_detections
        shapes = ((1, most, 4), (1, most), (1, most), (1,))
        outputs = [self._tensor(f"suppressed_{i}", shape, "float32") for i, shape in enumerate(shapes)]
        operator = self._operator(self._custom_code(), inputs, outputs)
        operator.customOptions = np.frombuffer(self._options(), np.uint8)
        operator.customOptionsFormat = schema.CustomOptionsFormat.FLEXBUFFERS
        return outputs

    def _options(self) -> bytes:
        builder, most = flexbuffers.Builder(), self.decoding.max_detections
        with builder.Map():
            builder.Int("max_detections", most)
            builder.Int("max_classes_per_detection", 1)
            builder.Int("detections_per_class", most)
            builder.Bool("use_regular_nms", True)
            builder.Float("nms_score_threshold", self.decoding.score_threshold)
            builder.Float("nms_iou_threshold", self.decoding.iou_threshold)
            builder.Int("num_classes", self.classes)
            for side in ("y", "x", "h", "w"):
                builder.Float(f"{side}_scale", 1.0)
        return bytes(builder.Finish())

    def _reordered(self, boxes: int, name: str) -> int:
        """Boxes with x and y exchanged."""
        options = schema.GatherOptionsT()
        options.axis = 2
        return self._op(
            _OP.GATHER, [boxes, self._constant("exchange", _SWAPPED)], name, self._shape(boxes), options
        )

    # -- building blocks ---------------------------------------------------------------------------

    def _op(
        self, code: int, inputs: Sequence[int], name: str, shape: Sequence[int], options: Any = None
    ) -> int:
        output = self._tensor(name, shape, "float32")
        operator = self._operator(self._code(code), inputs, [output])
        if options is not None:
            operator.builtinOptions = options
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        return output

    def _operator(self, code: int, inputs: Sequence[int], outputs: Sequence[int]) -> Any:
        operator = schema.OperatorT()
        operator.opcodeIndex = code
        operator.inputs, operator.outputs = (np.array(ends, np.int32) for ends in (inputs, outputs))
        self.graph.operators.append(operator)
        return operator

    def _code(self, code: int) -> int:
        entry = schema.OperatorCodeT()
        entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
        return self._appended(entry)

    def _custom_code(self) -> int:
        entry = schema.OperatorCodeT()
        entry.builtinCode = entry.deprecatedBuiltinCode = _OP.CUSTOM
        entry.customCode, entry.version = _CUSTOM, 1
        return self._appended(entry)

    def _appended(self, entry: Any) -> int:
        codes = self.model.operatorCodes
        for place, known in enumerate(codes):
            if (known.builtinCode, known.version, known.customCode) == (
                entry.builtinCode,
                entry.version,
                entry.customCode,
            ):
                return place
        codes.append(entry)
        return len(codes) - 1

    def _constant(self, name: str, values: NDArray[Any]) -> int:
        index = self._tensor(name, values.shape, values.dtype.name)
        self.model.buffers.append(AlignedBuffer(np.ascontiguousarray(values)))
        self.graph.tensors[index].buffer = len(self.model.buffers) - 1
        return index

    def _tensor(self, name: str, shape: Sequence[int], kind: str) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape = f"found/{name}", np.array(shape, np.int32)
        tensor.type, tensor.buffer = _KINDS[kind], 0
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def _shape(self, index: int) -> tuple[int, ...]:
        return tuple(int(n) for n in self.graph.tensors[index].shape)


def _ending(name: str, tensor: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, tensor
    return entry
