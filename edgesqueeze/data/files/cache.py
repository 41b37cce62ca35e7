"""Decoded images kept on disk, and what is known of their files, so that neither is found out twice.

``DIR/arrays-<settings>/<ab>/<content>`` holds one decoded array, named by the SHA-256 of the file it came
from, and ``DIR/files-<folder and settings>.jsonl`` one line a file: size and time of change, by which a file
that has not been touched is known again, and what was found in it. Whoever is killed while writing leaves no
array under its final name, and half a line at most, which is passed over. A wrong checksum counts as no
array.
"""

import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.data.files.decoding import Decoding
from edgesqueeze.errors import OutputError
from edgesqueeze.files import make_directory

_CHECKSUM_BYTES = 4


@dataclass(frozen=True)
class FileFacts:
    """What is found when a file is read for the first time: its content's SHA-256, its size in pixels."""

    sha256: str
    width: int
    height: int


@dataclass(frozen=True)
class ArrayCache:
    """Decoded arrays by the content they were decoded from; ``directory`` is for one way of decoding."""

    directory: Path
    shape: tuple[int, ...]

    @classmethod
    def below(cls, cache: Path, decoding: Decoding) -> "ArrayCache":
        """The arrays that a way of decoding keeps in a cache's directory."""
        settings = hashlib.sha256(repr(decoding).encode()).hexdigest()[:16]
        return cls(cache / f"arrays-{settings}", decoding.shape)

    def load(self, content: str) -> NDArray[np.uint8] | None:
        """The array of a file by its content's SHA-256; None if it is absent or damaged."""
        try:
            data = self._path(content).read_bytes()
        except OSError:
            return None
        pixels, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
        if len(pixels) != int(np.prod(self.shape)) or _checksum(pixels) != checksum:
            return None
        return np.frombuffer(pixels, np.uint8).reshape(self.shape)

    def store(self, content: str, array: NDArray[np.uint8]) -> None:
        """Keep an array.

        Raises:
            OutputError: the directory cannot be written.
        """
        pixels = np.ascontiguousarray(array).tobytes()
        _write(self._path(content), pixels + _checksum(pixels))

    def _path(self, content: str) -> Path:
        return self.directory / content[:2] / content


Stamp = tuple[int, int]
"""Size in bytes and time of change in nanoseconds, by which an untouched file is known again."""


def stamp_of(path: Path) -> Stamp | None:
    """A file's stamp; None if there is no such file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


class Manifest:
    """What is known of the files below a folder, by their paths, sizes and times of change.

    It is kept for one way of decoding: a mask that was read with other classes has been checked for those.
    """

    def __init__(self, cache: Path, folder: Path, decoding: Decoding) -> None:
        settings = repr(decoding).encode()
        name = hashlib.sha256(os.fsencode(folder.absolute()) + b"\0" + settings).hexdigest()[:16]
        self._path = cache / f"files-{name}.jsonl"
        self._known = _read_lines(self._path)

    def facts(self, path: Path) -> FileFacts | None:
        """What was found in a file, if it has not been touched since."""
        known = self._known.get(os.fspath(path.absolute()))
        return known[1] if known is not None and known[0] == stamp_of(path) else None

    def add(self, found: Iterable[tuple[Path, Stamp, FileFacts]]) -> None:
        """Keep what was found in files that had these stamps before they were read.

        Raises:
            OutputError: the directory cannot be written.
        """
        lines = [
            json.dumps([os.fspath(path.absolute()), stamp, asdict(facts)]) for path, stamp, facts in found
        ]
        make_directory(self._path.parent)
        try:
            with self._path.open("a", encoding="utf-8") as file:
                # The first break ends a line at which an earlier run was killed.
                file.write("\n" + "\n".join(lines) + "\n")
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror or error}") from error


def _read_lines(path: Path) -> dict[str, tuple[Stamp, FileFacts]]:
    """What whole lines say; of a file that stands in several the last one counts."""
    known: dict[str, tuple[Stamp, FileFacts]] = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return known
    for line in lines:
        # A line that was cut off is no JSON; its file is read once more.
        with suppress(ValueError, TypeError):
            name, (size, time), facts = json.loads(line)
            known[name] = (size, time), FileFacts(**facts)
    return known


def _checksum(pixels: bytes) -> bytes:
    return zlib.crc32(pixels).to_bytes(_CHECKSUM_BYTES, "little")


def _write(path: Path, data: bytes) -> None:
    """Rename a finished neighbour of its own name: several workers, and several runs, may write one cache."""
    make_directory(path.parent)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as file:
            temporary = Path(file.name)
            file.write(data)
        temporary.replace(path)
    except BaseException as error:  # a signal too must leave nothing behind
        if temporary is not None:
            with suppress(OSError):  # the first error is the one to report
                temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
        raise
