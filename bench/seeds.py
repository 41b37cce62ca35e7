"""A recipe from nothing, once for each of several seeds: median and range of every figure.

    python -m bench.seeds RECIPE --seeds 0 1 2 --output bench/results/RECIPE/DATA
        [--set KEY=VALUE …] [--work runs/seeds] [--header check|write|print]

Each seed is a run of `edgesqueeze compress` in a process of its own, one after the other, below --work; what
has finished is not repeated and what was stopped goes on, so hours of work can be interrupted. The report
and the command of seed N are put beside the output as DATA_seedN, and the table of all into the output. A
checkpoint is refused. Then the block of the recipe's header is compared (`check`, exit code 1 if it says
something else), written into the recipe (`write`), or only shown.
"""

import shlex
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.recipe_headers import Figures, block_of, figures_of, read_header, with_block
from bench.reporting import Result, note, table
from edgesqueeze.bundled import ROOT
from edgesqueeze.errors import OutputError, RecipeError
from edgesqueeze.files import make_directory, write_atomically
from edgesqueeze.measure.runtimes.host import host_facts
from edgesqueeze.run.recipe import find_recipe, load_recipe
from edgesqueeze.run.report import Report
from edgesqueeze.run.rundir import read_report

UNMET = 3
"""Exit code of a run that has finished and has not found what its recipe looks for."""


@dataclass(frozen=True)
class Seeded:
    """A recipe that is run with one seed after the other: its ``settings`` are those of ``--set``."""

    recipe: str
    settings: tuple[str, ...]
    work: Path
    output: Path

    def command(self, seed: int) -> list[str]:
        """What is run, as it can be typed."""
        given = [f"seed={seed}", *self.settings]
        words = [word for setting in given for word in ("--set", setting)]
        return ["edgesqueeze", "compress", "--recipe", self.recipe, *words]

    def run(self, seed: int) -> Report:
        """The report of a seed, whose run is begun, continued or found finished.

        Raises:
            OutputError: the run has ended otherwise, or is one of other settings.
        """
        folder = self.work / f"seed{seed}"
        began = time.monotonic()
        if not (folder / "report.json").is_file():
            self._compress(seed, folder)
        report = read_report(folder)
        wanted = load_recipe(self.recipe, [f"seed={seed}", *self.settings]).model_dump(mode="json")
        if report.recipe != wanted:
            raise OutputError(f"{folder} holds a run of other settings; remove it, or choose another --work")
        self._keep(seed, folder, time.monotonic() - began)
        return report

    def _compress(self, seed: int, folder: Path) -> None:
        begun = (folder / "recipe.yaml").is_file()
        words = ["compress", "--resume", str(folder)] if begun else self.command(seed)[1:]
        words = words if begun else [*words, "--output", str(folder)]
        note(f"seed {seed}: {shlex.join(['edgesqueeze', *words])}")
        code = subprocess.run([sys.executable, "-m", "edgesqueeze", *words], check=False).returncode
        if code not in (0, UNMET):
            raise OutputError(f"the run of seed {seed} ended with exit code {code}; the same command goes on")

    def _keep(self, seed: int, folder: Path, seconds: float) -> None:
        """Put what a run has written beside the output; the time is that of the call that finished it."""
        target = self.output.with_name(f"{self.output.name}_seed{seed}")
        kept = target / "report.json"
        if kept.is_file() and kept.read_bytes() == (folder / "report.json").read_bytes():
            return
        make_directory(target)
        for name in ("report.json", "report.md"):
            write_atomically(target / name, (folder / name).read_bytes())
        wall = f"wall time: {seconds:.0f} s (of the call that finished it)"
        text = f"{shlex.join(self.command(seed))}\n\n{wall}\nhost: {host_facts().sentence()}\n"
        write_atomically(target / "command.txt", text.encode())


