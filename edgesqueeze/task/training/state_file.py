"""A training's state on disk: written whole, after every epoch at least, read back to go on."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgesqueeze.errors import OutputError
from edgesqueeze.files import make_directory, write_atomically


@dataclass(frozen=True)
class TrainingStateFile:
    """The :class:`~edgesqueeze.task.training.session.Keeper` that a run has."""

    path: Path

    def load(self) -> dict[str, Any] | None:
        """The state in the file, None if there is none. No code in the file can run.

        Raises:
            OutputError: the file is damaged.
        """
        if not self.path.is_file():
            return None
        try:
            return dict(torch.load(self.path, map_location="cpu", weights_only=True))
        except Exception as error:  # damaged files make torch.load raise many unrelated types
            raise OutputError(
                f"the training state {self.path} is damaged; delete it to train the stage from its start"
            ) from error

    def save(self, state: dict[str, Any]) -> None:
        """Write the state in place of the one before.

        Raises:
            OutputError: it cannot be written; the one before is still there.
        """
        data = io.BytesIO()
        torch.save(state, data)
        make_directory(self.path.parent)
        write_atomically(self.path, data.getvalue())

    def remove(self) -> None:
        """Take the file away, once what it was for is on disk."""
        self.path.unlink(missing_ok=True)
