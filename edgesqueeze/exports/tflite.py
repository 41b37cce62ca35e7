"""TFLite files in every precision, run by LiteRT."""

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
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.measure.runtimes.litert import load_tflite
from edgesqueeze.measure.runtimes.predictor import Predictor
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.integers.pixels import check_pixel_input, with_pixel_input
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.network.integers.weight_only import check_form, int8_weights

TflitePrecision = Literal["fp32", "fp16", "int8", "dynamic", "int8_weights"]


class TfliteExport(Export):
    """``model.tflite``, ``model_int8.tflite`` and so on; images go in as NHWC."""

    export: Literal["tflite"] = "tflite"
    precision: Annotated[tuple[TflitePrecision, ...], Field(min_length=1)] = ("fp32",)
    int8_io: Literal["int8", "float32"] = "int8"
    """What the int8 file takes and gives. With float32, ``model_int8_float32_io.tflite`` quantizes inside."""
    input: InputType = "float32"
    """With uint8 the int8 file takes pixels 0 to 255, the data's mean and std being inside, and ``int8_io``
    says only what it gives."""
    batch: BatchSetting = 1
    """How many images a file takes at once: a number, or ``open`` for any, by ``resize_tensor_input``. Every
    input is answered as if it were alone."""
    detections: bool = False
    """Of a detector, write beside each file one that finds boxes itself: ``model_int8_detections.tflite``.
    It takes one image at a time."""

    @model_validator(mode="after")
    def _every_setting_counts(self) -> Self:
        if self.int8_io != "int8" and "int8" not in self.precision:
            raise ValueError("int8_io needs int8 among the precisions")
        if self.input != "float32" and "int8" not in self.precision:
            raise ValueError("input: uint8 needs int8 among the precisions")
        check_one_image(self.batch, detections=self.detections)
        return self

    @property
    def pixel_file(self) -> str | None:
        """See :class:`Export`."""
        return model_file_name(self._name("int8"), FileFormat.TFLITE) if self.input == "uint8" else None

    @property
    def precisions(self) -> tuple[TflitePrecision, ...]:
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
        """TFLite cannot express every graph; writing one in memory tells."""
        from edgesqueeze.formats.tflite.writing.emit import emit_tflite

        if self.input == "uint8":
            check_pixel_input(graph)
        in_float = self.precisions != ("int8",)
        emit_tflite(graph, None, batch=self.batch if in_float else 1)
        if "dynamic" in self.precision:
            check_form(graph, "dynamic")

    def write(self, graph: Graph, spec: QuantSpec | None, directory: Path) -> list[Artifact]:
        """Write one file per precision."""
        return [
            write_artifact(
                directory / model_file_name(self._name(precision), FileFormat.TFLITE),
                self._bytes(graph, spec, precision),
                FileFormat.TFLITE,
                precision,
            )
            for precision in self.precision
        ]

    def load(self, artifact: Artifact, threads: int) -> Predictor:
        """Load a file into LiteRT."""
        return load_tflite(artifact.path, threads)

    def _name(self, precision: TflitePrecision) -> str:
        return "int8_float32_io" if (precision, self.int8_io) == ("int8", "float32") else precision

    def _bytes(self, graph: Graph, spec: QuantSpec | None, precision: TflitePrecision) -> bytes:
        from edgesqueeze.formats.tflite.writing.emit import emit_tflite, emit_tflite_weights

        if precision == "int8" and self.input == "uint8" and spec is not None:
            graph, spec = with_pixel_input(graph, spec)
        if precision == "fp32" or precision == "int8":  # noqa: PLR1714 (mypy narrows this form only)
            return emit_tflite(graph, spec if precision == "int8" else None, self.int8_io, self.batch)
        return emit_tflite_weights(graph, precision, int8_weights(graph, spec), self.batch)
