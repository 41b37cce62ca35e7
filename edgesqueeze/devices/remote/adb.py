"""A bundle on an Android device that adb reaches: sent, decoded there, timed, removed.

A phone has no Python. What runs there is the decoder of .sqz files, a static program of ours, and LiteRT's
``benchmark_model`` where the user has it.
"""

import hashlib
import json
import re
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgesqueeze.devices.native.decoder import Decoding, build_decoder, read_decoding
from edgesqueeze.devices.remote.phone import Facts, Phone, State
from edgesqueeze.errors import DeviceError, ParityError, RecipeError

_MODERATE = 2
"""Android's thermal status from which on clocks are lowered."""
_TIMES = re.compile(
    r"Inference timings in us: Init: ([\d.e+]+), First inference: ([\d.e+]+), "
    r"Warmup \(avg\): ([\d.e+]+), Inference \(avg\): ([\d.e+]+)"
)
_SPREAD = re.compile(r"count=(\d+) .*?min=(\d+) max=(\d+) .*?std=([\d.e+]+)")


@dataclass(frozen=True)
class Timing:
    """What ``benchmark_model`` said of a file, in seconds; ``invalid`` says why it is worth nothing."""

    file: str
    mean_s: float
    min_s: float
    max_s: float
    first_s: float
    init_s: float
    runs: int
    threads: int
    invalid: str | None


@dataclass(frozen=True)
class PhoneReport:
    """What happened on a device. ``decoded`` are the files that it made of the .sqz file, and their sizes."""

    device: str
    facts: Facts
    before: State
    after: State
    decoding: Decoding | None
    decoded: Mapping[str, int]
    timings: tuple[Timing, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return asdict(self)


def check_something_runs(names: Sequence[str], benchmark_model: Path | None) -> None:
    """Refuse a bundle of which nothing would run on a device.

    Raises:
        RecipeError: it has no .sqz file, and there is no program to time its models with.
    """
    if benchmark_model is None and not any(name.endswith(".sqz") for name in names):
        raise RecipeError(
            "nothing of these files runs on Android by itself: add --file model.sqz and the file of it to "
            "decode there, or --benchmark-model PATH of LiteRT's program"
        )
    if benchmark_model is not None and not benchmark_model.is_file():
        raise RecipeError(f"{benchmark_model} is no file; --benchmark-model is LiteRT's program for arm64")


def run_on_phone(phone: Phone, bundle: bytes, benchmark_model: Path | None = None) -> PhoneReport:
    """Send what can run of a bundle, run it, fetch and compare what it made, and remove everything.

    Args:
        phone: the device.
        bundle: an archive for Android.
        benchmark_model: LiteRT's program for arm64.

    Raises:
        DeviceError: there is no cross compiler, a program fails there, or the connection is lost.
        ParityError: the files that were decoded there are not those of the run.
    """
    facts, before = phone.facts(), phone.state()
    with tempfile.TemporaryDirectory(prefix="edgesqueeze-") as temporary, phone.folder() as there:
        here = Path(temporary)
        with zipfile.ZipFile(_kept(here, bundle)) as file:
            file.extractall(here / "bundle")
        manifest = json.loads((here / "bundle" / "manifest.json").read_text(encoding="utf-8"))
        decoding = _decode(phone, there, here, manifest)
        timings = _time(phone, there, here / "bundle", manifest, benchmark_model)
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
    decoder = build_decoder(here / "decode")
    phone.push(decoder, f"{there}/decode")
    phone.push(here / "bundle" / manifest["squeezed"], f"{there}/{manifest['squeezed']}")
    phone.shell(["chmod", "755", f"{there}/decode"])
    took = read_decoding(phone.shell([f"{there}/decode", f"{there}/{manifest['squeezed']}", there]))
    for name, facts in wanted.items():
        phone.pull(f"{there}/{name}", here / "pulled")
        if hashlib.sha256((here / "pulled").read_bytes()).hexdigest() != facts["sha256"]:
            raise ParityError(f"{phone}: {name} was decoded there to other bytes than here")
    return took


def _time(
    phone: Phone, there: str, bundle: Path, manifest: Mapping[str, Any], program: Path | None
) -> tuple[Timing, ...]:
    """Time every TFLite file, of those that were decoded there as they lie there."""
    if program is None:
        return ()
    phone.push(program, f"{there}/benchmark_model")
    phone.shell(["chmod", "755", f"{there}/benchmark_model"])
    found = []
    for facts in manifest["models"]:
        if facts["runtime"] != "litert":
            continue
        if facts["file"] not in manifest.get("decoded", {}):
            phone.push(bundle / facts["file"], f"{there}/{facts['file']}")
        command = [f"{there}/benchmark_model", f"--graph={there}/{facts['file']}", "--num_threads=1"]
        before = phone.state()
        printed = phone.shell([*command, "--num_runs=50", "--warmup_min_secs=2"], seconds=1800)
        found.append(read_timing(facts["file"], printed, (before, phone.state())))
    return tuple(found)


def read_timing(file: str, printed: str, states: Sequence[State]) -> Timing:
    """What ``benchmark_model`` printed of a file.

    Args:
        file: its name.
        printed: all of it.
        states: of the device before and after.

    Raises:
        DeviceError: it printed no times.
    """
    times, spread = _TIMES.search(printed), _SPREAD.findall(printed)
    if times is None or not spread:
        raise DeviceError(f"benchmark_model printed no times for {file}")
    init, first, _, mean = (1e-6 * float(number) for number in times.groups())
    runs, low, high, _ = spread[-1]
    hot = [state.thermal for state in states if state.thermal is not None and state.thermal >= _MODERATE]
    invalid = f"Android's thermal status was {max(hot)}: clocks are lowered" if hot else None
    return Timing(file, mean, 1e-6 * float(low), 1e-6 * float(high), first, init, int(runs), 1, invalid)
