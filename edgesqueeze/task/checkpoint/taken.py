"""What was taken of a checkpoint, for the report."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgesqueeze.task.checkpoint.choice import shortened


@dataclass(frozen=True)
class Taken:
    """What :func:`~edgesqueeze.task.checkpoint.load_checkpoint` took.

    ``key`` is the one that the weights lay under, '' for none; ``others`` are keys with weights that were not
    taken. ``prefix`` was taken off every name, ``ignored`` are the file's names that were left out on
    request. ``casts`` counts tensors by the type they had and the type they were cast to. ``uncounted`` is
    how many batch norms have no counter of batches in the file.
    """

    path: Path
    tensors: int
    key: str = ""
    others: tuple[str, ...] = ()
    prefix: str = ""
    ignored: tuple[str, ...] = ()
    casts: Mapping[tuple[str, str], int] | None = None
    uncounted: int = 0

    def sentences(self) -> tuple[str, ...]:
        """One for everything that was more than reading a plain file, without full stops."""
        where = f" under {self.key!r}" if self.key else ""
        found = [f"{self.tensors:,} tensors{where} of {self.path}"]
        found += [
            f"weights under {other!r} were not taken; task.checkpoint_key: {other!r} takes them"
            for other in self.others
        ]
        if self.prefix:
            found.append(f"the prefix {self.prefix!r} was taken off all names")
        if self.ignored:
            found.append(f"ignored as asked: {shortened([repr(name) for name in self.ignored])}")
        casts = self.casts or {}
        found += [f"tensors cast from {old} to {new}: {count:,}" for (old, new), count in casts.items()]
        if self.uncounted:
            found.append(f"num_batches_tracked that the file lacks, left as in the model: {self.uncounted:,}")
        return tuple(found)
