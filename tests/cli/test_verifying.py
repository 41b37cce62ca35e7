"""``edgesqueeze verify``: a run or loose files, right and wrong."""

import json
import shutil
import sys

import hostile_files
import numpy as np
import pytest
from parity_networks import change_onnx, change_tflite, network, pictures, write_files

from edgesqueeze.cli.main import main
from edgesqueeze.cli.verifying import Inputs, verify_paths
from edgesqueeze.errors import ExportError, OutputError, ParityError
from edgesqueeze.formats.sqz.file import emit_sqz
from edgesqueeze.pipeline import compress
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.run.rundir import new_run

RECIPE = {
    "version": 1,
    "name": "small",
    "task": "tiny:build_task",
    "stages": [{"stage": "train", "epochs": 1}, {"stage": "ptq", "method": "min_max"}],
    "exports": [
        {"export": "squeezed"},
        {"export": "onnx", "precision": ["fp32", "int8"]},
        {"export": "tflite", "precision": ["fp32", "int8"]},
    ],
    "references": [],
}


@pytest.fixture(scope="module")
def finished(tiny_task, tmp_path_factory):
    recipe = parse_recipe(RECIPE, "test")
    run = new_run(recipe, tmp_path_factory.mktemp("runs") / "one")
    return run, compress(recipe, tiny_task, run)


@pytest.fixture
def loose(tmp_path):
    graph, spec = network("plain")
    paths = {path.name: path for path in write_files(tmp_path, graph, spec)}
    paths["model.sqz"] = tmp_path / "model.sqz"
    paths["model.sqz"].write_bytes(emit_sqz(graph, spec))
    return paths


def command(arguments, monkeypatch):
    """Run the command in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["edgesqueeze", "verify", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code


@pytest.mark.slow
def test_compress_verifies_what_it_wrote(finished):
    run, report = finished
    assert report.parity["holds"] is True
    assert report.parity["outputs"]["images"] == 16
    stored = json.loads((run.path / "report.json").read_text())["parity"]
    assert stored == report.parity
    assert [proof["equal"] for proof in stored["integers"]] == [True, True, True]
    assert "parity on 16 images: 2 int8 files equal the integer reference" in report.table("simple")
    assert "model_int8.onnx = model_int8.tflite" in report.table("simple")


@pytest.mark.slow
def test_a_run_is_verified_on_its_test_images(finished, capsys, monkeypatch):
    run, _ = finished
    assert command([run.path, "--images", 40], monkeypatch) == 0
    text = capsys.readouterr().out
    assert "parity on 40 images" in text
    assert "stored numbers are equal" in text


@pytest.mark.slow
def test_a_run_with_a_wrong_file_is_refused(finished, tmp_path, capsys, monkeypatch):
    run, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    (copy / "artifacts" / "model.sqz").unlink()
    change_tflite(copy / "artifacts" / "model_int8.tflite", "same.weight", lambda w: w[::-1].copy())
    assert command([copy, "--images", 10], monkeypatch) == 2
    printed = capsys.readouterr()
    assert "first layer that differs" in printed.out
    assert printed.err.startswith("error: model_int8.tflite does not compute")
    assert "'same'" in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.slow
def test_a_sqz_file_of_another_network_is_refused(finished, tmp_path):
    run, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    change_onnx(copy / "artifacts" / "model.onnx", "same.bias", lambda b: b + 1)
    with pytest.raises(ParityError, match=r"model\.onnx decoded from model\.sqz is not the exported file"):
        verify_paths([copy], Inputs(8))


def test_files_with_their_sqz(loose, capsys, monkeypatch):
    assert command([*loose.values(), "--images", 12, "--json"], monkeypatch) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["holds"]
    assert len(found["outputs"]["files"]) == 5
    assert len(found["integers"]) == 3


def test_two_files_on_given_inputs(loose, tmp_path):
    np.save(tmp_path / "x.npy", pictures(5))
    pair = [loose["model_int8.onnx"], loose["model_int8.tflite"]]
    found = verify_paths(pair, Inputs(256, tmp_path / "x.npy"))
    assert found.parity.images == 5
    found.require()
    change_onnx(pair[0], "fc1.bias", lambda b: b + 1)
    with pytest.raises(ParityError, match="differ in layer 'fc1': 20 of 20 numbers of its bias"):
        verify_paths(pair, Inputs(5)).require()


@pytest.mark.parametrize(
    ("names", "options", "sentence"),
    [
        (["nothing.onnx"], [], "nothing.onnx is neither the directory of a run nor a"),
        (["model.sqz"], [], "give the directory of a run, or one .sqz file with"),
        (["model_int8.onnx"], [], "or one int8 .onnx and one int8 .tflite file"),
        (["model_int8.onnx", "model_int8.tflite"], ["--npy", "bad.npy"], "cannot be read as an .npy file"),
        (["model.sqz", "model.onnx"], ["--npy", "small.npy"], "holds float32 [2, 3]; float32 [N, 1, 28, 28]"),
        (["model.onnx", "model.tflite"], [], "is not quantized to 8 bits"),
        ([""], [], "holds no run to resume"),
    ],
)
def test_what_cannot_be_verified_is_refused(loose, names, options, sentence, capsys, monkeypatch):
    folder = loose["model.sqz"].parent
    (folder / "bad.npy").write_text("x")
    np.save(folder / "small.npy", np.zeros((2, 3), np.float32))
    options = [folder / o if o.endswith("npy") and not o.startswith("--") else o for o in options]
    assert command([*(folder / name for name in names), *options], monkeypatch) == 2
    assert sentence in capsys.readouterr().err


def test_an_unfinished_run_is_refused(tmp_path):
    new_run(parse_recipe(RECIPE, "test"), tmp_path / "new")
    with pytest.raises(OutputError, match="is not finished; continue it with --resume"):
        verify_paths([tmp_path / "new"], Inputs(8))


def test_arrays_made_to_break_numpy_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("edgesqueeze.cli.verifying.check_survives", lambda path: None)
    files = hostile_files.good_files()
    for name in ("good.onnx", "good.sqz"):
        (tmp_path / name).write_bytes(files[name])
    npy, refused = tmp_path / "bad.npy", 0
    for data in hostile_files.hostile_npy():
        npy.write_bytes(data)
        try:
            verify_paths([tmp_path / "good.onnx", tmp_path / "good.sqz"], Inputs(2, npy))
        except ExportError:
            refused += 1
    assert refused == len(list(hostile_files.hostile_npy())) - 1  # one of them is as it should be
