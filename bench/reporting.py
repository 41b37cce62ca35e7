"""Results as they are committed: report.json, report.md and the command, in a folder of their own."""

import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tabulate import tabulate

from edgesqueeze.files import make_directory, write_atomically
from edgesqueeze.measure.runtimes.host import HostFacts, host_facts
from edgesqueeze.measure.runtimes.latency import Latency


@dataclass(frozen=True)
class Result:
    """A measurement under way: when it began, and where. ``directory`` is where its result goes."""

    directory: Path
    host: HostFacts = field(default_factory=host_facts)
    began: float = field(default_factory=time.monotonic)

    def write(self, data: dict[str, Any], parts: Sequence[str]) -> None:
        """Write the files and print the tables.

        Args:
            data: plain JSON values; the host's facts are put beside them.
            parts: paragraphs and tables of the Markdown report, in order.

        Raises:
            OutputError: the directory cannot be made or written.
        """
        make_directory(self.directory)
        text = "\n\n".join([*parts, self.host.sentence()]) + "\n"
        content = json.dumps({**data, "host": self.host.to_json()}, indent=1, ensure_ascii=False) + "\n"
        command = f"{_command()}\n\nwall time: {time.monotonic() - self.began:.0f} s\n"
        for name, body in (("report.json", content), ("report.md", text), ("command.txt", command)):
            write_atomically(self.directory / name, body.encode())
        print(text, end="")


def _command() -> str:
    """The command line as it can be typed again, for ``python -m bench.NAME``."""
    module = f"bench.{Path(sys.argv[0]).stem}"
    return shlex.join(["python", "-m", module, *sys.argv[1:]])


def note(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: text to the left in the first column, everything else to the right."""
    align = ("left", *("right",) * (len(header) - 1))
    return tabulate(rows, headers=header, tablefmt="github", colalign=align, disable_numparse=True)


def percent(value: float | None) -> str:
    """A fraction as a percentage."""
    return "–" if value is None else f"{100 * value:.2f} %"


def points(value: float | None) -> str:
    """A difference of fractions in percentage points."""
    return "–" if value is None else f"{100 * value:+.2f}"


def milliseconds(latency: Latency) -> str:
    """Median and quartiles in milliseconds."""
    middle, low, high = (1e3 * s for s in (latency.median_s, latency.p25_s, latency.p75_s))
    return f"{middle:.3f} [{low:.3f}–{high:.3f}]"
