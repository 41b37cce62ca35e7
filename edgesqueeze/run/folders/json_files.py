"""The JSON files of a run: laid out to be read and compared, refused in one sentence if they are damaged."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from edgesqueeze.errors import OutputError
from edgesqueeze.files import write_atomically

_SEAL = "sha256"


def json_bytes(data: object) -> bytes:
    """JSON to read and to compare line by line; a list of numbers (a row of a matrix) stands on one line."""
    text = json.dumps(data, indent=1)
    # Line breaks within brackets are never part of a text: JSON writes those as two characters.
    return (re.sub(r"\[\n[^\[\]{}\"]+\]", lambda found: _on_one_line(found.group()), text) + "\n").encode()


def write_json(path: Path, data: object) -> None:
    """Write a JSON file whole or not at all."""
    write_atomically(path, json_bytes(data))


def read_json(path: Path, way_out: str) -> dict[str, Any]:
    """A JSON file that holds an object.

    Args:
        path: the file.
        way_out: what to do about a file that is damaged, the end of the sentence.

    Raises:
        OutputError: it cannot be read, is cut short, or holds something else.
    """
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise OutputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise OutputError(f"{path} is damaged: it is not valid JSON ({error}); {way_out}") from error
    if not isinstance(data, dict):
        raise OutputError(
            f"{path} is damaged: it holds {type(data).__name__}, not an object of keys and values; {way_out}"
        )
    return data


def sealed(data: dict[str, Any]) -> dict[str, Any]:
    """An object with the SHA-256 of all else that is in it, under ``sha256``."""
    return {**data, _SEAL: _digest(data)}


def read_sealed(path: Path, way_out: str) -> dict[str, Any]:
    """A JSON file that :func:`sealed` data were written to; files of earlier versions have no hash.

    Raises:
        OutputError: see :func:`read_json`; or the data are not as they were written.
    """
    data = read_json(path, way_out)
    if _SEAL in data and data[_SEAL] != _digest({key: data[key] for key in data if key != _SEAL}):
        raise OutputError(f"{path} is not as it was written; {way_out}")
    return data


def _digest(data: dict[str, Any]) -> str:
    """Of the values, however they are laid out: a program may have indented the file otherwise."""
    as_read = json.loads(json.dumps(data))
    return hashlib.sha256(json.dumps(as_read, sort_keys=True).encode()).hexdigest()


def _on_one_line(numbers: str) -> str:
    return "[" + " ".join(numbers[1:-1].split()) + "]"
