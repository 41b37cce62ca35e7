"""Names in a checkpoint and names in a model: prefixes that wrappers put before them, and names left out."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from torch import Tensor

from edgesqueeze.errors import TaskError
from edgesqueeze.task.checkpoint.choice import a, shortened

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "backbone.")
"""What DataParallel, torch.compile and the usual training scripts put before every name."""
COUNTER = "num_batches_tracked"
"""Only a batch norm without a momentum computes with it, so files of other tools leave it out."""
_STACKED = 5


@dataclass(frozen=True)
class Fit:
    """The names of a checkpoint as those of a model.

    ``names`` has the file's name of every name without the prefix, but of those in ``ignored``, which are
    the file's own. ``missing`` are names of the model, ``unknown`` names of the file; counters of batches
    are never missing.
    """

    prefix: str
    names: Mapping[str, str]
    ignored: tuple[str, ...]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether every name fits."""
        return not (self.missing or self.unknown)


def fitted(found: Collection[str], own: Collection[str], ignore: tuple[str, ...]) -> Fit:
    """The names without the prefix that makes them fit; without the one that comes closest if none does.

    A name without the prefix that the others have is unknown, unless it is ignored.

    Args:
        found: names in the file.
        own: names in the model.
        ignore: globs over names in the file, with or without their prefix.
    """
    fits = [_fit(found, own, ignore, prefix) for prefix in _prefixes(found, ignore)]
    return min(fits, key=lambda fit: len(fit.missing) + len(fit.unknown))


def named_tensors(entries: Mapping[object, object], ignore: tuple[str, ...], path: Path) -> dict[str, Tensor]:
    """The entries of a state_dict; one that is no tensor must be ignored.

    Raises:
        TaskError: there are none, or one is something else.
    """
    tensors: dict[str, Tensor] = {}
    for name, value in entries.items():
        if isinstance(name, str) and isinstance(value, Tensor):
            tensors[name] = value
        elif not (isinstance(name, str) and _matches(name, "", ignore)):
            raise TaskError(
                f"checkpoint {path} is not a state_dict of names and tensors: entry {name!r} is "
                f"{a(type(value).__name__)}; save model.state_dict(), alone or under the key 'state_dict'"
            )
    if not tensors:
        raise TaskError(f"checkpoint {path} holds no weights; save model.state_dict()")
    return tensors


def check_globs(names: Collection[str], ignore: tuple[str, ...], prefix: str, path: Path) -> None:
    """Refuse a glob that leaves nothing out.

    Raises:
        TaskError: the glob, and the names that there are.
    """
    for glob in ignore:
        if not any(_matches(name, prefix, (glob,)) for name in names):
            raise TaskError(
                f"task.ignore: {glob!r} matches no name in {path}, "
                f"which has {shortened([repr(name) for name in names], 4)}"
            )


def _prefixes(found: Collection[str], ignore: tuple[str, ...]) -> Iterator[str]:
    """No prefix, the one that most names have, that with another behind it, and so on."""
    prefix = ""
    for _ in range(_STACKED):
        yield prefix
        kept = [name for name in found if not _matches(name, prefix, ignore)]
        longer = {prefix + part: sum(name.startswith(prefix + part) for name in kept) for part in PREFIXES}
        prefix = max(longer, key=lambda p: longer[p])
        if not longer[prefix]:
            return


def _fit(found: Collection[str], own: Collection[str], ignore: tuple[str, ...], prefix: str) -> Fit:
    kept = [name for name in found if not _matches(name, prefix, ignore)]
    names = {name.removeprefix(prefix): name for name in kept if name.startswith(prefix)}
    return Fit(
        prefix,
        names,
        ignored=tuple(name for name in found if _matches(name, prefix, ignore)),
        missing=tuple(name for name in own if name not in names and not _counts(name)),
        unknown=tuple(n for n in kept if not (n.startswith(prefix) and n.removeprefix(prefix) in own)),
    )


def _counts(name: str) -> bool:
    return name.rpartition(".")[2] == COUNTER


def _matches(name: str, prefix: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatchcase(text, glob) for glob in globs for text in {name, name.removeprefix(prefix)})
