"""C arrays are the file, compile without a warning, and say what a microcontroller needs."""

import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgesqueeze.cli.main import app
from edgesqueeze.devices.micro.arrays import write_c_arrays
from edgesqueeze.devices.micro.operators import resolver_methods
from edgesqueeze.errors import ExportError

STUBS = Path(__file__).parent / "stubs"
SOURCES = ("main.cc", "model.cc", "golden.cc")
FLAGS = ("-std=c++17", "-Wall", "-Wextra", "-Werror", "-pedantic")


@pytest.fixture(scope="module")
def written(run, tmp_path_factory):
    return write_c_arrays(run, tmp_path_factory.mktemp("micro") / "arrays")


def checked(folder, *flags):
    """Compile main.cc as the README says, and run it."""
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc here")
    subprocess.run(["gcc", *FLAGS, *flags, *SOURCES, "-o", "check"], cwd=folder, check=True)
    return subprocess.run([folder / "check"], capture_output=True, text=True, check=False)


def test_what_is_needed_is_said(written, run):
    assert set(written.operators) == {
        *("AddAdd", "AddConcatenation", "AddConv2D", "AddDepthwiseConv2D"),
        *("AddFullyConnected", "AddMaxPool2D", "AddMean", "AddReshape"),
    }
    # the first convolution: 28 x 28 come in, 13 x 13 x 8 go out, rounded up to 16
    assert written.tensor_bytes == 784 + 1360
    model = (run / "artifacts" / "model_int8.tflite").read_bytes()
    text = (written.path / "model.cc").read_text()
    numbers = text[text.index("{") + 1 : text.index("}")].split(",")
    assert bytes(int(number) for number in numbers if number.strip()) == model
    manifest = json.loads((written.path / "manifest.json").read_text())
    assert manifest["target"] == "c-array"
    assert manifest["models"][0]["file"] == "model_int8.tflite"


def test_the_array_is_checked_without_an_interpreter(written, tmp_path):
    found = checked(written.path)
    assert (found.returncode, found.stdout.splitlines()[-1]) == (0, "check passed")
    for name in (*SOURCES, "model.h", "golden.h"):
        shutil.copy(written.path / name, tmp_path)
    text = (tmp_path / "model.cc").read_text()
    (tmp_path / "model.cc").write_text(text.replace(" 84, 70, 76, 51,", " 84, 70, 76, 52,", 1))
    found = checked(tmp_path)
    assert found.returncode == 1
    assert found.stdout.startswith("the model has SHA-256 ")


@pytest.mark.parametrize(
    ("flags", "code", "lines"),
    [
        ((), 0, ["image 1, output 0: at most 0 steps from the golden answer", "check passed"]),
        (
            ("-DSTUB_ERROR=1",),
            0,
            ["image 1, output 0: at most 1 steps from the golden answer", "check passed"],
        ),
        (
            ("-DSTUB_ERROR=2",),
            1,
            ["image 1, output 0: at most 2 steps from the golden answer", "check FAILED"],
        ),
        (
            ("-DARENA_BYTES=1024",),
            1,
            ["an arena of 1024 bytes is too small, or an operator is missing", "check FAILED"],
        ),
    ],
)
def test_an_interpreter_is_compared_with_the_golden_answers(flags, code, lines, written):
    found = checked(written.path, "-DHAVE_TFLM", f"-I{STUBS}", "-I.", *flags)
    assert (found.returncode, found.stdout.splitlines()[-2:]) == (code, lines)


def test_an_archive_has_the_same_files(run, written, tmp_path):
    command = ["deploy", str(run), "--target", "c-array", "-o", str(tmp_path / "arrays.zip")]
    found = CliRunner().invoke(app, command, catch_exceptions=False)
    assert "activations alive at once: 2,144 bytes" in found.stdout
    with zipfile.ZipFile(tmp_path / "arrays.zip") as file:
        for name in file.namelist():
            assert file.read(name) == (written.path / name).read_bytes()
        assert set(file.namelist()) == set(written.files)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--file", "model.tflite"], "model.tflite is fp32 tflite; a C array is of an int8 .tflite file"),
        (["--file", "model_int8.onnx"], "model_int8.onnx is int8 onnx; a C array is of an int8 .tflite file"),
        (["--file", "model.tflite", "--file", "model_int8.tflite"], "a C array is of one file, found 2"),
        (["--sign", "key.pem"], "nothing on a microcontroller reads a signature"),
    ],
)
def test_what_is_no_c_array_is_refused(arguments, sentence, run, tmp_path):
    command = ["deploy", str(run), "--target", "c-array", "-o", str(tmp_path / "x"), *arguments]
    assert sentence in str(CliRunner().invoke(app, command).exception)
    assert not list(tmp_path.iterdir())


def test_operators_that_it_has_not_are_named():
    with pytest.raises(ExportError, match="TensorFlow Lite Micro has no GELU, POW"):
        resolver_methods(["ADD", "POW", "GELU"])
