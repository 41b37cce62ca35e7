"""Files timed against each other as ``edgesqueeze bench`` does it: processes of their own, in turns."""

import tempfile
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.reporting import note
from edgesqueeze.measure.bench.bench import Suite, run_bench
from edgesqueeze.measure.bench.row import BenchRow
from edgesqueeze.measure.runtimes.runtime import RuntimeName
from edgesqueeze.numerics.time_ratios import TimeRatio

_BOTH = (RuntimeName.ONNXRUNTIME, RuntimeName.LITERT)


@dataclass(frozen=True)
class TimingPlan:
    """How often: fresh processes of every file, and rounds of each; with how many threads."""

    threads: int = 1
    processes: int = 7
    rounds: int = 20

    def sentence(self) -> str:
        """What a table says below itself."""
        return (
            f"Latency: median [quartiles] of {self.processes} processes × {self.rounds} rounds, batch 1, "
            f"{self.threads} thread(s), all files of a runtime in turns; ratios with their 99 % interval "
            "over processes; ? where the machine was too busy to tell"
        )


def add_plan_arguments(parser: ArgumentParser) -> None:
    """The options of a :class:`TimingPlan`."""
    plan = TimingPlan()
    parser.add_argument("--threads", type=int, default=plan.threads)
    parser.add_argument("--processes", type=int, default=plan.processes, help="of every file")
    parser.add_argument("--rounds", type=int, default=plan.rounds, help="of every process")


def timed_files(paths: Sequence[Path], plan: TimingPlan) -> list[BenchRow]:
    """The rows of files of ONNX and TFLite, in their order."""
    note(f"timing {len(paths)} files in {plan.processes} processes each, in turns")
    models = tuple(map(str, paths))
    suite = Suite(
        version=1,
        name="files",
        models=models,
        runtimes=tuple(r for r in _BOTH if any(_runs(r, path) for path in paths)),
        threads=(plan.threads,),
        processes=plan.processes,
        rounds=plan.rounds,
        baseline=None,
    )
    with tempfile.TemporaryDirectory() as folder:
        rows = {row.model: row for row in run_bench(suite, Path(folder)).rows}
    for row in rows.values():
        for doubt in row.doubts:
            note(f"{row.model}: {doubt}")
    return [rows[model] for model in models]


def times(ratio: TimeRatio | None) -> str:
    """A ratio of times as a cell, with its interval and verdict."""
    if ratio is None:
        return "?"
    return f"{ratio.ratio:.3f}× [{ratio.low:.3f}–{ratio.high:.3f}], {ratio.verdict}"


def _runs(runtime: RuntimeName, path: Path) -> bool:
    return (path.suffix == ".onnx") == (runtime is RuntimeName.ONNXRUNTIME)
