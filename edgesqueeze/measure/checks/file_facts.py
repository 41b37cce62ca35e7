"""What the checks on written files judge."""

from collections.abc import Sequence
from dataclasses import dataclass

from edgesqueeze.measure.runtimes.latency import Latency


@dataclass(frozen=True)
class PlacedOperator:
    """An operator as its file or runtime calls it, and the layer it computes."""

    operator: str
    layer: str


@dataclass(frozen=True)
class FileEvidence:
    """What is known of a written file.

    ``float_operators`` are those an int8 file computes in float, read from the file (TFLite) or from what
    ONNX Runtime makes of it; None for other files. ``undelegated`` are those XNNPACK does not take; None
    for other formats, and where LiteRT does not tell. ``template_bytes`` are a .sqz file's.
    """

    name: str
    format: str
    precision: str
    num_bytes: int
    runtime: str
    latency: Latency
    float_operators: tuple[PlacedOperator, ...] | None = None
    undelegated: tuple[PlacedOperator, ...] | None = None
    template_bytes: int = 0

    @property
    def claims_to_be_smaller(self) -> bool:
        """Whether the file is a compressed form; float32 files are about as large as what they come from."""
        return self.precision != "fp32" or self.format == "sqz"


def float_twins(file: FileEvidence, files: Sequence[FileEvidence]) -> list[FileEvidence]:
    """The float32 file of the same format: same runtime, same network. A .sqz file has none."""
    return [f for f in files if f.format == file.format and f.precision == "fp32" and f is not file]


def by_operator(found: Sequence[PlacedOperator]) -> dict[str, tuple[str, ...]]:
    """Operator to the layers it computes."""
    return {
        operator: tuple(place.layer for place in found if place.operator == operator)
        for operator in dict.fromkeys(place.operator for place in found)
    }


def file_names(files: Sequence[FileEvidence]) -> str:
    """For a sentence."""
    return ", ".join(file.name for file in files)
