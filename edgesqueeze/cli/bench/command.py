"""The command that measures models side by side, or says what has changed since it did."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgesqueeze.cli.bench import forms
from edgesqueeze.cli.bench.devices import Visit, tell_device
from edgesqueeze.cli.bench.forms import Format
from edgesqueeze.cli.ending import Ending
from edgesqueeze.cli.printing import say
from edgesqueeze.cli.tables import Wide, log_lines
from edgesqueeze.errors import RecipeError

if TYPE_CHECKING:
    from edgesqueeze.measure.bench.bench import BenchReport, Suite
    from edgesqueeze.measure.bench.change import Comparison

_AGAINST = "alexnet,lenet5"
_NONE = "none"
_DIGITS = 20
"""More than any number has that is allowed; Python itself refuses thousands of them."""
_QUICK = {"processes": 1, "rounds": 5, "samples": 20}
WORSE = 1
"""The exit code of a comparison in which something has become slower; a mistake is 2."""


def bench(
    context: typer.Context,
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL|FILE|RUN]...",
            help="Built-in models, .onnx, .tflite or .sqz files, directories of runs.",
        ),
    ] = None,
    suite: Annotated[Path | None, typer.Option(help="A YAML suite, as bench/references.yaml.")] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL,…",
            help=f"What is timed beside them; the first is what × columns divide. Default: {_AGAINST}. "
            "'none' for nothing.",
        ),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(metavar="NAME,…", help="Of torch, onnxruntime and litert. Default: the files'."),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(metavar="NAME,…", help="Of fp32 and int8, for built-in models. Default: fp32."),
    ] = None,
    threads: Annotated[
        str | None, typer.Option(metavar="N,…", help="Threads each runtime may use. Default: 1.")
    ] = None,
    batch: Annotated[
        str | None, typer.Option(metavar="N,…", help="Inputs at once. Default: what each file takes.")
    ] = None,
    shape: Annotated[
        str | None, typer.Option(metavar="N,…", help="Sizes of an input, for files that leave them open.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="One process and few rounds: no verdicts on times.")
    ] = False,
    sustained: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="Each file alone so long afterwards: its speed at first and in the end."
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            "--save",
            "--output",
            help="A .json, .md or .csv file, or a directory for report.json and report.md.",
        ),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="What is printed.")] = Format.TERMINAL,
    wide: Wide = False,
    as_json: Annotated[bool, typer.Option("--json", help="As --format json.")] = False,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="ssh://USER@HOST[:PORT]|adb:[SERIAL]|emulated:BOARD",
            help="Measure files or a run there; on an emulated pi3, pi4 or pi5 count a run's instructions.",
        ),
    ] = None,
    python: Annotated[
        str | None, typer.Option(help="With --device ssh://: Python there. Default: python3.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="With --device ssh://: a copy that was cut goes on where it stopped."),
    ] = False,
    benchmark_model: Annotated[
        Path | None, typer.Option(help="With --device adb: LiteRT's program of that name for arm64.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a page, which needs no network.")
    ] = None,
    read: Annotated[
        Path | None, typer.Option(metavar="SAVED", help="Show a saved result instead of measuring.")
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="What each layer of ONNX files takes, instead of the table.")
    ] = False,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="OLD NEW", help="Compare two saved results; exit code 1 if something is slower."
        ),
    ] = None,
) -> None:
    """Measure parameters, size, MACs and latency of models side by side, with ratios to AlexNet."""
    form = Format.JSON if as_json else form
    if device is not None:
        numbers = _Wishes([], None, {"--threads": threads}, quick).numbers("--threads")
        visit = Visit(tuple(models or ()), form, tuple(numbers or (1,)), sustained, quick, save)
        tell_device(
            context, device, replace(visit, python=python, resume=resume, benchmark_model=benchmark_model)
        )
        return
    if python is not None or resume or benchmark_model is not None:
        raise RecipeError("--python, --resume and --benchmark-model go with --device; give it too")
    given = {"--against": against, "--runtime": runtime, "--precision": precision, "--threads": threads}
    wishes = _Wishes(models or [], suite, {**given, "--batch": batch, "--shape": shape}, quick, sustained)
    if save is not None or html is not None:
        context.ensure_object(Ending).writes_files()
    if compare is not None:
        _tell_change(compare, wishes, [save, html, read, layers or None], form)
        return
    if layers:
        _tell_layers(wishes, [save, html, read], form)
        return
    if html is not None:
        forms.check_page(html)
    report = _measured(wishes) if read is None else _read(read, wishes)
    if save is not None:
        forms.save(save, report)
    if html is not None:
        forms.write_page(html, report)
    say(forms.shown(report, form, wide=wide))


@dataclass(frozen=True)
class _Wishes:
    """What the command line asks to be measured; ``options`` are those that take lists."""

    models: list[str]
    suite: Path | None
    options: dict[str, str | None]
    quick: bool
    sustained: float | None = None

    @property
    def are_any(self) -> bool:
        """Whether anything was asked for."""
        given = [value for value in self.options.values() if value is not None]
        others = (self.suite, self.sustained)
        return bool(self.models or given or any(value is not None for value in others) or self.quick)

    def names(self, option: str) -> list[str] | None:
        """The names behind an option, None where it was not given."""
        text = self.options[option]
        return None if text is None else [part.strip() for part in text.split(",")]

    def numbers(self, option: str) -> list[int] | None:
        """The whole numbers behind an option, None where it was not given.

        Raises:
            RecipeError: one of them is none.
        """
        names = self.names(option)
        wrong = [
            name for name in names or [] if not (name.isascii() and name.isdigit() and len(name) < _DIGITS)
        ]
        if wrong:
            raise RecipeError(f"{option}: found {wrong[0]!r}; whole numbers with commas between are allowed")
        return None if names is None else [int(name) for name in names]


def _measured(wishes: _Wishes) -> "BenchReport":
    import tempfile

    from edgesqueeze.measure.bench.bench import run_bench

    chosen = _suite(wishes)
    with tempfile.TemporaryDirectory() as folder, log_lines():
        return run_bench(chosen, Path(folder))


def _read(saved: Path, wishes: _Wishes) -> "BenchReport":
    from edgesqueeze.measure.bench.saved import read_bench

    if wishes.are_any:
        raise RecipeError("--read shows a saved result; it goes with --format, --wide, --save and --html")
    return read_bench(saved)


def _suite(wishes: _Wishes) -> "Suite":
    from edgesqueeze.bundled import bundled_folder
    from edgesqueeze.measure.bench.bench import change_suite, load_suite

    if wishes.suite is not None and wishes.models:
        raise RecipeError("give models or --suite, not both")
    suite = load_suite(wishes.suite or bundled_folder("bench") / "references.yaml")
    changes: dict[str, object] = {
        "runtimes": wishes.names("--runtime"),
        "precisions": wishes.names("--precision"),
    }
    changes |= {name: wishes.numbers(f"--{name}") for name in ("threads", "batch", "shape")}
    changes = {name: value for name, value in changes.items() if value is not None}
    models = list(_files(wishes.models)) or list(suite.models)
    against = wishes.names("--against") or (_AGAINST.split(",") if wishes.models else None)
    if wishes.models:  # what the suite says of its own models says nothing of these
        fields = type(suite).model_fields
        changes = {name: fields[name].default for name in ("runtimes", "precisions")} | changes
        changes["name"] = "command-line"
    if against is not None:
        against = [] if against == [_NONE] else against
        changes["baseline"] = against[0] if against else None
        changes["references"] = against
    changes["models"] = models
    if wishes.sustained is not None:
        changes["sustained_s"] = wishes.sustained
    return change_suite(suite, {**changes, **(_QUICK if wishes.quick else {})})


def _files(models: list[str]) -> Iterator[str]:
    """Names as they are, and of the directory of a run the files it has written."""
    from edgesqueeze.formats.names import FileFormat
    from edgesqueeze.models import BUILT_IN_MODELS
    from edgesqueeze.run.rundir import RunDir

    for name in models:
        if name in BUILT_IN_MODELS or not Path(name).is_dir():
            yield name
            continue
        folder = RunDir(Path(name)).artifacts
        files = [str(path) for path in sorted(folder.glob("*")) if FileFormat.known(path) is not None]
        if not files:
            raise RecipeError(f"{name} is a directory without the files of a run: {folder} holds none")
        yield from files


def _tell_change(files: tuple[Path, Path], wishes: _Wishes, places: Sequence[object], form: Format) -> None:
    from edgesqueeze.measure.bench.change import compare_saved, read_saved

    if wishes.are_any or any(place is not None for place in places) or form is Format.CSV:
        raise RecipeError(
            "--compare reads two saved results; it goes with --format terminal, markdown or json"
        )
    found = compare_saved(*(read_saved(path) for path in files))
    say(_comparison(found, form))
    if found.is_worse:
        raise typer.Exit(WORSE)


def _tell_layers(wishes: _Wishes, places: Sequence[Path | None], form: Format) -> None:
    import tempfile

    from edgesqueeze.measure.bench.bench import profile_layers
    from edgesqueeze.measure.runtimes.runtime import RuntimeName

    more = [*places, wishes.sustained]
    if not wishes.models or any(one is not None for one in more) or form is Format.CSV:
        raise RecipeError("--layers takes models and files; it goes with --format terminal, markdown or json")
    options = {"--against": _NONE, "--runtime": RuntimeName.ONNXRUNTIME.value}
    given = {name: value for name, value in wishes.options.items() if value is not None}
    suite = _suite(replace(wishes, options={**wishes.options, **options, **given}))
    with tempfile.TemporaryDirectory() as folder, log_lines():
        found = profile_layers(suite, Path(folder))
    if form is Format.JSON:
        say(json.dumps([profile.to_json() for profile in found], indent=1))
        return
    tablefmt = "github" if form is Format.MARKDOWN else "simple"
    say("\n\n".join(profile.text(tablefmt) for profile in found))


def _comparison(found: "Comparison", form: Format) -> str:
    if form is Format.JSON:
        return json.dumps(found.to_json(), indent=1)
    return found.text("github" if form is Format.MARKDOWN else "simple")
