"""Where each file of a run goes, how it is written whole or not at all, and who may write."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from filelock import FileLock, Timeout

from edgesqueeze.errors import OutputError
from edgesqueeze.files import make_directory, remove, write_atomically
from edgesqueeze.run.folders.json_files import read_json, read_sealed, sealed, write_json
from edgesqueeze.run.folders.stage_folder import StageFolder
from edgesqueeze.run.recipe import Recipe, parse_recipe
from edgesqueeze.run.report import Report
from edgesqueeze.settings import read_yaml
from edgesqueeze.text.printable import printable_lines

if TYPE_CHECKING:
    from edgesqueeze.run.documents.train_report import TrainReport

LOGGER = logging.getLogger("edgesqueeze")
CHECKPOINT = "model.safetensors"
"""What ``edgesqueeze train`` trains, at the top of the run."""
_OF_TRAINING = (CHECKPOINT, "history.json", "history.csv", "history.png", "confusion.json", "confusion.png")
PAGE = "report.html"
"""The page of a finished run, where one was written: it is of the report that was there then."""
_OF_THE_END = ("report.json", "report.md", PAGE)
_NUMBER = re.compile(r"(\d+)-")
_MEASURE_AGAIN = "delete it, and --resume measures again and writes it anew"


@dataclass(frozen=True)
class RunDir:
    """A directory that holds one run."""

    path: Path

    @property
    def artifacts(self) -> Path:
        """Where the files to deploy go."""
        return self.path / "artifacts"

    def stage(self, index: int, name: str) -> StageFolder:
        """The folder of a stage; 0 is the model before the first stage."""
        return StageFolder(self.path / "stages" / f"{index:02d}-{name}")

    def relative(self, path: Path) -> str:
        """A path as the report names it."""
        return path.relative_to(self.path).as_posix()

    def write_json(self, name: str, data: object) -> None:
        """Write a JSON file at the top of the run."""
        write_json(self.path / name, data)

    @property
    def environment(self) -> Path:
        """Where the run happens."""
        return self.path / "environment.json"

    @property
    def _report(self) -> Path:
        return self.path / "report.json"

    def is_compressed(self) -> bool:
        """Whether a run of ``compress`` has been finished here.

        Raises:
            OutputError: there is a report that cannot be read.
        """
        return self._report.is_file() and "training" not in read_json(self._report, _MEASURE_AGAIN)

    def drop_outdated_report(self, complete: bool) -> None:
        """Remove a report that says of a run that goes on that it is complete.

        Args:
            complete: whether all stages have finished; then only the report of a training goes, or one
                that cannot be read.
        """
        try:
            keep = complete and self.is_compressed()
        except OutputError:
            keep = False
        if not keep:
            remove(self._report)

    def forget(self, first: int, trained: bool) -> None:
        """Remove what the stages from ``first`` on have left, and what was made of it.

        The report goes first, and the last stage before those in front of it: what a kill leaves is a run
        to go on with.

        Args:
            first: the number of a stage.
            trained: whether one of these stages trains the checkpoint of ``edgesqueeze train``.
        """
        for name in (*_OF_THE_END, *(_OF_TRAINING if trained else ())):
            remove(self.path / name)
        remove(self.artifacts)
        folders = {path: _NUMBER.match(path.name) for path in (self.path / "stages").glob("*")}
        for path in sorted(folders, reverse=True):
            number = folders[path]
            if number is not None and int(number[1]) >= first:
                remove(path)

    def write_report(self, report: "Report | TrainReport") -> None:
        """Write report.md, then report.json, whose presence means that the run is complete.

        A page of an earlier report goes.
        """
        remove(self.path / PAGE)
        write_atomically(self.path / "report.md", (printable_lines(report.table("github")) + "\n").encode())
        self.write_json("report.json", sealed(report.to_json()))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other run out while this one is alive; the lock dies with the process."""
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise OutputError(
                f"another run is writing to {self.path}; wait for it or choose another --output"
            ) from error
        except OSError as error:
            raise OutputError(f"cannot write to {self.path}: {error.strerror or error}") from error
        try:
            with _logging_to(self.path / "log.txt"):
                yield
        finally:
            lock.release()


def default_place(recipe: Recipe) -> Path:
    """Where a run goes that is given no directory: ``runs/<recipe>-<UTC time>``."""
    return Path("runs") / f"{recipe.name}-{datetime.now(UTC).strftime('%Y%m%dT%H%M%SZ')}"


def check_place(path: Path) -> None:
    """Refuse a directory in which no run can begin.

    Raises:
        OutputError: it is a file, or holds something already.
    """
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path} is a file; --output takes a directory")
    if (path / "recipe.yaml").exists():
        raise OutputError(
            f"{path} holds a run already; continue it with --resume {path}, or choose another --output"
        )
    if path.is_dir() and any(item.name != ".lock" for item in path.iterdir()):
        raise OutputError(f"{path} is not empty and holds no run; choose a new or empty directory")


def new_run(recipe: Recipe, output: Path | None) -> RunDir:
    """A fresh directory for a run, with the validated recipe in it.

    Raises:
        OutputError: the directory holds something already, or cannot be made.
    """
    path = output or default_place(recipe)
    check_place(path)
    make_directory(path)
    text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_atomically(path / "recipe.yaml", text.encode())
    return RunDir(path)


def open_run(path: Path) -> tuple[RunDir, Recipe]:
    """An earlier run and its recipe, to be continued.

    Raises:
        OutputError: there is no run in the directory.
    """
    file = path / "recipe.yaml"
    if not file.is_file():
        raise OutputError(f"{path} holds no run to resume (there is no recipe.yaml in it)")
    return RunDir(path), parse_recipe(read_yaml(file), str(file))


def read_report(path: Path) -> Report:
    """The report of a finished run.

    Raises:
        OutputError: there is none, or it is not readable.
    """
    file = path / "report.json"
    if not file.is_file():
        unfinished = (path / "recipe.yaml").is_file()
        hint = f"; the run is not finished, continue it with --resume {path}" if unfinished else ""
        raise OutputError(f"{path} holds no report.json{hint}")
    return Report.from_json(read_sealed(file, f"write it again with --resume {path}"))


class _LogFile(logging.FileHandler):
    """A log that cannot be written, on a full disk say, must not hide the error that matters."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Drop the record."""


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    try:
        handler = _LogFile(path, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    level = LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(level)
        handler.close()
