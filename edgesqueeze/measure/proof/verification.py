"""Everything that must hold between a network and the files written from it, in one result."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesqueeze.errors import ParityError
from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.formats.facts import FileFacts
from edgesqueeze.measure.proof.equal_integers import IntegersProof, prove_equal, prove_weights
from edgesqueeze.measure.proof.low_bits import prove_low_bits
from edgesqueeze.measure.proof.parity import check_parity, network_in_file
from edgesqueeze.measure.proof.parity_report import ParityReport
from edgesqueeze.measure.proof.two_files import compare_files
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.trees import Tree, length_of


@dataclass(frozen=True)
class Verification:
    """What the files answer, and what the int8 files store."""

    parity: ParityReport
    proofs: tuple[IntegersProof, ...] = ()

    def failures(self) -> list[str]:
        """One sentence each; what is stored comes first, since it names the cause."""
        return [*(s for proof in self.proofs for s in proof.failures()), *self.parity.failures()]

    def require(self) -> None:
        """Raise if anything does not hold.

        Raises:
            ParityError: what differs, and in which layer first.
        """
        stored = next((s for proof in self.proofs for s in proof.failures()), None)
        answered = next(iter(self.parity.failures()), None)
        if stored or answered:
            raise ParityError("; ".join(s for s in (answered, stored) if s))

    def summary(self) -> list[str]:
        """One line for the parity gate and one for each pair of sources compared."""
        return [self.parity.summary(), *(proof.summary() for proof in self.proofs)]

    def text(self) -> str:
        """All tables, for a terminal."""
        lines = "\n".join(self.summary())
        return "\n\n".join([self.parity.table(), *(proof.table() for proof in self.proofs), lines])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "holds": not self.failures(),
            "summary": self.summary(),
            "outputs": self.parity.to_json(),
            "integers": [proof.to_json() for proof in self.proofs],
        }


def verify_files(graph: Graph, spec: QuantSpec | None, files: Sequence[Path], x: Tree) -> Verification:
    """Compare files with their network: what they answer, and every stored integer.

    Args:
        graph: the network.
        spec: its integers, if it has been quantized.
        files: ``.onnx`` and ``.tflite`` files.
        x: real inputs, float32 [N, C, H, W], or a tree of several.

    Raises:
        ExportError: a file cannot be run.
    """
    proofs = []
    for takes_pixels in (False, True):
        same = [
            facts for facts in _of_precision(files, "int8", "mixed") if facts.takes_pixels is takes_pixels
        ]
        if same and spec is not None:
            proofs += prove_equal([facts.path for facts in same], *network_in_file(same[0], graph, spec))
    dynamic, low = _of_precision(files, "dynamic", "int8_weights"), _of_precision(files, "int4", "codebook")
    proofs += prove_weights([facts.path for facts in dynamic], graph, spec)
    proofs += prove_low_bits([facts.path for facts in low], graph, spec)
    return Verification(check_parity(graph, spec, files, x), tuple(proofs))


def verify_pair(one: Path, other: Path, x: Tree) -> Verification:
    """Compare two int8 files with each other when nothing else is known.

    Raises:
        ExportError: a file cannot be run, or is not int8.
    """
    parity = ParityReport(length_of(x), tuple(compare_files(one, other, x)))
    return Verification(parity, tuple(prove_equal([one, other])))


def _of_precision(files: Sequence[Path], *wanted: str) -> list[FileFacts]:
    """The files of these precisions; an int8 one with layers kept in float is mixed."""
    return [facts for facts in map(read_model_file, files) if facts.precision in wanted]
