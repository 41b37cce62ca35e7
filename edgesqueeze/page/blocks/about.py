"""Where and how the numbers came about: machine, versions, recipe, and what was proved of the files."""

from typing import Any

import yaml

from edgesqueeze.page.facts import RunFacts
from edgesqueeze.page.view import Block, Cell, Code, Column, Remarks, Table
from edgesqueeze.run.row_tables import said_of_inputs


def about_block(run: RunFacts) -> Block:
    """Parity, what files expect, the environment and the recipe."""
    report = run.report
    rows = [[Cell(key, kind="name"), Cell(text)] for key, text in fact_lines(report.environment)]
    recipe = yaml.safe_dump(report.recipe, sort_keys=False, allow_unicode=True)
    parity = [f"{sentence}." for sentence in report.parity.get("summary", ())]
    parts: list[Remarks | Table | Code] = [Remarks(parity)] if parity else []
    if report.inputs:
        parts.append(Remarks(said_of_inputs(report.inputs), folded="What the inputs of each file expect"))
    columns = [Column("", numeric=False), Column("measured on", numeric=False)]
    parts += [Table("Environment", columns, rows, sortable=False, kind="facts"), Code("The recipe", recipe)]
    return Block("about", "Origin", f"The run in {run.directory}.", parts)


def fact_lines(facts: dict[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Keys and values as text, those of an object within with its key in front."""
    lines: list[tuple[str, str]] = []
    for key, value in facts.items():
        name = f"{above}{key}".replace("_", " ")
        if isinstance(value, dict) and any(isinstance(entry, dict) for entry in value.values()):
            lines += fact_lines(value, f"{name}, ")
        elif isinstance(value, dict):
            lines.append((name, ", ".join(f"{inner} {entry}" for inner, entry in value.items())))
        else:
            lines.append((name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return lines
