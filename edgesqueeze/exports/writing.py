"""All exports of a recipe written, and what becomes of one that a format cannot hold."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgesqueeze.errors import ExportError, ParityError
from edgesqueeze.exports.base import Artifact, Export
from edgesqueeze.exports.squeezed import check_decoded
from edgesqueeze.files import make_directory
from edgesqueeze.formats.names import RUNNABLE, FileFormat
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.integers.spec import QuantSpec

Unsupported = Literal["refuse", "skip"]
LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Written:
    """The files with the settings that wrote them, and a sentence for each file that is not there."""

    files: tuple[tuple[Export, Artifact], ...]
    unwritten: tuple[str, ...]


def write_exports(
    exports: Sequence[Export],
    network: tuple[Graph, QuantSpec | None],
    directory: Path,
    unsupported: Unsupported,
) -> Written:
    """Write every export, the squeezed file last: it has templates of the others.

    Args:
        exports: what a recipe lists.
        network: the graph, and its integers if it has any.
        directory: where the files go; made if it is not there.
        unsupported: whether a file that cannot be written ends all, or is left out and named.

    Raises:
        ExportError: a file cannot be written, or with "skip" none at all.
        ParityError: a squeezed file does not give the others back.
    """
    make_directory(directory)
    others: list[Artifact] = []
    found: dict[int, list[tuple[Export, Artifact]]] = {}
    unwritten: list[str] = []
    for place, export in sorted(enumerate(exports), key=lambda item: item[1].export == "squeezed"):
        found[place] = []
        for part in (export,) if unsupported == "refuse" else export.apart():
            try:
                artifacts = _write(part, network, directory, others)
            except ExportError as error:
                if unsupported == "refuse" or isinstance(error, ParityError):
                    raise
                LOGGER.info("%s is not written: %s", _named(part), error)
                unwritten.append(f"{_named(part)}: {error}")
                continue
            found[place] += [(export, artifact) for artifact in artifacts]
            others += [artifact for artifact in artifacts if artifact.format in RUNNABLE]
    if unwritten and not any(found.values()):
        raise ExportError(f"no file can be written; {unwritten[0]}")
    files = tuple(pair for place in range(len(exports)) for pair in found[place])
    return Written(files, tuple(unwritten))


def _write(
    export: Export, network: tuple[Graph, QuantSpec | None], directory: Path, others: list[Artifact]
) -> list[Artifact]:
    artifacts = export.write_beside(*network, directory, others)
    for artifact in artifacts:
        LOGGER.info("wrote %s: %d bytes, sha256 %s", artifact.path, artifact.num_bytes, artifact.sha256)
        if artifact.format is FileFormat.SQZ:
            try:
                check_decoded(artifact, others)
            except ExportError:
                artifact.path.unlink()  # nobody could use it
                raise
    return artifacts


def _named(export: Export) -> str:
    """An export, or the one precision of it."""
    return export.export if export.export == "squeezed" else f"{export.export} {', '.join(export.precisions)}"
