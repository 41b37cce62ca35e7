"""Where the bytes of a run's files go: read from each file, and summing to its size."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError, safe_open

from edgesqueeze.coding.decoder.container import VERSION, file_version
from edgesqueeze.errors import ExportError
from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.formats.sqz.describe import SqzDescription, describe_v2
from edgesqueeze.formats.sqz.file import naming_file

Kind = Literal["float", "small", "codebook", "bias", "int8_form", "structure", "whole"]
KINDS: Mapping[Kind, str] = {
    "float": "parameters as floats",
    "small": "weights as integers, indices or coded symbols",
    "codebook": "codebooks",
    "bias": "biases",
    "int8_form": "what the int8 form needs beside the floats",
    "structure": "structure, names, templates, headers",
    "whole": "not taken apart",
}
"""What a part of a file is, in the order in which parts are drawn."""
_STORED: Mapping[str, tuple[Kind, float]] = {
    "float64": ("float", 8),
    "float32": ("float", 4),
    "float16": ("float", 2),
    "bfloat16": ("float", 2),
    "int64": ("bias", 8),
    "int32": ("bias", 4),
    "int8": ("small", 1),
    "uint8": ("small", 1),
    "int4": ("small", 0.5),
    "uint4": ("small", 0.5),
}
"""How a type of parameters is counted, and its bytes."""


@dataclass(frozen=True)
class FileParts:
    """A file's bytes by what they are; they sum to ``num_bytes``. ``path`` is relative to the run."""

    path: str
    num_bytes: int
    parts: dict[Kind, int]


def parts_of(path: Path, relative: str, described: SqzDescription | None) -> FileParts:
    """Take a .sqz, .onnx, .tflite or .safetensors file apart.

    A .sqz file of version 1, and one with parameters of a type that is not known here, is one part.

    Args:
        path: the file.
        relative: the same, relative to the run.
        described: of a .sqz file, by :func:`sqz_description`.

    Raises:
        ExportError: the file is not what its suffix says.
    """
    num_bytes = path.stat().st_size
    file_format = FileFormat.known(path)
    if file_format is FileFormat.SQZ:
        found = {} if described is None else _of_sqz(described)
    elif file_format is not None:
        found = _of_model(path)
    else:
        found = _of_checkpoint(path)
    rest = num_bytes - sum(found.values())
    if not found or rest < 0:
        return FileParts(relative, num_bytes, {"whole": num_bytes})
    found["structure"] = found.get("structure", 0) + rest
    return FileParts(relative, num_bytes, {kind: found[kind] for kind in KINDS if found.get(kind)})


def sqz_description(path: Path) -> SqzDescription | None:
    """Where the bytes of a .sqz file go; None for one of version 1, and for a file of another format.

    Raises:
        CodecError: the file is damaged.
    """
    if FileFormat.known(path) is not FileFormat.SQZ:
        return None
    with naming_file(path):
        data = path.read_bytes()
        return describe_v2(data) if file_version(data) == VERSION else None


def _of_sqz(described: SqzDescription) -> dict[Kind, int]:
    parts: dict[Kind, int] = {}
    for tensor in described.tensors:
        ending = tensor.name.rpartition(".")[2]
        if ending == "weight":
            parts["small"] = parts.get("small", 0) + tensor.symbol_bytes
            parts["codebook"] = parts.get("codebook", 0) + tensor.num_bytes - tensor.symbol_bytes
        else:
            kind: Kind = "bias" if ending == "bias" else "int8_form"
            parts[kind] = parts.get(kind, 0) + tensor.num_bytes
    return parts


def _of_model(path: Path) -> dict[Kind, int]:
    parts: dict[Kind, int] = {}
    for dtype, count in read_model_file(path).weight_dtypes.items():
        if dtype not in _STORED:
            return {}
        kind, size = _STORED[dtype]
        parts[kind] = parts.get(kind, 0) + int(count * size)
    return parts


def _of_checkpoint(path: Path) -> dict[Kind, int]:
    parts: dict[Kind, int] = {}
    try:
        with safe_open(str(path), framework="np") as file:
            for name in file.keys():  # noqa: SIM118 (not a mapping)
                tensor = file.get_tensor(name)
                kind: Kind = "float" if tensor.ndim > 1 else "bias"
                parts[kind] = parts.get(kind, 0) + tensor.nbytes
    except (SafetensorError, OSError) as error:
        raise ExportError(f"{path} is not a readable safetensors file: {error}") from error
    return parts
