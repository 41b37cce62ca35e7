"""Cycles of counted instructions as llvm-mca models them.

Every block is taken as the body of a loop that runs for ever, every load hits the nearest cache, every branch
is foreseen. Real processors do worse, so this is a lower bound; it is no latency.
"""

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesqueeze.devices.emulation.counter import Block, Count
from edgesqueeze.devices.processes import run, start
from edgesqueeze.errors import DeviceError

_NEWEST, _OLDEST = 24, 16
"""Versions of LLVM that are looked for; the model of neoverse-n1 came with 16."""
_ITERATIONS = 50
_MOST_REFUSED = 0.01
"""Share of the instructions that a model may not know before nothing is said of its cycles."""
_LEAST_COVERED = 0.9


@dataclass(frozen=True)
class Cycles:
    """Modelled cycles; ``covered`` is the share of the instructions that were modelled, the rest is scaled.

    ``cycles`` is None where too few were, and then ``reason`` says why.
    """

    cycles: int | None
    covered: float
    reason: str | None = None


@dataclass(frozen=True)
class Model:
    """llvm-mca with one of its processors."""

    disassembler: str
    analyzer: str
    version: str
    schedule: str

    def cycles(self, count: Count, folder: Path) -> Cycles:
        """The cycles that counted instructions take.

        Args:
            count: the instructions.
            folder: for files of the moment.

        Raises:
            DeviceError: a program of LLVM fails.
        """
        blocks = list(count.blocks)
        refused = 0
        texts = self._disassemble(blocks, folder)
        while True:
            found, wrong = self._analyze(texts, folder)
            if not wrong:
                break
            refused += sum(blocks[i].instructions for i in wrong)
            blocks = [block for i, block in enumerate(blocks) if i not in wrong]
            texts = [text for i, text in enumerate(texts) if i not in wrong]
        covered = sum(block.instructions for block in blocks) / count.instructions
        if refused > _MOST_REFUSED * count.instructions:
            share = 100 * refused / count.instructions
            return Cycles(None, covered, f"{self.schedule} of LLVM does not know {share:.0f} % of them")
        if covered < _LEAST_COVERED:
            return Cycles(None, covered, f"only {100 * covered:.0f} % are in the blocks that were kept")
        total = sum(block.count * one for block, one in zip(blocks, found, strict=True))
        return Cycles(round(total / covered), covered)

    def _disassemble(self, blocks: Sequence[Block], folder: Path) -> list[list[str]]:
        """Of every block its instructions as text."""
        path = folder / "blocks.txt"
        path.write_text("".join(f"{_bytes(word)}\n" for block in blocks for word in _words(block)))
        command = [self.disassembler, "--disassemble", "-triple=aarch64", "-mattr=+all", str(path)]
        printed = run(command, "disassembling the counted instructions", folder=folder)
        lines = [line.strip() for line in printed.splitlines() if line.startswith("\t")]
        lines = [line for line in lines if line != ".text"]
        sizes = [len(list(_words(block))) for block in blocks]
        if sum(sizes) != len(lines):
            raise DeviceError(f"{self.disassembler} knows {len(lines)} of {sum(sizes)} instructions")
        rest = iter(lines)
        return [[next(rest) for _ in range(size)] for size in sizes]

    def _analyze(self, texts: Sequence[Sequence[str]], folder: Path) -> tuple[list[float], set[int]]:
        """Cycles of one pass through every block, or the blocks that the model refuses."""
        lines: list[str] = []
        owner: list[int] = []
        for number, text in enumerate(texts):
            body = [f"# LLVM-MCA-BEGIN b{number}", *text, f"# LLVM-MCA-END b{number}"]
            lines += body
            owner += [number] * len(body)
        path = folder / "blocks.s"
        path.write_text("\n".join(lines) + "\n")
        command = [self.analyzer, "-mtriple=aarch64", f"-mcpu={self.schedule}", f"-iterations={_ITERATIONS}"]
        found = start([*command, "--json", str(path)], "modelling cycles", folder=folder)
        wrong = {owner[int(line) - 1] for line in re.findall(r":(\d+):\d+: error:", found.stderr)}
        for name in re.findall(r"note: instruction:\s+(\S+)", found.stderr):  # it names no line
            wrong |= {number for number, text in enumerate(texts) if any(_name(one) == name for one in text)}
        if found.returncode and not wrong:
            errors = [line for line in found.stderr.splitlines() if "error" in line]
            raise DeviceError(f"{self.analyzer} failed: {' '.join(errors)[:200]}")
        return ([] if wrong else _cycles(found.stdout)), wrong


def _cycles(printed: str) -> list[float]:
    regions: list[Any] = json.loads(printed)["CodeRegions"]
    return [region["SummaryView"]["TotalCycles"] / _ITERATIONS for region in regions]


def _name(instruction: str) -> str:
    return instruction.split(maxsplit=1)[0]


def _words(block: Block) -> list[str]:
    return [block.code[start : start + 8] for start in range(0, len(block.code), 8)]


def _bytes(word: str) -> str:
    """An instruction as it lies in memory, the lowest byte first."""
    return " ".join(f"0x{word[place : place + 2]}" for place in (6, 4, 2, 0))


def find_model(schedule: str) -> Model | None:
    """llvm-mca if it is here, in the newest version; None otherwise.

    Args:
        schedule: LLVM's name of a processor.
    """
    for end in (*(f"-{version}" for version in range(_NEWEST, _OLDEST - 1, -1)), ""):
        programs = [shutil.which(f"{name}{end}") for name in ("llvm-mc", "llvm-mca")]
        if programs[0] is None or programs[1] is None:
            continue
        printed = start([programs[1], "--version"], "starting llvm-mca", folder=Path.cwd()).stdout
        found = re.search(r"version (\d+)([.\d]*)", printed)
        if found is not None and int(found[1]) >= _OLDEST:
            return Model(programs[0], programs[1], found[1] + found[2], schedule)
    return None
