"""Table 2 of the SqueezeNet paper (Iandola et al. 2016, arXiv 1602.07360) on data one can have.

    python -m bench.squeezenet_paper --work RUNS --output bench/results/squeezenet_paper [--models alexnet …]

AlexNet and SqueezeNet 1.0 and 1.1 on Fashion-MNIST at 96 × 96: float, int8, Deep Compression with 8 and 6
bits, and squeezed; and the way from LeNet-300-100 over LeNet-5 and AlexNet to SqueezeNet, float and int8, the
LeNets at 28 × 28. Training computes in bfloat16 (``precision: bf16-mixed``). Every method is a run of its
own below ``--work``, begun from the model's float checkpoint there; what has finished is not repeated, so
hours of work can be stopped and continued, and ``--only`` lets several processes share them. Bytes and
accuracy are those of a file of the run; ratios are to AlexNet's float ONNX file. Latency is measured again
when all are there: every file of the tables in turns, in one process.
"""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.reporting import Result, milliseconds, note, percent, table
from edgesqueeze.exports.base import Artifact
from edgesqueeze.exports.squeezed import SqueezedExport
from edgesqueeze.files import sha256_of
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.measure.runtimes.latency import LatencySettings, measure_interleaved
from edgesqueeze.measure.runtimes.predictor import Predictor
from edgesqueeze.measure.runtimes.runtime import load_model
from edgesqueeze.pipeline import compress
from edgesqueeze.run.recipe import Recipe, parse_recipe
from edgesqueeze.run.report import Report
from edgesqueeze.run.row import Row
from edgesqueeze.run.rundir import new_run, open_run, read_report
from edgesqueeze.task.loading import load_task
from edgesqueeze.text.digits import times

LENETS = ("lenet300_100", "lenet5")
PAPER = ("alexnet", "squeezenet1_0", "squeezenet1_1")
MODELS = LENETS + PAPER
RATES = {
    "lenet300_100": 0.001,
    "lenet5": 0.001,
    "alexnet": 0.0003,
    "squeezenet1_0": 0.001,
    "squeezenet1_1": 0.001,
}
"""Learning rates of the training from random weights; retraining has a third."""
BATCHES = {"squeezenet1_0": 64, "squeezenet1_1": 64}
"""Images of a batch, where they are not 128: without batch norm SqueezeNet learns by the number of steps."""
SPARSITY = {
    "alexnet": {
        "features.0": 0.16,
        "classifier.1": 0.91,
        "classifier.4": 0.91,
        "classifier.6": 0.75,
        "*": 0.63,
    },
    "squeezenet1_0": {"*": 0.33},
    "squeezenet1_1": {"*": 0.33},
}
"""Shares of zeros: of AlexNet those of Han et al. 2015 (arXiv 1506.02626, table 4), about; of SqueezeNet a
third. The paper leaves a third, as its table 1 shows, which so little training would not bear."""
TIMED = {"model.onnx", "model.tflite", "model_int8.tflite", "model.sqz"}
"""The files of which a latency is printed."""
_FILES: list[dict[str, Any]] = [
    {"export": "onnx", "precision": ["int8"]},
    {"export": "tflite", "precision": ["int8"]},
]
_CODED: list[dict[str, Any]] = [{"export": "squeezed", "templates": ["tflite_fp32"]}, {"export": "onnx"}]


@dataclass(frozen=True)
class Method:
    """A way to a smaller network: stages behind the float checkpoint, exports, and the file that counts."""

    stages: tuple[dict[str, Any], ...]
    exports: Sequence[dict[str, Any]]
    file: str


