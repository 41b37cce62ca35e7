"""The command that prints the table of a run again, and what commands with tables share."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from edgesqueeze.cli.printing import PrintableFormatter, say

Wide = Annotated[bool, typer.Option("--wide", help="Print every column, in lines as long as they are.")]


def report(
    directory: Annotated[Path, typer.Argument(help="The directory of a finished run.")],
    layers: Annotated[
        bool,
        typer.Option("--layers", help="Print zeros and distinct values of every layer instead."),
    ] = False,
    wide: Wide = False,
) -> None:
    """Print the table of a finished run again."""
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
