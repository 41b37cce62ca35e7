"""What the parity gate found: one line a file, one line a layer, and a sentence for what does not hold."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tabulate import tabulate

from edgesqueeze.errors import ParityError
from edgesqueeze.measure.fidelity import LayerFidelity
from edgesqueeze.measure.float_reference import DYNAMIC_TOLERANCE, FLOAT_TOLERANCE

SIMULATION_TOLERANCE = 1
"""Units by which torch's fake quantization may differ at one node: its float sums round halves otherwise."""


@dataclass(frozen=True)
class Divergence:
    """The first tensor of a file that differs; ``largest`` is in integer units, or real ones if float."""

    layer: str
    differing: int
    values: int
    largest: float


@dataclass(frozen=True)
class FileParity:
    """One file against its reference on all inputs.

    ``differing`` of ``values`` outputs lie outside ``tolerance``; ``largest`` is the largest difference, in
    integer units for int8. For ``dynamic`` they are the values of all nodes, and differences are fractions of
    a tensor's largest magnitude. ``gated`` is False for what is only reported.
    """

    file: str
    reference: str
    precision: str
    values: int
    differing: int
    largest: float
    tolerance: float
    gated: bool = True
    first: Divergence | None = None

    @property
    def holds(self) -> bool:
        """Whether nothing differs."""
        return self.differing == 0 or not self.gated


@dataclass(frozen=True)
class ParityReport:
    """All comparisons of one set of files on ``images`` inputs, and the layers of the int8 network."""

    images: int
    files: tuple[FileParity, ...]
    layers: tuple[LayerFidelity, ...] = ()

    def failures(self) -> list[str]:
        """One sentence for everything that does not hold, the layer named."""
        found = [_sentence(entry, self.layers) for entry in self.files if not entry.holds]
        return found + [
            f"torch's fake quantization differs from the integer reference at {layer.name!r}: "
            f"{layer.fake_quant_differing:,} of {layer.values:,} integers, by up to "
            f"{layer.fake_quant_max_lsb} where {SIMULATION_TOLERANCE} is allowed"
            for layer in self.layers
            if layer.fake_quant_max_lsb > SIMULATION_TOLERANCE
        ]

    def require(self) -> None:
        """Raise if anything does not hold.

        Raises:
            ParityError: the first failure, in one sentence.
        """
        for sentence in self.failures():
            raise ParityError(sentence)

    def summary(self) -> str:
        """One line."""
        gated = [entry for entry in self.files if entry.gated]
        int8 = sum(entry.precision == "int8" for entry in gated)
        dynamic = sum(entry.precision == "dynamic" for entry in gated)
        text = (
            f"parity on {self.images} images: {int8} int8 files equal the integer reference, "
            f"{len(gated) - int8 - dynamic} float files equal torch within {FLOAT_TOLERANCE:g}"
        )
        if dynamic:
            text += f", {dynamic} dynamic files node by node within {DYNAMIC_TOLERANCE:g}"
        return text

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "images": self.images,
            "files": [{**asdict(entry), "holds": entry.holds} for entry in self.files],
            "layers": [asdict(layer) for layer in self.layers],
        }

    def table(self) -> str:
        """The comparisons, then the layers."""
        body = [_cells(entry) for entry in self.files]
        header = [
            "file",
            "against",
            "values",
            "differing",
            "largest",
            "tolerance",
            "first layer that differs",
        ]
        parts = [tabulate(body, headers=header, disable_numparse=True)]
        if self.layers:
            rows = [[n.name, n.kind, _decibels(n), n.fake_quant_differing, n.values] for n in self.layers]
            header = ["layer", "kind", "SQNR dB", "simulation differs", "values"]
            parts.append(tabulate(rows, headers=header))
        return "\n\n".join(parts)


def _sentence(entry: FileParity, layers: Sequence[LayerFidelity]) -> str:
    text = f"{entry.file} does not compute what its {entry.reference} computes"
    if entry.first is None:
        where = f"every tensor agrees when the file is cut there, but not the whole file: {_amount(entry)}"
        return f"{text}; {where}"
    sqnr = next((f"; SQNR there {_decibels(n)} dB" for n in layers if n.name == entry.first.layer), "")
    return f"{text}: the first tensor that differs is {entry.first.layer!r}, {_amount(entry.first)}{sqnr}"


def _amount(found: FileParity | Divergence) -> str:
    return f"{found.differing:,} of {found.values:,} values, by up to {found.largest:g}"


def _decibels(layer: LayerFidelity) -> str:
    return "∞" if layer.sqnr_db is None else f"{layer.sqnr_db:.1f}"


def _cells(entry: FileParity) -> list[str]:
    first = "–" if entry.first is None else f"{entry.first.layer}: {_amount(entry.first)}"
    tolerance = f"{entry.tolerance:g}" if entry.gated else "reported only"
    counts = [f"{entry.values:,}", f"{entry.differing:,}", f"{entry.largest:.3g}"]
    return [entry.file, entry.reference, *counts, tolerance, first]
