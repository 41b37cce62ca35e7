"""A bundle is sent, tests and times itself, and is gone again: by a stand-in for ssh, and by a real sshd."""

import json
import os
import platform
import shlex
import shutil
import socket
import sys

import pytest
from loopback_ssh import client, cut_after, emptied, user
from typer.testing import CliRunner

from edgesqueeze.cli.main import app
from edgesqueeze.devices.bundle import write_bundle
from edgesqueeze.devices.emulation.boards import BOARDS
from edgesqueeze.devices.emulation.emulated import Emulated
from edgesqueeze.devices.emulation.root import cache_folder, cached_root
from edgesqueeze.devices.remote.address import Address
from edgesqueeze.devices.remote.ssh import Session, run_there
from edgesqueeze.devices.targets import Target
from edgesqueeze.errors import DeviceError, ParityError

BUILT = cached_root(cache_folder())
HERE = platform.machine()
DEVICE = Address("pi", "device")


@pytest.fixture(scope="module")
def bundle(run, tmp_path_factory):
    return write_bundle(run, Target.LINUX, tmp_path_factory.mktemp("b") / "b.zip").path.read_bytes()


@pytest.fixture
def device(tmp_path, monkeypatch):
    """A stand-in for ssh that runs the command here; the folder is the device's place for temporary files."""
    return stand_in(tmp_path, monkeypatch, 'for command; do :; done; cd /; exec sh -c "$command"')


def stand_in(tmp_path, monkeypatch, body):
    folder, temporary = tmp_path / "bin", tmp_path / "tmp"
    folder.mkdir()
    temporary.mkdir()
    (folder / "ssh").write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/words\nexport TMPDIR={temporary}\n{body}\n'
    )
    (folder / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return temporary


def test_the_report_comes_back_and_nothing_stays(device, bundle, tmp_path):
    found = run_there(Address("pi", "device", 2222), bundle, HERE, sys.executable)
    assert found.selftest[-1] == "selftest passed"
    (row,) = found.benchmark["rows"]
    assert row["file"] == "model_int8.tflite"
    assert row["before"]["machine"] == HERE
    assert not list(device.iterdir())
    words = (tmp_path / "words").read_text().split()
    assert {"BatchMode=yes", "StrictHostKeyChecking=yes", "PreferredAuthentications=publickey"} < set(words)
    assert words[words.index("-p") + 1] == "2222"
    assert words[words.index("--") + 1] == "device"


@pytest.mark.parametrize(
    ("machine", "python", "sentence"),
    [
        ("riscv64", "python3", f"pi@device: it is a machine of {HERE}, the bundle is for riscv64"),
        (HERE, "python3; rm -rf x", "pi@device: it has no python3; rm -rf x"),
        (HERE, "/bin/false", "pi@device: its /bin/false is older than Python 3.9"),
    ],
)
def test_what_the_device_has_not_is_said(machine, python, sentence, device, bundle):
    with pytest.raises(DeviceError) as found:
        run_there(DEVICE, bundle, machine, python)
    assert str(found.value) == sentence
    assert not list(device.iterdir())


def test_a_python_without_numpy_is_said(device, bundle, tmp_path):
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec {sys.executable} -S -E "$@"\n')
    (tmp_path / "python").chmod(0o755)
    with pytest.raises(DeviceError, match="has no numpy: .* -m pip install numpy"):
        run_there(DEVICE, bundle, HERE, str(tmp_path / "python"))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ('ulimit -f 4; for c; do :; done; exec sh -c "$c"', "bytes cannot be written there"),
        ('for c; do :; done; head -c 1000 | sh -c "$c"', "the bundle arrived in part"),
        (
            "echo 'Host key verification failed.' >&2; exit 255",
            "its host key is not known here or has changed",
        ),
        ("echo 'pi@device: Permission denied (publickey).' >&2; exit 255", "it takes none of the keys"),
        ("echo 'client_loop: send disconnect: Broken pipe' >&2; exit 255", "the connection was lost"),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_nothing_stays(body, sentence, bundle, tmp_path, monkeypatch):
    temporary = stand_in(tmp_path, monkeypatch, body)
    with pytest.raises(DeviceError, match=sentence):
        run_there(DEVICE, bundle, HERE, sys.executable)
    assert not list(temporary.iterdir())


def test_time_is_limited(bundle, tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, "exec sleep 30")
    with pytest.raises(DeviceError, match="pi@device took longer than 0 s; it removes what it was sent"):
        run_there(DEVICE, bundle, HERE, sys.executable, Session(seconds=0.2))


@pytest.mark.slow
@pytest.mark.skipif(
    not BUILT.folder.is_dir(), reason=f"{BUILT.folder} is not there; verify --device makes it"
)
def test_a_device_with_another_processor_answers_as_this_one(run, tmp_path, monkeypatch):
    """Its Python is that of an emulated Cortex-A72, and so are numpy and the runtime."""
    temporary = stand_in(tmp_path, monkeypatch, 'for command; do :; done; cd /; exec sh -c "$command"')
    bundle = write_bundle(run, Target.RASPBERRY_PI, tmp_path / "b.zip").path.read_bytes()
    with Emulated(BUILT, BOARDS["pi4"]) as emulated:
        python = shlex.join(emulated.command([emulated.python]))
        programs = {"uname": "echo aarch64", "python": f'PYTHONPATH={BUILT.site} exec {python} "$@"'}
        for name, body in programs.items():
            (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
            (tmp_path / "bin" / name).chmod(0o755)
        found = run_there(DEVICE, bundle, "aarch64", str(tmp_path / "bin" / "python"))
    assert found.selftest[-1] == "selftest passed"
    (row,) = found.benchmark["rows"]
    assert (row["file"], row["before"]["machine"]) == ("model_int8.tflite", "aarch64")
    assert not list(temporary.iterdir())


def test_other_answers_are_no_success(device, bundle, tmp_path):
    """A Python that finds every answer wrong."""
    lines = "echo '1 files'; echo 'model.onnx (x): input 0 differs'; echo 'selftest FAILED'; exit 1"
    script = f'#!/bin/sh\ncase "$1" in selftest.py) {lines};; esac\nexec {sys.executable} "$@"\n'
    (tmp_path / "python").write_text(script)
    (tmp_path / "python").chmod(0o755)
    with pytest.raises(ParityError, match=r"the self-test failed: model\.onnx \(x\): input 0 differs"):
        run_there(DEVICE, bundle, HERE, str(tmp_path / "python"))
    assert not list(device.iterdir())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give -o FILE.zip to write a bundle, --to ssh://USER@HOST to try one, or both"),
        (["--to", "ssh://host"], "a device is ssh://user@host"),
        (
            ["--to", "ssh://pi@host", "--target", "android"],
            "--to runs programs on the device, android has none",
        ),
        (["--to", "ssh://pi@host", "--target", "c-array"], "allowed: raspberry-pi, linux-x86_64"),
        (["-o", "x.zip", "--python", "python3"], "--python is of the device that --to ssh"),
    ],
)
def test_what_cannot_be_tried_is_refused(arguments, sentence, run):
    assert sentence in str(CliRunner().invoke(app, ["deploy", str(run), *arguments]).exception)


