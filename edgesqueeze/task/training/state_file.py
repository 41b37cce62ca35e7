"""A training's state on disk: written whole, after every epoch at least, read back to go on."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgesqueeze.errors import OutputError
from edgesqueeze.files import make_directory, write_atomically

_DIGEST_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True)
class TrainingStateFile:
    """The :class:`~edgesqueeze.task.training.session.Keeper` that a run has.

    The file is what ``torch.save`` writes, and its SHA-256 behind it: ``torch.load`` takes numbers that have
    changed for the ones that were saved.
    """

    path: Path

    def load(self) -> dict[str, Any] | None:
        """The state in the file, None if there is none. No code in the file can run.

        Raises:
            OutputError: the file is damaged.
        """
        if not self.path.is_file():
            return None
        content = self.path.read_bytes()
        data, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        if hashlib.sha256(data).digest() != digest:
            raise OutputError(
                f"the training state {self.path} is damaged; delete it to train the stage from its start"
            )
        return dict(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True))

    def save(self, state: dict[str, Any]) -> None:
        """Write the state in place of the one before.

        Raises:
            OutputError: it cannot be written; the one before is still there.
        """
        data = io.BytesIO()
        torch.save(state, data)
        make_directory(self.path.parent)
        content = data.getvalue()
        write_atomically(self.path, content + hashlib.sha256(content).digest())

    def remove(self) -> None:
        """Take the file away, once what it was for is on disk."""
        self.path.unlink(missing_ok=True)
