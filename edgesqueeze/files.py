"""Writing and removing so that nobody ever sees half of something under its final name."""

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path

from edgesqueeze.errors import OutputError


def write_atomically(path: Path, data: bytes) -> None:
    """Write to a temporary neighbour, flush it to disk, then rename.

    Raises:
        OutputError: the directory is missing, not writable, or full; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:  # a signal too must leave nothing behind
        with suppress(OSError):  # the first error is the one to report
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
        raise


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no file can have is that of none."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises for names that are too long


def make_directory(path: Path) -> None:
    """Create a directory and its parents.

    Raises:
        OutputError: it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create directory {path}: {error.strerror or error}") from error


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; of a link only the link. There need not be any.

    Raises:
        OutputError: it cannot be removed.
    """
    hidden = path.with_name(f".{path.name}.old")
    try:
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
        else:
            shutil.rmtree(hidden, ignore_errors=True)  # what a kill has left of an earlier removal
            path.replace(hidden)
        if hidden.is_dir():
            shutil.rmtree(hidden)
    except OSError as error:
        raise OutputError(f"cannot remove {path}: {error.strerror or error}") from error


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
