"""What was counted on an emulated board, as a table and as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from edgesqueeze.devices.emulation.boards import Board
from edgesqueeze.text.columns import narrow_table, wrapped

_SAME = 0.03
"""Modelled cycles that are no further apart say nothing."""


@dataclass(frozen=True)
class FileCount:
    """Instructions of one inference, by class, and their modelled cycles; None of what is not known."""

    file: str
    runtime: str
    instructions: int | None = None
    classes: Mapping[str, int] = field(default_factory=dict)
    cycles: int | None = None
    covered: float | None = None
    reason: str | None = None
    """Why something is None."""

    def cells(self) -> list[str]:
        """A row of the table."""
        vector = "–"
        if self.instructions:
            vector = f"{100 * self.classes['vector'] / self.instructions:.0f} %"
        numbers = [_number(self.instructions), vector, _number(self.cycles)]
        return [self.file, self.runtime or "–", *numbers]


@dataclass(frozen=True)
class Decoded:
    """What decoding a .sqz file takes: instructions, and bytes of memory beside the file's own."""

    count: FileCount
    heap_bytes: int | None = None
    file_bytes: int | None = None


@dataclass(frozen=True)
class EmulatedCounts:
    """What a run's files take on an emulated board. Nothing here says how long that is."""

    board: Board
    versions: dict[str, str]
    llvm: str | None
    files: tuple[FileCount, ...]
    decoded: tuple[Decoded, ...]

    def text(self) -> str:
        """A table, what int8 saves, and what the figures are."""
        board, qemu = self.board, self.versions["qemu"]
        rows = [row.cells() for row in self._rows()]
        header = ["file", "runtime", "instructions", "vector", "modelled cycles"]
        parts = [
            f"{board.name}, emulated: {board.cpu} by qemu {qemu}; one inference, one thread",
            narrow_table(header, rows),
            *([f"{row.file}: {row.reason}" for row in self._rows() if row.reason]),
            *[f"{self._decoding(found)}" for found in self.decoded if found.heap_bytes is not None],
            *[sentence for sentence in map(self._saved, ("onnx", "tflite")) if sentence],
            self._assumption(),
        ]
        return "\n".join([parts[0], parts[1], *map(wrapped, parts[2:])])

    def _rows(self) -> list[FileCount]:
        return [*self.files, *(found.count for found in self.decoded)]

    def _decoding(self, found: Decoded) -> str:
        return (
            f"decoding {found.count.file} takes {found.heap_bytes or 0:,} bytes of memory beside the "
            f"{found.file_bytes or 0:,} of the file"
        )

    def _saved(self, ending: str) -> str | None:
        """What the int8 file takes of what the float file of the same format takes."""
        found = {row.file: row for row in self.files}
        whole, small = found.get(f"model.{ending}"), found.get(f"model_int8.{ending}")
        if whole is None or small is None or not whole.instructions or not small.instructions:
            return None
        sentence = f"int8 takes {small.instructions / whole.instructions:.2f} × the instructions of fp32"
        if whole.cycles and small.cycles:
            share = small.cycles / whole.cycles
            verdict = "pays" if share < 1 - _SAME else "does not pay"
            sentence += f" and {share:.2f} × the modelled cycles: it {verdict} on this processor"
        return f"{small.file}: {sentence}"

    def _assumption(self) -> str:
        first = "Counted exactly, by a plugin of qemu; the fewest of five inferences. No time was measured."
        if self.llvm is None:
            return f"{first} There is no llvm-mca here, so no cycles are modelled: apt-get install llvm"
        covered = [row.covered for row in self._rows() if row.covered is not None]
        share = f", {100 * min(covered):.0f} % of the instructions or more" if covered else ""
        return (
            f"{first} Cycles: {self.board.schedule} of llvm-mca {self.llvm}, the costliest blocks{share}, as "
            "if every block were an endless loop, every load hit the nearest cache and every branch were "
            "foreseen: a lower bound, compared with no real processor."
        )

    def to_json(self) -> dict[str, object]:
        """The same as plain JSON values."""
        return {
            "emulated": True,
            "board": self.board.name,
            "cpu": self.board.cpu,
            "schedule": self.board.schedule,
            "llvm": self.llvm,
            "versions": self.versions,
            "files": [asdict(row) for row in self.files],
            "decoded": [asdict(found) for found in self.decoded],
        }


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"
