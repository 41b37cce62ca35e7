"""The command line: the only place that prints. Heavy imports happen inside the commands that need them."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from edgesqueeze.errors import EdgeSqueezeError, RecipeError

app = typer.Typer(
    help="Compress a trained PyTorch vision model, export it to ONNX, TFLite and .sqz, measure the files.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Entry point: an error of ours becomes one line and exit code 2; anything else keeps its traceback."""
    try:
        app()
    except EdgeSqueezeError as error:
        typer.echo(f"error: {' '.join(str(error).split())}", err=True)
        raise SystemExit(2) from None


def _version(wanted: bool) -> None:
    if wanted:
        from edgesqueeze import __version__

        typer.echo(f"edgesqueeze {__version__}")
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
    recipe: Annotated[str | None, typer.Option(help="A YAML file, or the name of a bundled recipe.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override a setting, as in stages.prune.epochs=2. Repeatable."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Directory of the run. Default: runs/<recipe>-<UTC time>.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Continue the run in this directory from where it was kept last.")
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Fail if a check of 'did it really work' fires; all files are kept."),
    ] = False,
) -> None:
    """Run a recipe: train, prune, share, quantize, export, and print the size/accuracy table."""
    from edgesqueeze.cli.painting import painter
    from edgesqueeze.cli.starting import Request, start, train_along
    from edgesqueeze.pipeline import active_stages, check_fits
    from edgesqueeze.pipeline import compress as run_recipe

    begun = start(Request(recipe, settings or [], output, resume), check_fits)
    if not begun.place.is_first:
        train_along(begun, active_stages(begun.recipe, begun.task))
        return
    run = begun.run
    with painter() as progress:
        report = run_recipe(begun.recipe, begun.task, run, progress, begun.place)
    typer.echo(report.table("simple"))
    typer.echo(f"\nfiles: {run.artifacts}\ntable: {run.path / 'report.md'}")
    if strict:
        report.require_checks()


@app.command()
def train(
    recipe: Annotated[str | None, typer.Option(help="A YAML file, or the name of a bundled recipe.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override a setting, as in stages.train.epochs=20. Repeatable."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Directory of the run. Default: runs/<recipe>-<UTC time>.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Continue the training in this directory where it was kept last.")
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Also write TensorBoard's event files into this directory.")
    ] = None,
) -> None:
    """Train the model of a recipe by its leading train stages: a checkpoint, learning curves, a report."""
    from edgesqueeze.baseline import check_baseline
    from edgesqueeze.baseline import train as train_baseline
    from edgesqueeze.cli.painting import painter
    from edgesqueeze.cli.starting import Request, start, train_along
    from edgesqueeze.run.tensorboard import check_tensorboard

    if tensorboard is not None:
        check_tensorboard()
    begun = start(Request(recipe, settings or [], output, resume), check_baseline)
    run = begun.run
    if not begun.place.is_first:
        train_along(begun, check_baseline(begun.recipe, begun.task))
        return
    with painter() as progress:
        report = train_baseline(begun.recipe, begun.task, run, progress, tensorboard, begun.place)
    typer.echo(report.table("simple"))
    typer.echo(f"\ncheckpoint: {report.checkpoint}\ncurves: {run.path / 'history.png'}")


@app.command()
def bench(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL|FILE]...", help="Built-in models, .onnx or .tflite files."),
    ] = None,
    suite: Annotated[Path | None, typer.Option(help="A YAML suite, as bench/references.yaml.")] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads each runtime may use. Default: 1, or the suite's.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write report.json and report.md into this directory.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure parameters, size, MACs and latency of models side by side, with ratios to AlexNet."""
    import tempfile

    from edgesqueeze.bundled import bundled_folder
    from edgesqueeze.files import make_directory, write_atomically
    from edgesqueeze.measure.bench.bench import change_suite, load_suite, run_bench

    if suite is not None and models:
        raise RecipeError("give models or --suite, not both")
    chosen = load_suite(suite or bundled_folder("bench") / "references.yaml")
    changes: dict[str, object] = {"name": "command-line", "models": models} if models else {}
    if threads is not None:
        changes["threads"] = threads
    chosen = change_suite(chosen, changes)
    with tempfile.TemporaryDirectory() as folder, _log_lines():
        report = run_bench(chosen, Path(folder))
    if output is not None:
        make_directory(output)
        write_atomically(output / "report.json", (json.dumps(report.to_json(), indent=1) + "\n").encode())
        write_atomically(output / "report.md", (report.table("github") + "\n").encode())
    typer.echo(json.dumps(report.to_json(), indent=1) if as_json else report.table("simple"))


@app.command()
def decode(
    file: Annotated[Path | None, typer.Argument(help="A .sqz file.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Directory for the decoded files.")
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Write decoders to carry along into this directory: one in Python, one in C."),
    ] = None,
) -> None:
    """Turn a .sqz file back into the ONNX and TFLite files it was made from, byte for byte."""
    from edgesqueeze.coding.decoder.bundle import write_bundle
    from edgesqueeze.formats.sqz.file import decode_sqz

    if (file is None) != (output is None) or (file is None and bundle is None):
        raise RecipeError("give a .sqz file and -o DIRECTORY, or --bundle DIRECTORY, or both")
    written = write_bundle(bundle) if bundle is not None else []
    if file is not None and output is not None:
        written += decode_sqz(file, output)
    for path in written:
        typer.echo(f"{path}  {path.stat().st_size:,} bytes")


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A .sqz, .onnx, .tflite or .safetensors file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show what is in a file, byte by byte."""
    from edgesqueeze.measure.inspect import inspect_file

    found = inspect_file(file)
    typer.echo(json.dumps(found.to_json(), indent=1) if as_json else found.text())


@app.command()
def verify(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN|FILE...",
            help="The directory of a finished run; or .onnx and .tflite files, best with their .sqz.",
        ),
    ],
    images: Annotated[int, typer.Option(min=1, help="How many inputs to compare on.")] = 256,
    npy: Annotated[
        Path | None, typer.Option(help="Inputs for files: float32 [N, C, H, W]. Default: seeded noise.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Check that files compute what their network computes, and name the first layer that does not."""
    from edgesqueeze.cli.verifying import Inputs, verify_paths

    found = verify_paths(paths, Inputs(images, npy, seed))
    typer.echo(json.dumps(found.to_json(), indent=1) if as_json else found.text())
    found.require()


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(help="The directory of a finished run.")],
    layers: Annotated[
        bool,
        typer.Option("--layers", help="Print zeros and distinct values of every layer instead."),
    ] = False,
) -> None:
    """Print the table of a finished run again."""
    from edgesqueeze.run.rundir import read_report

    found = read_report(directory)
    typer.echo(found.layers_table("simple") if layers else found.table("simple"))


@app.command()
def recipes() -> None:
    """List the bundled recipes."""
    from edgesqueeze.bundled import bundled_recipes, first_comment

    for name, path in bundled_recipes().items():
        typer.echo(f"{name:24} {first_comment(path)}")


@app.command()
def doctor() -> None:
    """Show versions, CPU features, the runtimes that load, and the data sets that are there."""
    from edgesqueeze.measure.diagnosis import diagnose

    for label, finding in diagnose():
        typer.echo(f"{label:16} {finding}")


@contextmanager
def _log_lines() -> Iterator[None]:
    """Show INFO lines of the package on standard error while something long runs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("edgesqueeze")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
