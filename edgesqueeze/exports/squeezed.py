"""The `.sqz` file: coded weights, the graph and the quantization, from which every other file is rebuilt."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from edgesqueeze.errors import ParityError
from edgesqueeze.exports.base import Artifact, Export, model_file_name, write_artifact
from edgesqueeze.files import sha256_of
from edgesqueeze.formats.names import FileFormat, Precision
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.measure.runtimes.predictor import Predictor
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.integers.spec import QuantSpec

TemplateName = Literal["onnx_fp32", "onnx_int8", "tflite_fp32", "tflite_int8"]


class SqueezedExport(Export):
    """``model.sqz``: the network in as few bytes as we can, see docs/format.md."""

    export: Literal["squeezed"] = "squeezed"
    coder: Literal["range", "huffman"] = "range"
    """``huffman`` is the form of Han et al. 2016, sections 3 and 4: relative and codebook indices."""
    index_bits: Annotated[int, Field(ge=2, le=12, strict=True)] | None = None
    """Bits of a relative index, for ``huffman``; by default the best number for each tensor. The paper uses 5
    for LeNet-5."""
    templates: tuple[TemplateName, ...] | None = None
    """Files that a decoder without our emitters can give back, at 0.3 to 1 kB each for a small network:
    below some 3,000 float weights four of them outweigh what coding saves. By default those that the recipe's
    other exports write."""

    @model_validator(mode="after")
    def _fits_together(self) -> "SqueezedExport":
        if self.index_bits is not None and self.coder != "huffman":
            raise ValueError(f"index_bits is for coder: huffman; coder: {self.coder} has none")
        if self.templates is not None and len(set(self.templates)) != len(self.templates):
            raise ValueError(f"templates names a file twice: {', '.join(self.templates)}")
        return self

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """float32, and int8 if there is to be a template of an int8 file."""
        wants_int8 = any(name.endswith("_int8") for name in self.templates or ())
        return ("fp32", "int8") if wants_int8 else ("fp32",)

    def check(self, graph: Graph) -> None:
        """A file is of use only if TFLite can be decoded from it; writing one in memory tells."""
        from edgesqueeze.formats.tflite.writing.emit import emit_tflite

        emit_tflite(graph, None)

    def write(self, graph: Graph, spec: QuantSpec | None, directory: Path) -> list[Artifact]:
        """Write the file as if no other export had written any."""
        return self.write_beside(graph, spec, directory, [])

    def write_beside(
        self, graph: Graph, spec: QuantSpec | None, directory: Path, others: Sequence[Artifact]
    ) -> list[Artifact]:
        """Write the file; ``others`` have been written from the same network by the other exports."""
        from edgesqueeze.formats.sqz.file import Coding, emit_model_file, emit_sqz

        exported = {artifact.path.name: artifact.path.read_bytes() for artifact in others}
        names = (
            list(exported)
            if self.templates is None
            else [_file_name(template) for template in self.templates]
        )
        files = {name: exported.get(name) or emit_model_file(name, graph, spec) for name in names}
        data = emit_sqz(graph, spec, files, Coding(self.coder, self.index_bits))
        return [
            write_artifact(directory / model_file_name("fp32", FileFormat.SQZ), data, FileFormat.SQZ, "fp32")
        ]

    def load(self, artifact: Artifact, threads: int) -> Predictor:
        """Decode the file and load the ONNX model that comes out of it."""
        from edgesqueeze.formats.sqz.file import decode_sqz

        with tempfile.TemporaryDirectory() as folder:
            decode_sqz(artifact.path, Path(folder))
            return load_onnx(Path(folder) / model_file_name("fp32", FileFormat.ONNX), threads)


def _file_name(template: TemplateName) -> str:
    file_format, precision = template.split("_")
    return model_file_name(precision, FileFormat(file_format))


def check_templates(exports: Sequence[Export]) -> None:
    """Refuse a squeezed file without a template of a file that only a template gives back.

    Raises:
        ValueError: another export writes a file that takes pixels, and ``templates`` leaves it out.
    """
    decoded = {_file_name(template): template for template in get_args(TemplateName)}
    pixel_files = [export.pixel_file for export in exports]
    for squeezed in (export for export in exports if isinstance(export, SqueezedExport)):
        for name in (name for name in pixel_files if name in decoded):
            if squeezed.templates is not None and decoded[name] not in squeezed.templates:
                raise ValueError(
                    f"{name} is to take pixels (input: uint8), and only a template gives it back: add "
                    f"{decoded[name]} to the templates of export 'squeezed', or leave templates out"
                )


def check_decoded(squeezed: Artifact, others: list[Artifact]) -> None:
    """Decode a `.sqz` file and compare every file that comes out with the exported one, byte for byte.

    A file that it has no template of comes out in the form for one input at a time. One that was exported for
    more is compared with what the decoded network is written as for as many.

    Raises:
        ParityError: a file differs.
    """
    from edgesqueeze.formats.sqz.file import decode_sqz

    with tempfile.TemporaryDirectory() as folder:
        decoded = {path.name: path for path in decode_sqz(squeezed.path, Path(folder))}
        for artifact in others:
            path = decoded.get(artifact.path.name)
            if path is None or sha256_of(path) == artifact.sha256:
                continue
            if not _is_written_again(squeezed.path.read_bytes(), artifact):
                raise ParityError(
                    f"{artifact.path.name} decoded from {squeezed.path.name} is not the exported file"
                )


def _is_written_again(data: bytes, artifact: Artifact) -> bool:
    """Whether a file without a template is what a .sqz file's network is written as for the file's batch."""
    from edgesqueeze.formats.any_file import read_model_file
    from edgesqueeze.formats.sqz.file import emit_model_file, read_sqz, template_names

    batch = read_model_file(artifact.path).batch
    if batch == 1 or artifact.path.name in template_names(data):
        return False
    return emit_model_file(artifact.path.name, *read_sqz(data), batch) == artifact.path.read_bytes()
