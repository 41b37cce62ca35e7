"""TensorBoard and MLflow hear of every epoch of every stage that trains, and of every file."""

import importlib.util
import sys

import pytest
from typer.testing import CliRunner

from edgesqueeze.cli.main import app
from edgesqueeze.errors import RecipeError
from edgesqueeze.pipeline import compress
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.run.rundir import new_run
from edgesqueeze.run.trackers import TrackerPlaces, open_trackers

STAGES = [
    {"stage": "train", "epochs": 2},
    {"stage": "prune", "sparsity": 0.5, "epochs": 1},
    {"stage": "share", "num_bits": 4, "epochs": 1},
    {"stage": "qat", "epochs": 1},
]
RECIPE = {
    "version": 1,
    "name": "tracked",
    "task": "tiny:build_task",
    "stages": [{"batch_size": 128, **stage} for stage in STAGES],
    "exports": [{"export": "onnx", "precision": ["fp32", "int8"]}],
    "references": [],
}
FOLDERS = {f"{number:02d}-{stage['stage']}": stage["epochs"] for number, stage in enumerate(STAGES, 1)}
HAS_MLFLOW = importlib.util.find_spec("mlflow") is not None


@pytest.fixture(autouse=True)
def without_tensorflow(monkeypatch):
    """TensorBoard would load it for nothing."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)


def compressed(folder, task, **places):
    """The report of a run that tells others of itself."""
    recipe = parse_recipe(RECIPE, "tracked.yaml")
    with open_trackers(TrackerPlaces(**places), recipe) as tracker:
        return compress(recipe, task, new_run(recipe, folder / "out"), tracker=tracker)


def expected(report):
    """Name to steps of the epochs, name to the figure of a file."""
    epochs = {f"{folder}/loss": list(range(1, count + 1)) for folder, count in FOLDERS.items()}
    figures = {}
    for row in report.files:
        figures |= {f"{row.label}/{name}": value for name, value in row.metrics.items()}
        figures |= {f"{row.label}/bytes": row.num_bytes, f"{row.label}/latency_s": row.latency.median_s}
    return epochs, figures


@pytest.mark.slow
def test_tensorboard_hears_of_every_stage_and_file(tiny_task, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    report = compressed(tmp_path, tiny_task, tensorboard=tmp_path / "events")
    told = EventAccumulator(str(tmp_path / "events")).Reload()
    scalars = {tag: [(e.step, e.value) for e in told.Scalars(tag)] for tag in told.Tags()["scalars"]}
    epochs, figures = expected(report)
    assert {name: [step for step, _ in scalars[name]] for name in epochs} == epochs
    assert {name: scalars[name][0][1] for name in figures} == pytest.approx(figures, rel=1e-6)
    assert told.Tags()["tensors"] == ["table/text_summary"]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # MLflow's own
@pytest.mark.skipif(not HAS_MLFLOW, reason="MLflow is not installed")
def test_mlflow_hears_of_every_stage_and_file(tiny_task, tmp_path):
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    report = compressed(tmp_path, tiny_task, mlflow=uri)
    client = MlflowClient(uri)
    (told,) = client.search_runs([client.get_experiment_by_name("edgesqueeze").experiment_id])
    assert (told.info.status, told.info.run_name) == ("FINISHED", "tracked")
    assert told.data.params["stages.1.sparsity"] == "0.5"
    epochs, figures = expected(report)
    for name, steps in epochs.items():
        assert [one.step for one in client.get_metric_history(told.info.run_id, name)] == steps
    assert {name: told.data.metrics[name] for name in figures} == pytest.approx(figures)


@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(not HAS_MLFLOW, reason="MLflow is not installed")
@pytest.mark.parametrize("uri", ["", "file:./mlruns", "nowhere://there"])
def test_a_store_that_mlflow_does_not_take_is_refused(uri, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(RecipeError, match="--mlflow"),
        open_trackers(TrackerPlaces(mlflow=uri), parse_recipe(RECIPE, "r")),
    ):
        pass


def test_mlflow_is_refused_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)  # as if it were not installed
    monkeypatch.chdir(tmp_path)
    for command in ("compress", "train"):
        done = CliRunner().invoke(
            app, [command, "--recipe", "deep_compression", "--mlflow", "sqlite:///m.db"]
        )
        assert isinstance(done.exception, RecipeError)
        assert "pip install 'edgesqueeze[mlflow]'" in str(done.exception)
    assert not list(tmp_path.iterdir())


def test_a_dry_run_tells_nobody(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["compress", "--recipe", "deep_compression", "--dry-run", "--tensorboard", "events"]
    assert "--dry-run trains nothing" in str(CliRunner().invoke(app, arguments).exception)
    assert not list(tmp_path.iterdir())


def test_without_places_nobody_is_told():
    with open_trackers(TrackerPlaces(), parse_recipe(RECIPE, "r")) as tracker:
        assert tracker is None
