"""int8 files measured beside each other, with ONNX Runtime's own quantizer as a peer that really runs."""

import json
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bench import int8_table
from bench.files import ModelFile, measure, quantize, write_ours
from bench.int8_peers import PEERS, Variant, report, run_peer
from bench.int8_table import run_files
from bench.peers.variants import write_variants
from bench.subjects import Subject, noise_images, settle, subject_from
from bench.timed_files import TimingPlan
from edgesqueeze.compression.stages.ptq import Ptq
from edgesqueeze.errors import ExportError, RecipeError
from edgesqueeze.models import built_in_model

QUICK = TimingPlan(processes=1, rounds=1)


def arguments(**changes):
    return Namespace(**({"recipe": None, "random": None, "checkpoint": None, "image_size": 32} | changes))


@pytest.fixture(scope="module")
def subject(tiny_task):
    return Subject(tiny_task, has_labels=True)


@pytest.mark.slow
def test_a_peer_runs_on_our_file_and_is_measured_with_ours(subject, tmp_path):
    model, notes = quantize(subject, Ptq(method="min_max"))
    assert notes == []
    paths = write_ours(model, tmp_path / "ours", with_float=True)
    np.save(tmp_path / "calibration.npy", subject.calibration)
    command = [str(PEERS / "ort_quantize.py"), str(paths[0]), str(tmp_path / "calibration.npy")]
    (variant,) = run_peer(Path(sys.executable), command, tmp_path / "ort", ["ort_min_max"])
    assert variant.error is None
    assert "quantize_static" in variant.tool
    files = [ModelFile("fp32" if "int8" not in p.name else "ours", p, "int8" not in p.name) for p in paths]
    files.append(ModelFile(variant.label, tmp_path / "ort" / "ort_min_max.onnx"))
    rows = measure(files, subject, QUICK)
    by_name = {(row.label, Path(row.file).suffix): row for row in rows}
    base = by_name["fp32", ".onnx"]
    assert (base.smaller, base.change, base.integer_kernels) == (1, 0, 0)
    ours, theirs = by_name["ours", ".onnx"], by_name["ort_min_max", ".onnx"]
    assert ours.integer_kernels == ours.kernels == theirs.kernels == base.kernels == 4
    assert ours.smaller == base.num_bytes / ours.num_bytes
    assert ours.accuracy == by_name["ours", ".tflite"].accuracy  # the same integers
    text = "\n".join(
        report(subject, [variant, *(Variant(label, "edgesqueeze", "") for label in ("fp32", "ours"))], rows)
    )
    assert f"{theirs.num_bytes:,}" in text


def test_a_variant_that_fails_is_recorded(tmp_path):
    def quantize_one(label, path):
        if label == "bad":
            raise ValueError("no such thing\nsecond line")
        path.write_bytes(b"x")

    write_variants("tool 1", {"good": "a", "bad": "b"}, quantize_one, tmp_path)
    good, bad = json.loads((tmp_path / "variants.json").read_text())
    assert good["error"] is None
    assert (tmp_path / "good.onnx").is_file()
    assert bad["error"] == "ValueError: no such thing"
    assert bad["settings"] == "b"


def test_an_environment_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ExportError, match="make_environments.sh"):
        run_peer(tmp_path / "python", ["x.py"], tmp_path / "out", [])
    with pytest.raises(ExportError, match="nncf_quantize.py failed: ModuleNotFoundError"):
        run_peer(Path(sys.executable), [str(PEERS / "nncf_quantize.py")], tmp_path / "out", [])


@pytest.mark.slow
def test_the_table_has_a_line_per_method_and_per_run(tmp_path, monkeypatch):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "version: 1\nname: x\ntask: {model: lenet5, data: mnist_sample, calibration_images: 16}\n"
        "stages: []\nexports: []\n"
    )
    save_file(built_in_model("lenet5").build().state_dict(), tmp_path / "lenet.safetensors")
    checkpoint = ["--recipe", str(recipe), "--checkpoint", str(tmp_path / "lenet.safetensors")]
    subject = subject_from(arguments(recipe=str(recipe), checkpoint=tmp_path / "lenet.safetensors"))
    write_ours(quantize(subject, Ptq(method="min_max"))[0], tmp_path / "run" / "artifacts", with_float=False)
    options = [
        "--only",
        "min_max",
        "auto",
        "--run",
        f"again={tmp_path / 'run'}",
        "--processes",
        "1",
        "--rounds",
        "1",
    ]
    monkeypatch.setattr(sys, "argv", ["x.py", *checkpoint, *options, "--output", str(tmp_path / "out")])
    int8_table.main()
    data = json.loads((tmp_path / "out" / "report.json").read_text())
    labels = ["float", "min_max", "float", "min_max", "auto", "auto", "again", "again"]
    assert [row["label"] for row in data["rows"]] == labels
    assert data["subject"]["test_images"] == 1000
    assert "auto kept" in data["notes"]["auto"]
    rows = {(row["label"], row["file"]): row for row in data["rows"]}
    for name in ("model_int8.onnx", "model_int8.tflite"):
        assert rows["again", name]["accuracy"] == rows["min_max", name]["accuracy"]
        assert rows["again", name]["num_bytes"] == rows["min_max", name]["num_bytes"]


def test_runs_that_cannot_be_measured_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="is not of the form LABEL=RUN"):
        run_files(str(tmp_path))
    with pytest.raises(RecipeError, match="there is no .*model_int8.onnx, .*model_int8.tflite"):
        run_files(f"QAT={tmp_path}")


def test_subjects_that_cannot_be_scored_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="--random has random weights"):
        subject_from(arguments(random="squeezenet1_1", checkpoint=Path("x.pt")))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "version: 1\nname: x\ntask: {model: lenet5, data: mnist_sample}\nstages: []\nexports: []\n"
    )
    with pytest.raises(RecipeError, match="names no trained weights; give --checkpoint"):
        subject_from(arguments(recipe=str(recipe)))


def test_a_random_network_is_timed_not_scored():
    subject = subject_from(arguments(random="torchvision.models:mobilenet_v2"))
    assert subject.facts()["test_images"] is None
    with torch.inference_mode():
        y = subject.model(subject.task.example_input)
    assert y.shape == (1, 1000)


def test_settled_networks_have_activations_of_ordinary_size():
    model, x = built_in_model("squeezenet1_1").build(), noise_images(4, (3, 64, 64))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.1)  # by now nothing of the picture arrives at the end
        assert model.eval()(x).std(0).max() < 1e-3
        settle(model, x)
        assert 0.1 < model(x).std(0).mean() < 3
