"""``edgesqueeze deploy``."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from edgesqueeze.cli.asked import options_given
from edgesqueeze.cli.ending import Ending
from edgesqueeze.cli.printing import say
from edgesqueeze.devices.targets import Target
from edgesqueeze.errors import RecipeError

if TYPE_CHECKING:
    from edgesqueeze.devices.bundle import Bundle


def deploy(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(help="The directory of a finished run.")],
    target: Annotated[
        Target, typer.Option(help="Whom it is for; android: no Python programs.")
    ] = Target.RASPBERRY_PI,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The archive to write, a .zip; of c-array also a directory."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="ssh://USER@HOST[:PORT]|adb:[SERIAL]",
            help="Test and time it on this device, then remove it.",
        ),
    ] = None,
    python: Annotated[
        str | None,
        typer.Option(help="With --to ssh://: Python there, with numpy and a runtime. Default: python3."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="With --to ssh://: a copy that was cut goes on where it stopped.")
    ] = False,
    benchmark_model: Annotated[
        Path | None,
        typer.Option(help="With --to adb: LiteRT's program of that name for arm64, to time models with."),
    ] = None,
    files: Annotated[
        list[str] | None,
        typer.Option("--file", help="A file of the run's artifacts; again for more. Default: the smallest."),
    ] = None,
    sign: Annotated[
        Path | None, typer.Option(metavar="KEY.pem", help="Sign the manifest with this private Ed25519 key.")
    ] = None,
) -> None:
    """Bundle a run's files for a device: models, manifest, golden answers, programs that need numpy alone.

    A run whose recipe has its own code is a program: deploy only those you trust.
    """
    if output is None and to is None:
        raise RecipeError("give -o FILE.zip to write a bundle, --to ssh://USER@HOST to try one, or both")
    on_phone = to is not None and to.startswith("adb:")
    if python is not None and (to is None or on_phone):
        raise RecipeError("--python is of the device that --to ssh://USER@HOST names; give both")
    if resume and (to is None or on_phone):
        raise RecipeError("--resume is of a copy to the device that --to ssh://USER@HOST names; give both")
    if benchmark_model is not None and not on_phone:
        raise RecipeError("--benchmark-model is of the device that --to adb: names; give both")
    context.ensure_object(Ending).writes_files()
    if to is not None and on_phone:
        if options_given(context, ["target"]) and target is not Target.ANDROID:
            raise RecipeError(f"--to adb: is an Android device, found --target {target}; leave it out")
        trial = Trial(to, Target.ANDROID, "", output, tuple(files or ()), sign)
        _try_on_phone(run, trial, benchmark_model)
    elif to is not None:
        trial = Trial(to, target, python or "python3", output, tuple(files or ()), sign)
        _try_there(run, trial, resume)
    elif output is not None and target is Target.C_ARRAY:
        if sign is not None:
            raise RecipeError("nothing on a microcontroller reads a signature; leave --sign out")
        _write_c_arrays(run, output, files or ())
    elif output is not None:
        _say_bundle(_write_bundle(run, target, output, files or (), sign), str(output))


@dataclass(frozen=True)
class Trial:
    """What --to asks for: where, for whom, by which Python, and of what."""

    to: str
    target: Target
    python: str
    output: Path | None
    files: tuple[str, ...]
    sign: Path | None


def _try_there(run: Path, trial: Trial, resume: bool) -> None:
    from edgesqueeze.devices.remote.address import parse_address
    from edgesqueeze.devices.remote.ssh import Session, machine_of, run_there

    address, machine = parse_address(trial.to), machine_of(trial.target)
    report = run_there(address, _trial_bundle(run, trial), machine, trial.python, Session(resume=resume))
    for line in report.selftest:
        say(line)
    say(json.dumps(report.benchmark, indent=1))


def _try_on_phone(run: Path, trial: Trial, benchmark_model: Path | None) -> None:
    from edgesqueeze.devices.remote.adb import check_program, run_on_phone
    from edgesqueeze.devices.remote.phone import find_phone, parse_serial

    serial = parse_serial(trial.to)
    check_program(benchmark_model)
    phone = find_phone(serial)
    report = run_on_phone(phone, _trial_bundle(run, trial), benchmark_model)
    for name, size in report.decoded.items():
        say(f"{name}: decoded on {report.device} to the same {size:,} bytes")
    for name in report.compared:
        say(f"{name}: answers on {report.device} as here")
    say(json.dumps(report.to_json(), indent=1))


def _trial_bundle(run: Path, trial: Trial) -> bytes:
    """The archive that is tried; it is kept where -o says."""
    with TemporaryDirectory(prefix="edgesqueeze-") as folder:
        output = trial.output or Path(folder) / "bundle.zip"
        bundle = _write_bundle(run, trial.target, output, trial.files, trial.sign)
        _say_bundle(bundle, "bundle" if trial.output is None else str(output))
        return output.read_bytes()


def _write_bundle(
    run: Path, target: Target, output: Path, files: Sequence[str], sign: Path | None
) -> "Bundle":
    from edgesqueeze.devices.bundle import write_bundle

    if output.suffix != ".zip":
        raise RecipeError(f"a bundle is a .zip file, found {output}")
    return write_bundle(run, target, output, files, sign)


def _say_bundle(bundle: "Bundle", name: str) -> None:
    _list(bundle.files)
    say(f"{name}  {bundle.path.stat().st_size:,} bytes, sha256 {bundle.sha256}")
    if bundle.public_key is not None:
        say(f"signed; on the device: python selftest.py --key {bundle.public_key}")


def _write_c_arrays(run: Path, output: Path, files: Sequence[str]) -> None:
    from edgesqueeze.devices.micro.arrays import write_c_arrays

    written = write_c_arrays(run, output, files)
    _list(written.files)
    say(f"operators: {', '.join(written.operators)}")
    say(
        f"activations alive at once: {written.tensor_bytes:,} bytes; the arena needs this and what "
        "TensorFlow Lite Micro keeps beside them"
    )


def _list(files: Mapping[str, int]) -> None:
    for name, size in sorted(files.items()):
        say(f"{size:>12,}  {name}")
