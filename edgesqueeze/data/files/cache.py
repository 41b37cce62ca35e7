"""Decoded images kept on disk, and what is known of their files, so that neither is found out twice.

``DIR/arrays-<settings>/<ab>/<content>`` holds one decoded array, named by the SHA-256 of the file it came
from, and ``DIR/files-<folder>.jsonl`` one line a file: size and time of change, by which a file that has not
been touched is known again, and what was found in it. Both are written under another name first: whoever
is killed while writing leaves nothing under the final one. An array whose checksum is wrong counts as absent.
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


class Manifest:
    """What is known of the files below a folder, by their paths, sizes and times of change."""

    def __init__(self, cache: Path, folder: Path) -> None:
        name = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:16]
        self._path = cache / f"files-{name}.jsonl"
        self._known = _read_lines(self._path)

    def facts(self, path: Path) -> FileFacts | None:
        """What was found in a file, if it has not been touched since."""
        known = self._known.get(os.fspath(path.absolute()))
        return known[1] if known is not None and known[0] == _stamp(path) else None

    def add(self, found: Iterable[tuple[Path, FileFacts]]) -> None:
        """Keep what was found in files.

        Raises:
            OutputError: the directory cannot be written.
        """
        self._known |= {os.fspath(path.absolute()): (_stamp(path), facts) for path, facts in found}
        lines = [json.dumps([path, stamp, asdict(facts)]) for path, (stamp, facts) in self._known.items()]
        _write(self._path, "".join(f"{line}\n" for line in lines).encode())


_Stamp = list[int]


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]


def _read_lines(path: Path) -> dict[str, tuple[_Stamp, FileFacts]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        records = [json.loads(line) for line in lines]
        return {name: (stamp, FileFacts(**facts)) for name, stamp, facts in records}
    except (OSError, ValueError, TypeError):
        return {}  # nothing known: every file is read once more, and the manifest is written anew


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
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):  # the first error is the one to report
                temporary.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
