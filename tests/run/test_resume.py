"""A run is resumed only if all that it stands on is as it was left; what has changed is said, with the way out."""

import json
import shutil
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn
from training import Recorder

import edgesqueeze
from edgesqueeze.errors import OutputError, RecipeError, ResumeError
from edgesqueeze.files import sha256_of
from edgesqueeze.pipeline import compress, finished_network
from edgesqueeze.run.folders.environment import environment_of
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.run.rundir import new_run, open_run, read_report
from edgesqueeze.task.training import Place

RECIPE = {
    "version": 1,
    "name": "small",
    "task": "tiny:build_task",
    "stages": [
        {"stage": "train", "epochs": 1, "batch_size": 64},
        {"stage": "prune", "sparsity": {"same": 0.8, "head*": 0.3}},
        {"stage": "prune", "sparsity": {"same": 0.9}},
    ],
    "exports": [],
    "references": [],
}


def build_model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = {
            "flat": nn.Flatten(),
            "same": nn.Linear(784, 16),
            "act": nn.ReLU(),
            "head": nn.Linear(16, 10),
        }
        return nn.Sequential(OrderedDict(layers))


@pytest.fixture(scope="module")
def task(tiny_task):
    """Its digits, and a network that takes no time."""
    return replace(tiny_task, build_model=build_model)


@pytest.fixture(scope="module")
def finished(task, tmp_path_factory):
    recipe = parse_recipe(RECIPE, "test")
    run = new_run(recipe, tmp_path_factory.mktemp("resume") / "out")
    compress(recipe, task, run)
    return run.path


@pytest.fixture
def out(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "out"))


def resume(out, task, redo_from=None, recorder=None):
    run, recipe = open_run(out)
    return compress(recipe, task, run, recorder, redo_from)


def edited(out, change):
    """The run's recipe.yaml after ``change`` of its data."""
    data = yaml.safe_load((out / "recipe.yaml").read_text())
    change(data)
    (out / "recipe.yaml").write_text(yaml.safe_dump(data, sort_keys=False))


def contents(out):
    return {
        str(path.relative_to(out)): sha256_of(path)
        for path in out.rglob("*")
        if path.is_file() and path.name not in ("log.txt", ".lock")
    }


def setting(stage, **changes):
    return lambda out: edited(out, lambda data: data["stages"][stage].update(changes))


def written(name, content):
    return lambda out: (out / name).write_bytes(content)


def cut(name):
    return lambda out: (out / name).write_bytes((out / name).read_bytes()[:-40])


def in_json(name, *keys, value):
    """``value`` in the place that ``keys`` lead to."""

    def change(out):
        data = inner = json.loads((out / name).read_text())
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        (out / name).write_text(json.dumps(data))

    return change


def overwritten(out):
    path = out / "stages/02-prune/model.safetensors"
    data = bytearray(path.read_bytes())
    data[-42_000:-2_000] = bytes(40_000)
    path.write_bytes(data)


def swapped(out):
    """A glob in front of the one that mattered."""
    sparsity = {"head*": 0.3, "same": 0.8}
    setting(1, sparsity=sparsity)(out)


