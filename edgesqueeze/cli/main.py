"""The command line: the only place that prints. Heavy imports happen inside the commands that need them."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from edgesqueeze.cli.bench.command import bench
from edgesqueeze.cli.completing import setting_keys
from edgesqueeze.cli.deploying import deploy
from edgesqueeze.cli.ending import Ending
from edgesqueeze.cli.printing import say
from edgesqueeze.cli.run_options import MLflowPlace, RecipeName, RedoFrom, TensorBoardPlace
from edgesqueeze.cli.tables import Wide, report
from edgesqueeze.errors import EdgeSqueezeError, RecipeError, UnmetError

app = typer.Typer(
    help="Compress a trained vision model of PyTorch, Keras or ONNX, export it to ONNX, TFLite and .sqz, "
    "measure the files.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


_UNMET = 3
"""The exit code of a run whose files are not what its recipe looked for; a mistake is 2."""


def main(ending: Ending | None = None) -> None:
    """An error of ours, or a path that cannot be used, becomes one line and exit code 2.

    What a run has looked for and not found is exit code 3. Anything else keeps its traceback.

    Args:
        ending: what a signal does to this process; by default there is nobody who asks.
    """
    try:
        app(obj=ending)
    except UnmetError as error:
        _refuse(str(error), _UNMET)
    except EdgeSqueezeError as error:
        if ending is not None and ending.signal is not None:
            raise  # a library has made it of the exception that the signal raised
        _refuse(str(error))
    except OSError as error:
        if error.filename is None or (ending is not None and ending.signal is not None):
            raise
        _refuse(f"{error.filename}: {error.strerror}")


def _refuse(reason: str, code: int = 2) -> NoReturn:
    say(f"error: {' '.join(reason.split())}", to_stderr=True)
    raise SystemExit(code) from None


def _version(wanted: bool) -> None:
    if wanted:
        from edgesqueeze import __version__

        say(f"edgesqueeze {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def compress(
    context: typer.Context,
    recipe: RecipeName = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Override a setting, as in stages.prune.epochs=2. Repeatable.",
            autocompletion=setting_keys,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Directory of the run. Default: runs/<recipe>-<UTC time>.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Continue the run in this directory from where it was kept last.")
    ] = None,
    redo_from: RedoFrom = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Fail if a check of 'did it really work' fires; all files are kept."),
    ] = False,
    wide: Wide = False,
    tensorboard: TensorBoardPlace = None,
    mlflow: MLflowPlace = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and about how long it would take.")
    ] = False,
) -> None:
    """Run a recipe: train, prune, share, quantize, export, and print the size/accuracy table.

    A recipe with your own code is a program: run only those you trust.
    """
    tell = partial(context.ensure_object(Ending).works_in, "compress")
    if resume is not None:
        tell(resume)
    from edgesqueeze.cli.painting import painter
    from edgesqueeze.cli.starting import Request, read_request, start, train_along
    from edgesqueeze.pipeline import active_stages, check_fits
    from edgesqueeze.pipeline import compress as run_recipe
    from edgesqueeze.run.trackers import TrackerPlaces, check_trackers, open_trackers

    places = TrackerPlaces(tensorboard, mlflow)
    request = Request(recipe, settings or [], output, resume, redo_from)
    if dry_run:
        if places != TrackerPlaces():
            raise RecipeError("--dry-run trains nothing; leave --tensorboard and --mlflow out")
        from edgesqueeze.dry_run import dry_run as look

        say(look(*read_request(request)).text())
        return
    check_trackers(places)
    begun = start(request, check_fits, tell)
    if not begun.place.is_first:
        train_along(begun, active_stages(begun.recipe, begun.task))
        return
    run = begun.run
    with open_trackers(places, begun.recipe) as tracker, painter() as progress:
        found = run_recipe(begun.recipe, begun.task, run, progress, redo_from, begun.place, tracker)
    say(found.table("simple") if wide else found.brief())
    say(f"\nfiles: {run.artifacts}\ntable: {run.path / 'report.md'}")
    found.require_met()
    if strict:
        found.require_checks()


@app.command()
def train(
    context: typer.Context,
    recipe: RecipeName = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Override a setting, as in stages.train.epochs=20. Repeatable.",
            autocompletion=setting_keys,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Directory of the run. Default: runs/<recipe>-<UTC time>.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Continue the training in this directory where it was kept last.")
    ] = None,
    redo_from: RedoFrom = None,
    tensorboard: TensorBoardPlace = None,
    mlflow: MLflowPlace = None,
    wide: Wide = False,
) -> None:
    """Train the model of a recipe by its leading train stages: a checkpoint, learning curves, a report.

    A recipe with your own code is a program: run only those you trust.
    """
    tell = partial(context.ensure_object(Ending).works_in, "train")
    if resume is not None:
        tell(resume)
    from edgesqueeze.baseline import check_baseline
    from edgesqueeze.baseline import train as train_baseline
    from edgesqueeze.cli.painting import painter
    from edgesqueeze.cli.starting import Request, start, train_along
    from edgesqueeze.run.trackers import TrackerPlaces, check_trackers, open_trackers

    places = TrackerPlaces(tensorboard, mlflow)
    check_trackers(places)
    request = Request(recipe, settings or [], output, resume, redo_from)
    begun = start(request, check_baseline, tell)
    run = begun.run
    if not begun.place.is_first:
        train_along(begun, check_baseline(begun.recipe, begun.task))
        return
    with open_trackers(places, begun.recipe) as tracker, painter() as progress:
        found = train_baseline(begun.recipe, begun.task, run, progress, tracker, redo_from, begun.place)
    say(found.table("simple") if wide else found.brief())
    say(f"\ncheckpoint: {found.checkpoint}\ncurves: {run.path / 'history.png'}")


app.command()(bench)


@app.command()
def decode(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="A .sqz file.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Directory for the decoded files.")
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Write decoders to carry along into this directory: one in Python, one in C."),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="Also write the float and int8 files that it was not made from, from its graph."
        ),
    ] = False,
) -> None:
    """Turn a .sqz file back into the ONNX and TFLite files it was made from, byte for byte."""
    from edgesqueeze.coding.decoder.bundle import write_bundle
    from edgesqueeze.formats.sqz.file import decode_sqz

    if (file is None) != (output is None) or (file is None and (bundle is None or everything)):
        raise RecipeError("give a .sqz file and -o DIRECTORY, or --bundle DIRECTORY, or both")
    context.ensure_object(Ending).writes_files()
    written = write_bundle(bundle) if bundle is not None else []
    if file is not None and output is not None:
        written += decode_sqz(file, output, everything=everything)
    for path in written:
        say(f"{path}  {path.stat().st_size:,} bytes")


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A .sqz, .onnx, .tflite or .safetensors file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show what is in a file, byte by byte."""
    from edgesqueeze.measure.inspect import inspect_file

    found = inspect_file(file)
    say(json.dumps(found.to_json(), indent=1) if as_json else found.text())


