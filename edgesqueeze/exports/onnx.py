"""ONNX files in every precision, run by ONNX Runtime."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edgesqueeze.exports.base import (
    Artifact,
    BatchSetting,
    Export,
    InputType,
    check_one_image,
    model_file_name,
    write_artifact,
)
from edgesqueeze.formats.names import Batch, FileFormat, Precision
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.measure.runtimes.predictor import Predictor
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.integers.int4 import int4_weights
from edgesqueeze.network.integers.pixels import check_pixel_input, with_pixel_input
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.network.integers.weight_only import check_form, int8_weights


class OnnxExport(Export):
    """``model.onnx``, ``model_int8.onnx`` and so on; they take float32, or pixels, and give float32."""

    export: Literal["onnx"] = "onnx"
    precision: Annotated[tuple[Precision, ...], Field(min_length=1)] = ("fp32",)
    int8_form: Literal["qdq", "qoperator"] = "qdq"
    """How int8 is written: pairs of QuantizeLinear and DequantizeLinear (uint8 activations), or integer
    operators, in ``model_int8_qoperator.onnx``. The integers are the same."""
    input: InputType = "float32"
    """What the int8 file takes: with uint8 pixels 0 to 255, the data's mean and std being inside."""
    batch: BatchSetting | None = None
    """How many inputs a file takes at once: a number, or ``open`` for any. By default open, but 1 for
    ``dynamic``, where it costs speed. Every input is answered as if it were alone."""
    detections: bool = False
    """Of a detector, write beside each file one that finds boxes itself: ``model_int8_detections.onnx``.
    It takes one image at a time."""

    @model_validator(mode="after")
    def _every_setting_counts(self) -> Self:
        if self.int8_form != "qdq" and "int8" not in self.precision:
            raise ValueError("int8_form needs int8 among the precisions")
        if self.input != "float32" and "int8" not in self.precision:
            raise ValueError("input: uint8 needs int8 among the precisions")
        check_one_image(self.batch, detections=self.detections)
        return self

    @property
    def pixel_file(self) -> str | None:
        """See :class:`Export`."""
        return model_file_name(self._name("int8"), FileFormat.ONNX) if self.input == "uint8" else None

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """The precisions that are written."""
        return self.precision

    @property
    def finds_boxes(self) -> bool:
        """See :class:`Export`."""
        return self.detections

    def apart(self) -> tuple[Export, ...]:
        """One for every precision."""
        return tuple(self.model_copy(update={"precision": (precision,)}) for precision in self.precision)

    def check(self, graph: Graph) -> None:
        """Not every network has something to quantize at run time, or takes pixels."""
        if self.input == "uint8":
            check_pixel_input(graph)
        if "dynamic" in self.precision:
            check_form(graph, "dynamic")

    def write(self, graph: Graph, spec: QuantSpec | None, directory: Path) -> list[Artifact]:
        """Write one file per precision."""
        return [
            write_artifact(
                directory / model_file_name(self._name(precision), FileFormat.ONNX),
                self._bytes(graph, spec, precision),
                FileFormat.ONNX,
                precision,
            )
            for precision in self.precision
        ]

    def load(self, artifact: Artifact, threads: int) -> Predictor:
        """Load a file into ONNX Runtime."""
        return load_onnx(artifact.path, threads)

    def batch_of(self, precision: Precision) -> Batch:
        """How many inputs the file of a precision takes at once."""
        if self.batch is not None:
            return self.batch
        return 1 if precision == "dynamic" else "open"

    def _name(self, precision: Precision) -> str:
        return "int8_qoperator" if (precision, self.int8_form) == ("int8", "qoperator") else precision

    def _bytes(self, graph: Graph, spec: QuantSpec | None, precision: Precision) -> bytes:
        from edgesqueeze.formats.onnx.writing.codebook import emit_onnx_codebook
        from edgesqueeze.formats.onnx.writing.emit import emit_onnx, emit_onnx_weights
        from edgesqueeze.formats.onnx.writing.int4 import emit_onnx_int4
        from edgesqueeze.formats.onnx.writing.qoperator import emit_onnx_qoperator

        batch = self.batch_of(precision)
        if precision == "fp32":
            return emit_onnx(graph, None, batch)
        if precision == "codebook":
            return emit_onnx_codebook(graph, batch)
        if precision == "int4":
            return emit_onnx_int4(graph, int4_weights(graph, spec), batch)
        if precision != "int8":
            return emit_onnx_weights(graph, precision, int8_weights(graph, spec), batch)
        if self.input == "uint8" and spec is not None:
            graph, spec = with_pixel_input(graph, spec)
        if self.int8_form == "qoperator" and spec is not None:
            return emit_onnx_qoperator(graph, spec, batch)
        return emit_onnx(graph, spec, batch)
