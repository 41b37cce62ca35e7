"""What the parity gate found: one line a file, one line a layer, and a sentence for what does not hold."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tabulate import tabulate

from edgesqueeze.errors import ParityError
from edgesqueeze.measure.proof.fidelity import LayerFidelity
from edgesqueeze.measure.proof.float_reference import DYNAMIC_TOLERANCE, FLOAT_TOLERANCE
from edgesqueeze.network.integers.inexact import TOLERANCE
from edgesqueeze.text.digits import significant

SIMULATION_TOLERANCE = 1
"""Units by which torch's fake quantization may differ at one node: its float sums round halves otherwise."""


@dataclass(frozen=True)
class Divergence:
    """The first tensor of a file that differs by more than ``tolerance``.

    ``largest`` and ``tolerance`` are in integer units, or real ones if float.
    """

    layer: str
    differing: int
    values: int
    largest: float
    tolerance: float = 0.0


@dataclass(frozen=True)
class InexactLayer:
    """A layer that a runtime computes by a rule of its own, and how far it is from the reference there.

    Both read the same integers; ``differing`` of ``values`` differ at all, by ``largest`` units at most,
    where ``tolerance`` is allowed.
    """

    layer: str
    why: str
    differing: int
    values: int
    largest: int
    tolerance: int


@dataclass(frozen=True)
class FileParity:
    """One file against its reference on all inputs.

    ``differing`` of ``values`` outputs lie outside ``tolerance``; ``largest`` is the largest difference, in
    integer units for int8. For ``dynamic`` and ``int4`` they are the values of all nodes, and differences are
    fractions of a tensor's largest magnitude. ``gated`` is False for what is only reported. Where there are
    ``inexact`` layers, the reference continued behind each of them from what the file computed there. Of
    several outputs each is compared on its own, and ``output`` is its name.
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
    inexact: tuple[InexactLayer, ...] = ()
    output: str = ""

    @property
    def label(self) -> str:
        """The file, and which of its outputs."""
        return f"{self.file} {self.output}" if self.output else self.file

    @property
    def holds(self) -> bool:
        """Whether nothing differs that may not."""
        return not self.gated or (self.differing == 0 and self.first is None)


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
        int8, dynamic, int4 = (
            [e for e in gated if e.precision == wanted] for wanted in ("int8", "dynamic", "int4")
        )
        floats = [e for e in gated if e.precision not in ("int8", "dynamic", "int4")]
        layers = dict.fromkeys(n.layer for entry in gated for n in entry.inexact if n.differing)
        but = f" (but for at most {TOLERANCE} unit at {', '.join(layers)})" if layers else ""
        text = (
            f"parity on {self.images} images: {_holding(int8)} int8 files equal the integer reference{but}, "
            f"{_holding(floats)} float files equal torch within {FLOAT_TOLERANCE:g}"
        )
        for name, entries in (("dynamic", dynamic), ("int4", int4)):
            if entries:
                text += f", {_holding(entries)} {name} files node by node within {DYNAMIC_TOLERANCE:g}"
        return text

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "images": self.images,
            "files": [_plain(entry) for entry in self.files],
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
        inexact = [[entry.label, *_inexact_cells(n)] for entry in self.files for n in entry.inexact]
        if inexact:
            header = ["file", "inexact layer", "values", "differing", "largest", "allowed", "computed as"]
            parts.append(tabulate(inexact, headers=header, disable_numparse=True))
        if self.layers:
            rows = [[n.name, n.kind, _decibels(n), n.fake_quant_differing, n.values] for n in self.layers]
            header = ["layer", "kind", "SQNR dB", "simulation differs", "values"]
            parts.append(tabulate(rows, headers=header))
        return "\n\n".join(parts)


def _holding(entries: Sequence[FileParity]) -> str:
    """How many files hold: "2", or "1 of 2"."""
    files = {entry.file for entry in entries}
    right = len(files - {entry.file for entry in entries if not entry.holds})
    return str(right) if right == len(files) else f"{right} of {len(files)}"


def _plain(entry: FileParity) -> dict[str, Any]:
    inexact = [asdict(layer) for layer in entry.inexact]
    plain = {**asdict(entry), "inexact": inexact, "holds": entry.holds}
    return plain if entry.output else {k: v for k, v in plain.items() if k != "output"}


def _sentence(entry: FileParity, layers: Sequence[LayerFidelity]) -> str:
    text = f"{entry.label} does not compute what its {entry.reference} computes"
    if entry.first is None:
        where = f"every tensor agrees when the file is cut there, but not the whole file: {_amount(entry)}"
        return f"{text}; {where}"
    sqnr = next((f"; SQNR there {_decibels(n)} dB" for n in layers if n.name == entry.first.layer), "")
    return f"{text}: the first tensor that differs is {entry.first.layer!r}, {_amount(entry.first)}{sqnr}"


def _amount(found: FileParity | Divergence) -> str:
    allowed = f" where {found.tolerance:g} is allowed" if found.tolerance else ""
    return f"{found.differing:,} of {found.values:,} values, by up to {found.largest:g}{allowed}"


def _decibels(layer: LayerFidelity) -> str:
    return "∞" if layer.sqnr_db is None else f"{layer.sqnr_db:.1f}"


def _inexact_cells(found: InexactLayer) -> list[str]:
    counts = [f"{found.values:,}", f"{found.differing:,}", str(found.largest), str(found.tolerance)]
    return [found.layer, *counts, found.why]


def _cells(entry: FileParity) -> list[str]:
    first = "–" if entry.first is None else f"{entry.first.layer}: {_amount(entry.first)}"
    tolerance = f"{entry.tolerance:g}" if entry.gated else "reported only"
    counts = [f"{entry.values:,}", f"{entry.differing:,}", significant(entry.largest, 3)]
    return [entry.label, entry.reference, *counts, tolerance, first]
