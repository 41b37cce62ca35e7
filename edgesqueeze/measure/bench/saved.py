"""A saved benchmark as the report it was: to be shown again, in another form, without measuring."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from edgesqueeze.errors import RecipeError
from edgesqueeze.measure.bench.bench import BenchReport
from edgesqueeze.measure.bench.change import REPORT
from edgesqueeze.measure.bench.counts import Counts
from edgesqueeze.measure.bench.row import BenchRow

_ROWS = TypeAdapter(BenchRow)
_REPORT = TypeAdapter(BenchReport)


def read_bench(path: Path) -> BenchReport:
    """The report in a JSON file, or in a directory with report.json.

    Raises:
        RecipeError: there is none, or it is not one that this version has written.
    """
    file = path / REPORT if path.is_dir() else path
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        return _REPORT.validate_python({**data, "rows": [_row(row) for row in data["rows"]]})
    except OSError as error:
        raise RecipeError(f"{file} cannot be read: {error.strerror}") from error
    except (ValidationError, ValueError, KeyError, TypeError) as error:  # whatever else it may be
        raise RecipeError(
            f"{file} is not a report that this version of `edgesqueeze bench --save` has written"
        ) from error


def _row(data: dict[str, Any]) -> BenchRow:
    """The counts, which stand beside the other figures of a row, are one again."""
    counts = {field.name: data[field.name] for field in fields(Counts)}
    row = {field.name: data[field.name] for field in fields(BenchRow) if field.name != "counts"}
    return _ROWS.validate_python({**row, "counts": {**counts, "doubts": ()}})
