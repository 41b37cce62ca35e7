"""A run's files test themselves on an emulated processor."""

import json
import sys

import pytest
from typer.testing import CliRunner

from edgesqueeze.cli.main import app
from edgesqueeze.devices.emulation.boards import BOARDS
from edgesqueeze.devices.emulation.check import check_run
from edgesqueeze.devices.emulation.emulated import Emulated
from edgesqueeze.devices.emulation.root import Root, cache_folder, cached_root
from edgesqueeze.errors import ParityError

BUILT = cached_root(cache_folder())


@pytest.fixture
def host_root(tmp_path):
    """A root whose emulator runs the host's Python: everything but the other processor."""
    folder = cached_root(tmp_path / "cache").folder
    for name in ("root/usr/bin", "root/lib", "site"):
        (folder / name).mkdir(parents=True)
    (folder / "root" / "usr" / "bin" / "python3.11").symlink_to(sys.executable)
    (folder / "versions.json").write_text('{"qemu": "1.2.3", "python": "3.11"}')
    return Root(folder)


def emulator(root, script):
    root.emulator.write_text(f"#!/bin/sh\n{script}\n")
    root.emulator.chmod(0o755)


def test_the_emulator_is_told_the_processor_and_the_root(host_root, tmp_path):
    emulator(host_root, f'echo "$@"; cat "$4/proc/cpuinfo"; ls -d "$4/lib"; env > {tmp_path}/env')
    with Emulated(host_root, BOARDS["pi5"]) as emulated:
        found = emulated.run([emulated.python, "-c", "pass"], tmp_path).stdout.splitlines()
        root = emulated.command([])[4]
    assert found[0].split()[:3] == ["-cpu", "cortex-a76", "-L"]
    assert found[0].endswith("/usr/bin/python3.11 -c pass")
    assert "CPU part\t: 0xd0b" in found
    assert found[-1] == f"{root}/lib"
    assert "LD_PRELOAD" not in (tmp_path / "env").read_text()


@pytest.mark.parametrize(
    ("script", "passed", "what"),
    [
        ('echo "model.onnx (onnxruntime 1.0): 8 inputs, outputs equal"', True, "8 inputs, outputs equal"),
        ("kill -ILL $$", False, "ended by SIGILL (an instruction that this processor has not)"),
        ("kill -SEGV $$", False, "ended by SIGSEGV"),
        ("echo 'no module numpy' >&2; exit 1", False, "model.onnx: no module numpy"),
    ],
)
def test_what_a_self_test_said_is_kept(script, passed, what, run, host_root, tmp_path):
    emulator(host_root, f'case "$*" in *model.onnx*|*selftest.py) {script};; esac')
    found = check_run(run, BOARDS["pi4"], tmp_path / "cache")
    first = next(file for file in found.files if file.file == "model.onnx")
    assert first.passed == passed
    assert first.what.endswith(what)
    assert found.to_json()["emulated"] is True
    assert found.text().startswith("Raspberry Pi 4, emulated: cortex-a72 by qemu 1.2.3, Python 3.11\n")
    if not passed:
        with pytest.raises(ParityError, match=r"model\.onnx failed on an emulated Raspberry Pi 4"):
            found.require()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--device", "emulated:pi6"], "there is no device emulated:pi6"),
        (["--device", "emulated:pi4", "--images", "8"], "leave --images out"),
        (["--device", "emulated:pi4", "x.onnx"], "--device tests the files of one run"),
    ],
)
def test_what_cannot_be_emulated_is_refused(arguments, sentence, tmp_path):
    found = CliRunner().invoke(app, ["verify", str(tmp_path), *arguments])
    assert sentence in str(found.exception)


@pytest.mark.slow
@pytest.mark.skipif(
    not BUILT.folder.is_dir(), reason=f"{BUILT.folder} is not there; verify --device makes it"
)
def test_a_cortex_a72_answers_as_this_processor(run):
    found = CliRunner().invoke(app, ["verify", str(run), "--device", "emulated:pi4", "--json"])
    report = json.loads(found.stdout)
    assert {file["file"] for file in report["files"] if file["passed"]} == {
        *("model.onnx", "model_int8.onnx", "model.tflite", "model_int8.tflite", "model_fp16.tflite")
    }
    assert (report["cpu"], report["emulated"]) == ("cortex-a72", True)
