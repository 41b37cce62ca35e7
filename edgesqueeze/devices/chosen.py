"""Which files of a run go onto a device, with what they answer here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgesqueeze.devices.golden import GoldenModel, golden_models
from edgesqueeze.errors import OutputError
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.run.report import Report
from edgesqueeze.run.rundir import RunDir, open_run, read_report
from edgesqueeze.task.loading import load_task
from edgesqueeze.task.task import Task


@dataclass(frozen=True)
class Chosen:
    """Files of a finished run, what those that a runtime reads answer, and where they come from."""

    paths: tuple[Path, ...]
    models: tuple[GoldenModel, ...]
    task: Task
    report: Report


def choose(run: Path, names: Sequence[str], default: Callable[[RunDir], str]) -> Chosen:
    """Open a finished run and take files of it.

    Args:
        run: its directory.
        names: files of its ``artifacts``.
        default: which one, if none is named.

    Raises:
        OutputError: the run is not finished or has no such file, or none that a runtime reads is chosen.
        ExportError: a file takes several inputs, or a number of images at once.
        ParityError: the runner answers otherwise than the run's runtimes.
    """
    folder, recipe = open_run(run)
    report = read_report(run)
    task = load_task(recipe.task, recipe.seed)
    chosen = tuple(folder.artifacts / name for name in names or [default(folder)])
    for path in chosen:
        if not path.is_file():
            there = ", ".join(sorted(p.name for p in folder.artifacts.glob("model*")))
            raise OutputError(f"{run} has no file {path.name}; it has {there}")
    runnable = [path for path in chosen if FileFormat.known(path) is not FileFormat.SQZ]
    models = golden_models(runnable, task, _with_floats(report))
    if not models:
        raise OutputError("a bundle needs a .tflite or .onnx file, a .sqz file can only come beside it")
    return Chosen(chosen, tuple(models), task, report)


def smallest(folder: RunDir) -> str:
    """The smallest TFLite file of a run, or else ONNX file.

    Raises:
        OutputError: it has neither.
    """
    files = [p for p in folder.artifacts.glob("model*") if FileFormat.known(p) not in (None, FileFormat.SQZ)]
    if not files:
        raise OutputError(f"{folder.path} has no .tflite or .onnx file")
    tflite = [path for path in files if FileFormat.known(path) is FileFormat.TFLITE]
    return min(tflite or files, key=lambda path: (path.stat().st_size, path.name)).name


def _with_floats(report: Report) -> set[str]:
    """The int8 files that the check "integer operators" found to compute something in float."""
    findings = [
        f.what for check in report.checks if check.name == "integer operators" for f in check.findings
    ]
    return {row.label for row in report.rows if any(f"{row.label} computes" in what for what in findings)}
