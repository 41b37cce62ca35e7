"""Where each file of a run goes, how it is written whole or not at all, and who may write."""

import io
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from filelock import FileLock, Timeout

from edgesqueeze.errors import OutputError
from edgesqueeze.files import make_directory, write_atomically
from edgesqueeze.measure.checks.image_answers import ImageAnswers, draws_from
from edgesqueeze.numerics.bootstrap import RESAMPLES, SEED
from edgesqueeze.printable import printable_lines
from edgesqueeze.run.recipe import Recipe, parse_recipe
from edgesqueeze.run.report import Report
from edgesqueeze.settings import read_yaml
from edgesqueeze.task.metrics import Measure

if TYPE_CHECKING:
    from edgesqueeze.run.train_report import TrainReport

LOGGER = logging.getLogger("edgesqueeze")
_PART = "part_"


@dataclass(frozen=True)
class StageFolder:
    """The folder of one stage. It counts as finished once ``row.json``, written last, is there."""

    path: Path

    @property
    def model(self) -> Path:
        """The state after the stage."""
        return self.path / "model.safetensors"

    @property
    def history(self) -> Path:
        """The epochs of the stage, if it has trained."""
        return self.path / "history.json"

    @property
    def training(self) -> Path:
        """Where a training goes on if it is killed; gone once the stage has finished."""
        return self.path / "training.pt"

    def row(self) -> dict[str, Any] | None:
        """What was measured, or None while the stage is not finished."""
        path = self.path / "row.json"
        return json.loads(path.read_bytes()) if path.is_file() else None

    def finish(self, row: dict[str, Any]) -> None:
        """Mark the stage as finished."""
        write_atomically(self.path / "row.json", _json(row))

    def save_answers(self, answers: ImageAnswers) -> None:
        """Keep what is known of the state's answers image by image: a file is compared with it so.

        ``right.npy``, bool [N], says of which test images the metric is 1; ``draws.npz`` has the metric of
        resampled images, and the arrays that it is computed from.
        """
        data = io.BytesIO()
        if answers.counted is not None:
            np.save(data, answers.counted)
            write_atomically(self.path / "right.npy", data.getvalue())
        elif answers.draws is not None:
            parts = {f"{_PART}{name}": part for name, part in (answers.parts or {}).items()}
            # savez's own arguments have names too, but none begins so
            np.savez_compressed(data, draws=answers.draws, seed=np.array(SEED), **parts)  # type: ignore[arg-type]
            write_atomically(self.path / "draws.npz", data.getvalue())

    def answers(self, measure: Measure, total: int) -> ImageAnswers:
        """What :meth:`save_answers` kept, empty if nothing.

        Args:
            measure: the primary metric; of parts that were drawn otherwise it makes the draws anew.
            total: the number of test images.
        """
        if (self.path / "right.npy").is_file():
            return ImageAnswers(np.load(self.path / "right.npy", allow_pickle=False))
        if not (self.path / "draws.npz").is_file():
            return ImageAnswers()
        with np.load(self.path / "draws.npz", allow_pickle=False) as found:
            kept = {name: found[name] for name in found.files}
        parts = {name.removeprefix(_PART): part for name, part in kept.items() if name.startswith(_PART)}
        if (len(kept["draws"]), int(kept["seed"])) == (RESAMPLES, SEED):
            return ImageAnswers(draws=kept["draws"], parts=parts or None)
        return ImageAnswers(draws=draws_from(measure, parts, total) if parts else None, parts=parts or None)

    def save(self, state: bytes) -> None:
        """Write the state after the stage."""
        make_directory(self.path)
        write_atomically(self.model, state)


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
        write_atomically(self.path / name, _json(data))

    def environment(self) -> dict[str, Any] | None:
        """What environment.json holds, or None before the run has started."""
        path = self.path / "environment.json"
        return json.loads(path.read_bytes()) if path.is_file() else None

    def drop_training_report(self) -> None:
        """Remove the report of a training that is now gone on from: it says that the run is complete."""
        path = self.path / "report.json"
        if path.is_file() and "training" in json.loads(path.read_bytes()):
            path.unlink()

    def write_report(self, report: "Report | TrainReport") -> None:
        """Write report.md, then report.json, whose presence means that the run is complete."""
        write_atomically(self.path / "report.md", (printable_lines(report.table("github")) + "\n").encode())
        self.write_json("report.json", report.to_json())

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
    try:
        return Report.from_json(json.loads(file.read_bytes()))
    except ValueError as error:
        raise OutputError(f"{file} is not valid JSON: {error}") from error


def _json(data: object) -> bytes:
    """JSON to read and to compare line by line; a list of numbers (a row of a matrix) stands on one line."""
    text = json.dumps(data, indent=1)
    # Line breaks within brackets are never part of a text: JSON writes those as two characters.
    return (re.sub(r"\[\n[^\[\]{}\"]+\]", lambda found: _on_one_line(found.group()), text) + "\n").encode()


def _on_one_line(numbers: str) -> str:
    return "[" + " ".join(numbers[1:-1].split()) + "]"


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
