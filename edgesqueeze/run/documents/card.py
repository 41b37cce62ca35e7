"""The model card of a run: Markdown with the front matter that model hubs read, all of it from the report.

Cards are published. So paths are left out, which would tell whose machine it was; of data in a folder only
the folder's own name is there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from math import isfinite
from pathlib import Path, PurePath
from typing import Any

import yaml

from edgesqueeze.errors import OutputError
from edgesqueeze.files import write_atomically
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.measure.checks.check import checks_text
from edgesqueeze.run.report import Report
from edgesqueeze.run.row import Row
from edgesqueeze.run.row_tables import (
    SIMULATED,
    rows_table,
    said_of_chance,
    said_of_changes,
    said_of_inputs,
)
from edgesqueeze.task.data_config import DATA_KEYS
from edgesqueeze.text.printable import printable

PIPELINE_TAGS = {
    "classification": "image-classification",
    "detection": "object-detection",
    "segmentation": "image-segmentation",
    "reconstruction": "image-to-image",
}
"""What the Hub calls the kinds of tasks that it has a name for."""
TAGS = ("edge", "compression")
MOST_CLASSES = 100
"""Classes up to which a card has all their names."""
_OTHER = "other"
_UNKNOWN = "unknown"
_HUB_DATA = {
    "mnist": "ylecun/mnist",
    "fashion_mnist": "zalando-datasets/fashion_mnist",
    "cifar10": "uoft-cs/cifar10",
    "cifar100": "uoft-cs/cifar100",
}
"""The Hub's names of data that is the same there."""
_HUB_METRICS = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "F1": "f1",
    "mIoU": "mean_iou",
    "MSE": "mse",
    "MAE": "mae",
}
"""The Hub's names of metrics that are the same there."""


def run_card(report: Report) -> str:
    """A model card after the Hub's specification, huggingface.co/docs/hub/model-cards."""
    rows = tuple(map(_in_cells, report.rows))
    parts = [
        f"# {_text(_name(report))}",
        _what(report),
        "## Files",
        rows_table(rows, "github"),
        "\n".join(_notes(report, rows)),
    ]
    if report.inputs:
        parts += ["## Inputs", "\n".join(f"- {_text(line)}" for line in said_of_inputs(report.inputs))]
    if report.checks:
        said = [checks_text(report.checks).partition("\n")[0], ""]
        said += [f"- Not met: {_text(sentence)}." for sentence in report.unmet]
        said += [_text(line) for check in report.checks for line in check.lines()]
        parts += ["## Checks", "\n".join(said)]
    parts += [
        "## License",
        "The report of a run says nothing of a license; whoever trained the model knows it.",
    ]
    return f"{front_matter(_facts(report))}\n" + "\n\n".join(parts) + "\n"


def write_card(report: Report, output: Path) -> None:
    """Write the card into a new file: one that is there may have been completed by hand.

    Raises:
        OutputError: the file is there already, is not called ``.md``, or cannot be written.
    """
    if output.suffix.lower() != ".md":
        raise OutputError(f"{output} is not the name of a model card; it must end in .md")
    if output.exists():
        raise OutputError(
            f"{output} is there already, and may have been completed by hand; choose another -o"
        )
    write_atomically(output, run_card(report).encode())


