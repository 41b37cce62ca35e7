"""A bundle works where this package is not, says what is wrong with it, and is the same every time."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from small_run import RECIPE
from typer.testing import CliRunner

from edgesqueeze.cli.main import app
from edgesqueeze.devices.bundle import _check_templates, write_bundle
from edgesqueeze.devices.runner.edge import _allowed
from edgesqueeze.devices.targets import Target
from edgesqueeze.errors import OutputError

ALL = ("model.onnx", "model_int8.onnx", "model.tflite", "model_int8.tflite", "model_fp16.tflite")
MISSING = ("torch", "edgesqueeze", "onnx", "pydantic", "tensorflow", "numba")


@pytest.fixture(scope="module")
def packed(run, tmp_path_factory):
    """A bundle of every file, unpacked."""
    folder = tmp_path_factory.mktemp("bundle")
    write_bundle(run, Target.RASPBERRY_PI, folder / "all.zip", ALL)
    return unpacked(folder / "all.zip", folder / "all")


def unpacked(archive, folder):
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    return folder


def alone(folder, *arguments):
    """Run a program of a bundle with numpy and the runtimes alone."""
    missing = folder.parent / "missing"
    missing.mkdir(exist_ok=True)
    for name in MISSING:
        (missing / f"{name}.py").write_text("raise ImportError")
    command = [sys.executable, *map(str, arguments)]
    bare = os.environ | {"PYTHONPATH": str(missing)}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=bare)


def test_every_file_answers_as_where_it_was_made(packed):
    found = alone(packed, "selftest.py")
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert lines[-1] == "selftest passed"
    assert {line.split(" ")[0]: line.rpartition("outputs ")[2] for line in lines[1:-1]} == {
        "model.onnx": "within 1e-5 of the largest",
        "model_int8.onnx": "within one step of their grids",
        "model.tflite": "within 1e-5 of the largest",
        "model_int8.tflite": "equal",
        "model_fp16.tflite": "within 1e-2 of the largest",
    }


def test_an_image_is_read_and_named(packed, tiny_task):
    x, _ = next(iter(tiny_task.test.batches(8)))
    pixels = tiny_task.normalization.pixels(x.numpy())
    for number, image in enumerate(pixels):
        np.save(packed.parent / f"{number}.npy", image.transpose(1, 2, 0))
    found = alone(
        packed,
        "run.py",
        *(f"../{n}.npy" for n in range(8)),
        "--model",
        "model_int8.tflite",
        "--save",
        "../last",
    )
    assert found.returncode == 0, found.stderr
    saved = np.load(packed.parent / "last.npz")["output"]
    golden = np.load(packed / "golden" / "model_int8.tflite.output.npz")["0"][7:]
    facts = next(m for m in manifest_of(packed)["models"] if m["file"] == "model_int8.tflite")["outputs"][0]
    np.testing.assert_array_equal(
        saved, (golden.astype(np.float32) - facts["zero_point"]) * np.float32(facts["scale"])
    )
    best = [line.split() for line in found.stdout.splitlines()][1]
    first = np.load(packed / "golden" / "model_int8.tflite.output.npz")["0"][0]
    assert best[0] == str(int(first.argmax()))


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text())


def test_the_machine_and_the_times_are_told(packed):
    found = alone(
        packed, "benchmark.py", "--model", "model_int8.onnx", "--rounds", "5", "--warm-up", "0", "--json"
    )
    assert found.returncode == 0, found.stderr
    (row,) = json.loads(found.stdout)["rows"]
    assert row["file"] == "model_int8.onnx"
    assert row["before"]["cpus"] >= 1
    assert len(row["during"]) == 1
    if row["invalid"] is None:
        assert 0 < row["p25_s"] <= row["median_s"] <= row["p75_s"]
    else:  # a busy machine
        assert [row[key] for key in ("p25_s", "median_s", "p75_s", "first_s", "load_s")] == [None] * 5


@pytest.mark.parametrize("name", ["model.tflite", "labels.txt", "golden/model.onnx.input.npz", "edge.py"])
def test_a_changed_byte_is_refused(name, packed, tmp_path):
    for path in packed.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            copy = tmp_path / path.relative_to(packed)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())
    with (tmp_path / name).open("ab") as file:
        file.write(b"\n")
    found = alone(tmp_path, "selftest.py")
    assert found.returncode == 2
    assert (
        found.stderr
        == f"error: {name} is not the file that was bundled: its SHA-256 differs from the manifest's\n"
    )


def test_the_first_difference_is_named(run, tmp_path):
    write_bundle(run, Target.LINUX, tmp_path / "one.zip")
    folder = unpacked(tmp_path / "one.zip", tmp_path / "one")
    path = folder / "golden" / "model_int8.tflite.output.npz"
    golden = np.load(path)["0"]
    golden[3, 4] += 2
    buffer = io.BytesIO()
    np.savez(buffer, **{"0": golden})
    path.write_bytes(buffer.getvalue())
    manifest = manifest_of(folder)
    manifest["files"]["golden/model_int8.tflite.output.npz"]["sha256"] = hashlib.sha256(
        buffer.getvalue()
    ).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    found = alone(folder, "selftest.py")
    assert found.returncode == 1
    expected = f"input 3, output output, place [0, 4]: {golden[3, 4]} was expected, {golden[3, 4] - 2} found; 1 of 10"
    assert expected in found.stdout
    assert found.stdout.endswith("selftest FAILED\n")


def test_a_squeezed_file_is_decoded_at_the_first_start(run, tmp_path):
    bundle = write_bundle(run, Target.LINUX, tmp_path / "small.zip", ["model.sqz", "model_int8.tflite"])
    assert "model_int8.tflite" not in bundle.files
    folder = unpacked(bundle.path, tmp_path / "small")
    for _ in range(2):
        found = alone(folder, "selftest.py")
        assert found.returncode == 0, found.stderr
    assert (folder / "model_int8.tflite").read_bytes() == (
        run / "artifacts" / "model_int8.tflite"
    ).read_bytes()


def test_the_same_run_gives_the_same_bundle_and_android_gets_no_programs(run, tmp_path):
    one, two = (write_bundle(run, Target.ANDROID, tmp_path / name) for name in ("a.zip", "b.zip"))
    assert one.sha256 == two.sha256 == hashlib.sha256((tmp_path / "b.zip").read_bytes()).hexdigest()
    assert not [name for name in one.files if name.endswith(".py")]
    assert {"manifest.json", "labels.txt", "README.md", "model_int8.tflite", "c/infer.c"} < set(one.files)
    in_float = write_bundle(run, Target.ANDROID, tmp_path / "c.zip", ["model.tflite"])
    assert not [name for name in in_float.files if name.startswith("c/")]


def test_the_program_in_c_that_android_gets_answers_as_the_golden_files_say(run, tmp_path):
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler here")
    folder = unpacked(write_bundle(run, Target.ANDROID, tmp_path / "a.zip").path, tmp_path / "a")
    command = next(line for line in (folder / "README.md").read_text().splitlines() if line.startswith("cc "))
    subprocess.run(["sh", "-c", command], cwd=folder, check=True)
    inputs, answers = (np.load(folder / name) for name in manifest_of(folder)["models"][0]["golden"])
    inputs["input"].tofile(folder / "inputs")
    subprocess.run(["./infer", "model_int8.tflite", "inputs", "answers"], cwd=folder, check=True)
    assert (folder / "answers").read_bytes() == answers["0"].tobytes()


def test_a_signed_bundle_is_used_for_its_owner_alone(run, tmp_path):
    for name in ("mine", "other"):
        subprocess.run(
            ["openssl", "genpkey", "-algorithm", "ed25519", "-out", f"{name}.pem"], cwd=tmp_path, check=True
        )
    bundles = {
        name: write_bundle(run, Target.LINUX, tmp_path / f"{name}.zip", key=tmp_path / f"{name}.pem")
        for name in ("mine", "other")
    }
    folder = unpacked(bundles["mine"].path, tmp_path / "mine")
    assert alone(folder, "selftest.py", "--key", bundles["mine"].public_key).returncode == 0
    refused = alone(folder, "selftest.py", "--key", bundles["other"].public_key)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "error: the manifest is not signed by the owner of this key\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-o", "x.tar"], "a bundle is a .zip file, found x.tar"),
        (["-o", "x.zip", "--file", "net.onnx"], "has no file net.onnx; it has model.onnx"),
        (["-o", "x.zip", "--file", "model.sqz"], "a .sqz file can only come beside it"),
        (["-o", "x.zip", "--sign", "no.pem"], "the key no.pem cannot be read: No such file"),
        (["-o", "x.zip", "--sign", "text.pem"], "text.pem is not a private key"),
    ],
)
def test_what_cannot_be_bundled_is_refused(arguments, sentence, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.pem").write_text("secret")
    found = CliRunner().invoke(app, ["deploy", str(run), "--target", "linux-x86_64", *arguments])
    assert sentence in str(found.exception)
    assert not list(tmp_path.glob("x.*"))


def test_an_unfinished_run_is_refused(tmp_path):
    (tmp_path / "recipe.yaml").write_text(json.dumps(RECIPE))
    with pytest.raises(OutputError):
        write_bundle(tmp_path, Target.LINUX, tmp_path / "x.zip")


def test_a_float_file_is_held_to_its_own_largest_answer():
    small = np.array([[0.01, -0.002]], np.float32)
    assert _allowed("float", {}, small) == pytest.approx(1e-7)
    assert _allowed("float", {}, np.zeros((1, 2), np.float32)) == 1e-5
    assert _allowed("exact", {}, small) == 0


def test_a_squeezed_file_travels_only_for_models_that_it_gives_back(run):
    squeezed = run / "artifacts" / "model.sqz"
    _check_templates(squeezed, [SimpleNamespace(path=Path("model_int8.tflite"))])
    with pytest.raises(
        OutputError, match=r"model\.sqz has no template of model_int4\.tflite; of those it has: "
    ):
        _check_templates(squeezed, [SimpleNamespace(path=Path("model_int4.tflite"))])
