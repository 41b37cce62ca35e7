"""Files measured on a device by the programs of a bundle: sent, tested, timed, removed."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgesqueeze.devices.bundle import write_bundle
from edgesqueeze.devices.emulation.check import model_names
from edgesqueeze.devices.loose import loose_bundle
from edgesqueeze.devices.remote.address import Address
from edgesqueeze.devices.remote.measured import DeviceBench, measured_there
from edgesqueeze.devices.remote.ssh import MACHINES, Session, run_there
from edgesqueeze.devices.targets import Target
from edgesqueeze.errors import RecipeError

_QUICK_ROUNDS = 10
_SECONDS = 60
"""For each row, beside what it is asked to be sustained."""


@dataclass(frozen=True)
class Plan:
    """What is measured: with how many threads, how long without a rest, in few rounds."""

    threads: tuple[int, ...] = (1,)
    sustained_s: float | None = None
    quick: bool = False

    def options(self) -> tuple[str, ...]:
        """Of benchmark.py."""
        words = ["--threads", *map(str, self.threads)]
        words += [] if self.sustained_s is None else ["--sustained", str(self.sustained_s)]
        return (*words, *(("--rounds", str(_QUICK_ROUNDS), "--warm-up", "0.2") if self.quick else ()))


def bench_there(
    address: Address, models: Sequence[Path], plan: Plan, session: Session, python: str = "python3"
) -> DeviceBench:
    """Measure files on a device that ssh reaches; first each answers there as it does here.

    Args:
        address: of the device.
        models: .tflite and .onnx files, or the directory of one run.
        plan: what is measured.
        session: what else is wished; its options and the time that the rows need come from the plan.
        python: the program there; it has numpy and a runtime.

    Raises:
        RecipeError: there is something else among the files.
        OutputError: the run is not finished.
        ExportError: a file cannot be read or bundled.
        DeviceError: the device cannot be reached or has not what is needed, or the connection is lost.
        ParityError: a file answers otherwise there.
    """
    names, bundle = bundle_of(models)
    rows = len(names) * len(plan.threads)
    seconds = session.seconds + rows * (_SECONDS + (plan.sustained_s or 0))
    wished = replace(session, options=plan.options(), seconds=seconds)
    machines = " ".join(MACHINES.values())
    found = run_there(address, bundle, machines, python, wished)
    measured = tuple(measured_there(row) for row in found.benchmark["rows"])
    state = found.benchmark["rows"][0]["before"]
    about = f"{state['model']}, {state['machine']}, {state['cpus']} cores, Python {state['python']}"
    there = {row.file for row in measured}
    missing = {name: "its runtime is not installed there" for name in names if name not in there}
    return DeviceBench(f"ssh://{address}", about, measured, missing)


def bundle_of(models: Sequence[Path]) -> tuple[list[str], bytes]:
    """Names of the files that are measured, and the archive that takes them to a device."""
    folders = [path for path in models if path.is_dir()]
    if not models or (folders and len(models) > 1):
        raise RecipeError(
            "--device measures .tflite and .onnx files, or the files of one run; give its directory"
        )
    if not folders:
        return [path.name for path in models], loose_bundle(models)
    names = model_names(folders[0])
    with tempfile.TemporaryDirectory(prefix="edgesqueeze-") as folder:
        written = write_bundle(folders[0], Target.RASPBERRY_PI, Path(folder) / "bundle.zip", names)
        return names, written.path.read_bytes()
