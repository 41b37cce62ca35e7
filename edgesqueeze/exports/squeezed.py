"""The `.sqz` file: coded weights, the graph and the quantization, from which every other file is rebuilt."""

import tempfile
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from edgesqueeze.errors import ParityError
from edgesqueeze.exports.base import Artifact, Export, model_file_name, write_artifact
from edgesqueeze.files import sha256_of
from edgesqueeze.graph.nodes import Graph
from edgesqueeze.graph.spec import QuantSpec
from edgesqueeze.measure.runtimes import Predictor, load_onnx


class SqueezedExport(Export):
    """``model.sqz``: relative and codebook indices, Huffman coded (Han et al. 2016, sections 3 and 4)."""

    export: Literal["squeezed"] = "squeezed"
    index_bits: Annotated[int, Field(ge=2, le=12, strict=True)] | None = None
    """Bits of a relative index; by default the best number for each tensor. The paper uses 5 for LeNet-5."""

    def check(self, graph: Graph) -> None:
        """A file is of use only if TFLite can be decoded from it; writing one in memory tells."""
        from edgesqueeze.emit.tflite import emit_tflite

        emit_tflite(graph, None)

    def write(self, graph: Graph, spec: QuantSpec | None, directory: Path) -> list[Artifact]:
        """Write the file."""
        from edgesqueeze.emit.sqz import emit_sqz

        data = emit_sqz(graph, spec, self.index_bits)
        return [write_artifact(directory / model_file_name("fp32", "sqz"), data, "sqz", "fp32")]

    def load(self, artifact: Artifact, threads: int) -> Predictor:
        """Decode the file and load the ONNX model that comes out of it."""
        from edgesqueeze.emit.sqz import decode_sqz

        with tempfile.TemporaryDirectory() as folder:
            decode_sqz(artifact.path, Path(folder))
            return load_onnx(Path(folder) / model_file_name("fp32", "onnx"), threads)


def check_decoded(squeezed: Artifact, others: list[Artifact]) -> None:
    """Decode a `.sqz` file and compare every file that comes out with the exported one, byte for byte.

    Raises:
        ParityError: a file differs.
    """
    from edgesqueeze.emit.sqz import decode_sqz

    with tempfile.TemporaryDirectory() as folder:
        decoded = {path.name: path for path in decode_sqz(squeezed.path, Path(folder))}
        for artifact in others:
            path = decoded.get(artifact.path.name)
            if path is not None and sha256_of(path) != artifact.sha256:
                raise ParityError(
                    f"{artifact.path.name} decoded from {squeezed.path.name} is not the exported file"
                )