def front_matter(facts: Mapping[str, Any]) -> str:
    """Facts as YAML between two lines of dashes; no text in them can end it, whatever it holds.

    Args:
        facts: plain values; characters of theirs that are not printable are written out.
    """
    text = yaml.safe_dump(_printable(facts), sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{text}---\n"


def _facts(report: Report) -> dict[str, Any]:
    kind, name = _data(report.recipe.get("task"))
    formats = {FileFormat.known(Path(row.path)) for row in report.files if row.path is not None}
    facts: dict[str, Any] = {
        "library_name": "edgesqueeze",
        "tags": [*TAGS, *sorted(str(known.value) for known in formats if known is not None)],
    }
    if report.kind in PIPELINE_TAGS:
        facts["pipeline_tag"] = PIPELINE_TAGS[report.kind]
    if kind != _UNKNOWN and _trains(report):
        facts["datasets"] = [kind]
    metrics = list(
        dict.fromkeys(_HUB_METRICS[m] for row in report.files for m in row.metrics if m in _HUB_METRICS)
    )
    if metrics:
        facts["metrics"] = metrics
    values = [value for row in report.files for value in _values(row)]
    if values:
        result = {
            "task": {"type": PIPELINE_TAGS.get(report.kind, _OTHER)},
            "dataset": {"type": kind, "name": name, "split": "test"},
            "metrics": values,
        }
        facts["model-index"] = [{"name": _name(report), "results": [result]}]
    return facts


def _values(row: Row) -> list[dict[str, Any]]:
    return [
        {"type": _HUB_METRICS.get(metric, metric), "value": value, "name": f"{metric} of {row.label}"}
        for metric, value in row.metrics.items()
        if isfinite(value)
    ]


def _trains(report: Report) -> bool:
    """Whether the network has learned from the data: of a checkpoint alone nobody knows what it has seen."""
    return any(stage.get("epochs") for stage in report.recipe.get("stages", ()))


def _data(task: Any) -> tuple[str, str]:
    """The Hub's name of the data a recipe names, or that it is unknown there; and how to call it."""
    data = task.get("data") if isinstance(task, Mapping) else None
    if isinstance(data, Mapping) and "named" in data:
        data = data["named"]
    if isinstance(data, str):
        return _HUB_DATA.get(data, _UNKNOWN), data
    if isinstance(data, Mapping):
        items = data.get("scenes", {}).get("items")
        if items is not None:
            return _UNKNOWN, f"scenes of {PurePath(items).name}"
        folder = next((data[key] for key in DATA_KEYS if isinstance(data.get(key), str)), _UNKNOWN)
        return _UNKNOWN, PurePath(folder).name or _UNKNOWN
    return _UNKNOWN, f"data of {task}" if isinstance(task, str) else _UNKNOWN


def _name(report: Report) -> str:
    return str(report.recipe.get("name", "model"))


def _what(report: Report) -> str:
    """Task, classes, data, and what was done."""
    _, name = _data(report.recipe.get("task"))
    stages = ", ".join(str(stage["stage"]) for stage in report.recipe.get("stages", ())) or "no stage"
    classes, version = report.classes, report.environment.get("versions", {}).get("edgesqueeze", "")
    lines = [
        f"{report.kind.capitalize() or 'A network'} on {_text(name)}, measured on {report.test_examples:,} "
        f"test examples. Made by edgesqueeze {version}: {stages}.".replace(" :", ":")
    ]
    if classes:
        named = f": {', '.join(map(_text, classes))}" if len(classes) <= MOST_CLASSES else ""
        lines.append(f"{len(classes)} classes, in the order of the outputs{named}.")
    return "\n\n".join(lines)


def _notes(report: Report, rows: Sequence[Row]) -> list[str]:
    """How the table is read."""
    first = rows[0]
    on_the_way = f" Rows marked {SIMULATED} have no file to deploy." if any(r.simulated for r in rows) else ""
    machine = report.environment.get("cpu_model")
    where = f" on {_text(str(machine))}" if machine else ""
    timed = f" Latency: median [quartiles]{where}, batch 1." if any(r.latency for r in rows) else ""
    return [
        f"Every number of a file comes from that file, loaded back: {first.primary_metric} over the test "
        f"examples; {said_of_changes(first)}. Change and ratio are against {_cell(repr(report.baseline))}. "
        f"MACs are multiply-accumulates of one input.{timed}{on_the_way}",
        *said_of_chance(rows, _cell(report.baseline)),
    ]


def _in_cells(row: Row) -> Row:
    """The row with names that stay in their cells."""
    return replace(
        row,
        label=_cell(row.label),
        primary_metric=_cell(row.primary_metric),
        metrics={_cell(name): value for name, value in row.metrics.items()},
    )


def _text(text: str) -> str:
    """Text that is neither markup nor hidden, in one line."""
    return escape(printable(text), quote=False)


def _cell(text: str) -> str:
    """Text that stays in its cell, too."""
    return _text(text).replace("|", "\\|")


def _printable(value: Any) -> Any:
    match value:
        case str():
            return printable(value)
        case Mapping():
            return {printable(str(key)): _printable(entry) for key, entry in value.items()}
        case list() | tuple():
            return [_printable(entry) for entry in value]
        case _:
            return value
