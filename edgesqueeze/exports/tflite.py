"""TFLite files, fp32 and int8, run by LiteRT."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from edgesqueeze.exports.base import Artifact, Export, Precision, model_file_name, write_artifact
from edgesqueeze.graph.nodes import Graph
from edgesqueeze.graph.spec import QuantSpec
from edgesqueeze.measure.runtimes import Predictor, load_tflite


class TfliteExport(Export):
    """``model.tflite`` and ``model_int8.tflite`` (int8 input and output); images go in as NHWC."""

    export: Literal["tflite"] = "tflite"
    precision: Annotated[tuple[Precision, ...], Field(min_length=1)] = ("fp32",)

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """The precisions that are written."""
        return self.precision

    def check(self, graph: Graph) -> None:
        """TFLite cannot express every graph; writing one in memory tells."""
        from edgesqueeze.emit.tflite import emit_tflite

        emit_tflite(graph, None)

    def write(self, graph: Graph, spec: QuantSpec | None, directory: Path) -> list[Artifact]:
        """Write one file per precision."""
        from edgesqueeze.emit.tflite import emit_tflite

        return [
            write_artifact(
                directory / model_file_name(precision, "tflite"),
                emit_tflite(graph, spec if precision == "int8" else None),
                "tflite",
                precision,
            )
            for precision in self.precision
        ]

    def load(self, artifact: Artifact, threads: int) -> Predictor:
        """Load a file into LiteRT."""
        return load_tflite(artifact.path, threads)
