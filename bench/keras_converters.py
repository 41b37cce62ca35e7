"""Networks that Keras trained, through our way in, beside TensorFlow's own converter, all files in one run.

    python -m bench.keras_converters --models FOLDER --work RUNS --output bench/results/keras_converters

FOLDER has the .keras files of ``bench.keras_training``. Each goes through ``task: {model: NAME.keras}``: to
int8 as the ``ptq`` stage does it untold, and through Deep Compression with little retraining. The converter
gets the same Keras file and the same calibration images in a process of its own, on Keras's TensorFlow
backend. Files and answers that lie below ``--work`` already are used again; times are always taken anew.
"""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench.int8_peers import Variant
from bench.keras_files import (
    CALIBRATION_IMAGES,
    CASES,
    COMPARED_IMAGES,
    same_python,
    task_of,
    write_ours,
    write_theirs,
)
from bench.keras_measured import MOST_TIME, ConverterFile, Measured, Pair, differences, measure
from bench.reporting import Result, milliseconds, table
from bench.timed_files import TimingPlan, add_plan_arguments, times
from edgesqueeze.data.splits import DataSplit
from edgesqueeze.errors import TaskError
from edgesqueeze.numerics.bootstrap import BootstrapTest
from edgesqueeze.task.metrics.base import Unit
from edgesqueeze.task.metrics.wording import written, written_change
from edgesqueeze.task.task import Task

OURS, THEIRS = "edgesqueeze", "TensorFlow"
FLOATS = ("float TFLite", "float ONNX", "TensorFlow float")
_FILES = {
    "float TFLite": (OURS, "int8/model.tflite", "TensorFlow float"),
    "float ONNX": (OURS, "int8/model.onnx", None),
    "int8, int8 at both ends": (OURS, "int8/model_int8.tflite", "TensorFlow int8, int8 at both ends"),
    "int8, floats at both ends": (
        OURS,
        "int8/model_int8_float32_io.tflite",
        "TensorFlow int8, floats at both ends",
    ),
    "int8 ONNX": (OURS, "int8/model_int8.onnx", None),
    "Deep Compression": (OURS, "deep/model.sqz", None),
    "Deep Compression, int8": (OURS, "deep/model_int8.tflite", None),
    "TensorFlow float": (THEIRS, "tensorflow/float.tflite", None),
    "TensorFlow int8, int8 at both ends": (THEIRS, "tensorflow/int8.tflite", None),
    "TensorFlow int8, floats at both ends": (THEIRS, "tensorflow/int8_float_io.tflite", None),
}
"""By label: who made a file, where it lies below a network's folder, and what it is held against."""


@dataclass(frozen=True)
class Compared:
    """All that was found of one network; ``apart`` is by file, and ``read`` the network as we read it."""

    network: str
    metric: str
    unit: Unit
    test_images: int
    rows: Sequence[Measured]
    pairs: Sequence[Pair]
    apart: dict[str, float]
    notes: dict[str, list[str]]
    variants: Sequence[Variant]


def main() -> None:
    """Make what is not there yet, measure, and write the table."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="folder of the .keras files")
    parser.add_argument("--work", type=Path, required=True, help="folder of the files that are made")
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    parser.add_argument("--networks", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--test-images", type=int, nargs="+", help="the first so many, for each network")
    parser.add_argument(
        "--tensorflow-python", type=Path, default=same_python(), help="Python with TensorFlow"
    )
    add_plan_arguments(parser)
    arguments = parser.parse_args()
    counts = arguments.test_images or [10_000] * len(arguments.networks)
    if len(counts) != len(arguments.networks):
        parser.error(f"--test-images has {len(counts)} numbers for {len(arguments.networks)} networks")
    result = Result(arguments.output)
    plan = TimingPlan(arguments.threads, arguments.processes, arguments.rounds)
    found = [compared(*pair, arguments, plan) for pair in zip(arguments.networks, counts, strict=True)]
    result.write({"networks": [to_json(one) for one in found]}, [*report_of(found), f"{plan.sentence()}."])


def compared(name: str, count: int, arguments: Any, plan: TimingPlan) -> Compared:
    """One network's files made and measured."""
    model = arguments.models / f"{name}.keras"
    task = with_test_images(task_of(name, model), count)
    folder = arguments.work / name
    notes = write_ours(name, task, folder)
    variants, exact = write_theirs(arguments.tensorflow_python, model, task, folder / "tensorflow")
    files = files_below(folder)
    rows, pairs = measure(files, task, folder / "answers", plan)
    in_float = [file for file in files if file.label in FLOATS]
    return Compared(
        network=name,
        metric=task.primary_metric,
        unit=task.primary.unit,
        test_images=count,
        rows=rows,
        pairs=pairs,
        apart=differences(in_float, task, exact, 1),
        notes=notes,
        variants=variants,
    )


