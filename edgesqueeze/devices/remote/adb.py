"""A bundle on an Android device that adb reaches: sent, decoded there, timed, removed.

A phone has no Python. What runs there are two static programs of ours, the decoder of .sqz files and the
interpreter of int8 TFLite files; in its place LiteRT's ``benchmark_model`` where the user has that.
"""

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgesqueeze.devices.native.decoder import Decoding, build_decoder, read_decoding
from edgesqueeze.devices.native.interpreter import NAME, build_interpreter
from edgesqueeze.devices.remote.measured import Measured
from edgesqueeze.devices.remote.phone import Facts, Phone, State
from edgesqueeze.devices.remote.timing import Rounds, Subject, benchmarked, interpreted, put
from edgesqueeze.errors import ParityError, RecipeError


@dataclass(frozen=True)
class PhoneReport:
    """What happened on a device. ``decoded`` are the files that it made of the .sqz file, and their sizes."""

    device: str
    facts: Facts
    before: State
    after: State
    decoding: Decoding | None
    decoded: Mapping[str, int]
    timings: tuple[Measured, ...]

    @property
    def compared(self) -> list[str]:
        """The files whose answers there were compared with those here."""
        return [row.file for row in self.timings if row.runtime == NAME]

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return asdict(self)


def check_program(benchmark_model: Path | None) -> None:
    """Refuse what is no program.

    Raises:
        RecipeError: there is no such file.
    """
    if benchmark_model is not None and not benchmark_model.is_file():
        raise RecipeError(f"{benchmark_model} is no file; --benchmark-model is LiteRT's program for arm64")


def _check_something_runs(manifest: Mapping[str, Any], program: Path | None) -> None:
    runs = any(runs_there(facts, program) for facts in manifest["models"])
    if not runs and "squeezed" not in manifest:
        raise RecipeError(
            "nothing of these files runs on Android by itself: name an int8 .tflite file, a .sqz file and "
            "the file of it to decode there, or --benchmark-model PATH of LiteRT's program"
        )


def run_on_phone(
    phone: Phone, bundle: bytes, benchmark_model: Path | None = None, rounds: Rounds | None = None
) -> PhoneReport:
    """Send what can run of a bundle, run it, fetch and compare what it made, and remove everything.

    Args:
        phone: the device.
        bundle: an archive for Android.
        benchmark_model: LiteRT's program for arm64, in the place of our interpreter.
        rounds: how long a file is timed.

    Raises:
        RecipeError: nothing of the bundle runs there.
        DeviceError: there is no cross compiler, a program fails there, or the connection is lost.
        ParityError: the files that were decoded there are not those of the run, or answer otherwise.
    """
    facts, before = phone.facts(), phone.state()
    with tempfile.TemporaryDirectory(prefix="edgesqueeze-") as temporary:
        here = Path(temporary)
        with zipfile.ZipFile(_kept(here, bundle)) as file:
            file.extractall(here / "bundle")
        manifest = json.loads((here / "bundle" / "manifest.json").read_text(encoding="utf-8"))
        _check_something_runs(manifest, benchmark_model)
        with phone.folder() as there:
            decoding = _decode(phone, there, here, manifest)
            subjects = _subjects(here / "bundle", manifest, benchmark_model)
            timings = _time(phone, there, here, subjects, (benchmark_model, rounds or Rounds()))
    return PhoneReport(str(phone), facts, before, phone.state(), decoding, _sizes(manifest), timings)


def _kept(folder: Path, bundle: bytes) -> Path:
    path = folder / "bundle.zip"
    path.write_bytes(bundle)
    return path


def _sizes(manifest: Mapping[str, Any]) -> dict[str, int]:
    return {name: facts["bytes"] for name, facts in manifest.get("decoded", {}).items()}


def _decode(phone: Phone, there: str, here: Path, manifest: Mapping[str, Any]) -> Decoding | None:
    """Decode the .sqz file on the device, and compare what it made with the manifest."""
    wanted = manifest.get("decoded", {})
    if not wanted:
        return None
    program = put(phone, there, build_decoder(here / "decode"), "decode", runs=True)
    squeezed = put(phone, there, here / "bundle" / manifest["squeezed"], manifest["squeezed"])
    took = read_decoding(phone.shell([program, squeezed, there]))
    for name, facts in wanted.items():
        phone.pull(f"{there}/{name}", here / "pulled")
        if hashlib.sha256((here / "pulled").read_bytes()).hexdigest() != facts["sha256"]:
            raise ParityError(f"{phone}: {name} was decoded there to other bytes than here")
    return took


def _time(
    phone: Phone, there: str, here: Path, subjects: Sequence[Subject], how: tuple[Path | None, Rounds]
) -> tuple[Measured, ...]:
    """Time every file that something here runs: by a program of the user's, or compared and timed by ours."""
    program, rounds = how
    if program is not None:
        put(phone, there, program, "benchmark_model", runs=True)
        return tuple(benchmarked(phone, there, subject, rounds) for subject in subjects)
    if subjects:
        build_interpreter(here / "infer")
    return tuple(interpreted(phone, there, here, subject, rounds) for subject in subjects)


def runs_there(facts: Mapping[str, Any], program: Path | None) -> bool:
    """Whether a model of a manifest runs on a phone: our interpreter computes in integers."""
    is_integer = facts["precision"] == "int8" and facts["bound"] == "exact"
    return facts["runtime"] == "litert" and (program is not None or is_integer)


def _subjects(bundle: Path, manifest: Mapping[str, Any], program: Path | None) -> list[Subject]:
    """The models that run there, of those that were decoded there as they lie there."""
    found = []
    for facts in manifest["models"]:
        if runs_there(facts, program):
            inputs, answers = (dict(np.load(bundle / one, allow_pickle=False)) for one in facts["golden"])
            path = None if facts["file"] in manifest.get("decoded", {}) else bundle / facts["file"]
            found.append(Subject.of(facts["file"], path, inputs["input"], list(answers.values())))
    return found
