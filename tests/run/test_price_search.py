"""`price: auto`: the highest price whose file keeps its metric, on images that neither train nor make the table."""

import json
import sys
from dataclasses import replace

import pytest
import torch
from small_task import trained_task
from training import Recorder

from edgesqueeze.cli.main import main
from edgesqueeze.data.splits import ArraySplit
from edgesqueeze.errors import NoWeightLeftError, OutputError, RecipeError, ResumeError
from edgesqueeze.files import sha256_of
from edgesqueeze.pipeline import check_fits, compress
from edgesqueeze.run import price_search
from edgesqueeze.run.folders.tries import read_tries
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.run.rundir import new_run, read_report
from edgesqueeze.task.fidelity import answered_by

ONE_SHOT = {"stage": "squeeze", "price": "auto", "max_drop": 20}
TRAINED = {**ONE_SHOT, "max_drop": 30, "epochs": 2, "batch_size": 40, "learning_rate": 0.05}
RUINOUS = {**TRAINED, "max_drop": 8, "learning_rate": 5.0}
"""A learning rate at which no price is low enough."""


TRIES = 3


@pytest.fixture(autouse=True, scope="module")
def _fewer_tries():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(price_search, "MOST_TRIES", TRIES)
        yield


def recipe_of(*stages, **changes):
    content = {
        "version": 1,
        "name": "auto",
        "task": "small_task:trained_task",
        "stages": list(stages),
        "exports": [{"export": "squeezed"}],
        "references": [],
    }
    return parse_recipe({**content, **changes}, "test")


def tries_of(run):
    return read_tries(run.stage(1, "squeeze").tries, "")


@pytest.fixture(scope="module", params=[ONE_SHOT, TRAINED], ids=["one shot", "trained"])
def unbroken(request, tmp_path_factory):
    """A stage, and a run of it that nobody has disturbed."""
    run, recorder = new_run(recipe_of(request.param), tmp_path_factory.mktemp("auto") / "out"), Recorder()
    return request.param, run, compress(recipe_of(request.param), trained_task(), run, recorder), recorder


def test_the_file_is_that_of_the_highest_price_that_served(unbroken):
    stage, run, report, recorder = unbroken
    tries = tries_of(run)
    assert len(tries.tried) == TRIES
    best = max((one for one in tries.tried if one.serves), key=lambda one: one.price)
    assert tries.best == best
    assert sha256_of(run.stage(1, "squeeze").model) == best.state
    assert not any(one.serves for one in tries.tried if one.price > best.price)
    assert all(one.serves == (one.most_lost <= stage["max_drop"] / 100) for one in tries.tried if one.lost)
    notes = report.rows[1].notes
    assert f"price {best.price:g} is the highest of 3 tried that surely loses no more than" in " ".join(notes)
    assert any(f"price {best.price:g} makes {best.num_bytes:,} bytes" in said for said in recorder.messages)
    assert not report.unmet
    report.require_met()
    assert not run.stage(1, "squeeze").best.exists()
    assert not run.stage(1, "squeeze").training.exists()


def test_a_fixed_price_makes_the_same_state(unbroken, tmp_path):
    stage, run, _, _ = unbroken
    best = tries_of(run).best
    given = {key: value for key, value in stage.items() if key != "max_drop"} | {"price": best.price}
    again = new_run(recipe_of(given), tmp_path / "out")
    compress(recipe_of(given), trained_task(), again)
    assert sha256_of(again.stage(1, "squeeze").model) == best.state


class KilledError(Exception):
    pass