def with_test_images(task: Task, count: int) -> Task:
    """The same task with the first test images alone.

    Raises:
        TaskError: there are not so many.
    """
    if not isinstance(task.test, DataSplit) or count > len(task.test):
        raise TaskError(f"{count} test images are wanted, the test split has {len(task.test)}")
    return replace(task, test=task.test.first(count))


def files_below(folder: Path) -> list[ConverterFile]:
    """All files of a network."""
    return [ConverterFile(label, who, folder / path, other) for label, (who, path, other) in _FILES.items()]


def to_json(found: Compared) -> dict[str, Any]:
    """Plain JSON values, paths left out."""
    rows = [
        {"label": row.file.label, "who": row.file.who, "file": row.file.path.name, **asdict(row)}
        for row in found.rows
    ]
    for row in rows:
        del row["file"]
    pairs = [
        {**asdict(pair), "no_worse": pair.no_worse, "meets_the_bar": pair.meets_the_bar}
        for pair in found.pairs
    ]
    return {**asdict(replace(found, rows=(), pairs=())), "rows": rows, "pairs": pairs}


def report_of(found: Sequence[Compared]) -> list[str]:
    """The parts of the Markdown report."""
    return [
        "# Keras networks beside TensorFlow's own converter",
        _said(found),
        "## Every file",
        table(
            ["network", "made by", "file", "bytes", "metric [95 %]", "latency ms", "runtime"],
            [line for one in found for line in _file_lines(one)],
        ),
        "## Ours beside the converter's",
        "Met where ours is no less accurate on the same images (the paired test finds no loss), no larger, "
        f"and takes at most {MOST_TIME} times as long. Time: ours in shares of theirs.",
        table(
            ["network", "pair", "metric, ours less theirs", "p", "bytes", "time", "met"],
            [line for one in found for line in _pair_lines(one)],
        ),
        "## The largest difference to Keras's answers, of their range",
        table(
            ["network", "as it was read", *FLOATS],
            [[one.network, *(f"{one.apart[label]:.1e}" for label in ("read", *FLOATS))] for one in found],
        ),
    ]


def _said(found: Sequence[Compared]) -> str:
    images = ", ".join(f"{one.test_images:,} for {one.network}" for one in found)
    converter = found[0].variants[0].tool
    return (
        f"Fashion-MNIST; test images: {images}. {CALIBRATION_IMAGES} calibration images, the same for both. "
        f"{converter}: float with nothing set; int8 with Optimize.DEFAULT, the representative data set and "
        "TFLITE_BUILTINS_INT8, once with int8 inputs and outputs and once with its default, floats. Ours: "
        "the ptq stage with nothing set. Bytes, metric and time are those of the file on disk; a "
        "squeezed one is run as the ONNX file that it decodes to, and not timed again. Differences are over "
        f"{COMPARED_IMAGES} test images, to Keras on TensorFlow."
    )


def _file_lines(one: Compared) -> list[list[str]]:
    return [
        [
            one.network,
            row.file.who,
            f"{row.file.label.removeprefix(f'{THEIRS} ')}, {row.file.path.name}",
            f"{row.num_bytes:,}",
            written(row.value, one.unit) + _ends(row, one.unit),
            _latency(row),
            row.runtime,
        ]
        for row in one.rows
    ]


def _ends(row: Measured, unit: Unit) -> str:
    if row.interval is None:
        return ""
    return f" [{written(row.interval.low, unit)} – {written(row.interval.high, unit)}]"


def _latency(row: Measured) -> str:
    if row.timing is None:
        return "–"
    return "?" if row.timing.latency is None else milliseconds(row.timing.latency)


def _pair_lines(one: Compared) -> list[list[str]]:
    return [
        [
            one.network,
            pair.ours,
            written_change(pair.change, one.unit, "+") + _change_ends(pair, one.unit),
            "–" if pair.test is None else f"{pair.test.p_value:.2g}",
            f"{pair.bytes:.3f}×",
            times(pair.time),
            "yes" if pair.meets_the_bar else "no",
        ]
        for pair in one.pairs
    ]


def _change_ends(pair: Pair, unit: Unit) -> str:
    """What the images say of the change: its interval, or how many answers differ."""
    if pair.test is None:
        return ""
    if isinstance(pair.test, BootstrapTest):
        ends = (written_change(end, unit, "+") for end in (pair.test.low, pair.test.high))
        return f" [{' – '.join(ends)}]"
    return f" ({pair.test.won} won, {pair.test.lost} lost)"


if __name__ == "__main__":
    main()
