"""Which of a file's weights are taken: under which key, and without which names."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeGuard

from torch import Tensor

from edgesqueeze.errors import TaskError

PLAIN_KEYS = ("state_dict", "model", "model_state_dict")
AVERAGE_KEYS = ("ema", "state_dict_ema", "model_ema")
"""Exponential moving averages of weights (EMA), which training scripts keep beside the weights themselves."""
_Entries = Mapping[object, object]


@dataclass(frozen=True)
class Choice:
    """What is asked of a checkpoint file.

    ``key`` names the weights that are wanted, with dots where one key lies under another; none: those of the
    file, or those under the one key of :data:`PLAIN_KEYS` that is there. ``ignore`` are globs over names in
    the file, with or without their prefix, that are left out.
    """

    key: str | None = None
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chosen:
    """The entries that were chosen, the key they lie under ('' for none), and other keys with weights."""

    key: str
    entries: _Entries
    others: tuple[str, ...] = ()


def chosen(content: object, key: str | None, path: Path) -> Chosen:
    """The weights in what a file holds.

    Raises:
        TaskError: there are none, more than one set of them, or none under the key.
    """
    if not isinstance(content, Mapping):
        raise TaskError(f"checkpoint {path} holds {a(type(content).__name__)}, not a state_dict")
    if key is None:
        return _picked(content, "", path)
    return _picked(_under(content, key, path), f"{key}.", path)


def a(noun: str) -> str:
    """The noun with its article."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def shortened(texts: Collection[str], most: int = 8) -> str:
    """The first of the texts in one line, and how many more there are."""
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return ", ".join(islice(texts, most)) + more


def _picked(content: _Entries, at: str, path: Path) -> Chosen:
    """The weights of a mapping: itself, or what one of its known keys has; plain ones before averages."""
    known = dict(_known(content, at))
    averages = {k for k in known if not set(k.removeprefix(at).split(".")).isdisjoint(AVERAGE_KEYS)}
    candidates = [k for k in known if k not in averages] or list(known)
    if len(candidates) > 1:
        raise TaskError(
            f"checkpoint {path} has weights under {' and '.join(map(repr, candidates))}; "
            "say which are meant with task.checkpoint_key"
        )
    if candidates:
        (taken,) = candidates
        return Chosen(taken, known[taken], tuple(k for k in known if k != taken))
    if not _has_weights(content):
        _refuse_other_keys(content, at, path)
    return Chosen(at.removesuffix("."), content)


def _known(content: _Entries, at: str, depth: int = 2) -> Iterator[tuple[str, _Entries]]:
    """Mappings that hold tensors under the known keys, or under these under these, by their dotted key."""
    for key in (*PLAIN_KEYS, *AVERAGE_KEYS):
        value = content.get(key)
        inner = (
            list(_known(value, f"{at}{key}.", depth - 1)) if isinstance(value, Mapping) and depth > 1 else []
        )
        yield from inner
        if not inner and _has_weights(value):
            yield f"{at}{key}", value


def _has_weights(value: object) -> TypeGuard[_Entries]:
    return isinstance(value, Mapping) and any(isinstance(entry, Tensor) for entry in value.values())


def _under(content: _Entries, key: str, path: Path) -> _Entries:
    found: object = content
    for part in (key,) if key in content else key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping):
        raise TaskError(
            f"checkpoint {path} has no weights under {key!r}; "
            f"its keys are {shortened([repr(k) for k in content]) or 'none'}"
        )
    return found


def _refuse_other_keys(content: _Entries, at: str, path: Path) -> None:
    """Weights under a key that is not known are not taken on a guess, but the key is said."""
    inner = {f"{at}{key}": value for key, value in content.items() if isinstance(value, Mapping)}
    deeper = {f"{key}.{k}": v for key, value in inner.items() for k, v in value.items()}
    others = [key for key, value in {**inner, **deeper}.items() if _has_weights(value)]
    if others:
        raise TaskError(
            f"checkpoint {path} has weights under {shortened([repr(k) for k in others])}; "
            f"ask for them with task.checkpoint_key: {others[0]!r}"
        )
