"""From facts to one HTML file that asks nobody for anything.

Whatever a run brings along (names of layers, classes and files, its recipe) is text to the page: jinja2 and
markupsafe escape it wherever it stands, the JSON has no ``<`` in it, and should all that fail, the
Content-Security-Policy runs the page's own script alone, by its hash.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from edgesqueeze.errors import OutputError
from edgesqueeze.files import write_atomically
from edgesqueeze.measure.bench.bench import BenchReport
from edgesqueeze.page.blocks import benchmark_blocks, blocks_of, together_blocks
from edgesqueeze.page.facts import RunFacts, read_runs
from edgesqueeze.page.view import Block
from edgesqueeze.run.rundir import PAGE
from edgesqueeze.text.printable import printable_lines

_SUFFIXES = (".html", ".htm")
_FORMAT = 1


def write_page(
    runs: Sequence[Path], output: Path | None = None, images: int = 0, *, layer_times: bool = False
) -> Path:
    """Write the page of finished runs, whole or not at all.

    Args:
        runs: their directories.
        output: the file; by default ``report.html`` in the directory of the one run.
        images: of how many test images of every run the page shows the answers; the data must be there.
        layer_times: whether the layers of every run's ONNX files are timed now.

    Returns:
        The file.

    Raises:
        OutputError: a run is not finished, its report or the file cannot be used, or several runs have no
            ``output``.
        CodecError: a .sqz file of a run is damaged.
        ExportError: another file of a run is.
    """
    if output is None:
        if len(runs) != 1:
            raise OutputError(
                f"the page of {len(runs)} runs belongs to none of them; say with -o where it goes"
            )
        output = runs[0] / PAGE
    check_page_name(output)
    facts = read_runs(list(runs), images, layer_times=layer_times)
    write_atomically(output, page_of(facts).encode())
    return output


def write_bench_page(report: BenchReport, output: Path) -> None:
    """Write the page of a benchmark, whole or not at all.

    Raises:
        OutputError: the file is not the name of a page, or cannot be written.
    """
    check_page_name(output)
    write_atomically(output, bench_page_of(report).encode())


def check_page_name(output: Path) -> None:
    """Refuse what a browser would not open as a page.

    Raises:
        OutputError: the name ends otherwise.
    """
    if output.suffix.lower() not in _SUFFIXES:
        raise OutputError(f"{output} is not the name of a page; it must end in {' or '.join(_SUFFIXES)}")


def page_of(runs: Sequence[RunFacts]) -> str:
    """The page of some runs as HTML, all that it needs within."""
    names = [run.name for run in runs]
    return _rendered(
        maker="edgesqueeze report",
        title=" · ".join(names) if len(names) < 4 else f"{len(names)} runs",
        data={"runs": [run.to_json() for run in runs]},
        together=together_blocks(runs) if len(runs) > 1 else [],
        sections=[(f"r{i}", run.name, blocks_of(run)) for i, run in enumerate(runs, start=1)],
        images=any(run.examples for run in runs),
    )


def bench_page_of(report: BenchReport) -> str:
    """The page of a benchmark as HTML, all that it needs within."""
    return _rendered(
        maker="edgesqueeze bench",
        title=report.suite.name,
        data={"bench": report.to_json()},
        together=[],
        sections=[("b", report.suite.name, benchmark_blocks(report))],
    )


def _rendered(
    maker: str,
    title: str,
    data: dict[str, Any],
    together: Sequence[Block],
    sections: Sequence[tuple[str, str, Sequence[Block]]],
    *,
    images: bool = False,
) -> str:
    """The template with the blocks of each section: the prefix of its addresses, its name, and they."""
    environment = Environment(
        loader=PackageLoader("edgesqueeze.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    style, script = _own("page.css"), _own("page.js")
    return environment.get_template("page.html.jinja").render(
        maker=maker,
        title=title,
        policy=_policy(style, script, images=images),
        style=style,
        script=script,
        data=Markup(json_text(data)),
        together=together,
        sections=sections,
    )


def json_text(data: dict[str, Any]) -> str:
    """All facts as JSON that may stand in a ``script`` element; numbers that are not finite are null."""
    whole = {"page": _FORMAT, **_finite(data)}
    text = json.dumps(whole, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _visible(value: Any) -> Any:
    """Text without characters that turn around or hide what stands beside them."""
    return printable_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _own(name: str) -> Markup:
    """A file of the page's own, which goes into it as it is: its hash is that of these very characters."""
    return Markup(files("edgesqueeze.page").joinpath("templates", name).read_text("utf-8"))


def _policy(style: str, script: str, *, images: bool) -> str:
    """Nothing is loaded from anywhere, and nothing runs but the page's own script."""
    return (
        f"default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"style-src '{_hash(style)}'; script-src '{_hash(script)}'{'; img-src data:' if images else ''}"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
