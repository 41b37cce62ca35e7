"""What every export is: settings with two verbs, write a file and load it back into its real runtime."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgesqueeze.files import sha256_of, write_atomically
from edgesqueeze.formats.names import Batch, FileFormat, Precision
from edgesqueeze.measure.runtimes.predictor import Predictor
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.integers.spec import QuantSpec


@dataclass(frozen=True)
class Artifact:
    """A file that was written: read from disk, not from what was meant to be written."""

    format: FileFormat
    precision: str
    path: Path
    num_bytes: int
    sha256: str


BatchSetting = Annotated[int, Field(ge=1, le=1024, strict=True)] | Literal["open"]
"""How many inputs a file takes at once."""


class Export(BaseModel):
    """Settings of a way to write a network down. Exports never change what it computes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    export: str

    @property
    def finds_boxes(self) -> bool:
        """Whether files are wanted that decode a detector's outputs themselves."""
        return False

    @property
    def pixel_file(self) -> str | None:
        """The name of the file that takes pixels, where one is asked for."""
        return None

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """The precisions that are written."""
        return ("fp32",)

    def apart(self) -> "tuple[Export, ...]":
        """The same files by exports of one file each, as far as that can be said."""
        return (self,)

    def check(self, graph: Graph) -> None:
        """Raise if a network of this structure cannot be written; called before anything is trained."""

    def write(self, graph: Graph, spec: QuantSpec | None, directory: Path) -> list[Artifact]:
        """Write the files into a directory and say what is there now."""
        raise NotImplementedError  # abstract: pydantic models and ABCMeta do not mix well

    def write_beside(
        self, graph: Graph, spec: QuantSpec | None, directory: Path, others: Sequence[Artifact]
    ) -> list[Artifact]:
        """The same, where other exports have written these files of the same network; most need not know."""
        del others
        return self.write(graph, spec, directory)

    def load(self, artifact: Artifact, threads: int) -> Predictor:
        """A file back from disk, ready to run in the runtime users deploy."""
        raise NotImplementedError


InputType = Literal["float32", "uint8"]
"""What an int8 file takes: what data gives (TFLite's on its int8 grid), or pixels 0 to 255 as they are."""


def check_one_image(batch: Batch | None, *, detections: bool) -> None:
    """Refuse files that find boxes themselves of a file that takes a number of images.

    Raises:
        ValueError: one is asked for.
    """
    if detections and batch not in (None, 1, "open"):
        raise ValueError(
            f"a file that finds boxes takes one image, batch is {batch}; 1 and open go with detections"
        )


def model_file_name(precision: str, file_format: FileFormat) -> str:
    """``model.onnx``, ``model_int8.tflite``: the names users and ``decode`` know."""
    return f"model.{file_format}" if precision == "fp32" else f"model_{precision}.{file_format}"


def write_artifact(path: Path, data: bytes, file_format: FileFormat, precision: str) -> Artifact:
    """Write bytes and describe the file that is on disk afterwards."""
    write_atomically(path, data)
    return Artifact(file_format, precision, path, path.stat().st_size, sha256_of(path))
