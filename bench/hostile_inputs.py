"""Hostile recipes, settings, options and model files through the command line, in numbers.

    python -m bench.hostile_inputs --output bench/results/hostile_inputs

No command may end with a traceback, a raw control character, another exit code than 0 or 2, or without its
sentence. The cases are those of tests/shared/hostile.py and hostile_files.py: made by hand, and real files
and recipes damaged.
"""

import shutil
import sys
import tempfile
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.reporting import Result, note, table
from edgesqueeze.bundled import bundled_recipes

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "shared"))
import hostile  # noqa: E402 - helpers of tests

DAMAGED_FILES, DAMAGED_RECIPES, PROCESSES = 12, 60, 3
FAMILY = "lenet"
"""The recipes that are damaged: those of small networks, since some of the damage changes nothing."""


def cases() -> Iterator[hostile.Case]:
    """All of them, in groups."""
    texts = [path.read_text(encoding="utf-8") for name, path in bundled_recipes().items() if FAMILY in name]
    texts = [text[text.index("version:") :] for text in texts]
    yield from hostile.set_values()
    yield from hostile.recipes([texts[i % len(texts)] for i in range(DAMAGED_RECIPES)])
    yield from hostile.edge_numbers()
    yield from hostile.option_values()
    yield from hostile.model_cases(DAMAGED_FILES)


@dataclass(frozen=True)
class Outcome:
    """What a command did, and how long it took."""

    case: hostile.Case
    answer: hostile.Answer
    seconds: float


def run(chosen: Sequence[hostile.Case]) -> list[Outcome]:
    """These cases, one after another, in a folder of their own."""
    outcomes = []
    with tempfile.TemporaryDirectory() as name:
        shutil.copy(ROOT / "tests" / "shared" / "tiny.py", name)
        commands = hostile.Commands(Path(name))
        for case in chosen:
            start = time.perf_counter()
            answer = commands.answer(case)
            outcomes.append(Outcome(case, answer, time.perf_counter() - start))
            if answer.faults:
                note(f"{case.kind}: {' '.join(case.arguments)[:200]!r}: {', '.join(answer.faults)}")
        commands.close()
    return outcomes


def main() -> None:
    """Run, write the result.

    Raises:
        SystemExit: a command did what none may do.
    """
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    result = Result(parser.parse_args().output)
    everything = list(cases())
    with ThreadPoolExecutor(PROCESSES) as pool:
        shares = list(pool.map(run, [everything[place::PROCESSES] for place in range(PROCESSES)]))
    outcomes = [outcome for share in shares for outcome in share]
    kinds = list(dict.fromkeys(case.kind for case in everything))
    rows = {kind: counts([o for o in outcomes if o.case.kind == kind]) for kind in kinds}
    columns = ("commands", "exit code 0", "exit code 2", "faults")
    lines = [[k, *(str(row[c]) for c in columns), f"{row['slowest_s']:.1f} s"] for k, row in rows.items()]
    lines.append(["all", *(str(sum(row[c] for row in rows.values())) for c in columns), ""])
    files = len({data for o in outcomes for name, data in o.case.files.items() if name.startswith("bad.")})
    said = f"Model files: {files}. A fault is a traceback, a raw control character, a crash or no sentence."
    faults = [
        {"arguments": o.case.arguments, "faults": o.answer.faults, "stderr": o.answer.stderr[-2000:]}
        for o in outcomes
        if o.answer.faults
    ]
    result.write({"rows": rows, "faults": faults}, [table(["input", *columns, "slowest"], lines), said])
    if faults:
        raise SystemExit(f"{len(faults)} commands did what none may do")


def counts(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """A row of the table."""
    return {
        "commands": len(outcomes),
        "exit code 0": sum(o.answer.code == 0 for o in outcomes),
        "exit code 2": sum(o.answer.code == 2 for o in outcomes),
        "faults": sum(bool(o.answer.faults) for o in outcomes),
        "slowest_s": max(o.seconds for o in outcomes),
    }


if __name__ == "__main__":
    main()