def main() -> None:
    """Run all seeds, write the results, look at the header."""
    arguments = _arguments()
    _check_from_nothing(arguments.recipe, arguments.settings)
    result = Result(arguments.output)
    seeded = Seeded(
        arguments.recipe,
        tuple(arguments.settings),
        arguments.work / find_recipe(arguments.recipe).stem / arguments.output.name,
        arguments.output,
    )
    reports = [seeded.run(seed) for seed in arguments.seeds]
    figures = figures_of(reports)
    found = (seeded, arguments.seeds, figures, reports)
    result.write(_data(*found), _parts(*found))
    command = shlex.join(["python", "-m", "bench.seeds", *sys.argv[1:]])
    sys.exit(_header(arguments, block_of(_named(arguments.output), figures, arguments.seeds), command))


def _arguments() -> Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="a bundled recipe, or a file")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="0 1 2 by default")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--work", type=Path, default=Path("runs/seeds"), help="where the runs go")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder of the result, named after the data"
    )
    parser.add_argument("--header", choices=("check", "write", "print"), default="check")
    return parser.parse_args()


def _check_from_nothing(recipe: str, settings: Sequence[str]) -> None:
    """Refuse what is not from nothing, and a seed that is given twice.

    Raises:
        RecipeError: a checkpoint is named, or a setting is the seed.
    """
    task = load_recipe(recipe, settings).task
    if getattr(task, "checkpoint", None) is not None:
        raise RecipeError(f"{recipe} begins from a checkpoint; what is said of a recipe is made from nothing")
    if any(setting.startswith("seed=") for setting in settings):
        raise RecipeError("the seeds are given by --seeds; leave --set seed out")


def _data(
    seeded: Seeded, seeds: Sequence[int], figures: Sequence[Figures], reports: Sequence[Report]
) -> dict[str, object]:
    pairs = zip(seeds, reports, strict=True)
    return {
        "recipe": find_recipe(seeded.recipe).stem,
        "settings": list(seeded.settings),
        "seeds": list(seeds),
        "lines": [row.line() for row in figures],
        "unmet": {seed: list(report.unmet) for seed, report in pairs if report.unmet},
    }


def _parts(
    seeded: Seeded, seeds: Sequence[int], figures: Sequence[Figures], reports: Sequence[Report]
) -> list[str]:
    names = [f"{seeded.output.name}_seed{seed}" for seed in seeds]
    rows = []
    for row in figures:
        rows.append([row.label, "median (range)", *row.cells()])
        rows += [[row.label, f"seed {seed}", *row.of_run(place).cells()] for place, seed in enumerate(seeds)]
    rows = [row + ["–"] * (6 - len(row)) for row in rows]  # simulated rows have no file
    metric, count = reports[0].rows[0].primary_metric, reports[0].test_examples
    text = (
        f"{metric} over {count:,} test examples; change and ratio are against {reports[0].baseline!r} of the "
        f"same run. Everything from nothing, each seed by a run of its own: {', '.join(names)}."
    )
    pairs = zip(seeds, reports, strict=True)
    unmet = [f"Seed {seed}, not met: {'. '.join(report.unmet)}." for seed, report in pairs if report.unmet]
    return [table(["", "run", metric, "change", "bytes", "ratio"], rows), text, *unmet]


def _header(arguments: Namespace, block: Sequence[str], command: str) -> int:
    """Compare or write the block of the recipe's header: the exit code."""
    path = find_recipe(arguments.recipe)
    text = path.read_text(encoding="utf-8")
    print("\n" + "\n".join(block))
    if arguments.header == "print":
        return 0
    if any(list(found.lines) == list(block) for found in read_header(text).blocks):
        print(f"{path} says so")
        return 0
    if arguments.header == "check":
        print(f"{path} says something else; --header write writes it")
        return 1
    words = shlex.split(command)
    places = {words.index(option) for option in ("--header", "--work") if option in words}
    # Neither says anything of the result: what is done with the header, and where the runs are.
    shown = shlex.join([w for place, w in enumerate(words) if not {place, place - 1} & places])
    write_atomically(path, with_block(text, block, shown).encode())
    print(f"{path} says so now")
    return 0


def _named(output: Path) -> str:
    """The folder of a result as headers name it, from the root of the repository."""
    path = output.resolve()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else output.as_posix()


if __name__ == "__main__":
    main()
