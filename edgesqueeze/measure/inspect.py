"""What ``edgesqueeze inspect`` shows of a file: everything in it, byte by byte where the format is ours."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from edgesqueeze.errors import ExportError
from edgesqueeze.files import is_file
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.text.printable import printable


@dataclass(frozen=True)
class Inspection:
    """A title, tables to print, and the same as plain JSON values."""

    title: str
    tables: tuple[str, ...]
    data: dict[str, Any]

    def text(self) -> str:
        """For a terminal."""
        return "\n\n".join([self.title, *self.tables])

    def to_json(self) -> dict[str, Any]:
        """For a program."""
        return self.data


def inspect_file(path: Path) -> Inspection:
    """Look into a .sqz, .onnx, .tflite or .safetensors file.

    Raises:
        ExportError: there is no such file, or its kind is another one.
        CodecError: a .sqz file is damaged.
    """
    if not is_file(path):
        raise ExportError(f"{path}: there is no such file")
    file_format, suffix = FileFormat.known(path), path.suffix.lower()
    if file_format is FileFormat.SQZ:
        return _inspect_sqz(path)
    if file_format is not None:
        return _inspect_model(path)
    if suffix == ".safetensors":
        return _inspect_safetensors(path)
    kinds = ".sqz, .onnx, .tflite and .safetensors"
    raise ExportError(f"{path}: found a {suffix or 'nameless'} file; {kinds} are allowed")


def input_lines(path: Path) -> tuple[str, ...]:
    """What each input of a .sqz, .onnx or .tflite file expects, in one line; of .sqz its network's.

    Raises:
        ExportError: the file is not what its suffix says.
        CodecError: a .sqz file is damaged.
    """
    if FileFormat.known(path) is not FileFormat.SQZ:
        from edgesqueeze.formats.any_file import read_model_file

        return read_model_file(path).input_lines
    from edgesqueeze.formats.sqz.file import naming_file, read_sqz
    from edgesqueeze.formats.sqz.inputs import network_input_lines

    with naming_file(path):
        graph, _ = read_sqz(path.read_bytes())
    return network_input_lines(graph)


def _inspect_sqz(path: Path) -> Inspection:
    from edgesqueeze.coding.decoder.container import VERSION, file_version
    from edgesqueeze.formats.sqz.file import naming_file

    with naming_file(path):
        data = path.read_bytes()
        version = file_version(data)
    return _inspect_v2(path, data) if version == VERSION else _inspect_v1(path, data)


def _inspect_v2(path: Path, data: bytes) -> Inspection:
    from edgesqueeze.formats.sqz.describe import describe_v2
    from edgesqueeze.formats.sqz.file import naming_file

    with naming_file(path):
        found = describe_v2(data)
    blocks = [
        [b.tag, b.offset, b.num_bytes, "–" if b.crc32 is None else f"{b.crc32:08x}"] for b in found.blocks
    ]
    tensors = [
        [
            t.name,
            "×".join(map(str, t.shape)),
            t.offset,
            t.num_bytes,
            t.encoding,
            t.num_symbols,
            f"{100 * t.density:.1f} %",
            f"{t.bits_per_weight:.3f}",
            t.side_bytes,
            t.symbol_bytes,
            "–" if t.entropy_bits is None else f"{t.entropy_bits / 8:.0f}",
            "–" if t.over_bound is None else f"{100 * t.over_bound:+.1f} %",
        ]
        for t in found.tensors
    ]
    header = ["tensor", "shape", "offset", "bytes", "encoding", "values", "density", "bits/weight"]
    header += ["side bytes", "symbol bytes", "entropy bound", "distance"]
    int8 = "with" if found.has_int8 else "without"
    title = (
        f"{path}: .sqz version {found.version}, coder {found.coder}, {found.num_bytes:,} bytes, "
        f"{int8} an int8 form"
    )
    sections = [[s.name, s.num_bytes, s.packed_bytes] for s in found.sections]
    templates = [[t.name, t.num_bytes, t.filled_bytes, t.num_fills] for t in found.templates]
    total = sum(b.num_bytes for b in found.blocks)
    tables = (
        _table(["block", "offset", "bytes", "crc32"], [*blocks, ["total", "", total, ""]]),
        _table(["section of M", "bytes", "packed"], sections),
        _table(["template", "bytes", "of them weights", "places"], templates),
        _table(header, tensors),
        "values: distinct ones. The entropy bound in bytes is of order zero, for all values as symbols.",
        *_kept_in_float(found.float_layers),
        *found.input_lines,
    )
    return Inspection(title, tables, asdict(found))


def _inspect_v1(path: Path, data: bytes) -> Inspection:
    from edgesqueeze.formats.sqz.file import naming_file
    from edgesqueeze.formats.sqz.version1 import describe_v1

    with naming_file(path):
        found = describe_v1(data)
    blocks = [
        [b.tag, b.offset, b.num_bytes, "–" if b.crc32 is None else f"{b.crc32:08x}"] for b in found.blocks
    ]
    tensors = [
        [
            t.name,
            "×".join(map(str, t.shape)),
            t.offset,
            t.num_bytes,
            t.encoding,
            t.num_nonzero,
            f"{100 * t.density:.1f} %",
            "–" if t.codebook_size is None else t.codebook_size,
            "–" if t.index_bits is None else t.index_bits,
            f"{t.bits_per_weight:.3f}",
            t.huffman_bytes,
            f"{t.entropy_bits / 8:.0f}",
            t.codebook_bytes,
            t.value_bytes,
            t.header_bytes + t.table_bytes + t.chunk_bytes,
        ]
        for t in found.tensors
    ]
    total = sum(b.num_bytes for b in found.blocks)
    header = [
        "tensor",
        "shape",
        "offset",
        "bytes",
        "encoding",
        "non-zero",
        "density",
        "codebook",
        "r",
        "bits/weight",
        "Huffman",
        "entropy bound",
        "centroids",
        "raw values",
        "tables",
    ]
    int8 = "with" if found.has_int8 else "without"
    title = (
        f"{path}: .sqz version {found.version}, {found.num_bytes:,} bytes, {int8} the grids of an int8 form"
    )
    tables = (
        _table(["block", "offset", "bytes", "crc32"], [*blocks, ["total", "", total, ""]]),
        _table(header, tensors),
        "Columns from Huffman to tables are bytes; the entropy bound is of order zero, for the same symbols.",
        *_kept_in_float(found.float_layers),
    )
    return Inspection(title, tables, asdict(found))


def _kept_in_float(layers: Sequence[str]) -> list[str]:
    return [f"layers the int8 form keeps in float: {', '.join(layers)}"] if layers else []


def _inspect_model(path: Path) -> Inspection:
    from edgesqueeze.formats.any_file import read_model_file

    facts = read_model_file(path)
    macs = f"unknown MACs ({facts.macs_unknown})" if facts.macs is None else f"{facts.macs:,} MACs"
    title = (
        f"{path}: {facts.format}, {facts.precision}, {facts.num_bytes:,} bytes, {facts.params:,} parameters "
        f"({facts.nonzero_params:,} not zero), {macs}"
    )
    ends = [
        [kind, t.name, "×".join("?" if n is None else str(n) for n in t.shape), t.dtype]
        for kind, tensors in (("input", facts.inputs), ("output", facts.outputs))
        for t in tensors
    ]
    tables = (
        _table(["", "name", "shape", "type"], ends),
        _table(["operator", "count"], [list(item) for item in facts.operators.items()]),
        _table(["parameters stored as", "count"], [list(item) for item in facts.weight_dtypes.items()]),
        *([f"weights kept in float: {', '.join(facts.float_weights)}"] if facts.float_weights else []),
        *facts.input_lines,
    )
    return Inspection(title, tables, {**facts.to_json(), "input_lines": list(facts.input_lines)})


def _inspect_safetensors(path: Path) -> Inspection:
    import numpy as np
    from safetensors import SafetensorError, safe_open

    rows = []
    try:
        with safe_open(str(path), framework="np") as file:
            for name in file.keys():  # noqa: SIM118 (not a mapping)
                values = np.asarray(_stored(path, file, name))
                shape = "×".join(map(str, values.shape))
                nonzero = int(np.count_nonzero(values))
                rows.append([name, shape, str(values.dtype), values.size, values.nbytes, nonzero])
    except (SafetensorError, OSError) as error:
        raise ExportError(f"{path} is not a readable safetensors file: {error}") from error
    num_bytes = path.stat().st_size
    payload = sum(int(row[4]) for row in rows)
    title = f"{path}: safetensors, {num_bytes:,} bytes, of which {num_bytes - payload:,} are its header"
    header = ["tensor", "shape", "type", "values", "bytes", "non-zero"]
    data = {"num_bytes": num_bytes, "tensors": [dict(zip(header, row, strict=True)) for row in rows]}
    return Inspection(title, (_table(header, rows),), data)


def _stored(path: Path, file: Any, name: str) -> Any:
    try:
        return file.get_tensor(name)
    except (TypeError, AttributeError) as error:  # how safetensors says that numpy has no such type
        kind = file.get_slice(name).get_dtype()
        raise ExportError(f"{path} holds {name!r} as {kind}, a type that cannot be shown") from error


def _cell(cell: object) -> object:
    return f"{cell:,}" if isinstance(cell, int) else printable(cell) if isinstance(cell, str) else cell


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    shown = [[_cell(cell) for cell in row] for row in rows]
    left = {
        "tensor",
        "section of M",
        "template",
        "shape",
        "encoding",
        "block",
        "crc32",
        "name",
        "type",
        "operator",
        "",
    }
    align = ["left" if name in left else "right" for name in header]
    return tabulate(shown, headers=header, colalign=align, disable_numparse=True)