def methods(model: str) -> dict[str, Method]:
    """The rows of the table behind the float one."""
    if model in LENETS:
        return {"int8": Method(({"stage": "ptq"},), _FILES, "model_int8.tflite")}
    rate = RATES[model]
    tuned = {"batch_size": BATCHES.get(model, 128), "optimizer": "adam", "weight_decay": 0.0}
    tuned["learning_rate"] = rate / 3
    pruned = {"stage": "prune", "sparsity": SPARSITY[model], "epochs": 2, **tuned}
    squeezed = {"stage": "squeeze", "price": 0.5, "epochs": 4, **tuned}
    return {
        "int8": Method(({"stage": "ptq"},), _FILES, "model_int8.tflite"),
        **{
            f"Deep Compression, {bits} bit": Method(
                (pruned, {"stage": "share", "num_bits": bits, "epochs": 1, **tuned}), _CODED, "model.sqz"
            )
            for bits in (8, 6)
        },
        "squeeze": Method((squeezed,), _CODED, "model.sqz"),
    }


def main() -> None:
    """Run what has not finished, and write the table."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--train-images", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=8, help="of the training from random weights")
    parser.add_argument(
        "--only", nargs="+", help="run these methods and write no table: float, int8, squeeze …"
    )
    arguments = parser.parse_args()
    found = {model: runs_of(model, arguments) for model in arguments.models}
    if arguments.only:
        return
    result = Result(arguments.output)
    found = timed(found, arguments.work)
    data = {
        model: {method: [asdict(row) for row in report.rows] for method, report in reports.items()}
        for model, reports in found.items()
    }
    result.write(data, report_of(found))


def runs_of(model: str, arguments: Any) -> dict[str, Report]:
    """The reports of a model, float first."""
    folder = arguments.work / model
    plain = [{"export": "onnx"}, {"export": "tflite"}]
    wanted = arguments.only or ["float", *methods(model)]
    task = task_of(model, arguments.train_images)
    reports = {}
    if "float" in wanted:
        stage = train_stage(model, arguments.epochs)
        reports["float"] = finished(folder / "float", recipe_of("float", task, [stage], plain))
    task["checkpoint"] = trained(folder / "float")
    for label, method in methods(model).items():
        if label in wanted:
            recipe = recipe_of(folder_of(label), task, method.stages, method.exports)
            reports[label] = finished(folder / folder_of(label), recipe)
    return reports


def task_of(model: str, images: int) -> dict[str, Any]:
    """The task of a recipe."""
    data: dict[str, Any] = {"named": "fashion_mnist", "train_images": images}
    if model in PAPER:
        data |= {"image_size": [96, 96], "channels": 3}
    return {"model": model, "data": data, "validation": 0.05}


def train_stage(model: str, epochs: int) -> dict[str, Any]:
    """Adam with one cycle."""
    settings = {"batch_size": BATCHES.get(model, 128), "optimizer": "adam", "learning_rate": RATES[model]}
    return {"stage": "train", "epochs": epochs, "weight_decay": 0.0, "schedule": "one_cycle", **settings}


def trained(folder: Path) -> str:
    """The weights that a run's training left."""
    return str(folder / "stages" / "01-train" / "model.safetensors")


def folder_of(method: str) -> str:
    """The name of a method's run folder."""
    return method.replace(", ", "_").replace(" ", "_").lower()


def recipe_of(name: str, task: dict[str, Any], stages: Sequence[Any], exports: Sequence[Any]) -> Recipe:
    """A recipe in code."""
    content = {"version": 1, "name": name, "task": task, "stages": list(stages), "exports": list(exports)}
    content["precision"] = "bf16-mixed"
    return parse_recipe({**content, "references": []}, f"bench.squeezenet_paper, {name}")


def finished(folder: Path, recipe: Recipe) -> Report:
    """The report of a run, which is begun or continued if need be."""
    if (folder / "report.json").is_file():
        return read_report(folder)
    note(f"{folder}: {recipe.name}")
    run = open_run(folder)[0] if (folder / "recipe.yaml").is_file() else new_run(recipe, folder)
    return compress(recipe, load_task(recipe.task, recipe.seed), run)


