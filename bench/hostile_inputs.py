"""Hostile recipes, settings, options and model files through the command line, in numbers.

    python -m bench.hostile_inputs --output bench/results/hostile_inputs

No command may end with a traceback, a raw control character, another exit code than 0 or 2, or without its
sentence. The cases are those of tests/shared/hostile.py: made by hand, and real files and recipes damaged.
"""

import shutil
import sys
import tempfile
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.reporting import Result, note, table
from edgesqueeze.bundled import bundled_recipes

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "shared"))
import hostile  # noqa: E402 - helpers of tests

DAMAGED_FILES, DAMAGED_RECIPES = 12, 60


def cases() -> Iterator[hostile.Case]:
    """All of them, in groups."""
    texts = [path.read_text(encoding="utf-8") for path in bundled_recipes().values()]
    yield from hostile.set_values()
    yield from hostile.recipes([texts[i % len(texts)] for i in range(DAMAGED_RECIPES)])
    yield from hostile.edge_numbers()
    yield from hostile.option_values()
    yield from hostile.model_cases(DAMAGED_FILES)


def main() -> None:
    """Run, write the result.

    Raises:
        SystemExit: a command did what none may do.
    """
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    result = Result(parser.parse_args().output)
    rows: dict[str, dict[str, Any]] = {}
    faults: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        shutil.copy(ROOT / "tests" / "shared" / "tiny.py", name)
        commands = hostile.Commands(Path(name))
        for number, case in enumerate(cases()):
            start = time.perf_counter()
            answer = commands.answer(case)
            row = rows.setdefault(
                case.kind, {"cases": 0, "done": 0, "refused": 0, "faults": 0, "slowest_s": 0.0}
            )
            row["cases"] += 1
            row["done"] += answer.code == 0
            row["refused"] += answer.code == 2
            row["slowest_s"] = max(row["slowest_s"], time.perf_counter() - start)
            if answer.faults:
                row["faults"] += 1
                said = {"arguments": case.arguments, "faults": answer.faults, "stderr": answer.stderr[-2000:]}
                faults.append({"number": number, **said})
                note(f"{number} {case.kind}: {' '.join(case.arguments)[:200]!r}: {', '.join(answer.faults)}")
        commands.close()
    lines = [
        [
            kind,
            *(str(row[key]) for key in ("cases", "done", "refused", "faults")),
            f"{row['slowest_s']:.1f} s",
        ]
        for kind, row in rows.items()
    ]
    total = [str(sum(row[key] for row in rows.values())) for key in ("cases", "done", "refused", "faults")]
    header = [
        "input",
        "commands",
        "exit code 0",
        "exit code 2",
        "tracebacks, raw escapes, crashes",
        "slowest",
    ]
    result.write({"rows": rows, "faults": faults}, [table(header, [*lines, ["all", *total, ""]])])
    if faults:
        raise SystemExit(f"{len(faults)} commands did what none may do")


if __name__ == "__main__":
    main()