DAMAGE = {
    "setting": (
        setting(1, sparsity={"same": 0.5, "head*": 0.3}),
        "stage 02-prune in OUT was made with sparsity.same 0.8, and the recipe now says 0.5;",
    ),
    "order of globs": (
        swapped,
        "02-prune in OUT was made with sparsity {'same': 0.8, 'head*': 0.3}, and the",
    ),
    "setting that was not there": (
        setting(0, ema=0.5),
        "stage 01-train in OUT was made with ema nothing, and the recipe now says 0.5;",
    ),
    "seed": (
        lambda out: edited(out, lambda data: data.update(seed=1)),
        "stage 00-start in OUT was made with seed 0, and the recipe now says 1;",
    ),
    "stage before": (
        lambda out: edited(out, lambda data: data["stages"].insert(0, data["stages"][0])),
        "stage 03-prune in OUT is finished, 02-train before it is not;",
    ),
    "weights": (overwritten, "stage 02-prune in OUT has a model.safetensors that is not as it was written;"),
    "weights cut": (cut("stages/00-start/model.safetensors"), "00-start in OUT has a model.safetensors that"),
    "metric": (
        in_json("stages/02-prune/row.json", "metrics", "accuracy", value=0.99),
        "stage 02-prune in OUT has a row.json that is not as it was written;",
    ),
    "row cut": (cut("stages/03-prune/row.json"), "stage 03-prune in OUT has a row.json that is not as it"),
    "row a list": (written("stages/01-train/row.json", b"[]"), "01-train in OUT has a row.json that is not"),
    "row gone": (
        lambda out: (out / "stages/01-train/row.json").unlink(),
        "stage 02-prune in OUT is finished, 01-train before it is not;",
    ),
    "answers": (written("stages/01-train/right.npy", b"junk"), "01-train in OUT has a right.npy that is not"),
    "answers gone": (
        lambda out: (out / "stages/01-train/right.npy").unlink(),
        "stage 01-train in OUT has lost its right.npy;",
    ),
    "answers of another kind": (
        written("stages/01-train/draws.npz", b"junk"),
        "stage 01-train in OUT has a draws.npz that is not as it was written;",
    ),
    "history": (
        in_json("stages/01-train/history.json", "epochs", 0, "loss", value=0.1),
        "stage 01-train in OUT has a history.json that is not as it was written;",
    ),
    "fingerprint cut": (
        cut("stages/02-prune/fingerprint.json"),
        "OUT/stages/02-prune/fingerprint.json is damaged: it is not valid JSON",
    ),
    "fingerprint a list": (
        written("stages/02-prune/fingerprint.json", b"[]"),
        "OUT/stages/02-prune/fingerprint.json is damaged: it holds list, not an object",
    ),
    "fingerprint of something else": (
        written("stages/02-prune/fingerprint.json", b"{}"),
        "stage 02-prune in OUT has a fingerprint.json that holds something else than a fingerprint;",
    ),
    "earlier version without fingerprints": (
        lambda out: [path.unlink() for path in out.rglob("fingerprint.json")],
        "stage 00-start in OUT has no fingerprint.json, so nothing is known of what it was made from; it is of",
    ),
    "other version": (
        in_json("stages/01-train/fingerprint.json", "made_from", "version", value="0.0.1"),
        f"stage 01-train in OUT was made by edgesqueeze 0.0.1, and this is {edgesqueeze.__version__};",
    ),
    "state before": (
        in_json("stages/02-prune/fingerprint.json", "made_from", "before", value="0" * 64),
        "stage 02-prune in OUT was made from another state than the one that is before it now;",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_changed_or_damaged_stage_is_named_and_nothing_is_written(damage, out, task):
    change, sentence = DAMAGE[damage]
    change(out)
    before = contents(out)
    with pytest.raises(OutputError) as refused:
        resume(out, task)
    said = str(refused.value).replace(str(out), "OUT")
    assert sentence in said
    assert "; redo it and what is behind it with --resume OUT --from 0" in said
    assert "\n" not in said
    assert contents(out) == before


def test_a_damaged_environment_is_named_with_what_to_do(out, task):
    path = out / "environment.json"
    for content, found in ((b'{"cpu', "it is not valid JSON"), (b"[]", "it holds list")):
        path.write_bytes(content)
        with pytest.raises(OutputError, match=f"environment.json is damaged: {found}.*; delete it, and the"):
            resume(out, task)
    path.unlink()
    assert environment_of(path, task.fingerprint, Place().facts()) == json.loads(path.read_text())


def test_the_machine_that_measures_is_told_and_the_one_before_it_kept(out, task):
    path = out / "environment.json"
    before = json.loads(path.read_text())
    assert environment_of(path, task.fingerprint, Place().facts()) == before  # the load has changed
    in_json("environment.json", "cpu_model", value="abacus")(out)
    for _ in range(2):
        found = environment_of(path, task.fingerprint, Place().facts())
        assert found == json.loads(path.read_text())
        assert (found["cpu_model"], found["began"]["cpu_model"]) == (before["cpu_model"], "abacus")
    assert "began" not in environment_of(path, "other data", Place().facts())


def test_other_data_and_another_checkpoint_are_refused(out, task):
    other = replace(task, fingerprint="other")
    with pytest.raises(ResumeError, match="stage 00-start .* the data is not the data that the run was"):
        resume(out, other)
    checkpoint = replace(task, checkpoint=out / "stages/01-train/model.safetensors")
    with pytest.raises(ResumeError, match="stage 00-start .* was made from another state"):
        resume(out, checkpoint)
    assert resume(out, other, "start").environment["data_fingerprint"] == "other"


def test_what_decides_nothing_of_a_finished_stage_may_change(out, task):
    def change(data):
        data["stages"].append({"stage": "prune", "sparsity": 0.95})
        data.update(exports=[{"export": "onnx"}], unsupported="skip", threads=2, name="renamed")

    edited(out, change)
    recorder = Recorder()
    report = resume(out, task, recorder=recorder)
    assert recorder.messages.count("prune: finished earlier") == 2
    assert [row.label for row in report.rows] == ["train", "prune", "prune", "prune", "model.onnx"]


def test_other_source_code_is_told_in_the_report(out, task):
    for key, value in (("source", "0" * 64), ("own_code", {"tiny:build_task": "0" * 64})):
        in_json("stages/02-prune/fingerprint.json", "made_from", key, value=value)(out)
    recorder = Recorder()
    report = resume(out, task, recorder=recorder)
    notes = (
        f"made by other source code of edgesqueeze {edgesqueeze.__version__}",
        "made before the file behind 'tiny:build_task' was changed",
    )
    assert report.rows[1].notes == notes
    assert f"prune: {notes[0]}" in recorder.messages
    assert f"prune: {notes[0]}." in report.table("simple")
    assert not report.rows[0].notes


def test_a_stage_is_redone_with_all_behind_it(finished, out, task, tmp_path):
    change = setting(1, sparsity={"same": 0.5})
    change(out)
    (out / "artifacts").mkdir(exist_ok=True)
    (out / "artifacts" / "stale.onnx").write_bytes(b"of the state before")
    resume(out, task, "02-prune")
    recipe = open_run(out)[1]
    fresh = new_run(recipe, tmp_path / "fresh")
    compress(recipe, task, fresh)
    same = [f"stages/0{name}/model.safetensors" for name in ("0-start", "1-train", "2-prune", "3-prune")]
    for name in (*same, "stages/02-prune/fingerprint.json"):
        assert sha256_of(out / name) == sha256_of(fresh.path / name), name
    assert not (out / "artifacts" / "stale.onnx").exists()
    kept = "stages/01-train/model.safetensors"
    assert (out / kept).stat().st_mtime_ns == (finished / kept).stat().st_mtime_ns
    assert not list(out.glob("stages/.*"))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("prune", "--from 'prune' names 2 stages, say which: 02-prune, 03-prune"),
        ("share", "--from 'share' names no stage of this run, allowed: 00-start, 01-train, 02-prune, 03-pr"),
    ],
)
def test_a_stage_to_redo_is_named_by_one_name(name, sentence, out, task):
    with pytest.raises(RecipeError, match=sentence):
        resume(out, task, name)


