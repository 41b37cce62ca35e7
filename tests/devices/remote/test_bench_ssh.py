"""Files are measured on another machine by its own programs, and a copy that was cut goes on where it stopped."""

import hashlib
import io
import json
import platform
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from loopback_ssh import client, cut_after, emptied, user
from typer.testing import CliRunner

from edgesqueeze.cli.main import app
from edgesqueeze.devices.bundle import archive_of, write_bundle
from edgesqueeze.devices.loose import loose_models
from edgesqueeze.devices.remote.address import Address
from edgesqueeze.devices.remote.measured import measured_there
from edgesqueeze.devices.remote.ssh import Session, run_there
from edgesqueeze.devices.runner import edge
from edgesqueeze.devices.targets import Target
from edgesqueeze.errors import DeviceError, RecipeError

HERE = platform.machine()
FEW = ("--rounds", "2", "--warm-up", "0")
KEPT = Session(FEW, resume=True)


@pytest.fixture(scope="module")
def bundle(run, tmp_path_factory):
    """A bundle that is large enough to be cut in its middle, whatever ssh says in front of it."""
    path = write_bundle(run, Target.LINUX, tmp_path_factory.mktemp("b") / "b.zip").path
    return padded(path.read_bytes())


def padded(archive, seed=0):
    """The same archive with 300 KB of noise, which the programs do not look at."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    return archive_of({**entries, "noise.bin": np.random.default_rng(seed).bytes(300_000)})


def parts(server):
    return sorted(
        path.relative_to(server[0] / "cache") for path in (server[0] / "cache").rglob("*") if path.is_file()
    )


def bench(*arguments):
    return CliRunner().invoke(app, ["bench", *map(str, arguments)])


def to(port):
    return ("--device", f"ssh://{user()}@127.0.0.1:{port}", "--python", sys.executable)


def test_a_file_is_measured_there_and_nothing_stays(server, run, tmp_path, monkeypatch):
    temporary, port = client(server, tmp_path, monkeypatch)
    files = [run / "artifacts" / "model_int8.tflite"]
    given = [
        *files,
        *to(port),
        "--quick",
        "--sustained",
        "1",
        "--threads",
        "1,2",
        "--save",
        tmp_path / "m.json",
    ]
    found = bench(*given)
    assert found.exception is None, found.output
    assert emptied(temporary)
    saved = json.loads((tmp_path / "m.json").read_text())
    assert [(row["file"], row["threads"]) for row in saved["rows"]] == [
        (path.name, threads) for path in files for threads in (1, 2)
    ]
    for row in saved["rows"]:
        assert (row["time_s"] is None) == (row["invalid"] is not None)
        assert [state["cpus"] for state in row["states"]] == [row["states"][0]["cpus"]] * 3
        assert row["sustained"]["seconds"] >= 1
        assert len(row["sustained"]["states"]) == 2
    assert "sustained ms" in found.stdout
    assert "Before: " in found.stdout
    assert max(map(len, found.stdout.splitlines())) <= 100


def test_the_files_of_a_run_are_measured_there(server, run, tmp_path, monkeypatch):
    """ONNX Runtime leaves files of its own where it can: not here."""
    temporary, port = client(server, tmp_path, monkeypatch)
    found = bench(run, *to(port), "--quick", "--format", "markdown")
    assert found.exception is None, found.output
    assert all(f"| {path.name} " in found.stdout for path in (run / "artifacts").glob("model*.[ot][nf]*"))
    assert parts(server) == []
    assert emptied(temporary)


def row_with(**states):
    moments = {"throttled": None, "mhz": None, **states}
    return [
        {name: values[i] if isinstance(values, list) else values for name, values in moments.items()}
        for i in range(3)
    ]


@pytest.mark.parametrize(
    ("states", "sentence"),
    [
        ({}, None),
        ({"throttled": [0x50000, 0x50000, 0x50000]}, None),
        ({"throttled": [0, 0x1, 0]}, "the firmware says throttled or short of voltage (0x1)"),
        ({"throttled": [0, 0, 0x10000]}, "the firmware says throttled or short of voltage (0x10000)"),
        ({"mhz": [1800.0, 1200.0, 1800.0]}, "the clock fell from 1800 to 1200 MHz"),
    ],
)
def test_what_the_machine_says_against_a_measurement(states, sentence, monkeypatch):
    monkeypatch.setitem(sys.modules, "edge", edge)
    from edgesqueeze.devices.runner.benchmark import why_invalid

    found = {"cpu_share": 1.0, "p25_s": 1.0, "p75_s": 1.1}
    assert why_invalid(row_with(**states), found) == sentence


def test_a_measurement_that_is_not_valid_has_no_number():
    times = dict.fromkeys(("median_s", "p25_s", "p75_s", "first_s", "load_s"), 1.0)
    row = {
        "file": "f",
        "runtime": "r",
        "threads": 1,
        "before": {},
        "during": [],
        "after": {},
        "sustained": None,
    }
    found = measured_there({**row, **times, "invalid": "hot"})
    assert [found.time_s, found.low_s, found.high_s, found.first_s, found.load_s] == [None] * 5
    assert measured_there({**row, **times, "invalid": None}).time_s == 1.0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--device", "usb:x"], "a device is ssh://USER@HOST[:PORT], adb:[SERIAL] or emulated:pi3"),
        (["--device", "ssh://host"], "a device is ssh://user@host"),
        (["--device", "ssh://a@b", "--against", "lenet5", "--batch", "2"], "leave --against, --batch out"),
        (["--device", "ssh://a@b", "--benchmark-model", "x"], "leave --benchmark-model out"),
        (["--device", "ssh://a@b", "--format", "csv"], "as terminal, markdown or json, found csv"),
        (["--device", "ssh://a@b", "--threads", "0"], "--threads: found 0; 1 to 1024 are allowed"),
        (["--device", "ssh://a@b", "--sustained", "0.1"], "--sustained: found 0.1"),
        (["--device", "ssh://a@b", "--save", "x.csv"], "saves a .json or .md file, found x.csv"),
        (["--device", "ssh://a@b", "nowhere.tflite"], "nowhere.tflite is no file and no directory"),
        (["--python", "python3"], "go with --device; give it too"),
        (["--resume"], "go with --device; give it too"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, sentence, run):
    found = bench(run / "artifacts" / "model.tflite", *arguments)
    assert isinstance(found.exception, RecipeError)
    assert sentence in str(found.exception)


def test_files_that_no_device_runs_are_refused(run, tmp_path):
    squeezed = run / "artifacts" / "model.sqz"
    found = bench(squeezed, "--device", "ssh://a@b")
    assert str(found.exception) == f"a device runs .tflite and .onnx files, found {squeezed}"
    with pytest.raises(RecipeError, match="two files are called model.onnx"):
        loose_models([Path("a/model.onnx"), Path("b/model.onnx")])
    assert "the files of one run" in str(bench(run, run, "--device", "ssh://a@b").exception)


def settled(server):
    """Wait until the device has noticed that the connection is gone: what is left there, and how much of it."""
    before = None
    for _ in range(100):
        now = {path: (server[0] / "cache" / path).stat().st_size for path in parts(server)}
        if now and now == before and not list((server[0] / "tmp").iterdir()):
            return now
        before = now
        time.sleep(0.2)
    return {}


# -- a copy that is cut ---------------------------------------------------------------------------------


def vanished(server):
    """Whether everything is gone, within ten seconds."""
    for _ in range(50):
        if not parts(server) and not list((server[0] / "tmp").iterdir()):
            return True
        time.sleep(0.2)
    return False


def cut(server, bundle, session, after):
    """Try it through a connection that ends when so much of the bundle has gone; what was said."""
    through = cut_after(server[1], after, skip=1 if session.resume else 0)
    with pytest.raises(DeviceError) as found:
        run_there(Address(user(), "127.0.0.1", through), bundle, HERE, sys.executable, session)
    return str(found.value)


def test_a_copy_that_was_cut_goes_on_where_it_stopped(server, bundle, tmp_path, monkeypatch):
    temporary, port = client(server, tmp_path, monkeypatch)
    digest = hashlib.sha256(bundle).hexdigest()
    assert "run it again, the copy goes on where it stopped" in cut(server, bundle, KEPT, 200_000)
    assert list(settled(server)) == [Path("edgesqueeze") / f"{digest}.part"]
    left = (server[0] / "cache" / parts(server)[0]).read_bytes()
    assert 30_000 < len(left) < 200_000
    assert bundle.startswith(left)
    # what is sent now is the rest: the whole would not go through
    through = cut_after(port, len(bundle) - len(left) + 30_000, skip=1)
    found = run_there(Address(user(), "127.0.0.1", through), bundle, HERE, sys.executable, KEPT)
    assert found.selftest[-1] == "selftest passed"
    assert emptied(temporary)
    assert not (server[0] / "cache" / "edgesqueeze").exists()


def test_what_is_left_of_another_file_is_never_used(server, bundle, tmp_path, monkeypatch):
    _, port = client(server, tmp_path, monkeypatch)
    cut(server, bundle, KEPT, 200_000)
    (part,) = settled(server)
    other = padded(bundle, seed=1)
    found = run_there(Address(user(), "127.0.0.1", port), other, HERE, sys.executable, KEPT)
    assert found.selftest[-1] == "selftest passed"
    assert parts(server) == [part]
    # under the right name, but with other bytes: it is sent anew
    (server[0] / "cache" / part).write_bytes(other[:150_000])
    found = run_there(Address(user(), "127.0.0.1", port), bundle, HERE, sys.executable, KEPT)
    assert found.selftest[-1] == "selftest passed"
    assert parts(server) == []


def test_without_being_asked_nothing_is_kept(server, bundle, tmp_path, monkeypatch):
    client(server, tmp_path, monkeypatch)
    cut(server, bundle, KEPT, 200_000)
    assert settled(server)
    assert "the device removes what it was sent" in cut(server, bundle, Session(FEW), 200_000)
    assert vanished(server)
