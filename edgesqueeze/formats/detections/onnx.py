"""An ONNX detector with NonMaxSuppression behind it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgesqueeze.formats.detections.sides import FOUND, check_ends, sides_of
from edgesqueeze.numerics.boxes import BoxDecoding

_SUFFIX = "/found"


def onnx_with_detections(data: bytes, decoding: BoxDecoding) -> bytes:
    """The bytes of a file that does what ``decoding`` says to the outputs of another.

    Raises:
        ExportError: the file's outputs are not those of such a detector.
    """
    model: ModelProto = onnx.load_model_from_string(data)
    _close(model)
    ends = {end.name: [d.dim_value for d in end.type.tensor_type.shape.dim] for end in model.graph.output}
    check_ends(list(ends), ends, decoding)
    added = _Suppression(model, decoding)
    added.write()
    return bytes(model.SerializeToString(deterministic=True))


def _close(model: ModelProto) -> None:
    """Make an open batch 1: boxes of several images would go into one list."""
    for end in (*model.graph.input, *model.graph.output):
        first = end.type.tensor_type.shape.dim[0]
        if first.HasField("dim_param"):
            first.dim_value = 1


@dataclass
class _Suppression:
    """The operators behind a detector, appended one by one."""

    model: ModelProto
    decoding: BoxDecoding
    stored: set[str] = field(default_factory=set)

    def write(self) -> None:
        self._rename({name: f"raw_{name}" for name in ("boxes", "scores")})
        sides, scores = self._sides(), self._op("Sigmoid", ["raw_scores"], "shares")
        by_class = self._op("Transpose", [scores], "by_class", perm=[0, 2, 1])
        chosen = self._op(
            "NonMaxSuppression",
            [
                sides,
                by_class,
                self._constant("most", np.array([self.decoding.max_detections], np.int64)),
                self._constant("iou", np.array([self.decoding.iou_threshold], np.float32)),
                self._constant("lowest", np.array([self.decoding.score_threshold], np.float32)),
            ],
            "chosen",
        )
        batch, label, place = (self._column(chosen, column) for column in range(3))
        pairs = self._op("Concat", [batch, place], "pairs", axis=1)
        triples = self._op("Concat", [batch, place, label], "triples", axis=1)
        last = self._constant("last", np.array([1], np.int64))
        label = self._op("Squeeze", [label, last], "kept_places")
        self._best(
            self._op("GatherND", [sides, pairs], "kept_boxes"),
            self._op("GatherND", [scores, triples], "kept_scores"),
            self._op("Cast", [label], "kept_labels", to=int(TensorProto.FLOAT)),
        )

    def _rename(self, names: dict[str, str]) -> None:
        """Give tensors other names."""
        for node in self.model.graph.node:
            for ends in (node.input, node.output):
                ends[:] = [names.get(name, name) for name in ends]

    def _sides(self) -> str:
        """Sides of all boxes, cut off at the image, [1, A, 4]."""
        sides = sides_of(self.decoding)
        reach = self._op("Mul", ["raw_boxes", self._constant("factor", sides.factor)], "reach")
        free = self._op("Add", [reach, self._constant("offset", sides.offset)], "free")
        above = self._op("Max", [free, self._constant("zero", np.zeros(4, np.float32))], "above")
        return self._op("Min", [above, self._constant("limit", sides.limit)], "sides")

    def _column(self, chosen: str, place: int) -> str:
        """One of batch, class and place of what was chosen, [M, 1]."""
        number = self._constant(f"column_{place}", np.array([place], np.int64))
        return self._op("Gather", [chosen, number], f"chosen_{place}", axis=1)

    def _best(self, sides: str, shares: str, labels: str) -> None:
        """The best of all classes, and zeros behind them."""
        most = self.decoding.max_detections
        padded = {
            "boxes": (sides, np.zeros((most, 4), np.float32)),
            "scores": (shares, np.zeros(most, np.float32)),
            "labels": (labels, np.zeros(most, np.float32)),
        }
        whole = {
            name: self._op("Concat", [value, self._constant(f"no_{name}", zeros)], f"all_{name}", axis=0)
            for name, (value, zeros) in padded.items()
        }
        count = self._constant("count_most", np.array([most], np.int64))
        best, order = f"best{_SUFFIX}", f"order{_SUFFIX}"
        node = helper.make_node("TopK", [whole["scores"], count], [best, order], name=best, axis=0)
        self.model.graph.node.append(node)
        front = self._constant("front", np.array([0], np.int64))
        found = self._op("Greater", [best, self._constant("nothing", np.array(0, np.float32))], "is_found")
        total = self._op("Cast", [found], "one_each", to=int(TensorProto.FLOAT))
        for name in ("boxes", "labels"):
            chosen = self._op("Gather", [whole[name], order], f"best_{name}", axis=0)
            self._op("Unsqueeze", [chosen, front], name, end=True)
        self._op("Unsqueeze", [best, front], "scores", end=True)
        self._op("ReduceSum", [total, front], "count", end=True)
        shapes = {"boxes": [1, most, 4], "scores": [1, most], "labels": [1, most], "count": [1]}
        del self.model.graph.output[:]
        self.model.graph.output.extend(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in FOUND
        )

    def _op(self, kind: str, inputs: list[str], name: str, *, end: bool = False, **attributes: object) -> str:
        output = name if end else f"{name}{_SUFFIX}"
        self.model.graph.node.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def _constant(self, name: str, values: NDArray[Any]) -> str:
        stored = f"{name}{_SUFFIX}"
        if stored not in self.stored:
            self.stored.add(stored)
            self.model.graph.initializer.append(numpy_helper.from_array(values, stored))
        return stored
