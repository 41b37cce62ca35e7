"""edgesqueeze: compress a trained vision model of PyTorch, Keras or ONNX, export it, and measure the files.

The names below load what they need when they are first used, so that ``import edgesqueeze`` is instant.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgesqueeze.baseline import train
    from edgesqueeze.errors import EdgeSqueezeError
    from edgesqueeze.pipeline import compress
    from edgesqueeze.run.documents.train_report import TrainReport
    from edgesqueeze.run.recipe import Recipe, load_recipe
    from edgesqueeze.run.report import Report, Row
    from edgesqueeze.run.rundir import RunDir, new_run, open_run, read_report
    from edgesqueeze.task import Task, load_task

__version__ = version("edgesqueeze")
__all__ = [
    "EdgeSqueezeError",
    "Recipe",
    "Report",
    "Row",
    "RunDir",
    "Task",
    "TrainReport",
    "compress",
    "load_recipe",
    "load_task",
    "new_run",
    "open_run",
    "read_report",
    "train",
]

_HOME = {
    "EdgeSqueezeError": "errors",
    "Recipe": "run.recipe",
    "Report": "run.report",
    "Row": "run.report",
    "RunDir": "run.rundir",
    "Task": "task.task",
    "TrainReport": "run.train_report",
    "compress": "pipeline",
    "load_recipe": "run.recipe",
    "load_task": "task.loading",
    "new_run": "run.rundir",
    "open_run": "run.rundir",
    "read_report": "run.rundir",
    "train": "baseline",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'edgesqueeze' has no attribute {name!r}")
    return getattr(import_module(f"edgesqueeze.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
