"""Models and files side by side: parameters, bytes, multiply-accumulates and latency, read from the files.

Progress goes to the logger ``edgesqueeze.bench``.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgesqueeze.errors import OutputError
from edgesqueeze.files import make_directory, write_atomically
from edgesqueeze.formats.any_file import float_file, read_model_file
from edgesqueeze.formats.facts import FileFacts
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.measure.bench.suite import (
    Published,
    Suite,
    agrees,
    change_suite,
    load_suite,
)
from edgesqueeze.measure.bench.table import BenchRow, PublishedCheck, Ratios, render, render_brief
from edgesqueeze.measure.runtimes.host import HostFacts, host_facts
from edgesqueeze.measure.runtimes.latency import LatencySettings, measure_interleaved
from edgesqueeze.measure.runtimes.runtime import RUNTIMES, RuntimeName
from edgesqueeze.measure.runtimes.trial import check_survives, example_input
from edgesqueeze.models import BUILT_IN_MODELS, built_in_model
from edgesqueeze.network.graph.nodes import Graph

__all__ = [
    "BenchReport",
    "BenchRow",
    "Suite",
    "change_suite",
    "load_suite",
    "run_bench",
    "write_built_in",
]

_LOG = logging.getLogger("edgesqueeze.bench")
_SEED = 0


@dataclass(frozen=True)
class BenchReport:
    """A finished suite: what was asked, where it ran, one row per file."""

    suite: Suite
    host: HostFacts
    rows: tuple[BenchRow, ...]

    def to_json(self) -> dict[str, object]:
        """Plain JSON values."""
        return {
            "suite": self.suite.model_dump(mode="json"),
            "host": self.host.to_json(),
            "rows": [row.to_json() for row in self.rows],
        }

    def table(self, tablefmt: str = "simple") -> str:
        """The rows, the published figures beside ours, and the host, in any of tabulate's formats."""
        return render(self.rows, self.suite, self.host, tablefmt)

    def brief(self) -> str:
        """The rows in lines of at most a hundred columns."""
        return render_brief(self.rows, self.suite, self.host)


@dataclass(frozen=True)
class _File:
    """One file to measure; ``label`` is how the row's path is shown."""

    model: str
    runtime: RuntimeName
    path: Path
    label: str


def run_bench(suite: Suite, directory: Path) -> BenchReport:
    """Measure every model of a suite.

    Built-in models get seeded random weights (no column depends on their values) and are written to
    ``directory/<name>/model.onnx`` and ``model.tflite``; files named by the suite are only read.

    Raises:
        ExportError: a file is missing, is not what its suffix says, or cannot be run.
        OutputError: a file cannot be written, or writing would replace a file the suite names.
    """
    _protect_named_files(suite, directory)
    files = [file for model in suite.all_models for file in _files(model, suite, directory)]
    facts = [_read(file) for file in files]
    rows: dict[_File, BenchRow] = {}
    for runtime in suite.runtimes:
        chosen = [(file, fact) for file, fact in zip(files, facts, strict=True) if file.runtime == runtime]
        if chosen:
            rows.update(_measure(chosen, suite))
    return BenchReport(suite, host_facts(), tuple(_against_baseline(file, rows, suite) for file in files))


def write_built_in(name: str, directory: Path, runtimes: Sequence[RuntimeName]) -> dict[RuntimeName, Path]:
    """Write a built-in model with seeded random weights as float32 files, one for each runtime.

    Raises:
        RecipeError: there is no such built-in model.
        OutputError: a file cannot be written.
    """
    make_directory(directory)
    graph = _built_in_graph(name)
    written: dict[RuntimeName, Path] = {}
    for runtime in runtimes:
        path = directory / f"model{RUNTIMES[runtime].runs.suffix}"
        write_atomically(path, float_file(graph, RUNTIMES[runtime].runs))
        _LOG.info("wrote %s", path)
        written[runtime] = path
    return written


def _files(model: str, suite: Suite, directory: Path) -> list[_File]:
    if model in BUILT_IN_MODELS:
        _LOG.info("building %s", model)
        written = write_built_in(model, directory / model, suite.needed_runtimes)
        return [_File(model, runtime, path, f"{model}/{path.name}") for runtime, path in written.items()]
    path = Path(model)
    runtimes = [runtime for runtime in suite.runtimes if RUNTIMES[runtime].runs is FileFormat.known(path)]
    return [_File(model, runtime, path, model) for runtime in runtimes]


def _protect_named_files(suite: Suite, directory: Path) -> None:
    ours = {
        (directory / model / f"model{RUNTIMES[runtime].runs.suffix}").resolve()
        for model in suite.all_models
        for runtime in suite.runtimes
        if model in BUILT_IN_MODELS
    }
    for model in suite.all_models:
        if model not in BUILT_IN_MODELS and Path(model).resolve() in ours:
            raise OutputError(
                f"{model} would be overwritten by a built-in model; choose another output directory"
            )


def _built_in_graph(name: str) -> Graph:
    import torch

    from edgesqueeze.network.reading.torch.build import build_graph

    entry = built_in_model(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        model = entry.build()
    return build_graph(model, torch.zeros(1, *entry.input_shape))


def _read(file: _File) -> FileFacts:
    _LOG.info("reading %s", file.path)
    return read_model_file(file.path)


def _measure(chosen: list[tuple[_File, FileFacts]], suite: Suite) -> dict[_File, BenchRow]:
    """Rows of one runtime's files, timed in turns; the runtime's memory is freed at the end."""
    settings = LatencySettings(warmup_runs=suite.warmup, samples=suite.samples, threads=suite.threads)
    names: dict[_File, str] = {}
    runs: dict[_File, Callable[[], object]] = {}
    for file, fact in chosen:
        if file.model not in BUILT_IN_MODELS:
            check_survives(file.path)
        predictor = RUNTIMES[file.runtime].load(file.path, suite.threads)
        names[file] = predictor.runtime
        runs[file] = predictor.prepare(example_input(fact))
    runtime = names[chosen[0][0]]
    _LOG.info("timing %d files in %s, %d samples each, in turns", len(runs), runtime, suite.samples)
    latencies = measure_interleaved({str(i): run for i, run in enumerate(runs.values())}, settings)
    return {
        file: BenchRow(
            model=file.model,
            path=file.label,
            runtime=names[file],
            precision=fact.precision,
            params=fact.params,
            nonzero_params=fact.nonzero_params,
            macs=fact.macs,
            num_bytes=fact.num_bytes,
            latency=latencies[str(i)],
        )
        for i, (file, fact) in enumerate(chosen)
    }


def _against_baseline(file: _File, rows: dict[_File, BenchRow], suite: Suite) -> BenchRow:
    row = rows[file]
    for other, baseline in rows.items():
        if other.model == suite.baseline and other.runtime == file.runtime:
            row = replace(row, ratios=Ratios.of(row, baseline))
    published = suite.published.get(row.model)
    return row if published is None else replace(row, published=_check(row, published))


def _check(row: BenchRow, published: Published) -> PublishedCheck:
    gmacs_agree = None
    if published.gmacs is not None and row.macs is not None:
        gmacs_agree = agrees(published.gmacs, row.macs / 1e9)
    params_agree = None if published.params is None else agrees(published.params, row.params)
    return PublishedCheck(published.params, params_agree, published.gmacs, gmacs_agree, published.source)
