"""The folder of one stage: its state, what it answered image by image, its epochs, and its row."""

import io
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from edgesqueeze.errors import OutputError
from edgesqueeze.files import make_directory, write_atomically
from edgesqueeze.measure.checks.image_answers import ImageAnswers, draws_from
from edgesqueeze.numerics.bootstrap import RESAMPLES, SEED
from edgesqueeze.run.folders.json_files import read_json, write_json
from edgesqueeze.run.history import History
from edgesqueeze.run.row import Row, row_from_json
from edgesqueeze.task.metrics import Measure

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
    def training(self) -> Path:
        """Where a training goes on if it is killed; gone once the stage has finished."""
        return self.path / "training.pt"

    @property
    def finished(self) -> bool:
        """Whether the stage has been run to its end."""
        return self._row.is_file()

    @property
    def _row(self) -> Path:
        return self.path / "row.json"

    @property
    def _history(self) -> Path:
        return self.path / "history.json"

    @property
    def _right(self) -> Path:
        return self.path / "right.npy"

    @property
    def _draws(self) -> Path:
        return self.path / "draws.npz"

    def save(self, state: bytes) -> None:
        """Write the state after the stage."""
        make_directory(self.path)
        write_atomically(self.model, state)

    def finish(self, row: Row) -> None:
        """Write what was measured, which marks the stage as finished."""
        write_json(self._row, asdict(row))

    def row(self) -> Row:
        """What was measured.

        Raises:
            OutputError: the stage is not finished, or its row cannot be read.
        """
        if not self.finished:
            raise OutputError(f"{self.path} has no row.json although its stage has run")
        return row_from_json(read_json(self._row, "redo the stage"))

    def save_history(self, history: History) -> None:
        """Write the epochs of the stage."""
        write_json(self._history, history.to_json())

    def history(self) -> History | None:
        """The epochs of the stage, None if it has not trained.

        Raises:
            OutputError: they cannot be read.
        """
        if not self._history.is_file():
            return None
        return History.from_json(read_json(self._history, "redo the stage"))

    def save_answers(self, answers: ImageAnswers) -> None:
        """Keep what is known of the state's answers image by image: a file is compared with it so.

        ``right.npy``, bool [N], says of which test images the metric is 1; ``draws.npz`` has the metric of
        resampled images, and the arrays that it is computed from.
        """
        data = io.BytesIO()
        if answers.counted is not None:
            np.save(data, answers.counted)
            write_atomically(self._right, data.getvalue())
        elif answers.draws is not None:
            parts = {f"{_PART}{name}": part for name, part in (answers.parts or {}).items()}
            # savez's own arguments have names too, but none begins so
            np.savez_compressed(data, draws=answers.draws, seed=np.array(SEED), **parts)  # type: ignore[arg-type]
            write_atomically(self._draws, data.getvalue())

    def answers(self, measure: Measure, total: int) -> ImageAnswers:
        """What :meth:`save_answers` kept, empty if nothing.

        Args:
            measure: the primary metric; of parts that were drawn otherwise it makes the draws anew.
            total: the number of test images.
        """
        if self._right.is_file():
            return ImageAnswers(np.load(self._right, allow_pickle=False))
        if not self._draws.is_file():
            return ImageAnswers()
        with np.load(self._draws, allow_pickle=False) as found:
            kept = {name: found[name] for name in found.files}
        parts = {name.removeprefix(_PART): part for name, part in kept.items() if name.startswith(_PART)}
        if (len(kept["draws"]), int(kept["seed"])) == (RESAMPLES, SEED):
            return ImageAnswers(draws=kept["draws"], parts=parts or None)
        return ImageAnswers(draws=draws_from(measure, parts, total) if parts else None, parts=parts or None)
