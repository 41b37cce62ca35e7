"""tries.json: what a search for a price has tried, so that a run that was killed tries nothing twice."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgesqueeze.errors import OutputError
from edgesqueeze.run.folders.json_files import read_sealed, sealed, write_json
from edgesqueeze.task.training import Epoch


@dataclass(frozen=True)
class Try:
    """One price and the file that came of it.

    ``num_bytes`` is the file's size, ``metric`` the primary metric on the validation split, ``lost`` how much
    worse that is than the baseline's and ``most_lost`` what cannot be ruled out (one-sided, 5 %); None of a
    price that leaves a layer no weight. ``serves`` says whether it may be taken. ``state`` is the SHA-256 of
    the state after the stage, ``notes`` and ``epochs`` are what the stage told.
    """

    price: float
    serves: bool = False
    num_bytes: int | None = None
    metric: float | None = None
    lost: float | None = None
    most_lost: float | None = None
    state: str = ""
    notes: tuple[str, ...] = ()
    epochs: tuple[Epoch, ...] = ()


@dataclass(frozen=True)
class Tries:
    """All tries in their order; ``unmet`` says in a sentence that none of them serves, once all are done."""

    tried: tuple[Try, ...] = ()
    unmet: str = ""

    @property
    def best(self) -> Try | None:
        """The highest price that serves; if none does, the file that lost least. None while there is none."""
        if any(one.serves for one in self.tried):
            return max((one for one in self.tried if one.serves), key=lambda one: one.price)
        with_a_file = [one for one in self.tried if one.lost is not None]
        return min(with_a_file, key=lambda one: (one.lost or 0.0, -one.price), default=None)

    def at(self, price: float) -> Try | None:
        """The try of a price, if there was one."""
        return next((one for one in self.tried if one.price == price), None)


def write_tries(path: Path, tries: Tries) -> None:
    """Write all of them, whole or not at all."""
    write_json(path, sealed({"tries": [asdict(one) for one in tries.tried], "unmet": tries.unmet}))


def read_tries(path: Path, way_out: str) -> Tries:
    """The inverse of :func:`write_tries`; none where there is no such file.

    Args:
        path: tries.json.
        way_out: what to do about a file that is damaged, the end of the sentence.

    Raises:
        OutputError: it is damaged.
    """
    if not path.is_file():
        return Tries()
    data = read_sealed(path, way_out)
    try:
        return Tries(tuple(_try(one) for one in data["tries"]), data["unmet"])
    except (KeyError, TypeError) as error:
        raise OutputError(f"{path} holds no tries of this version ({error}); {way_out}") from error


def _try(data: dict[str, Any]) -> Try:
    epochs = tuple(Epoch(**epoch) for epoch in data["epochs"])
    return Try(**{**data, "notes": tuple(data["notes"]), "epochs": epochs})