@app.command()
def verify(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN|FILE...",
            help="The directory of a finished run; or .onnx and .tflite files, best with their .sqz.",
        ),
    ],
    images: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many inputs to compare on.")] = 256,
    npy: Annotated[
        Path | None, typer.Option(help="Inputs for files: float32 [N, C, H, W]. Default: seeded noise.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="emulated:BOARD",
            help="Test a run's files on the emulated processor of a pi3, pi4 or pi5 instead.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Check that files compute what their network computes, and name the first layer that does not.

    A run whose recipe has its own code is a program: verify only those you trust.
    """
    from edgesqueeze.cli.verifying import Inputs, verify_as_asked

    found = verify_as_asked(context, paths, Inputs(images, npy, seed), device)
    say(json.dumps(found.to_json(), indent=1) if as_json else found.text())
    found.require()


app.command()(report)
app.command()(deploy)


@app.command()
def recipes() -> None:
    """List the bundled recipes."""
    from edgesqueeze.bundled import bundled_recipes, first_comment

    for name, path in bundled_recipes().items():
        say(f"{name:24} {first_comment(path)}")


@app.command()
def doctor() -> None:
    """Show versions, CPU features, the runtimes that load, and the data sets that are there."""
    from edgesqueeze.measure.diagnosis import diagnose

    for label, finding in diagnose():
        say(f"{label:16} {finding}")
