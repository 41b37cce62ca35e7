"""What a suite measures, one by one: a file in a runtime, with so many threads and inputs at once."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from edgesqueeze.errors import OutputError
from edgesqueeze.files import make_directory, write_atomically
from edgesqueeze.formats.any_file import float_file
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.measure.bench.suite import Suite
from edgesqueeze.measure.runtimes.runtime import RUNTIMES, RuntimeName
from edgesqueeze.measure.runtimes.torch_module import write_weights
from edgesqueeze.models import BUILT_IN_MODELS, built_in_model
from edgesqueeze.network.graph.nodes import Graph

_LOG = logging.getLogger("edgesqueeze.bench")
_SEED = 0
_WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Setting:
    """What candidates must share to be compared.

    ``batch`` is None where every file is given as many inputs as it takes.
    """

    runtime: RuntimeName
    threads: int
    batch: int | None


@dataclass(frozen=True)
class Candidate:
    """One file in one setting, which is None of a file that does not run; ``label`` is its path as shown."""

    model: str
    path: Path
    label: str
    setting: Setting | None


def candidates_of(suite: Suite, directory: Path) -> list[Candidate]:
    """Every candidate of a suite in the order of its models; the files of built-in models are written.

    Raises:
        OutputError: a file cannot be written, or writing would replace one that the suite names.
    """
    _protect_named_files(suite, directory)
    return [candidate for model in suite.all_models for candidate in _of_model(model, suite, directory)]


def write_built_in(
    name: str, directory: Path, runtimes: Sequence[RuntimeName], batch: int = 1
) -> dict[RuntimeName, Path]:
    """Write a built-in model with seeded random weights as float32 files, one for each runtime.

    For torch it is a file of weights, for any batch.

    Raises:
        RecipeError: there is no such built-in model.
        OutputError: a file cannot be written.
    """
    make_directory(directory)
    graph: Graph | None = None
    written: dict[RuntimeName, Path] = {}
    for runtime in runtimes:
        path = directory / _file_name(runtime, batch)
        if runtime is RuntimeName.TORCH:
            write_weights(name, path, _SEED)
        else:
            graph = graph or _built_in_graph(name)
            write_atomically(path, float_file(graph, RUNTIMES[runtime].runs, batch))
        _LOG.info("wrote %s", path)
        written[runtime] = path
    return written


def _of_model(model: str, suite: Suite, directory: Path) -> list[Candidate]:
    path, runtimes = Path(model), suite.runtimes_of(model)
    if FileFormat.known(path) is FileFormat.SQZ and model not in BUILT_IN_MODELS:
        return [Candidate(model, path, model, None)]
    files: dict[tuple[RuntimeName, int | None], Path] = {}
    batches = suite.batch or (None,)
    if model in BUILT_IN_MODELS:
        _LOG.info("building %s", model)
        for batch in batches:
            written = write_built_in(model, directory / model, runtimes, batch or 1)
            files.update({(runtime, batch): file for runtime, file in written.items()})
    found = []
    for runtime, threads, batch in product(runtimes, suite.threads, batches):
        file = files.get((runtime, batch), path)
        label = f"{model}/{file.name}" if model in BUILT_IN_MODELS else model
        found.append(Candidate(model, file, label, Setting(runtime, threads, batch)))
    return found


def _file_name(runtime: RuntimeName, batch: int) -> str:
    if runtime is RuntimeName.TORCH:
        return _WEIGHTS
    return f"model{f'_batch{batch}' if batch > 1 else ''}{RUNTIMES[runtime].runs.suffix}"


def _protect_named_files(suite: Suite, directory: Path) -> None:
    ours = {
        (directory / model / _file_name(runtime, batch)).resolve()
        for model in suite.all_models
        for runtime in suite.runtimes
        for batch in suite.batch or (1,)
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
