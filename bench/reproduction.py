"""Does what is said of recipes come from the recipes alone?

    python -m bench.reproduction

Whatever README, a recipe's header or bench/results says of a recipe is what that recipe gives from nothing,
with the command printed beside it. This compares them, runs nothing, prints where they part, and ends with
exit code 1 if they do. `KNOWN` names what is known not to hold; an entry that is no longer needed is itself a
complaint, so that the list can only shrink.
"""

import json
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.commands import Command, commands_in, missing_files
from bench.known_departures import KNOWN
from bench.recipe_headers import Block, block_of_result, figures_of, read_header
from edgesqueeze.errors import EdgeSqueezeError
from edgesqueeze.run.recipe import load_recipe
from edgesqueeze.run.report import Report
from edgesqueeze.text.printable import printable_lines

ROOT = Path(__file__).parent.parent
RESULTS = "bench/results"
_SEED = re.compile(r"(.+)_seed(\d+)")
_FIGURE = re.compile(r"(?<![\d,.])(?:\d+(?:\.\d+)?(?:×| %| dB)|\d{1,3}(?:,\d{3})+(?: bytes)?(?![\d,]))")
"""A ratio, a share, decibels, or a number with commas."""
_SAID = re.compile(r"(?<![\d,.])\d+(?:\.\d+)?×|(?<![\d,.])\d+\.\d\d %|(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])")
"""Of README: what a result's table prints."""

Kind = Literal["header", "remark", "command", "report", "checkpoint", "recipe", "readme", "list"]


@dataclass(frozen=True)
class Complaint:
    """``where`` is a file or folder from the root, ``kind`` what it is about, ``what`` the sentence."""

    where: str
    kind: Kind
    what: str


def main() -> None:
    """Print what is found."""
    found = parted(ROOT)
    for complaint in found:
        print(f"{complaint.where}: {complaint.what}")
    print(f"{len(found)} complaints, {len(KNOWN)} known departures")
    sys.exit(1 if found else 0)


def parted(root: Path, known: Mapping[tuple[str, str], str] = KNOWN) -> list[Complaint]:
    """Where headers, README and results part, but for what is known; and what of that is no longer so.

    Args:
        root: of the repository.
        known: place and kind of a complaint, to the reason.
    """
    found = [*_of_recipes(root), *_of_results(root), *_of_readme(root)]
    keys = {(complaint.where, complaint.kind) for complaint in found}
    stale = [
        Complaint(where, "list", f"nothing is wrong any more with its {kind}; take it out of KNOWN")
        for where, kind in known
        if (where, kind) not in keys
    ]
    return [complaint for complaint in found if (complaint.where, complaint.kind) not in known] + stale


# -- headers -------------------------------------------------------------------------------------------


def _of_recipes(root: Path) -> Iterator[Complaint]:
    for path in sorted((root / "recipes").glob("*.yaml")):
        yield from _of_header(root, path)


def _of_header(root: Path, path: Path) -> Iterator[Complaint]:
    where = path.relative_to(root).as_posix()
    header = read_header(path.read_text(encoding="utf-8"))
    for line in header.remarks:
        yield Complaint(where, "remark", f"a line that no result stands behind: {line}")
    for line in header.description:
        if _FIGURE.search(line) or "measured on" in line:
            yield Complaint(where, "header", f"a figure without the result that it is from: {line}")
    if header.blocks and not any(_runs(command, path.stem) for command in header.commands):
        yield Complaint(where, "command", "figures without the command that gives them")
    for command in header.commands:
        yield from _of_files(where, commands_in(command), root)
    named = [block.folder for block in header.blocks]
    for folder in _folders(root, path.stem):
        relative = folder.relative_to(root).as_posix()
        if _SEED.fullmatch(folder.name) is None and relative not in named:
            yield Complaint(where, "header", f"does not say what {relative} has")
    for block in header.blocks:
        yield from _of_block(root, where, block)


def _runs(command: str, recipe: str) -> bool:
    """Whether a command line names a recipe."""
    return any(Path(word).stem == recipe for word in shlex.split(command))


def _of_block(root: Path, where: str, block: Block) -> Iterator[Complaint]:
    recipe = Path(where).stem
    if not block.folder.startswith(f"{RESULTS}/{recipe}/"):
        yield Complaint(where, "header", f"names {block.folder}, which is not of this recipe")
        return
    try:
        expected = block_of_result(root, block.folder)
    except (OSError, ValueError, EdgeSqueezeError) as error:
        yield Complaint(where, "header", f"names {block.folder}, which cannot be read: {error}")
        return
    for line in [line for line in block.lines if line not in expected]:
        yield Complaint(where, "header", f"says what {block.folder} has not: {line}")
    for line in [line for line in expected if line not in block.lines]:
        yield Complaint(where, "header", f"does not say of {block.folder}: {line}")
    if block.trained_apart and not _is_trained_apart(root / block.folder, recipe):
        yield Complaint(where, "remark", f"{block.folder} does not train what it begins from")


def _is_trained_apart(folder: Path, recipe: str) -> bool:
    """Whether a command trains by the recipe what the next begins from."""
    commands = _commands_of(folder)
    trained = [command for command in commands if command.program == "edgesqueeze train"]
    return bool(trained) and all(command.value("--recipe") == recipe for command in trained)