class Killer(Recorder):
    """Ends the run at the first message, or epoch of a squeeze, that begins so."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def message(self, text):
        super().message(text)
        if text.startswith(self.at):
            raise KilledError

    def epoch(self, number, loss, metric):
        self.message(f"{self.courses[-1].label}: epoch {number}")


@pytest.mark.slow
def test_a_run_that_was_killed_tries_nothing_twice_and_ends_with_the_same_bytes(unbroken, tmp_path):
    stage, run, report, _ = unbroken
    at = "squeeze, try 2: epoch 1" if "epochs" in stage else "squeeze: try 2 of"
    killed = new_run(recipe_of(stage), tmp_path / "out")
    with pytest.raises(KilledError):
        compress(recipe_of(stage), trained_task(), killed, Killer(at))
    before = tries_of(killed).tried
    again = Recorder()
    found = compress(recipe_of(stage), trained_task(), killed, again)
    told = [text for text in again.messages if text.startswith("squeeze: try")]
    assert len(told) == TRIES - len(before)
    folders = [where.stage(1, "squeeze").path for where in (run, killed)]
    names = {path.name for path in folders[0].iterdir()}
    assert names == {path.name for path in folders[1].iterdir()}
    for name in names:
        assert sha256_of(folders[0] / name) == sha256_of(folders[1] / name), name
    assert sha256_of(run.artifacts / "model.sqz") == sha256_of(killed.artifacts / "model.sqz")
    assert [row.metrics for row in found.rows] == [row.metrics for row in report.rows]


@pytest.mark.slow
def test_what_was_kept_and_damaged_is_refused(tmp_path):
    run = new_run(recipe_of(ONE_SHOT), tmp_path / "out")
    with pytest.raises(KilledError):
        compress(recipe_of(ONE_SHOT), trained_task(), run, Killer("price "))
    folder = run.stage(1, "squeeze")
    folder.best.write_bytes(b"junk")
    with pytest.raises(
        OutputError, match=r"best.safetensors is damaged or gone; redo it .* --from 01-squeeze"
    ):
        compress(recipe_of(ONE_SHOT), trained_task(), run)
    folder.tries.write_text(folder.tries.read_text().replace('"serves": false', '"serves": true'))
    with pytest.raises(OutputError, match=r"tries.json is not as it was written; redo it"):
        compress(recipe_of(ONE_SHOT), trained_task(), run)
    other = recipe_of({**ONE_SHOT, "max_drop": 10})
    with pytest.raises(ResumeError, match=r"was made with max_drop 20.0, and the recipe now says 10.0"):
        compress(other, trained_task(), run)


def test_the_search_sees_no_image_that_the_table_reports(unbroken, tmp_path):
    stage, run, _, _ = unbroken
    if "epochs" in stage:
        return  # it reads no more of a task than one shot, and trains
    task = trained_task()
    shuffled = replace(
        task, test=ArraySplit(next(iter(task.test.batches(40)))[0], torch.zeros(40, dtype=torch.long))
    )
    other = new_run(recipe_of(stage), tmp_path / "out")
    compress(recipe_of(stage), shuffled, other)
    assert tries_of(other) == tries_of(run)


@pytest.mark.slow
def test_nothing_found_is_said_and_ends_with_code_3_and_the_closest_file(tmp_path, monkeypatch, capsys):
    (tmp_path / "auto.yaml").write_text(recipe_of(RUINOUS).model_dump_json())
    out = tmp_path / "out"
    for arguments in (
        ["--recipe", str(tmp_path / "auto.yaml"), "--output", str(out)],
        ["--resume", str(out)],
    ):
        monkeypatch.setattr(sys, "argv", ["edgesqueeze", "compress", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 3
        printed = capsys.readouterr()
        sentence = (
            "squeeze.price auto: none of 3 prices makes a file that surely loses no more than 8.00 points of "
            "accuracy against 'random weights' on 40 validation images; the closest was taken, price "
        )
        assert sentence in " ".join(printed.err.splitlines()[-1].split())
        assert printed.err.splitlines()[-1].startswith("error: ")
        assert "Not met: squeeze.price auto: none of 3 prices" in printed.out
    report = read_report(out)
    assert len(report.unmet) == 1
    tried = json.loads((out / "stages/01-squeeze/tries.json").read_text())["tries"]
    least = min(one["lost"] for one in tried)
    assert f"{100 * least:.2f} points lost" in report.unmet[0]
    assert (out / "artifacts" / "model.sqz").is_file()


def test_a_price_that_leaves_no_weight_is_too_high_and_not_the_end(tmp_path, monkeypatch):
    stage = {"stage": "squeeze", "price": "auto", "max_drop": 99}
    run, recorder = new_run(recipe_of(stage), tmp_path / "out"), Recorder()
    compress(recipe_of(stage), trained_task(), run, recorder)
    assert any("leaves a layer no weight: too much" in text for text in recorder.messages)
    monkeypatch.setattr(price_search, "LOWEST_PRICE", 90.0)
    with pytest.raises(
        NoWeightLeftError, match=r"squeeze.price auto: price 9\d.* leaves a layer no weight, as do"
    ):
        compress(recipe_of(stage), trained_task(), new_run(recipe_of(stage), tmp_path / "none"))


def test_without_labels_agreement_with_the_float_network_decides(tmp_path):
    task = trained_task(labelled=False)
    network = task.build_model().eval()
    task = answered_by(network, replace(task, metrics={"agreement": task.primary}))
    recipe = recipe_of(ONE_SHOT)
    run = new_run(recipe, tmp_path / "out")
    report = compress(recipe, task, run)
    tries = read_tries(run.stage(1, "squeeze").tries, "").tried
    assert all(one.metric == pytest.approx(1 - one.lost) for one in tries if one.lost is not None)
    assert any(one.serves for one in tries)
    assert any(not one.serves for one in tries)
    assert "fidelity" in {check.name for check in report.checks}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"validation": None},
            "squeeze.price auto is judged on a validation split and 'rows' has none; set ",
        ),
        ({"labelled": False}, None),
    ],
)
def test_a_search_needs_a_validation_split(changes, sentence):
    recipe = recipe_of(ONE_SHOT)
    if sentence is None:
        check_fits(recipe, trained_task(**changes))
        return
    with pytest.raises(RecipeError, match=sentence):
        check_fits(recipe, trained_task(**changes))


def test_too_few_images_are_refused_before_anything_runs():
    sentence = "squeeze.max_drop is 0.5 points, which 40 validation images cannot tell from none; 539 are the"
    with pytest.raises(RecipeError, match=sentence):
        check_fits(recipe_of({**ONE_SHOT, "max_drop": 0.5}), trained_task())


@pytest.mark.parametrize(
    ("stage", "exports", "sentence"),
    [
        (
            {"price": "auto"},
            ["squeezed"],
            "price: auto needs max_drop, what the file may lose, as in max_drop",
        ),
        (
            {"price": 0.1, "max_drop": 1},
            ["squeezed"],
            "max_drop is for price: auto, found price 0.1; leave one",
        ),
        (
            {"price": "auto", "max_drop": 1},
            ["onnx"],
            "squeeze.price auto looks for the smallest model.sqz; add",
        ),
        (
            {"price": "cheap", "max_drop": 1},
            ["squeezed"],
            "allowed: a number above 0 and at most 100, or auto",
        ),
        ({"price": "auto", "max_drop": 0}, ["squeezed"], "greater than 0"),
    ],
)
def test_recipes_that_are_refused(stage, exports, sentence):
    with pytest.raises(RecipeError) as refused:
        recipe_of({"stage": "squeeze", **stage}, exports=[{"export": name} for name in exports])
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_check_of_accuracy_allows_what_the_search_was_given():
    assert recipe_of(ONE_SHOT).allowed_drop == 20
    assert recipe_of(ONE_SHOT, max_drop=3).allowed_drop == 3
    assert recipe_of({"stage": "squeeze", "price": 0.1}).allowed_drop is None


class _Told:
    """A tracker that remembers."""

    def __init__(self):
        self.epochs, self.reports = [], []

    def epoch(self, stage, epoch):
        self.epochs.append((stage, epoch))

    def report(self, report):
        self.reports.append(report)


def test_a_tracker_hears_of_the_try_that_is_kept_alone(tmp_path):
    told, run = _Told(), new_run(recipe_of(TRAINED), tmp_path / "out")
    report = compress(recipe_of(TRAINED), trained_task(), run, tracker=told)
    assert [(stage, epoch.number) for stage, epoch in told.epochs] == [("01-squeeze", 1), ("01-squeeze", 2)]
    assert tuple(epoch for _, epoch in told.epochs) == tuple(tries_of(run).best.epochs)
    assert told.reports == [report]
