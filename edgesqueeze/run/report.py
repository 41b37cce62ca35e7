"""The result of a run as pure data: rows that know their file, and the tables made of them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from edgesqueeze.errors import OutputError, UnmetError
from edgesqueeze.measure.checks.check import Check, check_from_json, checks_text, require
from edgesqueeze.measure.checks.layer_facts import (
    LayerEvidence,
    brief_layers_table,
    layer_from_json,
    layers_table,
)
from edgesqueeze.numerics.bootstrap import BootstrapInterval, BootstrapTest
from edgesqueeze.run.row import MeasureFacts, Row, row_from_json
from edgesqueeze.run.row_tables import (
    SIMULATED,
    brief_other_metrics_table,
    brief_references_table,
    brief_table,
    other_metrics_table,
    references_table,
    rows_table,
    said_of_chance,
    said_of_changes,
    said_of_inputs,
    said_of_intervals,
    said_of_latency,
)
from edgesqueeze.text.columns import wrapped

__all__ = ["SCHEMA", "Report", "Row", "row_from_json"]

SCHEMA = 2
"""The form of report.json: raised when a reader of the form before would be misled.

A report without bootstraps and decibels is still written in form 1, whose readers pass over what they do not
know at the top."""


@dataclass(frozen=True)
class Report:
    """A finished run: its recipe, where it ran, its rows, and reference models measured in the same runs."""

    recipe: dict[str, Any]
    environment: dict[str, Any]
    baseline: str
    test_examples: int
    rows: tuple[Row, ...]
    references: tuple[Row, ...]
    parity: dict[str, Any] = field(default_factory=dict)
    """What ``measure.proof.verification`` found when the files had been written; empty if there are none."""
    checks: tuple[Check, ...] = ()
    """Did it really work: see ``measure.checks.check``. Reports of earlier versions have none."""
    layers: tuple[LayerEvidence, ...] = ()
    """What was pruned and shared, layer by layer, in float and in the int8 files."""
    unwritten: tuple[str, ...] = ()
    """Files that were asked for and that a format cannot hold, with the reason (``unsupported: skip``)."""
    measures: Mapping[str, MeasureFacts] = field(default_factory=dict)
    """Every metric of the task. Reports of earlier versions have none."""
    classes: tuple[str, ...] = ()
    """The names of the classes, in the order in which details have them."""
    code: tuple[str, ...] = ()
    """What of the user's own code made the task, and from which files."""

    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Label of a file's row to what each of its inputs expects. Reports of earlier versions have none."""
    unmet: tuple[str, ...] = ()
    """What a stage has looked for and not found, a sentence each: the files are not what was asked for."""
    kind: str = ""
    """What the network is asked to do, one of ``kinds.TaskKind``. Reports of earlier versions do not say."""

    @property
    def files(self) -> list[Row]:
        """Rows of files to deploy: a run's artifacts, or a training's checkpoint."""
        return [row for row in self.rows if row.path is not None and not row.path.startswith("stages/")]

    def require_checks(self) -> None:
        """Raise if a check has fired.

        Raises:
            CheckError: every fault of every check, by name.
        """
        require(self.checks)

    def require_met(self) -> None:
        """Raise if a stage has not found what it looked for.

        Raises:
            UnmetError: what, and what was taken instead.
        """
        if self.unmet:
            raise UnmetError(". ".join(self.unmet))

    def to_json(self) -> dict[str, Any]:
        """Plain values for report.json."""
        return {
            "schema": SCHEMA if any(_is_new(row) for row in self.rows) else 1,
            "recipe": self.recipe,
            "environment": self.environment,
            "baseline": self.baseline,
            "test_examples": self.test_examples,
            "rows": [_without_details(row) for row in self.rows],
            "references": [_without_details(row) for row in self.references],
            "parity": self.parity,
            "checks": [check.to_json() for check in self.checks],
            "layers": [layer.to_json() for layer in self.layers],
            "unwritten": list(self.unwritten),
            "measures": {name: asdict(facts) for name, facts in self.measures.items()},
            "classes": list(self.classes),
            **(
                {"inputs": {label: list(lines) for label, lines in self.inputs.items()}}
                if self.inputs
                else {}
            ),
            **({"unmet": list(self.unmet)} if self.unmet else {}),
            "details": [row.details for row in self.rows],
            **({"code": list(self.code)} if self.code else {}),
            **({"kind": self.kind} if self.kind else {}),
        }

    @classmethod
    def from_json(cls, data: Any) -> "Report":
        """Read what :meth:`to_json` wrote.

        Raises:
            OutputError: the data is not a report.
        """
        try:
            if data.get("schema", 0) > SCHEMA:  # 0: reports of before there was a number
                found = data["schema"]
                raise OutputError(f"report.json has schema {found}; this version reads up to {SCHEMA}")
            TypeAdapter(cls).validate_python(data)  # values of other types would fail in a table, later
            return cls(
                data["recipe"],
                data["environment"],
                data["baseline"],
                data["test_examples"],
                _rows_from_json(data),
                tuple(row_from_json(row) for row in data["references"]),
                _parity_from_json(data.get("parity", {})),
                tuple(check_from_json(check) for check in data.get("checks", ())),
                tuple(layer_from_json(layer) for layer in data.get("layers", ())),
                tuple(data.get("unwritten", ())),
                {name: MeasureFacts(**facts) for name, facts in data.get("measures", {}).items()},
                tuple(data.get("classes", ())),
                tuple(data.get("code", ())),
                {label: tuple(lines) for label, lines in data.get("inputs", {}).items()},
                tuple(data.get("unmet", ())),
                data.get("kind", ""),
            )
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise OutputError(
                f"report.json is not a report of this version: {where}: {first['msg']}"
            ) from error
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise OutputError(f"report.json is not a report of this version: {error}") from error

    def table(self, tablefmt: str) -> str:
        """The tables as text (``simple``, ``github`` or any other format of tabulate)."""
        rows = self.rows
        name = rows[0].primary_metric
        notes = [
            f"{name} over {self.test_examples:,} test examples; {said_of_changes(rows[0])}. "
            f"Change and ratio are against {self.baseline!r}. "
            "MACs are multiply-accumulates (FLOPs = 2 × MACs); effective MACs are those on non-zero weights. "
            "Latency: median [quartiles], batch 1.",
            *said_of_chance(rows, self.baseline),
        ]
        parts = [
            rows_table(rows, tablefmt),
            "\n".join([*notes, *self._notes(), *said_of_inputs(self.inputs)]),
        ]
        if len(self.measures) > 1:
            parts.append(other_metrics_table(rows, self.measures, tablefmt))
        if self.references:
            parts.append(references_table(self.references, tablefmt))
        return "\n\n".join(parts + self._verdicts())

    def brief(self) -> str:
        """The tables for a terminal, in lines of at most a hundred columns.

        What :meth:`table` has beside metric, change, bytes, ratio and median is left out.
        """
        rows = self.rows
        name = rows[0].primary_metric
        notes = [
            f"{name} over {self.test_examples:,} test examples; {said_of_changes(rows[0])}. "
            f"Change and ratio are against {self.baseline!r}. {said_of_latency(rows)}",
            *said_of_intervals(rows),
        ]
        parts = [brief_table(rows), wrapped("\n".join(notes + self._notes()))]
        if len(self.measures) > 1:
            parts.append(brief_other_metrics_table(rows, self.measures))
        if self.references:
            parts.append(brief_references_table(self.references))
        return "\n\n".join(parts + [wrapped(text) for text in self._verdicts()])

    def _notes(self) -> list[str]:
        """What is to be known of single rows, a line each."""
        notes = []
        if any(row.simulated for row in self.rows):
            notes.append(f"Rows marked {SIMULATED} have no file to deploy: torch computed them on the way.")
        notes += [f"Not met: {sentence}." for sentence in self.unmet]
        notes += [f"Not written: {sentence}." for sentence in self.unwritten]
        notes += [f"Code of your own: {origin}." for origin in self.code]
        return notes + [f"{row.label}: {note}." for row in self.rows for note in row.notes]

    def _verdicts(self) -> list[str]:
        """What was compared and asked once the files had been written."""
        parity = ["\n".join(self.parity["summary"])] if self.parity else []
        return parity + ([checks_text(self.checks)] if self.checks else [])

    def layers_table(self, tablefmt: str) -> str:
        """Zeros and distinct values of every layer, in float and in the int8 files.

        Raises:
            OutputError: the report was written by a version that did not look.
        """
        return layers_table(self._known_layers(), tablefmt)

    def brief_layers(self) -> str:
        """The same in lines of at most a hundred columns.

        Raises:
            OutputError: as above.
        """
        return brief_layers_table(self._known_layers())

    def _known_layers(self) -> tuple[LayerEvidence, ...]:
        if not self.layers:
            raise OutputError("the report says nothing about layers; it was written by an earlier version")
        return self.layers


def _is_new(row: Row) -> bool:
    """Whether a reader of form 1 would take an interval, a test or a unit for another."""
    return (
        row.unit == "dB"
        or isinstance(row.interval, BootstrapInterval)
        or isinstance(row.paired, BootstrapTest)
    )


def _without_details(row: Row) -> dict[str, Any]:
    """A row as form 1 has it: its readers refuse keys of a row that they do not know."""
    return {key: value for key, value in asdict(row).items() if key != "details"}


def _parity_from_json(data: dict[str, Any]) -> dict[str, Any]:
    if data and not all(isinstance(sentence, str) for sentence in data["summary"]):
        raise TypeError("parity.summary is not made of sentences")
    return data


def _rows_from_json(data: dict[str, Any]) -> tuple[Row, ...]:
    rows = [row_from_json(row) for row in data["rows"]]
    if not rows:
        raise ValueError("it has no rows")
    details = data.get("details") or [{}] * len(rows)
    return tuple(replace(row, details=found) for row, found in zip(rows, details, strict=True))