# -- a real sshd ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_cut_half_way_nothing_stays_and_the_next_try_works(server, run, bundle, tmp_path, monkeypatch):
    temporary, port = client(server, tmp_path, monkeypatch)
    through = cut_after(port, 4096 + len(bundle) // 2)
    with pytest.raises(DeviceError, match="the connection was lost .* run it again"):
        run_there(Address(user(), "127.0.0.1", through), bundle, HERE, sys.executable)
    assert emptied(temporary)
    target = {"x86_64": "linux-x86_64", "aarch64": "raspberry-pi"}[HERE]
    to = ["--to", f"ssh://{user()}@127.0.0.1:{port}", "--python", sys.executable, "--target", target]
    found = CliRunner().invoke(app, ["deploy", str(run), *to], catch_exceptions=False)
    _, _, rest = found.stdout.partition("selftest passed\n")
    assert json.loads(rest)["rows"][0]["file"] == "model_int8.tflite"
    assert emptied(temporary)


def test_a_strange_host_and_a_strange_key_are_refused(server, bundle, tmp_path, monkeypatch):
    for number, (key, known, why) in enumerate(
        [("user", "none", "its host key is not known"), ("stranger", "known", "takes none of the keys")]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        with monkeypatch.context() as patch:
            temporary, port = client(server, folder, patch, key, known)
            with pytest.raises(DeviceError, match=why):
                run_there(Address(user(), "127.0.0.1", port), bundle, HERE, sys.executable)
        assert emptied(temporary)


def test_a_closed_port_is_said(tmp_path, monkeypatch, bundle):
    if shutil.which("ssh") is None:
        pytest.skip("there is no ssh here")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(DeviceError, match="nothing answers at that port"):
            run_there(Address("pi", "127.0.0.1", free.getsockname()[1]), bundle, HERE)
