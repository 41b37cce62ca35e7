"""A bundle goes to an Android device and back by the real adb client, to a stand-in for the device's side."""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgesqueeze.cli.main import app
from edgesqueeze.devices.bundle import archive_of, write_bundle
from edgesqueeze.devices.loose import loose_models
from edgesqueeze.devices.native.decoder import COMPILERS
from edgesqueeze.devices.native.interpreter import build_interpreter
from edgesqueeze.devices.remote.adb import run_on_phone
from edgesqueeze.devices.remote.phone import State, find_phone, parse_serial
from edgesqueeze.devices.remote.timing import Rounds, Subject, interpreted, read_timing
from edgesqueeze.devices.targets import Target
from edgesqueeze.errors import DeviceError, ParityError, RecipeError

STAND_IN = Path(__file__).parents[2] / "shared" / "loopback_adbd.py"
EMULATOR = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
ELF = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
EMULATING = f"""
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc &&
printf %s ':aarch64:M::{ELF}:{MASK}:{EMULATOR}:F' >/proc/sys/fs/binfmt_misc/register &&
exec "$@"
"""
"""In user and mount namespaces of its own: the host's kernel runs no program of aarch64 for anybody else."""
PROGRAMS = {
    "getprop": """case $1 in
ro.product.model) echo 'Stand-in';; ro.build.version.release) echo 15;; ro.build.version.sdk) echo 35;;
ro.product.cpu.abi) cat "$(dirname "$0")/abi";; esac""",
    "dumpsys": """case $1 in
battery) printf 'Current Battery Service state:\\n  AC powered: false\\n  USB powered: true\\n'
  printf '  level: 85\\n  scale: 100\\n  temperature: 273\\n';;
thermalservice) printf 'IsStatusOverride: false\\nThermal Status: 1\\n';; esac""",
    "getconf": "echo 16384",
}
TIMES = """INFO: count=9 first=87112 curr=51629 min=51629 max=87112 avg=58147.4 std=11478
INFO: count=50 first=52162 curr=49785 min=49088 max=68610 avg=50743.2 std=607 p5=49620 median=50891 p95=68628
INFO: Inference timings in us: Init: 119515, First inference: 87112, Warmup (avg): 58147.4, Inference (avg): 50743.2
"""
COOL = State(80, 25.0, True, 0)


