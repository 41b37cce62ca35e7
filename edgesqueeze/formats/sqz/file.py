"""The .sqz file: a graph, its weights coded without loss, its int8 form, and templates of model files.

Version 2 is written (:mod:`edgesqueeze.formats.sqz.version2`, docs/format.md); version 1 is read as well.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edgesqueeze.coding.container import VERSION as VERSION_1
from edgesqueeze.coding.decoder.container import VERSION, file_version
from edgesqueeze.coding.decoder.unsqueeze import SqueezedFile, is_missing, open_squeezed, written_beside
from edgesqueeze.errors import CodecError, OutputError, UnsupportedVersionError
from edgesqueeze.files import write_atomically
from edgesqueeze.formats.names import Batch
from edgesqueeze.formats.sqz.version1 import read_v1
from edgesqueeze.formats.sqz.version2 import Coding, emit_v2, read_v2
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.integers.spec import QuantSpec

__all__ = [
    "MODEL_FILES",
    "Coding",
    "decode_sqz",
    "emit_model_file",
    "emit_sqz",
    "naming_file",
    "read_sqz",
    "template_names",
]

FLOAT_FILES = ("model.onnx", "model.tflite")
INT8_FILES = ("model_int8.onnx", "model_int8.tflite")
MODEL_FILES = FLOAT_FILES + INT8_FILES
"""The files that every .sqz file can be decoded to: the last two if it has an int8 form."""


def emit_sqz(
    graph: Graph,
    spec: QuantSpec | None,
    files: Mapping[str, bytes] | None = None,
    coding: Coding | None = None,
) -> bytes:
    """A whole .sqz file.

    Args:
        graph: a graph with its float32 tensors; they come back bit for bit.
        spec: the int8 form to carry along, or None.
        files: model files by name, written from this graph and spec: the file carries templates of them, so
            that a decoder without ONNX and flatbuffers can give them back.
        coding: how tensors are coded; by default with the range coder.

    Raises:
        CodecError: tensors that do not fit the structure, a spec that does not fit the graph, or a graph
            too large for the format.
    """
    return emit_v2(graph, spec, files or {}, coding or Coding())


def read_sqz(data: bytes) -> tuple[Graph, QuantSpec | None]:
    """The graph and, if the file carries one, the QuantSpec.

    Raises:
        UnsupportedVersionError: a newer format.
        CorruptFileError: bytes that are no valid .sqz file, whatever the reason.
    """
    version = file_version(data)
    if version == VERSION_1:
        return read_v1(data)
    if version == VERSION:
        return read_v2(data)
    raise UnsupportedVersionError(
        f"the file has format version {version}; this decoder reads {VERSION_1} and {VERSION}"
    )


def template_names(data: bytes) -> list[str]:
    """The model files that a .sqz file gives back as they were, whoever decodes it.

    Raises:
        CorruptFileError: bytes that are no valid .sqz file.
    """
    if file_version(data) != VERSION:
        return []
    return [template.name for template in open_squeezed(data).meta.files]


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Put the file's name in front of what goes wrong while it is read and decoded."""
    try:
        yield
    except OSError as error:
        raise CodecError(f"cannot read {path}: {error.strerror}") from error
    except CodecError as error:
        raise type(error)(f"{path}: {error}") from error


def emit_model_file(name: str, graph: Graph, spec: QuantSpec | None, batch: Batch = 1) -> bytes:
    """One of the MODEL_FILES of a network; ``spec`` is for the int8 ones.

    Without a template a file is decoded to the form for a batch of 1, for ever.

    Raises:
        ExportError: TFLite cannot express the graph, or the file would be too large.
    """
    # Imported here because reading and describing a file need neither ONNX nor flatbuffers.
    from edgesqueeze.formats.onnx.writing.emit import emit_onnx
    from edgesqueeze.formats.tflite.writing.emit import emit_tflite

    used = spec if name in INT8_FILES else None
    if name.endswith(".onnx"):
        return emit_onnx(graph, used, batch)
    return emit_tflite(graph, used, batch=batch)


def decode_sqz(path: Path, directory: Path, *, everything: bool = True) -> list[Path]:
    """Write the runnable files of a .sqz file.

    These are model.onnx, model.tflite and, with an int8 form, model_int8.onnx and model_int8.tflite, and
    whatever other files it has templates of. What it has a template of needs no code that writes such files.
    Files that are there already with the same bytes are left alone.

    Args:
        path: the file.
        directory: where to write.
        everything: False for the files that it has templates of alone, if there are any: the decoders that
            devices carry give the same or refuse it as well, whatever is wrong with the graph.

    Returns:
        The paths of the files.

    Raises:
        CodecError: the .sqz file cannot be read or is not valid.
        OutputError: a file of that name with other bytes exists, or the directory cannot be written.
    """
    with naming_file(path):
        data = path.read_bytes()
        squeezed = open_squeezed(data) if file_version(data) == VERSION else None
        known = [] if squeezed is None else [template.name for template in squeezed.meta.files]
        emitted = _emit_others(data, squeezed, known) if everything or not known else {}
    with ExitStack() as stack:
        parts = {}
        if squeezed is not None:
            with naming_file(path):
                parts = stack.enter_context(written_beside(squeezed, directory))
        missing = _missing(directory, emitted, parts)
        for name in missing:
            if name in parts:
                parts[name].replace(directory / name)
            else:
                write_atomically(directory / name, emitted[name])
    names = [name for name in MODEL_FILES if name in emitted or name in parts]
    return [directory / name for name in (*names, *(name for name in parts if name not in names))]


def _emit_others(data: bytes, squeezed: SqueezedFile | None, known: list[str]) -> dict[str, bytes]:
    """The model files that the .sqz file has no template of."""
    if squeezed is not None:
        wanted = MODEL_FILES if squeezed.meta.grids else FLOAT_FILES
        if set(wanted) <= set(known):
            return {}
    graph, spec = read_sqz(data)
    wanted = FLOAT_FILES if spec is None else MODEL_FILES
    return {name: emit_model_file(name, graph, spec) for name in wanted if name not in known}


def _missing(directory: Path, emitted: Mapping[str, bytes], parts: Mapping[str, Path]) -> list[str]:
    """The files that must still be written.

    Raises:
        OutputError: a file of the same name has other bytes.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        missing = [name for name, part in parts.items() if is_missing(directory / name, part)]
        for name, content in emitted.items():
            path = directory / name
            if not path.exists():
                missing.append(name)
            elif path.read_bytes() != content:
                raise OutputError(f"{path} exists with other content; choose another directory or remove it")
    except OSError as error:
        raise OutputError(f"cannot write {error.filename or directory}: {error.strerror}") from error
    return missing
