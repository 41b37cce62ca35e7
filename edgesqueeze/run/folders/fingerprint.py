"""What decides what a stage computes: two equal fingerprints, and its result may be used again."""

import functools
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgesqueeze.bundled import ROOT
from edgesqueeze.compression.stages import AnyStage
from edgesqueeze.files import sha256_of
from edgesqueeze.run.recipe import Recipe
from edgesqueeze.task.task import Task
from edgesqueeze.task.task_config import is_reference

_NO_INFLUENCE: dict[str, Any] = {
    **dict.fromkeys(
        (
            "version",
            "name",
            "exports",
            "references",
            "unsupported",
            "threads",
            "max_drop",
            "device",
            "save_minutes",
        ),
        True,
    ),
    "stages": True,  # those up to the stage take their place
    "task": {"data": {"workers"}},
}
"""Settings that decide nothing of what a stage computes; they may change while a run is stopped."""


@dataclass(frozen=True)
class Fingerprint:
    """What a stage is made from.

    ``recipe`` has the settings that have influence, with the ``stages`` up to and including this one. Paths
    are left out: files may move, and what is in them is in ``data``, the task's own fingerprint, and in
    ``before``, the SHA-256 of the state that the stage begins from. For the model before the first stage that
    is what :func:`start_hash` gives. ``version`` and ``source`` (SHA-256) are edgesqueeze's;
    ``own_code`` has the SHA-256 of the file behind every reference to the user's code.
    """

    recipe: dict[str, Any]
    data: str
    before: str | None
    version: str
    source: str
    own_code: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def change_since(self, then: dict[str, Any]) -> str | None:
        """Why a stage must be made again, as the end of "stage 02-prune ..."; None if it need not be.

        Args:
            then: what :meth:`to_json` gave when the stage was made.
        """
        if then.get("version") != self.version:
            return f"was made by edgesqueeze {then.get('version')}, and this is {self.version}"
        changed = _difference(then.get("recipe"), self.recipe)
        if changed is not None:
            where, before, now = changed
            own = f"stages[{len(self.recipe['stages']) - 1}]."
            setting = f"{where.removeprefix(own)} {_shown(before)}"
            return f"was made with {setting}, and the recipe now says {_shown(now)}"
        if then.get("data") != self.data:
            return "was made from other data: the data is not the data that the run was started with"
        if then.get("before") != self.before:
            return "was made from another state than the one that is before it now"
        return None

    def remarks_since(self, then: dict[str, Any]) -> tuple[str, ...]:
        """What has changed without being a reason to make the stage again, one sentence each."""
        found = []
        if then.get("source") != self.source:
            found.append(f"made by other source code of edgesqueeze {self.version}")
        files = then.get("own_code")
        known = files if isinstance(files, dict) else {}
        found += [
            f"made before the file behind {reference!r} was changed"
            for reference, digest in self.own_code.items()
            if known.get(reference) != digest
        ]
        return tuple(found)


def fingerprint_of(recipe: Recipe, task: Task, stages: Sequence[AnyStage], before: str | None) -> Fingerprint:
    """The fingerprint of the last of ``stages``; of the model before the first stage if there are none.

    Args:
        recipe: whose stages they are.
        task: made from it.
        stages: those that have run, and the one it is about.
        before: SHA-256 of the state that it begins from.
    """
    settings = recipe.model_dump(exclude=_NO_INFLUENCE)
    return Fingerprint(
        recipe=_plain({**settings, "stages": [stage.model_dump() for stage in stages]}),
        data=task.fingerprint,
        before=before,
        version=version("edgesqueeze"),
        source=_source_hash(),
        own_code=_own_code(recipe.task if isinstance(recipe.task, str) else recipe.task.model),
    )


def start_hash(task: Task) -> str | None:
    """SHA-256 of the files that the model before the first stage comes from; None if there are none.

    It is that of the checkpoint where there is no other file.
    """
    checkpoint = () if task.checkpoint is None else (task.checkpoint,)
    hashes = [sha256_of(path) for path in (*task.model_files, *checkpoint)]
    if len(hashes) < 2:
        return hashes[0] if hashes else None
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """As JSON gives it back, without paths and without what is not set."""
    if isinstance(value, dict):
        left_out = (Path, type(None))
        return {str(key): _plain(item) for key, item in value.items() if not isinstance(item, left_out)}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _difference(then: Any, now: Any, where: str = "") -> tuple[str, Any, Any] | None:
    """The first place where two plain values differ, and both values; None if they are equal."""
    if isinstance(then, dict) and isinstance(now, dict):
        if list(then) != list(now) and set(then) == set(now):  # of globs the first that matches wins
            return where, then, now
        pairs = [(key, then.get(key), now.get(key)) for key in {**then, **now}]
        found = (_difference(a, b, f"{where}.{key}" if where else str(key)) for key, a, b in pairs)
        return next((change for change in found if change is not None), None)
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        found = (
            _difference(a, b, f"{where}[{index}]") for index, (a, b) in enumerate(zip(then, now, strict=True))
        )
        return next((change for change in found if change is not None), None)
    return None if then == now and type(then) is type(now) else (where, then, now)


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)


@functools.cache
def _source_hash() -> str:
    """SHA-256 over the package's source files, names and contents."""
    folder, digest = ROOT / "edgesqueeze", hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder).as_posix()} {sha256_of(path)}\n".encode())
    return digest.hexdigest()


def _own_code(reference: str) -> dict[str, str]:
    """The file of a ``package.module:name``, which has been imported; nothing for a built-in network."""
    if not is_reference(reference):
        return {}
    file = getattr(sys.modules.get(reference.partition(":")[0]), "__file__", None)
    return {reference: sha256_of(Path(file))} if file and Path(file).is_file() else {}