@pytest.fixture(scope="module")
def adb(tmp_path_factory):
    """A server of adb of our own, ended with the tests."""
    if shutil.which("adb") is None:
        pytest.skip("there is no adb here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("ANDROID_ADB_SERVER_PORT", str(20000 + os.getpid() % 20000))
        yield lambda *words: subprocess.run(["adb", *words], capture_output=True, text=True, check=False)
        subprocess.run(["adb", "kill-server"], capture_output=True, check=False)


@pytest.fixture
def device(adb, tmp_path):
    """Start a stand-in and connect to it: its serial number."""
    started = []

    def start(mood="", abi="arm64-v8a", within=()):
        folder = tmp_path / "device"
        (folder / "bin").mkdir(parents=True, exist_ok=True)
        (folder / "tmp").mkdir(exist_ok=True)
        (folder / "bin" / "abi").write_text(abi)
        for name, body in PROGRAMS.items():
            (folder / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
            (folder / "bin" / name).chmod(0o755)
        command = [*within, sys.executable, str(STAND_IN), str(folder), mood]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        port = process.stdout.readline().strip()
        if not port:
            process.kill()
            pytest.skip(f"no stand-in can be started: {process.stderr.read().strip()}")
        started.append((process, port))
        adb("connect", f"127.0.0.1:{port}")
        return f"127.0.0.1:{port}"

    yield start
    for process, port in started:
        adb("disconnect", f"127.0.0.1:{port}")
        process.kill()
        process.communicate()


def left(tmp_path):
    return list((tmp_path / "device" / "tmp").iterdir())


def deploy(run, *arguments):
    return CliRunner().invoke(app, ["deploy", str(run), *arguments])


BOTH = ("--file", "model.sqz", "--file", "model_int8.tflite")


@pytest.fixture
def emulating():
    if EMULATOR is None or shutil.which(COMPILERS[0]) is None or shutil.which("unshare") is None:
        pytest.skip("needs qemu-user, gcc-aarch64-linux-gnu and unshare")
    return ("unshare", "-Urm", "sh", "-c", EMULATING, "sh")


def test_the_files_are_decoded_there_and_nothing_stays(run, device, emulating, tmp_path):
    serial = device(within=emulating)
    program = tmp_path / "benchmark_model"  # LiteRT's own cannot be had here
    program.write_text(f"#!/bin/sh\ntest -f \"${{1#--graph=}}\" && cat <<'E'\n{TIMES}E\n")
    found = deploy(run, "--to", f"adb:{serial}", *BOTH, "--benchmark-model", str(program))
    assert found.exception is None
    assert f"model_int8.tflite: decoded on adb:{serial} to the same" in found.output
    report = json.loads(found.output[found.output.index("\n{\n") :])
    assert report["facts"] == {
        "model": "Stand-in",
        "android": "15",
        "sdk": "35",
        "abi": "arm64-v8a",
        "page_bytes": 16384,
    }
    battery = {"battery_percent": 85, "battery_celsius": 27.3, "powered": True, "thermal": 1}
    assert battery.items() <= report["before"].items()
    assert report["before"]["load"] >= 0
    assert report["before"]["available_mb"] > 0
    assert report["decoding"]["file_bytes"] == (run / "artifacts" / "model.sqz").stat().st_size
    assert report["decoding"]["heap_bytes"] > 0
    (timing,) = report["timings"]
    assert (timing["file"], timing["runtime"]) == ("model_int8.tflite", "benchmark_model")
    assert (timing["between"], timing["invalid"]) == ("least and most of 50 runs, ms their mean", None)
    assert left(tmp_path) == []


@pytest.fixture(scope="module")
def archive(run, tmp_path_factory):
    if shutil.which(COMPILERS[0]) is None:
        pytest.skip("there is no C compiler for aarch64 here: gcc-aarch64-linux-gnu")
    path = tmp_path_factory.mktemp("bundle") / "bundle.zip"
    return write_bundle(run, Target.ANDROID, path, BOTH[1::2]).path.read_bytes()


def test_a_connection_that_breaks_is_one_sentence(archive, device):
    phone = find_phone(device("leaving"))
    with pytest.raises(DeviceError, match=r"the connection was lost while .*; run it again") as found:
        run_on_phone(phone, archive)
    assert str(found.value).startswith(f"{phone}: ")


@pytest.mark.slow
def test_after_a_connection_that_broke_the_next_try_works(archive, device, emulating, tmp_path):
    """What the first has left, in a folder of its own, is not looked at."""
    with pytest.raises(DeviceError, match="the connection was lost"):
        run_on_phone(find_phone(device("leaving", within=emulating)), archive)
    lost = left(tmp_path)
    report = run_on_phone(find_phone(device(within=emulating)), archive, rounds=Rounds(2, 0))
    assert report.compared == ["model_int8.tflite"]
    assert report.decoding is not None
    assert left(tmp_path) == lost
    assert all(path.name.startswith("edgesqueeze-") for path in lost)


def test_files_are_answered_and_timed_there_by_our_own_program(run, device, emulating, tmp_path):
    serial = device(within=emulating)
    given = ["--device", f"adb:{serial}", "--quick", "--sustained", "1", "--save", str(tmp_path / "m.json")]
    found = CliRunner().invoke(app, ["bench", str(run), *given])
    assert found.exception is None, found.output
    saved = json.loads((tmp_path / "m.json").read_text())
    (row,) = saved["rows"]
    assert (row["file"], row["runtime"], row["threads"]) == ("model_int8.tflite", "edgesqueeze in C", 1)
    assert (row["time_s"] is None) == (row["invalid"] is not None)
    assert len(row["states"]) >= 2
    assert row["sustained"]["inferences"] > 0
    assert set(saved["missing"]) == {"model.tflite", "model_fp16.tflite"}
    assert "it computes in float; --benchmark-model" in " ".join(found.stdout.split())
    assert max(map(len, found.stdout.splitlines())) <= 100
    assert left(tmp_path) == []


def test_other_answers_there_are_no_success(run, device, emulating, tmp_path):
    phone = find_phone(device(within=emulating))
    (model,) = loose_models([run / "artifacts" / "model_int8.tflite"])
    build_interpreter(tmp_path / "infer")
    wrong = Subject.of("m.tflite", model.path, model.inputs, [part + 1 for part in model.outputs])
    with phone.folder() as there, pytest.raises(ParityError, match=r"m\.tflite answers otherwise there"):
        interpreted(phone, there, tmp_path, wrong, Rounds())
    assert left(tmp_path) == []


def test_files_that_no_phone_runs_are_refused(run, device):
    serial = device()
    for arguments, sentence in (
        (["model.tflite"], "nothing of these files can be measured: model.tflite: it computes in float"),
        (["model.onnx"], "an Android device runs .tflite files, found"),
        (["model_int8.tflite", "--threads", "2"], "our program for phones has one thread"),
        (["model_int8.tflite", "--benchmark-model", "nowhere"], "nowhere is no file"),
    ):
        name, *rest = arguments
        found = CliRunner().invoke(
            app, ["bench", str(run / "artifacts" / name), "--device", f"adb:{serial}", *rest]
        )
        assert isinstance(found.exception, RecipeError)
        assert sentence in str(found.exception)
    found = deploy(run, "--to", f"adb:{serial}", "--file", "model.tflite")
    assert "nothing of these files runs on Android by itself" in str(found.exception)


def test_a_program_that_fails_there_says_why_and_nothing_stays(archive, device, tmp_path):
    phone = find_phone(device())  # runs no program for aarch64
    with pytest.raises(DeviceError, match="decode failed:"):
        run_on_phone(phone, archive)
    assert left(tmp_path) == []


def test_other_bytes_are_no_success(archive, device, emulating, tmp_path):
    """The manifest expects another file than the one that is decoded there."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    manifest = json.loads(entries["manifest.json"])
    manifest["decoded"]["model_int8.tflite"]["sha256"] = "0" * 64
    phone = find_phone(device(within=emulating))
    with pytest.raises(ParityError, match="model_int8.tflite was decoded there to other bytes than here"):
        run_on_phone(phone, archive_of({**entries, "manifest.json": json.dumps(manifest).encode()}))
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("mood", "abi", "sentence"),
    [
        ("locked", "arm64-v8a", "it has not accepted this computer: unlock it and allow USB debugging"),
        ("", "armeabi-v7a", "its processor is armeabi-v7a, the programs are for arm64-v8a"),
    ],
)
def test_a_device_that_cannot_be_used_is_refused(mood, abi, sentence, device):
    serial = device(mood, abi)
    with pytest.raises(DeviceError) as found:
        find_phone(serial)
    assert str(found.value) == f"adb:{serial}: {sentence}"


def test_no_device_is_one_sentence(adb):
    with pytest.raises(DeviceError, match="adb finds no device; connect one and allow USB debugging on it"):
        find_phone(None)


def test_a_machine_without_adb_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="asking adb for its devices failed: adb: No such file"):
        find_phone(None)


@pytest.mark.parametrize(
    ("text", "serial"), [("adb:", None), ("adb:R5CT", "R5CT"), ("adb:10.0.0.7:5555", "10.0.0.7:5555")]
)
def test_serial_numbers(text, serial):
    assert parse_serial(text) == serial


@pytest.mark.parametrize("text", ["adb:-H", "adb:a b", "adb:x;y", "adb", "usb:x"])
def test_other_serial_numbers_are_refused(text):
    with pytest.raises(RecipeError, match="an Android device is adb: or adb:SERIAL, found"):
        parse_serial(text)


def test_the_times_of_benchmark_model_are_read_in_seconds():
    found = read_timing("m.tflite", TIMES, [COOL, COOL])
    assert (found.time_s, found.first_s) == pytest.approx((0.0507432, 0.087112))
    assert (found.low_s, found.high_s) == (pytest.approx(0.049088), pytest.approx(0.06861))
    assert found.invalid is None
    hot = read_timing("m.tflite", TIMES, [COOL, State(80, 45.0, True, 3), COOL])
    assert hot.invalid == "Android's thermal status was 3: clocks are lowered"
    assert (hot.time_s, hot.first_s) == (None, None)
    with pytest.raises(DeviceError, match=r"printed no times for m\.tflite"):
        read_timing("m.tflite", "ERROR: failed to load\n", [COOL])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--to", "adb:", *BOTH, "--target", "linux-x86_64"], "--to adb: is an Android device"),
        (["--to", "adb:", *BOTH, "--python", "python3"], "--python is of the device that --to ssh:"),
        (
            ["--to", "ssh://a@b", "--benchmark-model", "x"],
            "--benchmark-model is of the device that --to adb:",
        ),
        (["--to", "adb:", "--benchmark-model", "nowhere"], "nowhere is no file"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, sentence, tmp_path):
    found = deploy(tmp_path, *arguments)
    assert isinstance(found.exception, RecipeError)
    assert sentence in str(found.exception)