def timed(found: dict[str, dict[str, Report]], work: Path) -> dict[str, dict[str, Report]]:
    """The same reports with the latencies of the tables' files, all measured in turns with one thread."""
    runs, examples = {}, {}
    for model, reports in found.items():
        for method, report in reports.items():
            shape = (1, 3, 96, 96) if model in PAPER else (1, 1, 28, 28)
            examples[model] = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
            for label in {row.label for row in report.rows} & TIMED:
                predictor = loaded(work / model / folder_of(method) / "artifacts" / label)
                runs[f"{model}/{method}/{label}"] = predictor.prepare(examples[model])
    note(f"{len(runs)} files in turns")
    latencies = measure_interleaved(runs, LatencySettings())
    return {
        model: {
            method: replace(
                report,
                rows=tuple(
                    replace(row, latency=latencies.get(f"{model}/{method}/{row.label}", row.latency))
                    for row in report.rows
                ),
            )
            for method, report in reports.items()
        }
        for model, reports in found.items()
    }


def loaded(path: Path) -> Predictor:
    """A file in the runtime of its row, with one thread."""
    if FileFormat.known(path) is not FileFormat.SQZ:
        return load_model(path)
    artifact = Artifact(FileFormat.SQZ, "fp32", path, path.stat().st_size, sha256_of(path))
    return SqueezedExport(export="squeezed").load(artifact, 1)


def report_of(found: dict[str, dict[str, Report]]) -> list[str]:
    """Both tables; the paper's only where its networks were run."""
    first = next(iter(found.values()))["float"]
    parts = [
        "# LeNet, AlexNet and SqueezeNet, compressed",
        f"{first.test_examples:,} test images of Fashion-MNIST. Bytes, accuracy and latency are those of the "
        "file that is named.",
        "## From LeNet-300-100 to SqueezeNet",
        _progression(found),
    ]
    paper = {model: reports for model, reports in found.items() if model in PAPER}
    return [*parts, *_paper(paper)] if paper else parts


def _progression(found: dict[str, dict[str, Report]]) -> str:
    header = [
        "network",
        "parameters",
        "multiply-accumulates",
        "file",
        "bytes",
        "accuracy",
        "precision",
        "recall",
        "F1",
        "ms, 1 thread",
    ]
    return table(header, [line for model, reports in found.items() for line in _two(model, reports)])


def _two(model: str, reports: dict[str, Report]) -> list[list[str]]:
    """A network's float and int8 TFLite files."""
    start = reports["float"].rows[0]
    rows = (_row(reports["float"], "model.tflite"), _row(reports["int8"], "model_int8.tflite"))
    return [
        [
            model,
            f"{start.params:,}",
            f"{start.macs:,}",
            row.label,
            f"{row.num_bytes:,}",
            percent(row.primary),
            *(percent(row.metrics.get(name)) for name in ("precision", "recall", "F1")),
            "–" if row.latency is None else milliseconds(row.latency),
        ]
        for row in rows
    ]


def _paper(found: dict[str, dict[str, Report]]) -> list[str]:
    """The paper's table 2."""
    whole = _row(found[next(iter(found))]["float"], "model.onnx").num_bytes or 0
    header = ["network", "method", "file", "bytes", "of the first", "top-1 [95 %]", "top-5", "ms, 1 thread"]
    lines = [
        _line(model, method, report, whole)
        for model, reports in found.items()
        for method, report in reports.items()
    ]
    return [
        "## The SqueezeNet paper's table 2",
        f"At 96 × 96. Ratios are to the {whole:,} bytes of {next(iter(found))}'s float ONNX file.",
        table(header, lines),
    ]


def _row(report: Report, label: str) -> Row:
    return next(row for row in report.rows if row.label == label)


def _line(model: str, method: str, report: Report, whole: int) -> list[str]:
    label = "model.onnx" if method == "float" else methods(model)[method].file
    row = _row(report, label)
    assert row.num_bytes is not None and row.latency is not None and row.interval is not None
    ends = f" [{100 * row.interval.low:.2f}–{100 * row.interval.high:.2f}]"
    return [
        model,
        method,
        f"{row.label}, {row.runtime}",
        f"{row.num_bytes:,}",
        times(whole / row.num_bytes, 1),
        percent(row.primary) + ends,
        percent(row.metrics.get("top-5")),
        milliseconds(row.latency),
    ]


if __name__ == "__main__":
    main()
