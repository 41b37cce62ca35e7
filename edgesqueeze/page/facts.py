"""What a page shows of a run: its report, and what its files say when the page is written."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgesqueeze.files import is_file
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.page.examples import Example, examples_of
from edgesqueeze.page.file_parts import FileParts, parts_of, sqz_description
from edgesqueeze.page.layer_times import LayerTimes, layer_times_of
from edgesqueeze.page.network import NetworkFacts, network_facts
from edgesqueeze.run.documents.history import History
from edgesqueeze.run.folders.stage_folder import StageFolder
from edgesqueeze.run.report import Report, Row
from edgesqueeze.run.rundir import read_report

MOST_CLASSES = 50
"""Classes up to which a page has whole confusion matrices."""


@dataclass(frozen=True)
class RunFacts:
    """A finished run.

    ``name`` tells it from the other runs of a page. ``files`` maps the path of a row to where its bytes go;
    of the files in ``changed`` nothing is said of what is in them, since they are gone, or have another size
    than those that were measured.
    """

    name: str
    directory: str
    report: Report
    histories: tuple[History, ...]
    files: dict[str, FileParts]
    changed: tuple[str, ...]
    network: NetworkFacts | None
    examples: tuple[Example, ...] = ()
    layer_times: LayerTimes | None = None

    @property
    def smallest(self) -> Row | None:
        """The row of the smallest file to deploy."""
        rows = [row for row in self.report.rows if row.num_bytes is not None]
        return min(rows, key=lambda row: row.num_bytes or 0, default=None)

    @property
    def baseline(self) -> Row:
        """The row that others are compared with."""
        rows = self.report.rows
        return next((row for row in rows if row.label == self.report.baseline), rows[0])

    def to_json(self) -> dict[str, Any]:
        """Plain values: all that the page shows and more; of confusion matrices the cells with images."""
        report = self.report.to_json()
        return {
            "name": self.name,
            "directory": self.directory,
            "report": {**report, "details": [_sparse(details) for details in report["details"]]},
            "histories": [history.to_json() for history in self.histories],
            "files": [asdict(parts) for parts in self.files.values()],
            "changed_files": list(self.changed),
            "network": None if self.network is None else asdict(self.network),
            "layer_times": None if self.layer_times is None else asdict(self.layer_times),
        }


def read_runs(paths: list[Path], images: int = 0, *, layer_times: bool = False) -> tuple[RunFacts, ...]:
    """The runs in some directories, in their order; of one name they are told apart by their directories.

    Args:
        paths: the directories.
        images: of how many test images each page has the files' answers.
        layer_times: whether the layers of their ONNX files are timed now.

    Raises:
        OutputError: a run is not finished, its report cannot be read, or it has no layers that can be timed.
        CodecError: a .sqz file is damaged.
        ExportError: another file of a run is.
    """
    reports = [read_report(path) for path in paths]
    names = [str(report.recipe.get("name", path.name)) for report, path in zip(reports, paths, strict=True)]
    if len(set(names)) < len(names):
        names = [f"{name} ({path})" for name, path in zip(names, paths, strict=True)]
    found = [_read_run(path, report, name) for path, report, name in zip(paths, reports, names, strict=True)]
    if images:
        found = [
            replace(run, examples=examples_of(path, images)) for run, path in zip(found, paths, strict=True)
        ]
    if layer_times:
        found = [
            replace(run, layer_times=layer_times_of(path, run.report, list(run.files)))
            for run, path in zip(found, paths, strict=True)
        ]
    return tuple(found)


def _read_run(path: Path, report: Report, name: str) -> RunFacts:
    folders = [StageFolder(folder) for folder in sorted((path / "stages").glob("*")) if folder.is_dir()]
    measured = {row.path: row.num_bytes for row in report.rows if row.path is not None}
    there = [
        name
        for name, num_bytes in measured.items()
        if is_file(path / name) and (path / name).stat().st_size == num_bytes
    ]
    described = {name: sqz_description(path / name) for name in there}
    sqz = next((name for name in there if FileFormat.known(Path(name)) is FileFormat.SQZ), None)
    trained = next(
        (row.path for row in report.rows if row.label == report.baseline and row.path in there), None
    )
    states = [f.model.relative_to(path).as_posix() for f in folders if f.model.is_file()]
    histories = [folder.history() for folder in folders]
    return RunFacts(
        name=name,
        directory=str(path),
        report=report,
        histories=tuple(history for history in histories if history is not None and history.epochs),
        files={name: parts_of(path / name, name, described[name]) for name in there},
        changed=tuple(name for name in measured if name not in there),
        network=network_facts(path, sqz, described.get(sqz or ""), (states, trained)),
    )


def _sparse(details: dict[str, Any]) -> dict[str, Any]:
    """Details with ``[true class, answer, images]`` for every cell of the confusion matrix with images."""
    if "confusion" not in details:
        return details
    cells = [
        [target, answer, count]
        for target, row in enumerate(details["confusion"])
        for answer, count in enumerate(row)
        if count
    ]
    return {**details, "confusion": cells}