def test_nothing_is_removed_where_what_stays_is_damaged(out, task):
    cut("stages/01-train/row.json")(out)
    before = contents(out)
    with pytest.raises(ResumeError, match="01-train .* row.json"):
        resume(out, task, "03-prune")
    assert contents(out) == before


class KilledError(Exception):
    pass


class Killer(Recorder):
    def epoch(self, number, loss, metric):
        raise KilledError


def test_a_stage_that_was_killed_goes_on_only_as_it_was_begun(task, tmp_path):
    stage = {**RECIPE["stages"][0], "epochs": 2}
    recipe = parse_recipe({**RECIPE, "stages": [stage], "exports": []}, "test")
    run = new_run(recipe, tmp_path / "out")
    with pytest.raises(KilledError):
        compress(recipe, task, run, Killer())
    folder = run.stage(1, "train")
    assert folder.training.is_file()
    other = parse_recipe({**RECIPE, "stages": [{**stage, "learning_rate": 0.1}], "exports": []}, "test")
    with pytest.raises(ResumeError, match="01-train .* was made with learning_rate 0.01, and the recipe now"):
        compress(other, task, run)
    in_json("stages/01-train/fingerprint.json", "made_from", "source", value="0" * 64)(run.path)
    row = compress(recipe, task, run).rows[0]
    assert f"made by other source code of edgesqueeze {edgesqueeze.__version__}" in row.notes
    redone = compress(other, task, run, redo_from="train")
    assert not redone.rows[0].notes


def test_a_damaged_state_is_not_verified(out, task):
    run, recipe = open_run(out)
    assert finished_network(recipe, task, run)[1] is None
    setting(0, epochs=7)(out)  # says nothing of whether files compute what the state computes
    in_json("stages/03-prune/row.json", "metrics", "accuracy", value=0.99)(out)
    with pytest.raises(ResumeError, match="03-prune .* row.json that is not as it was written"):
        finished_network(recipe, task, run)
    for path in out.rglob("fingerprint.json"):
        path.unlink()  # of an earlier version: there is nothing to compare with
    assert finished_network(recipe, task, run)[1] is None


def test_a_report_that_was_edited_is_refused_and_can_be_written_again(out, task):
    for change, sentence in [
        (
            in_json("report.json", "rows", 0, "metrics", "accuracy", value=0.99),
            "is not as it was written; wri",
        ),
        (written("report.json", b"[]"), "report.json is damaged: it holds list, not an object"),
        (written("report.json", b'{"rows": ['), "report.json is damaged: it is not valid JSON"),
    ]:
        change(out)
        with pytest.raises(OutputError, match=sentence):
            read_report(out)
    assert resume(out, task) == read_report(out)
