"""ONNX files, fp32 and int8, run by ONNX Runtime."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from edgesqueeze.exports.base import Artifact, Export, Precision, model_file_name, write_artifact
from edgesqueeze.graph.nodes import Graph
from edgesqueeze.graph.spec import QuantSpec
from edgesqueeze.measure.runtimes import Predictor, load_onnx


class OnnxExport(Export):
    """``model.onnx`` and ``model_int8.onnx`` (QDQ, uint8 activations)."""

    export: Literal["onnx"] = "onnx"
    precision: Annotated[tuple[Precision, ...], Field(min_length=1)] = ("fp32",)

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """The precisions that are written."""
        return self.precision

    def write(self, graph: Graph, spec: QuantSpec | None, directory: Path) -> list[Artifact]:
        """Write one file per precision."""
        from edgesqueeze.emit.onnx import emit_onnx

        return [
            write_artifact(
                directory / model_file_name(precision, "onnx"),
                emit_onnx(graph, spec if precision == "int8" else None),
                "onnx",
                precision,
            )
            for precision in self.precision
        ]

    def load(self, artifact: Artifact, threads: int) -> Predictor:
        """Load a file into ONNX Runtime."""
        return load_onnx(artifact.path, threads)
