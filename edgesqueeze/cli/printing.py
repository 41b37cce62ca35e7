"""The one place where text leaves for the terminal."""

import logging

import typer

from edgesqueeze.text.printable import printable_lines


def say(text: str, *, to_stderr: bool = False) -> None:
    """Print lines; names from files and arguments in them cannot move the cursor."""
    typer.echo(printable_lines(text), err=to_stderr)


class PrintableFormatter(logging.Formatter):
    """Log lines that are the message alone, printed as safely."""

    def format(self, record: logging.LogRecord) -> str:
        """The message of a record."""
        return printable_lines(super().format(record))
