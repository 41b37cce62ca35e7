"""TFLite files measured on an Android device, without a bundle: each is sent, compared, timed, removed."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgesqueeze.devices.chosen import choose, smallest
from edgesqueeze.devices.emulation.check import model_names
from edgesqueeze.devices.golden import GoldenModel
from edgesqueeze.devices.loose import loose_models
from edgesqueeze.devices.native.interpreter import build_interpreter
from edgesqueeze.devices.remote.adb import check_program, runs_there
from edgesqueeze.devices.remote.benching import Plan
from edgesqueeze.devices.remote.measured import DeviceBench
from edgesqueeze.devices.remote.phone import Phone
from edgesqueeze.devices.remote.timing import Rounds, Subject, benchmarked, interpreted, put
from edgesqueeze.errors import RecipeError
from edgesqueeze.formats.names import FileFormat

_QUICK = Rounds(rounds=10, warm_up_s=0.2)


def bench_phone(
    phone: Phone, models: Sequence[Path], plan: Plan, benchmark_model: Path | None
) -> DeviceBench:
    """Measure files on a device that adb reaches, by our interpreter in C or by LiteRT's ``benchmark_model``.

    Args:
        phone: the device.
        models: .tflite files, or the directory of one run, whose .tflite files are measured.
        plan: what is measured.
        benchmark_model: LiteRT's program for arm64.

    Raises:
        RecipeError: there is something else among the files, or the program has not what the plan asks for.
        OutputError: the run is not finished.
        ExportError: a file cannot be read.
        DeviceError: there is no cross compiler, a file has something that our program does not know, or the
            connection is lost.
        ParityError: our program answers otherwise there.
    """
    check_program(benchmark_model)
    _check_plan(plan, benchmark_model)
    golden = _golden(models)
    missing = {
        model.path.name: "it computes in float; --benchmark-model PATH of LiteRT's program times it"
        for model in golden
        if not runs_there(model.facts(), benchmark_model)
    }
    subjects = [
        Subject.of(model.path.name, model.path, model.inputs, model.outputs)
        for model in golden
        if model.path.name not in missing
    ]
    if not subjects:
        name, why = next(iter(missing.items()))
        raise RecipeError(f"nothing of these files can be measured: {name}: {why}")
    facts = phone.facts()
    rounds = [_rounds(plan, threads) for threads in plan.threads]
    with tempfile.TemporaryDirectory(prefix="edgesqueeze-") as here, phone.folder() as there:
        if benchmark_model is None:
            build_interpreter(Path(here) / "infer")
            rows = [interpreted(phone, there, Path(here), one, rounds[0]) for one in subjects]
        else:
            put(phone, there, benchmark_model, "benchmark_model", runs=True)
            rows = [benchmarked(phone, there, one, each) for one in subjects for each in rounds]
    about = f"{facts.model}, Android {facts.android}, {facts.abi}"
    return DeviceBench(str(phone), about, tuple(rows), missing)


def _check_plan(plan: Plan, benchmark_model: Path | None) -> None:
    if benchmark_model is None and plan.threads != (1,):
        raise RecipeError(
            "our program for phones has one thread; leave --threads out or give --benchmark-model"
        )
    if benchmark_model is not None and plan.sustained_s is not None:
        raise RecipeError("benchmark_model tells one mean only; leave --sustained or --benchmark-model out")


def _rounds(plan: Plan, threads: int) -> Rounds:
    usual = _QUICK if plan.quick else Rounds()
    return Rounds(usual.rounds, usual.warm_up_s, plan.sustained_s, threads)


def _golden(models: Sequence[Path]) -> list[GoldenModel]:
    """What is measured, with what it answers here."""
    folders = [path for path in models if path.is_dir()]
    if not models or (folders and len(models) > 1):
        raise RecipeError(
            "--device measures .tflite files, or the .tflite files of one run; give its directory"
        )
    paths = [Path(name) for name in model_names(folders[0])] if folders else models
    tflite = [path for path in paths if FileFormat.known(path) is FileFormat.TFLITE]
    if not folders and len(tflite) < len(paths):
        other = next(path for path in paths if path not in tflite)
        raise RecipeError(f"an Android device runs .tflite files, found {other}")
    if not folders:
        return loose_models(tflite)
    if not tflite:
        raise RecipeError(f"{folders[0]} holds no .tflite file")
    return list(choose(folders[0], [path.name for path in tflite], smallest).models)
