"""Every way to int8 that we have, measured on one trained network: does it help, on what.

    python -m bench.int8_table --recipe RUN/recipe.yaml --checkpoint RUN/…/model.safetensors --output DIR
        [--run "QAT=other_run" …] [--only LABEL …]

Files of finished runs (``--run LABEL=RUN``: its artifacts model_int8.onnx and model_int8.tflite) stand in
the same table, so that what takes hours to train is measured in the same minutes as the rest.
"""

import tempfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.files import RUNTIMES, Measured, ModelFile, measure, quantize, write_ours
from bench.reporting import Result, milliseconds, note, percent, points, table
from bench.subjects import Subject, add_subject_arguments, subject_from
from bench.timed_files import TimingPlan, add_plan_arguments, times
from edgesqueeze.compression.stages.ptq import Ptq
from edgesqueeze.errors import RecipeError

METHODS = {
    "min_max": Ptq(method="min_max"),
    "moving_average": Ptq(method="moving_average"),
    "percentile": Ptq(method="percentile"),
    "entropy": Ptq(method="entropy"),
    "mse": Ptq(method="mse"),
    "auto": Ptq(method="auto"),
    "min_max, mse weights": Ptq(method="min_max", weights="mse"),
    "min_max, equalize": Ptq(method="min_max", equalize=True),
    "min_max, bias correction": Ptq(method="min_max", bias_correction=True),
    "min_max, equalize, bias correction": Ptq(method="min_max", equalize=True, bias_correction=True),
    "min_max, AdaRound": Ptq(method="min_max", adaround=True),
    "auto, AdaRound": Ptq(method="auto", adaround=True),
}
FLOAT = "float"


def main() -> None:
    """Quantize in every way, measure all files in one go, write the result."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    add_subject_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    parser.add_argument("--only", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    parser.add_argument("--run", action="append", default=[], metavar="LABEL=RUN", help="a finished run")
    add_plan_arguments(parser)
    arguments = parser.parse_args()
    result = Result(arguments.output)
    subject = subject_from(arguments)
    finished = [file for run in arguments.run for file in run_files(run)]
    plan = TimingPlan(arguments.threads, arguments.processes, arguments.rounds)
    with tempfile.TemporaryDirectory() as folder:
        files, notes = ptq_files(subject, arguments.only, Path(folder))
        rows = measure([*files, *finished], subject, plan)
    data = {"subject": subject.facts(), "notes": notes, "rows": [asdict(row) for row in rows]}
    said = [f"{label}: {text}." for label, text in notes.items()]
    result.write(data, [*report(subject, rows), f"{plan.sentence()}.", *said])


def run_files(run: str) -> list[ModelFile]:
    """The int8 files of a finished run, given as LABEL=RUN.

    Raises:
        RecipeError: it is given otherwise, or the run has no such files.
    """
    label, equals, folder = run.partition("=")
    if not equals or not label:
        raise RecipeError(f"--run {run!r} is not of the form LABEL=RUN")
    paths = [Path(folder) / "artifacts" / f"model_int8{suffix}" for suffix in RUNTIMES]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise RecipeError(f"--run {run!r}: there is no {', '.join(missing)}")
    return [ModelFile(label, path) for path in paths]


def ptq_files(
    subject: Subject, labels: Sequence[str], folder: Path
) -> tuple[list[ModelFile], dict[str, str]]:
    """The float files and those of every method, and what a method noted about its choices."""
    files: list[ModelFile] = []
    notes: dict[str, str] = {}
    for label in labels:
        note(f"quantizing: {label}")
        model, said = quantize(subject, METHODS[label])
        if said:
            notes[label] = "; ".join(said)
        for path in write_ours(model, folder / label, with_float=not files):
            is_float = "int8" not in path.name
            files.append(ModelFile(FLOAT if is_float else label, path, is_float))
    return files, notes


def report(subject: Subject, rows: Sequence[Measured]) -> list[str]:
    """The parts of the Markdown report: one line per method, both runtimes side by side."""
    by_label: dict[str, dict[str, Measured]] = {}
    for row in rows:
        by_label.setdefault(row.label, {})[Path(row.file).suffix] = row
    names = list(RUNTIMES.values())
    accuracy = ["int8 by", *(f"{what}, {name}" for name in names for what in ("accuracy", "change"))]
    size = ["int8 by"]
    size += [
        f"{what}, {name}"
        for name in names
        for what in ("bytes", "smaller", "latency ms", "time of the float file's")
    ]
    pairs = {label: [found[suffix] for suffix in RUNTIMES] for label, found in by_label.items()}
    scores = [
        [label, *(cell for row in pair for cell in (percent(row.accuracy), points(row.change)))]
        for label, pair in pairs.items()
    ]
    sizes = [[label, *(cell for row in pair for cell in _cells(row))] for label, pair in pairs.items()]
    facts = subject.facts()
    scored = f"{facts['test_images']:,} test images" if subject.has_labels else "no test images"
    runtimes = ", ".join(dict.fromkeys(row.runtime for row in rows))
    text = (
        f"Accuracy over {scored}; {facts['calibration_images']} calibration images. "
        "Smaller, time and change (in points) are against the float file in the same runtime and run. "
        f"Runtimes: {runtimes}."
    )
    return [f"# int8 of {subject.task.name}", table(accuracy, scores), table(size, sizes), text]


def _cells(row: Measured) -> list[str]:
    latency = "?" if row.latency is None else milliseconds(row.latency)
    return [f"{row.num_bytes:,}", f"{row.smaller:.3f}×", latency, times(row.time)]


if __name__ == "__main__":
    main()
