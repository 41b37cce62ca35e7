"""A run of MLflow, in the store that a tracking URI names: a database, or a server."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from edgesqueeze.errors import OutputError, RecipeError
from edgesqueeze.run.recipe import Recipe
from edgesqueeze.run.report import Report
from edgesqueeze.run.trackers.tracker import epoch_figures, file_figures
from edgesqueeze.task.training import Epoch

EXPERIMENT = "edgesqueeze"
_NOT_IN_NAMES = re.compile(r"[^\w .:/-]", re.ASCII)
_LONGEST = 250
"""Of a name and of a value, in MLflow's store."""
_SETTINGS_AT_ONCE = 100


def check_mlflow() -> None:
    """Refuse before training what could not be told then.

    Raises:
        RecipeError: MLflow is not installed.
    """
    try:
        import mlflow  # noqa: F401 (an extra)
    except ImportError as error:
        raise RecipeError(
            "--mlflow needs a package that is not installed: pip install 'edgesqueeze[mlflow]'"
        ) from error


class MLflowRun:
    """The recipe as parameters, curves of every stage that trains, and figures of every file."""

    def __init__(self, uri: str, recipe: Recipe) -> None:
        """Begin a run, named as the recipe, of the experiment ``edgesqueeze``.

        Raises:
            RecipeError: MLflow is not installed, or nothing can be stored there.
        """
        check_mlflow()
        if not uri:
            raise RecipeError("--mlflow takes a tracking URI, as in sqlite:///mlflow.db")
        from mlflow import MlflowClient

        self._uri = uri
        try:
            self._client = MlflowClient(uri)
            experiment = self._client.get_experiment_by_name(EXPERIMENT)
            place = experiment.experiment_id if experiment else self._client.create_experiment(EXPERIMENT)
            self._run = str(self._client.create_run(place, run_name=recipe.name).info.run_id)
        except Exception as error:  # MLflow's own, and those of its databases
            raise RecipeError(f"--mlflow {uri}: {_sentence(error)}") from error
        self._tell(self._settings, recipe)

    def epoch(self, stage: str, epoch: Epoch) -> None:
        """Tell it."""
        self._tell(self._figures, epoch_figures(stage, epoch), epoch.number)

    def report(self, report: Report) -> None:
        """Tell the figures of the files."""
        self._tell(self._figures, file_figures(report), 0)

    def end(self, *, well: bool) -> None:
        """Say how the run has ended; if badly, nothing that goes wrong here hides why."""
        if well:
            self._tell(self._client.set_terminated, self._run)
            return
        with suppress(Exception):
            self._client.set_terminated(self._run, "FAILED")

    def _settings(self, recipe: Recipe) -> None:
        from mlflow.entities import Param

        flat = _flat("", recipe.model_dump(mode="json"))
        told = [Param(_name(key), str(value)[:_LONGEST]) for key, value in flat]
        for first in range(0, len(told), _SETTINGS_AT_ONCE):
            self._client.log_batch(self._run, params=told[first : first + _SETTINGS_AT_ONCE])

    def _figures(self, figures: Iterable[tuple[str, float]], step: int) -> None:
        for name, value in figures:
            self._client.log_metric(self._run, _name(name), value, step=step)

    def _tell(self, what: Callable[..., object], *told: object) -> None:
        try:
            what(*told)
        except Exception as error:
            raise OutputError(
                f"cannot tell MLflow at {self._uri} ({_sentence(error)}); the run can be continued without it"
            ) from error


def _flat(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Single values under keys with dots; what is not set is left out."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, entry in items:
            yield from _flat(f"{key}.{name}" if key else str(name), entry)
    elif value is not None:
        yield key, value


def _name(name: str) -> str:
    """A name with those characters that MLflow allows."""
    return _NOT_IN_NAMES.sub("_", name)[:_LONGEST]


def _sentence(error: Exception) -> str:
    """The first line of what an error says."""
    return str(error).strip().partition("\n")[0].partition(". ")[0].rstrip(".") or type(error).__name__
