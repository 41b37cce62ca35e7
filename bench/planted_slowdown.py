"""Planted slowdowns: what does bench say of 100, 101 and 110 equal convolutions beside 100 of them?

A layer more is a hundredth more work, ten are a tenth. After the tries one more is disturbed by a busy loop
on every core, which must leave no verdict but "cannot tell".

python -m bench.planted_slowdown [--tries 10] --output bench/results/planted_slowdown
"""

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.reporting import Result, note, table
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.measure.bench.bench import Suite, run_bench
from edgesqueeze.measure.bench.row import BenchRow
from edgesqueeze.network.graph.nodes import Conv, Graph, Input
from edgesqueeze.numerics.time_ratios import Verdict

LAYERS = 100
PLANTED = {"equal": 0, "1 % slower": 1, "10 % slower": 10}
"""How many layers more than the baseline has, of each file."""
_CHANNELS, _SIZE = 8, 24
_BUSY = "while True: pass"


@dataclass(frozen=True)
class Told:
    """What a try said of one file: how many times as long it takes, with 99 % confidence, or why not."""

    name: str
    disturbed: bool
    verdict: str
    ratio: float | None
    low: float | None
    high: float | None
    doubts: tuple[str, ...]

    @classmethod
    def of(cls, name: str, row: BenchRow, *, disturbed: bool) -> "Told":
        """What a row says; its ratios are those of the baseline to it."""
        found = row.ratios
        if found is None or found.latency is None:
            return cls(name, disturbed, str(Verdict.UNKNOWN), None, None, None, row.doubts)
        ends = (found.latency_high, found.latency_low)
        low, high = (None if end is None else 1 / end for end in ends)
        return cls(name, disturbed, str(found.verdict), 1 / found.latency, low, high, row.doubts)


def chain(layers: int) -> Graph:
    """So many equal convolutions with activations of ordinary size."""
    source = np.random.default_rng(0)
    nodes: list[Input | Conv] = [Input(name="input", inputs=(), shape=(1, _CHANNELS, _SIZE, _SIZE))]
    tensors = {}
    spread = np.sqrt(
        2 / (9 * _CHANNELS)
    )  # keeps the variance through ReLU (He et al. 2015, arXiv 1502.01852)
    for number in range(layers):
        name = f"conv{number}"
        shape = (_CHANNELS, _CHANNELS, 3, 3)
        tensors[f"{name}.weight"] = source.normal(0, spread, shape).astype(np.float32)
        tensors[f"{name}.bias"] = np.zeros(_CHANNELS, np.float32)
        nodes.append(
            Conv(
                name=name,
                inputs=(nodes[-1].name,),
                shape=(1, _CHANNELS, _SIZE, _SIZE),
                kernel=(3, 3),
                stride=(1, 1),
                pads=(1, 1, 1, 1),
                dilation=(1, 1),
                groups=1,
                activation="relu",
            )
        )
    return Graph(tuple(nodes), tensors)


def write_files(directory: Path) -> dict[str, Path]:
    """The baseline and the planted files, by name."""
    written = {}
    for name, more in {"baseline": 0, **PLANTED}.items():
        written[name] = directory / f"{name.replace(' ', '_').replace('%', 'percent')}.onnx"
        written[name].write_bytes(emit_onnx(chain(LAYERS + more), None))
    return written


def one_try(files: dict[str, Path], plan: dict[str, int], *, disturbed: bool = False) -> list[Told]:
    """What one benchmark of all files says."""
    suite = Suite(
        version=1,
        name="planted",
        models=tuple(str(files[name]) for name in PLANTED),
        runtimes=("onnxruntime",),
        baseline=str(files["baseline"]),
        **plan,
    )
    with tempfile.TemporaryDirectory() as folder:
        rows = {row.model: row for row in run_bench(suite, Path(folder)).rows}
    return [Told.of(name, rows[str(files[name])], disturbed=disturbed) for name in PLANTED]


@contextmanager
def busy_cores(count: int) -> Iterator[None]:
    """As many processes that do nothing but run."""
    loops = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def summary(told: Sequence[Told]) -> str:
    """A line for each planted slowdown, undisturbed and disturbed."""
    rows = []
    for disturbed in (False, True):
        for name in PLANTED:
            found = [one for one in told if (one.name, one.disturbed) == (name, disturbed)]
            counts = Counter(one.verdict for one in found)
            ratios = [one.ratio for one in found if one.ratio is not None]
            middle = f"{np.median(ratios):.3f}" if ratios else "?"
            worthless = sum(one.ratio is None for one in found)
            label = f"{name}, disturbed" if disturbed else name
            rows.append([label, *(str(counts[one]) for one in Verdict), str(worthless), middle])
    header = ["planted", *map(str, Verdict), "of them without a number", "median time ×"]
    return table(header, rows)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--processes", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    plan = {"processes": arguments.processes, "rounds": arguments.rounds}
    result, told = Result(arguments.output), []
    with tempfile.TemporaryDirectory() as folder:
        files = write_files(Path(folder))
        for number in range(arguments.tries):
            told += one_try(files, plan)
            note(
                f"try {number + 1}: {', '.join(f'{one.name} {one.verdict}' for one in told[-len(PLANTED) :])}"
            )
        with busy_cores(result.host.cores):
            told += one_try(files, plan, disturbed=True)
    text = (
        f"{LAYERS}, {LAYERS + 1} and {LAYERS + 10} equal convolutions beside {LAYERS} of them in "
        f"ONNX Runtime, one thread, {arguments.processes} processes × {arguments.rounds} rounds: how many of "
        f"{arguments.tries} tries, and of one beside a busy loop on every core, ended with which verdict."
    )
    result.write({"plan": plan, "told": [asdict(one) for one in told]}, [text, summary(told)])


if __name__ == "__main__":
    main()