def _of_files(where: str, commands: Sequence[Command], root: Path) -> Iterator[Complaint]:
    missing = missing_files(commands, root)
    if missing:
        what = f"takes {', '.join(missing)}: not in this repository, nor made by its commands"
        yield Complaint(where, "checkpoint", what)


# -- results -------------------------------------------------------------------------------------------


def _folders(root: Path, recipe: str) -> list[Path]:
    return sorted(path for path in (root / RESULTS / recipe).glob("*") if path.is_dir())


def _of_results(root: Path) -> Iterator[Complaint]:
    recipes = {path.stem for path in (root / "recipes").glob("*.yaml")}
    holding = {path.parent for path in (root / RESULTS).rglob("*") if path.is_file()}
    for folder in sorted(holding | {path for name in recipes for path in _folders(root, name)}):
        where = folder.relative_to(root).as_posix()
        missing = [
            name for name in ("report.json", "report.md", "command.txt") if not (folder / name).is_file()
        ]
        if missing:
            yield Complaint(where, "command", f"has no {' and no '.join(missing)}")
            continue
        commands = _commands_of(folder)
        if not commands:
            yield Complaint(where, "command", "its command.txt has no command")
        yield from _of_files(where, commands, root)
        name = folder.relative_to(root / RESULTS).parts[0]
        if name in recipes:
            yield from _of_recipe_result(root / "recipes" / f"{name}.yaml", folder, where, commands)


def _of_recipe_result(
    recipe: Path, folder: Path, where: str, commands: Sequence[Command]
) -> Iterator[Complaint]:
    name = recipe.stem
    data = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    if "seeds" in data:
        yield from _of_summary(folder, where, name, data)
        return
    try:
        report = Report.from_json(data)
    except EdgeSqueezeError as error:
        yield Complaint(where, "report", str(error))
        return
    if (folder / "report.md").read_text(encoding="utf-8") != printable_lines(report.table("github")) + "\n":
        yield Complaint(where, "report", "its report.md is not the table of its report.json")
    if report.unmet:
        yield Complaint(where, "report", f"is not what the recipe looked for: {'. '.join(report.unmet)}")
    runs = [command for command in commands if command.program == "edgesqueeze compress"]
    if not runs or Path(runs[-1].value("--recipe") or "").stem != name:
        yield Complaint(where, "command", f"its command does not run the recipe {name}")
        return
    given = any(value.startswith("task.checkpoint=") for value in runs[-1].values("--set"))
    if report.baseline.startswith("checkpoint") and not given:
        yield Complaint(where, "checkpoint", "began from a checkpoint that its command does not name")
    try:
        now = load_recipe(str(recipe), runs[-1].values("--set")).model_dump(mode="json")
    except EdgeSqueezeError as error:
        yield Complaint(where, "recipe", f"its command does not go with the recipe as it is: {error}")
        return
    for place, then, value in _differences(report.recipe, now):
        yield Complaint(
            where, "recipe", f"was made with {place} {then}; the recipe with its command has {value}"
        )


def _of_summary(folder: Path, where: str, name: str, data: dict[str, Any]) -> Iterator[Complaint]:
    """Of several seeds: each run is there with its seed, and the table is theirs."""
    reports = []
    for seed in data["seeds"]:
        path = folder.with_name(f"{folder.name}_seed{seed}") / "report.json"
        if not path.is_file():
            yield Complaint(where, "report", f"names seed {seed}, and there is no {path.parent.name}")
            return
        try:
            reports.append(Report.from_json(json.loads(path.read_text(encoding="utf-8"))))
        except EdgeSqueezeError:  # which is said of that folder
            return
        if reports[-1].recipe["seed"] != seed:
            yield Complaint(where, "report", f"{path.parent.name} ran with seed {reports[-1].recipe['seed']}")
    named = (_SEED.fullmatch(path.name) for path in folder.parent.glob(f"{folder.name}_seed*"))
    beside = {int(found[2]) for found in named if found is not None}
    if beside != set(data["seeds"]):
        yield Complaint(where, "report", f"is of seeds {data['seeds']}, beside it are {sorted(beside)}")
    try:
        lines = [row.line() for row in figures_of(reports)]
    except ValueError as error:
        yield Complaint(where, "report", str(error))
        return
    if data["recipe"] != name or data["lines"] != lines:
        yield Complaint(where, "report", "its rows are not those of its seeds")


def _differences(then: Any, now: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """What two recipes have otherwise, but for checkpoints and keys that one version alone knows."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in then.keys() & now.keys() - {"checkpoint"}:
            yield from _differences(then[key], now[key], f"{place}.{key}" if place else key)
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for index, (a, b) in enumerate(zip(then, now, strict=True)):
            yield from _differences(a, b, f"{place}[{index}]")
    elif then != now:
        yield place, then, now


def _commands_of(folder: Path) -> list[Command]:
    path = folder / "command.txt"
    return commands_in(path.read_text(encoding="utf-8")) if path.is_file() else []


# -- README --------------------------------------------------------------------------------------------


def _of_readme(root: Path) -> Iterator[Complaint]:
    tables = "\n".join(path.read_text(encoding="utf-8") for path in (root / RESULTS).rglob("report.md"))
    known = {found.replace(" ", "") for found in _SAID.findall(tables)}
    text = (root / "README.md").read_text(encoding="utf-8")
    for figure in dict.fromkeys(_SAID.findall(text)):
        if figure.replace(" ", "") not in known:
            yield Complaint("README.md", "readme", f"says {figure}, which no committed result has")


if __name__ == "__main__":
    main()
