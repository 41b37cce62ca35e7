"""The folder of one stage: its state, what it answered image by image, its epochs, and its row."""

import hashlib
import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgesqueeze.errors import ResumeError
from edgesqueeze.files import make_directory, remove, sha256_of, write_atomically
from edgesqueeze.measure.checks.image_answers import ImageAnswers, draws_from
from edgesqueeze.numerics.bootstrap import RESAMPLES, SEED
from edgesqueeze.run.documents.history import History
from edgesqueeze.run.folders.fingerprint import Fingerprint
from edgesqueeze.run.folders.json_files import json_bytes, read_json, write_json
from edgesqueeze.run.row import Row, row_from_json
from edgesqueeze.task.metrics import Measure

_PART = "part_"


@dataclass(frozen=True)
class StageFolder:
    """The folder of one stage. It counts as finished once ``row.json``, written last, is there.

    ``fingerprint.json`` has what the stage is made from, written as it begins, and the SHA-256 of every file
    that it has left, written as it ends.
    """

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
    def tries(self) -> Path:
        """What a search for a setting has tried."""
        return self.path / "tries.json"

    @property
    def best(self) -> Path:
        """The state of the best try so far; gone once the stage has finished."""
        return self.path / "best.safetensors"

    @property
    def begun(self) -> bool:
        """Whether there is something to go on from."""
        return self.training.is_file() or self.tries.is_file()

    @property
    def finished(self) -> bool:
        """Whether the stage has been run to its end."""
        return self._row.is_file()

    @property
    def state_hash(self) -> str:
        """SHA-256 of the state after a stage that has finished."""
        return str(self._sealed()["files"][self.model.name])

    @property
    def way_out(self) -> str:
        """What to do about a stage that cannot be used again, the end of a sentence."""
        return (
            f"redo it and what is behind it with --resume {self.path.parent.parent} --from {self.path.name}"
        )

    @property
    def _row(self) -> Path:
        return self.path / "row.json"

    @property
    def _fingerprint(self) -> Path:
        return self.path / "fingerprint.json"

    @property
    def _history(self) -> Path:
        return self.path / "history.json"

    @property
    def _right(self) -> Path:
        return self.path / "right.npy"

    @property
    def _draws(self) -> Path:
        return self.path / "draws.npz"

    @property
    def _kept(self) -> tuple[Path, ...]:
        """The files that a stage may leave, but for row.json."""
        return self.model, self._right, self._draws, self._history, self.tries

    def begin(self, made_from: Fingerprint) -> None:
        """Write what the stage is made from, and clear away what an earlier beginning has left behind it."""
        make_directory(self.path)
        for path in self._kept:
            remove(path)
        write_json(self._fingerprint, {"made_from": made_from.to_json()})

    def save(self, state: bytes) -> None:
        """Write the state after the stage."""
        write_atomically(self.model, state)

    def finish(self, row: Row, made_from: Fingerprint) -> None:
        """Write what was measured, which marks the stage as finished, after the hash of every file."""
        data = json_bytes(asdict(row))
        files = {**self._hashes(), self._row.name: hashlib.sha256(data).hexdigest()}
        write_json(self._fingerprint, {"made_from": made_from.to_json(), "files": files})
        write_atomically(self._row, data)

    def tidy(self) -> None:
        """Remove what only a stage under way needs."""
        for path in (self.training, self.best):
            path.unlink(missing_ok=True)

    def check(self, now: Fingerprint) -> tuple[str, ...]:
        """Refuse a stage, begun or finished, that would be made from something else now, or is damaged.

        Returns:
            What has changed without being a reason to refuse it, one sentence each.

        Raises:
            ResumeError: which stage, what has changed, and how to redo it.
        """
        if not self._fingerprint.is_file():
            raise self._refusal(
                "has no fingerprint.json, so nothing is known of what it was made from; "
                "it is of an earlier version of edgesqueeze, or the file was deleted"
            )
        then = self._sealed()["made_from"]
        changed = now.change_since(then)
        if changed is not None:
            raise self._refusal(changed)
        self.check_files()
        return now.remarks_since(then)

    def check_files(self) -> None:
        """Refuse a finished stage with a file that is not as it was written.

        Of a stage that earlier versions have finished nothing is known, so nothing is refused.

        Raises:
            ResumeError: which file, and how to redo the stage.
        """
        if not (self.finished and self._fingerprint.is_file()):
            return
        written = self._sealed()["files"]
        found = {**self._hashes(), self._row.name: sha256_of(self._row)}
        for name in sorted({*written, *found}):
            if name not in found:
                raise self._refusal(f"has lost its {name}")
            if written.get(name) != found[name]:
                raise self._refusal(f"has a {name} that is not as it was written")

    def row(self) -> Row:
        """What was measured.

        Raises:
            OutputError: the stage is not finished, or its row cannot be read.
        """
        return row_from_json(read_json(self._row, self.way_out))

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
        return History.from_json(read_json(self._history, self.way_out))

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

    def _sealed(self) -> dict[str, Any]:
        """What fingerprint.json holds."""
        data = read_json(self._fingerprint, self.way_out)
        wanted = ("made_from", "files") if self.finished else ("made_from",)
        if not all(isinstance(data.get(key), dict) for key in wanted):
            raise self._refusal("has a fingerprint.json that holds something else than a fingerprint")
        return data

    def _refusal(self, reason: str) -> ResumeError:
        return ResumeError(f"stage {self.path.name} in {self.path.parent.parent} {reason}; {self.way_out}")

    def _hashes(self) -> dict[str, str]:
        return {path.name: sha256_of(path) for path in self._kept if path.is_file()}
