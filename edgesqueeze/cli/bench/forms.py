"""The forms that a benchmark's result is printed and saved in."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from edgesqueeze.text.printable import printable_lines

if TYPE_CHECKING:
    from edgesqueeze.measure.bench.bench import BenchReport


class Format(StrEnum):
    """How a result is printed."""

    TERMINAL = "terminal"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"


def check_page(place: Path) -> None:
    """Refuse a name that is not a page's, before anything is measured."""
    from edgesqueeze.page.write import check_page_name

    check_page_name(place)


def write_page(place: Path, report: "BenchReport") -> None:
    """Write a page of the result."""
    from edgesqueeze.files import make_directory
    from edgesqueeze.page.write import write_bench_page

    make_directory(place.parent)
    write_bench_page(report, place)


def save(place: Path, report: "BenchReport") -> None:
    """Write a file in the form that its suffix says, or a directory with JSON and Markdown."""
    from edgesqueeze.files import make_directory, write_atomically

    forms = {".json": Format.JSON, ".md": Format.MARKDOWN, ".csv": Format.CSV}
    if place.suffix in forms:
        make_directory(place.parent)
        write_atomically(place, f"{shown(report, forms[place.suffix])}\n".encode())
        return
    make_directory(place)
    for name, form in (("report.json", Format.JSON), ("report.md", Format.MARKDOWN)):
        write_atomically(place / name, f"{shown(report, form)}\n".encode())


def shown(report: "BenchReport", form: Format, *, wide: bool = False) -> str:
    """The result as text."""
    from edgesqueeze.measure.bench.table import as_csv

    match form:
        case Format.JSON:
            return json.dumps(report.to_json(), indent=1)
        case Format.CSV:
            return printable_lines(as_csv(report.rows)).rstrip("\n")
        case Format.MARKDOWN:
            return printable_lines(report.table("github"))
        case Format.TERMINAL:
            return report.table("simple") if wide else report.brief()
