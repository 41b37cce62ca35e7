"""The command that prints the table of a run again, and what commands with tables share."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from edgesqueeze.cli.ending import Ending
from edgesqueeze.cli.printing import PrintableFormatter, say
from edgesqueeze.errors import RecipeError

Wide = Annotated[bool, typer.Option("--wide", help="Print every column, in lines as long as they are.")]


def report(
    context: typer.Context,
    directories: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="The directory of a finished run; of several with --html."),
    ],
    layers: Annotated[
        bool,
        typer.Option("--layers", help="Print zeros and distinct values of every layer instead."),
    ] = False,
    wide: Wide = False,
    html: Annotated[
        bool, typer.Option("--html", help="Write a page with charts, one HTML file, instead of printing.")
    ] = False,
    card: Annotated[
        bool, typer.Option("--card", help="A model card instead: Markdown as model hubs read it.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="With --html: the file. Default: report.html in the one run. With --card: a .md file.",
        ),
    ] = None,
    images: Annotated[
        int,
        typer.Option(
            "--images", min=0, max=60, help="With --html: so many test images with the files' answers."
        ),
    ] = 0,
    layer_times: Annotated[
        bool,
        typer.Option("--layer-times", help="With --html: time the layers of ONNX files on this machine now."),
    ] = False,
) -> None:
    """Print the table of a finished run again, or write it as a page to look at, or as a model card."""
    if card:
        if html or layers or wide or images or layer_times:
            raise RecipeError(
                "--card is a form of its own; leave --html, --images, --layer-times, --layers and --wide out"
            )
        _give_card(context, _the_one(directories), output)
        return
    if html:
        if layers or wide:
            raise RecipeError("--html shows every column and layer; --layers and --wide are for printing")
        from edgesqueeze.page.write import write_page

        context.ensure_object(Ending).writes_files()
        say(f"page: {write_page(directories, output, images, layer_times=layer_times)}")
        return
    if images or layer_times:
        raise RecipeError("--images and --layer-times are of the page of --html; a table has none")
    if output is not None:
        raise RecipeError("-o says where the page of --html or --card goes; a table is printed")
    _print_report(_the_one(directories), layers=layers, wide=wide)


def _the_one(directories: list[Path]) -> Path:
    if len(directories) > 1:
        raise RecipeError(f"found {len(directories)} runs; one is printed, and --html puts several on a page")
    return directories[0]


def _give_card(context: typer.Context, directory: Path, output: Path | None) -> None:
    from edgesqueeze.run.documents.card import run_card, write_card
    from edgesqueeze.run.rundir import read_report

    if output is None:
        say(run_card(read_report(directory)).rstrip("\n"))
        return
    context.ensure_object(Ending).writes_files()
    write_card(read_report(directory), output)
    say(f"card: {output}")


def _print_report(directory: Path, *, layers: bool, wide: bool) -> None:
    from edgesqueeze.run.rundir import read_report

    found = read_report(directory)
    if wide:
        say(found.layers_table("simple") if layers else found.table("simple"))
    else:
        say(found.brief_layers() if layers else found.brief())


@contextmanager
def log_lines() -> Iterator[None]:
    """Show INFO lines of the package on standard error while something long runs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableFormatter("%(message)s"))
    logger = logging.getLogger("edgesqueeze")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
