"""The model card of a bundle: what is in it, how good it is, how to use it."""

from collections.abc import Sequence

from edgesqueeze.devices.golden import GoldenModel
from edgesqueeze.devices.native.interpreter import FLAGS
from edgesqueeze.run.documents.card import PIPELINE_TAGS, TAGS, front_matter
from edgesqueeze.run.report import Report
from edgesqueeze.run.row import Row
from edgesqueeze.task.metrics.wording import written
from edgesqueeze.task.task import Task

_USE = """
## Use

```
python3 -m pip install -r requirements.txt
python3 selftest.py          # every file is whole, every model answers as where it was made
python3 run.py IMAGE         # what the model says of an image
python3 benchmark.py         # how long one inference takes on this machine
```
"""
_ANDROID = """
## Use

Put the model, `manifest.json` and `labels.txt` among the app's assets, the model uncompressed. The manifest
has the input's layout, type, scale and zero point, mean and std, and of every output the same; `golden/` has
inputs of the model and the answers that an app must get.
"""
_IN_C = """
`c/` is a program in C99 that runs int8 `.tflite` files without a runtime, with the integers of the runtimes:

```
cc %s -o infer c/*.c -lm
./infer MODEL.tflite INPUTS OUTPUTS     # tensors as the file has them, one input behind the other
```
"""


def card_of(models: Sequence[GoldenModel], task: Task, report: Report, target: str) -> str:
    """Markdown with front matter, as model hubs read it.

    Args:
        models: the files of the bundle.
        task: what they do.
        report: how good they are.
        target: whom the bundle is for.
    """
    rows = {row.label: row for row in report.rows}
    tag = {"pipeline_tag": PIPELINE_TAGS[task.kind]} if task.kind in PIPELINE_TAGS else {}
    lines = [
        front_matter({**tag, "library_name": "edgesqueeze", "tags": list(TAGS)}),
        f"# {report.recipe['name']}",
        "",
        _what(task, report),
        "",
        "## Files",
        "",
        f"Measured on {report.test_examples:,} test examples with the file as it is here.",
        "",
        f"| file | bytes | precision | {report.rows[0].primary_metric} | selftest |",
        "|---|---|---|---|---|",
    ]
    for model in models:
        row = rows[model.path.name]
        lines.append(
            f"| {model.path.name} | {row.num_bytes:,} | {model.file.precision} | {_measured(row)} | "
            f"{_BOUNDS[model.bound]} |"
        )
    use = _USE
    if target == "android":
        exact = any(model.bound == "exact" for model in models)
        use = _ANDROID + (_IN_C % " ".join(FLAGS) if exact else "")
    return "\n".join(lines) + "\n" + use + _licence()


_BOUNDS = {
    "exact": "exact",
    "step": "within one step of its grid",
    "float": "within 1e-5",
    "loose": "within 1e-2",
}


def _what(task: Task, report: Report) -> str:
    shape = " × ".join(str(size) for size in task.example_input.shape[1:])
    classes = f", {len(task.classes)} classes" if task.classes else ""
    stages = ", ".join(stage["stage"] for stage in report.recipe["stages"]) or "no stage"
    return f"{task.kind.capitalize()} of inputs of {shape}{classes}. Made by: {stages}."


def _measured(row: Row) -> str:
    value = row.primary
    if value is None:
        return "–"
    return written(value, row.unit)


def _licence() -> str:
    return (
        "\n## Licences\n\nThe programs are edgesqueeze's, under the Apache License 2.0 "
        "(https://www.apache.org/licenses/LICENSE-2.0). The models are theirs who trained them.\n"
    )
