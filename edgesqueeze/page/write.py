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
from edgesqueeze.page.blocks import blocks_of, together_blocks
from edgesqueeze.page.facts import RunFacts, read_runs
from edgesqueeze.printable import printable_lines
from edgesqueeze.run.rundir import PAGE

_SUFFIXES = (".html", ".htm")
_FORMAT = 1


def write_page(runs: Sequence[Path], output: Path | None = None, images: int = 0) -> Path:
    """Write the page of finished runs, whole or not at all.

    Args:
        runs: their directories.
        output: the file; by default ``report.html`` in the directory of the one run.
        images: of how many test images of every run the page shows the answers; the data must be there.

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
    if output.suffix.lower() not in _SUFFIXES:
        raise OutputError(f"{output} is not the name of a page; it must end in {' or '.join(_SUFFIXES)}")
    write_atomically(output, page_of(read_runs(list(runs), images)).encode())
    return output


def page_of(runs: Sequence[RunFacts]) -> str:
    """The page of some runs as HTML, all that it needs within."""
    environment = Environment(
        loader=PackageLoader("edgesqueeze.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    style, script = _own("page.css"), _own("page.js")
    names = [run.name for run in runs]
    return environment.get_template("page.html.jinja").render(
        title=" · ".join(names) if len(names) < 4 else f"{len(names)} runs",
        policy=_policy(style, script, images=any(run.examples for run in runs)),
        style=style,
        script=script,
        data=Markup(json_text(runs)),
        together=together_blocks(runs) if len(runs) > 1 else [],
        runs=[(f"r{i}", run, blocks_of(run)) for i, run in enumerate(runs, start=1)],
    )


def json_text(runs: Sequence[RunFacts]) -> str:
    """All facts as JSON that may stand in a ``script`` element; numbers that are not finite are null."""
    data = {"page": _FORMAT, "runs": [_finite(run.to_json()) for run in runs]}
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
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
