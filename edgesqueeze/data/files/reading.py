"""Reading many files, in worker processes where wanted, with results and order that do not depend on them."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from edgesqueeze.data.files.cache import ArrayCache, FileFacts, Manifest, Stamp, stamp_of
from edgesqueeze.data.files.decoding import Decoding, MaskDecoding, check_header, read_content
from edgesqueeze.errors import EdgeSqueezeError

_BATCH = 64
_WORTH_KEEPING = 1024
"""So many files are looked at before what was found is kept."""


@dataclass(frozen=True)
class Reading:
    """How files are read: by how many worker processes, 0 for none, and with which cache, if any."""

    workers: int = 0
    cache: Path | None = None


@dataclass(frozen=True)
class ImageFile:
    """An image file, and its name relative to the data's folder."""

    path: Path
    name: str


class DecodedFiles:
    """Arrays uint8 of files, by their places in a list; kept in the cache if there is one.

    Args:
        files: their paths.
        contents: the SHA-256 of each.
        decoding: what their bytes become.
        cache: a directory for decoded arrays, or None.
    """

    def __init__(
        self, files: Sequence[Path], contents: Sequence[str], decoding: Decoding, cache: Path | None
    ) -> None:
        self._files, self._contents, self._decoding = files, contents, decoding
        self._cache = None if cache is None else ArrayCache.below(cache, decoding)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, place: int) -> NDArray[np.uint8]:
        """One array.

        Raises:
            TaskError: the file cannot be read or decoded.
        """
        path, content = self._files[place], self._contents[place]
        known = None if self._cache is None else self._cache.load(content)
        if known is not None:
            return known
        array = self._decoding.decode(read_content(path), path)
        if self._cache is not None:
            self._cache.store(content, array)
        return array


@dataclass(frozen=True)
class Examined:
    """Files of one split, and what was found in each."""

    files: list[ImageFile]
    facts: list[FileFacts]

    def decoded(self, decoding: Decoding, cache: Path | None) -> DecodedFiles:
        """Their arrays."""
        contents = [facts.sha256 for facts in self.facts]
        return DecodedFiles([file.path for file in self.files], contents, decoding, cache)

    def lines(self, targets: Iterable[object]) -> Iterator[str]:
        """One line for each file, for a fingerprint: its name, its content and its target."""
        for file, facts, target in zip(self.files, self.facts, targets, strict=True):
            yield f"{file.name!r} {target} {facts.sha256}"


def examine_splits(
    train: list[ImageFile], test: list[ImageFile], folder: Path, decoding: Decoding, reading: Reading
) -> tuple[Examined, Examined]:
    """What :func:`examine` finds in the files of two splits."""
    facts = examine([file.path for file in (*train, *test)], folder, decoding, reading)
    return Examined(train, facts[: len(train)]), Examined(test, facts[len(train) :])


def examine(files: Sequence[Path], folder: Path, decoding: Decoding, reading: Reading) -> list[FileFacts]:
    """Check every file and find its content's hash, in one reading that also fills the cache if there is one.

    Without a cache, pictures have only their headers checked; masks are decoded, for their values' sake.
    With one, a file that the cache knows and that has not been touched since is not read at all.

    Raises:
        TaskError: a file cannot be read, is no image of 8 bits, or is a mask with values it may not have.
        OutputError: the cache cannot be written.
    """
    if reading.cache is None:
        task = _Examination(files, decoding, None)
        return [facts for _, facts in in_order(task, range(len(files)), _BATCH, reading.workers)]
    manifest = Manifest(reading.cache, folder, decoding)
    known = {path: facts for path in files if (facts := manifest.facts(path)) is not None}
    unknown = [path for path in files if path not in known]
    task = _Examination(unknown, decoding, ArrayCache.below(reading.cache, decoding))
    found = zip(unknown, in_order(task, range(len(unknown)), _BATCH, reading.workers), strict=True)
    while fresh := [(path, stamp, facts) for path, (stamp, facts) in islice(found, _WORTH_KEEPING)]:
        manifest.add(fresh)
        known |= {path: facts for path, _, facts in fresh}
    return [known[path] for path in files]


class _Examination:
    def __init__(self, files: Sequence[Path], decoding: Decoding, cache: ArrayCache | None) -> None:
        self._files, self._decoding, self._cache = files, decoding, cache

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, place: int) -> tuple[Stamp, FileFacts]:
        path = self._files[place]
        stamp, content = stamp_of(path) or (0, 0), read_content(path)
        width, height = check_header(content, path)
        facts = FileFacts(hashlib.sha256(content).hexdigest(), width, height)
        if self._cache is not None:
            if self._cache.load(facts.sha256) is None:
                self._cache.store(facts.sha256, self._decoding.decode(content, path))
        elif isinstance(self._decoding, MaskDecoding):
            self._decoding.decode(content, path)
        return stamp, facts


def in_order(items: Any, places: Sequence[int], batch_size: int, workers: int) -> Iterator[Any]:
    """The items at these places one after the other, fetched by workers a batch at a time.

    Raises:
        EdgeSqueezeError: what an item raised, as it was raised.
    """
    for batch in batches_in_order(items, places, batch_size, workers, list):
        yield from batch


def batches_in_order(
    items: Any, places: Sequence[int], batch_size: int, workers: int, collate: Callable[[list[Any]], Any]
) -> Iterator[Any]:
    """Batches of the items at these places, put together by ``collate`` in the workers.

    Raises:
        EdgeSqueezeError: what an item raised, as it was raised.
    """
    if len(places) == 0:
        return
    loader = DataLoader(
        _Caught(items),
        batch_size,
        sampler=places,
        num_workers=workers,
        collate_fn=_Collate(collate),
        # A loader without a generator of its own draws from the global random state.
        generator=torch.Generator().manual_seed(0),
    )
    for batch in loader:
        if isinstance(batch, EdgeSqueezeError):
            raise batch
        yield batch


class _Caught(Dataset[Any]):
    """Items, or the errors they raised: a loader would bury one from another process in its traceback."""

    def __init__(self, items: Any) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, place: int) -> Any:
        try:
            return self._items[place]
        except EdgeSqueezeError as error:
            return error


@dataclass(frozen=True)
class _Collate:
    collate: Callable[[list[Any]], Any]

    def __call__(self, items: list[Any]) -> Any:
        error = next((item for item in items if isinstance(item, EdgeSqueezeError)), None)
        return self.collate(items) if error is None else error
