"""What a suite measures, one by one: a file in a runtime, with so many threads and inputs at once."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from edgesqueeze.errors import OutputError
from edgesqueeze.files import make_directory, write_atomically
from edgesqueeze.formats.any_file import model_file
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.measure.bench.suite import Precision, Suite
from edgesqueeze.measure.runtimes.runtime import RUNTIMES, RuntimeName
from edgesqueeze.models import BUILT_IN_MODELS

_LOG = logging.getLogger("edgesqueeze.bench")
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
    """One file in one setting, which is None of a file that does not run; ``label`` is its path as shown.

    ``precision`` is what a built-in model was written in, None of a file that was there.
    """

    model: str
    path: Path
    label: str
    setting: Setting | None
    precision: Precision | None = None


def candidates_of(suite: Suite, directory: Path) -> list[Candidate]:
    """Every candidate of a suite in the order of its models; the files of built-in models are written.

    Raises:
        OutputError: a file cannot be written, or writing would replace one that the suite names.
    """
    _protect_named_files(suite, directory)
    return [candidate for model in suite.all_models for candidate in _of_model(model, suite, directory)]


def write_built_in(
    name: str,
    directory: Path,
    runtimes: Sequence[RuntimeName],
    batch: int = 1,
    precisions: Sequence[Precision] = ("fp32",),
) -> dict[tuple[RuntimeName, Precision], Path]:
    """Write a built-in model with seeded random weights as files, one for each runtime and precision.

    For torch it is a file of float32 weights, for any batch, and no other.

    Raises:
        RecipeError: there is no such built-in model.
        OutputError: a file cannot be written.
    """
    from edgesqueeze.measure.bench.random_network import RandomNetwork

    make_directory(directory)
    network = RandomNetwork(name)
    written: dict[tuple[RuntimeName, Precision], Path] = {}
    for runtime, precision in _made(runtimes, precisions):
        path = directory / _file_name(runtime, batch, precision)
        if runtime is RuntimeName.TORCH:
            network.write_weights(path)
        else:
            spec = network.spec if precision == "int8" else None
            write_atomically(path, model_file(network.graph, spec, RUNTIMES[runtime].runs, batch))
        _LOG.info("wrote %s", path)
        written[runtime, precision] = path
    return written


def _of_model(model: str, suite: Suite, directory: Path) -> list[Candidate]:
    path, runtimes = Path(model), suite.runtimes_of(model)
    if model in BUILT_IN_MODELS:
        return _of_built_in(model, suite, directory)
    if FileFormat.known(path) is FileFormat.SQZ:
        return [Candidate(model, path, model, None)]
    settings = product(runtimes, suite.threads, suite.batch or (None,))
    return [Candidate(model, path, model, Setting(*setting)) for setting in settings]


def _of_built_in(model: str, suite: Suite, directory: Path) -> list[Candidate]:
    _LOG.info("building %s", model)
    runtimes, batches = suite.runtimes_of(model), suite.batch or (None,)
    files = {
        batch: write_built_in(model, directory / model, runtimes, batch or 1, suite.precisions)
        for batch in batches
    }
    found = []
    for runtime, precision in _made(runtimes, suite.precisions):
        for threads, batch in product(suite.threads, batches):
            file = files[batch][runtime, precision]
            setting = Setting(runtime, threads, batch)
            found.append(Candidate(model, file, f"{model}/{file.name}", setting, precision))
    return found


def _made(
    runtimes: Sequence[RuntimeName], precisions: Sequence[Precision]
) -> list[tuple[RuntimeName, Precision]]:
    """What there is of a built-in model: torch computes in float32 alone."""
    pairs = product(runtimes, precisions)
    return [(r, precision) for r, precision in pairs if r is not RuntimeName.TORCH or precision == "fp32"]


def _file_name(runtime: RuntimeName, batch: int, precision: Precision) -> str:
    if runtime is RuntimeName.TORCH:
        return _WEIGHTS
    form = "" if precision == "fp32" else f"_{precision}"
    return f"model{form}{f'_batch{batch}' if batch > 1 else ''}{RUNTIMES[runtime].runs.suffix}"


def _protect_named_files(suite: Suite, directory: Path) -> None:
    ours = {
        (directory / model / _file_name(runtime, batch, precision)).resolve()
        for model in suite.all_models
        for runtime, precision in _made(suite.runtimes, suite.precisions)
        for batch in suite.batch or (1,)
        if model in BUILT_IN_MODELS
    }
    for model in suite.all_models:
        if model not in BUILT_IN_MODELS and Path(model).resolve() in ours:
            raise OutputError(
                f"{model} would be overwritten by a built-in model; choose another output directory"
            )
