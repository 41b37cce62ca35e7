"""``edgesqueeze bench --device``: on another machine, or counted on an emulated one."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgesqueeze.cli.asked import options_given
from edgesqueeze.cli.bench.forms import Format
from edgesqueeze.cli.ending import Ending
from edgesqueeze.cli.printing import say
from edgesqueeze.errors import RecipeError

if TYPE_CHECKING:
    from edgesqueeze.devices.remote.measured import DeviceBench

SSH, ADB, EMULATED = "ssh://", "adb:", "emulated:"
_LONGEST_S = 86_400


@dataclass(frozen=True)
class Visit:
    """What was asked of a device beside its name."""

    models: tuple[str, ...]
    form: Format
    threads: tuple[int, ...] = (1,)
    sustained: float | None = None
    quick: bool = False
    save: Path | None = None
    python: str | None = None
    resume: bool = False
    benchmark_model: Path | None = None


def tell_device(context: typer.Context, device: str, visit: Visit) -> None:
    """Measure or count, print, and save where that was asked.

    Raises:
        RecipeError: there is no such kind of device, or what was asked does not go together.
    """
    allowed = _allowed_options(device)
    others = [str(one.name) for one in context.command.params if one.name not in allowed]
    given = options_given(context, others)
    if given:
        kind = device.partition(":")[0]
        raise RecipeError(f"--device {kind}: measures files as they are; leave {', '.join(given)} out")
    if device.startswith(EMULATED):
        _tell_counts(device, visit)
        return
    _check(visit)
    if visit.save is not None:
        context.ensure_object(Ending).writes_files()
    found = _measured(device, visit)
    if visit.save is not None:
        _save(visit.save, found)
    say(_shown(found, visit.form))


def _allowed_options(device: str) -> tuple[str, ...]:
    """Names of the parameters of ``bench`` that go with a device."""
    common = ("models", "device", "form", "as_json")
    measuring = (*common, "threads", "sustained", "quick", "save")
    kinds = {
        SSH: (*measuring, "python", "resume"),
        ADB: (*measuring, "benchmark_model"),
        EMULATED: common,
    }
    for start, names in kinds.items():
        if device.startswith(start):
            return names
    raise RecipeError(
        f"a device is ssh://USER@HOST[:PORT], adb:[SERIAL] or emulated:pi3, pi4 or pi5, found {device}"
    )


def _check(visit: Visit) -> None:
    if visit.form is Format.CSV:
        raise RecipeError("--device prints as terminal, markdown or json, found csv")
    if any(number < 1 or number > 1024 for number in visit.threads):
        raise RecipeError(f"--threads: found {min(visit.threads)}; 1 to 1024 are allowed")
    if visit.sustained is not None and not 1 <= visit.sustained <= _LONGEST_S:
        raise RecipeError(f"--sustained: found {visit.sustained:g}; 1 to {_LONGEST_S:,} seconds are allowed")
    if visit.save is not None and visit.save.suffix not in (".json", ".md"):
        raise RecipeError(f"--device saves a .json or .md file, found {visit.save}")
    missing = next((name for name in visit.models if not Path(name).exists()), None)
    if missing is not None:
        raise RecipeError(f"{missing} is no file and no directory; --device measures files and runs")


def _measured(device: str, visit: Visit) -> "DeviceBench":
    from edgesqueeze.devices.remote.address import parse_address
    from edgesqueeze.devices.remote.benching import Plan, bench_there
    from edgesqueeze.devices.remote.phone import find_phone, parse_serial
    from edgesqueeze.devices.remote.phone_benching import bench_phone
    from edgesqueeze.devices.remote.ssh import Session

    models, plan = [Path(name) for name in visit.models], Plan(visit.threads, visit.sustained, visit.quick)
    if device.startswith(ADB):
        phone = find_phone(parse_serial(device))
        return bench_phone(phone, models, plan, visit.benchmark_model)
    address = parse_address(device)
    return bench_there(address, models, plan, Session(resume=visit.resume), visit.python or "python3")


def _tell_counts(device: str, visit: Visit) -> None:
    from edgesqueeze.devices.emulation.boards import board_of
    from edgesqueeze.devices.emulation.counting import count_run
    from edgesqueeze.devices.emulation.root import cache_folder

    board = board_of(device)
    if visit.form not in (Format.TERMINAL, Format.JSON):
        raise RecipeError(f"--device emulated: prints as terminal or json, found {visit.form}")
    if len(visit.models) != 1 or not Path(visit.models[0]).is_dir():
        raise RecipeError("--device emulated: counts the instructions of one run; give its directory")
    found = count_run(Path(visit.models[0]), board, cache_folder())
    say(json.dumps(found.to_json(), indent=1) if visit.form is Format.JSON else found.text())


def _save(place: Path, found: "DeviceBench") -> None:
    from edgesqueeze.files import make_directory, write_atomically

    make_directory(place.parent)
    form = Format.JSON if place.suffix == ".json" else Format.MARKDOWN
    write_atomically(place, f"{_shown(found, form)}\n".encode())


def _shown(found: "DeviceBench", form: Format) -> str:
    if form is Format.JSON:
        return json.dumps(found.to_json(), indent=1)
    return found.markdown() if form is Format.MARKDOWN else found.text()
