"""The one place that chooses by format what reads a file.

Each reader brings a library of its own, imported when it is needed; neither is needed for the other's files.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import ExportError
from edgesqueeze.files import is_file
from edgesqueeze.formats.cuttable import CuttableFile
from edgesqueeze.formats.facts import FileFacts
from edgesqueeze.formats.names import Batch, FileFormat
from edgesqueeze.formats.stored_values import Layers
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.integers.spec import QuantSpec

_FOREIGN = (KeyError, IndexError, ValueError, TypeError, AttributeError, StopIteration)
"""What a reader of ours meets in a file that another program wrote, or that is damaged."""


def read_model_file(path: Path, sizes: Sequence[int] | None = None) -> FileFacts:
    """Read the facts of a ``.onnx`` or ``.tflite`` file.

    Args:
        path: the file.
        sizes: of an input without the batch, for an ONNX file that leaves some of them open; what a TFLite
            file leaves open depends on what LiteRT makes of it.

    Raises:
        ExportError: there is no such file, its suffix is another one, or its bytes are not what the suffix
            says.
    """
    file_format = FileFormat.of_model(path)
    if not is_file(path):
        raise ExportError(f"{path}: there is no such file")
    if file_format is FileFormat.ONNX:
        from edgesqueeze.formats.onnx.read_facts import read_onnx_file

        return read_onnx_file(path, sizes)
    from edgesqueeze.formats.tflite.read_facts import read_tflite_file

    return read_tflite_file(path)


def open_cuttable(path: Path) -> CuttableFile:
    """Parse an ONNX or TFLite file of ours.

    Raises:
        ExportError: there is no such file, or its bytes are not what its suffix says.
    """
    read_model_file(path)  # refuses what is damaged, in one sentence
    if FileFormat.of_model(path) is FileFormat.ONNX:
        from edgesqueeze.formats.onnx.cut import OnnxFile

        return OnnxFile(path)
    from edgesqueeze.formats.tflite.cut import TfliteFile

    return TfliteFile(path)


@contextmanager
def reading_ours(path: Path) -> Iterator[None]:
    """Say so where a file has not the tensors and operators that files of ours have.

    Raises:
        ExportError: what is looked for is not there, or is something else.
    """
    try:
        yield
    except _FOREIGN as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ExportError(f"{path} is not built as files of edgesqueeze are: {reason}") from error


def read_int8_weights(path: Path) -> dict[str, NDArray[np.int8]]:
    """Layer to int8 weight in PyTorch's layout, [out, in / groups, ...], of a file of ours.

    Args:
        path: an ``.onnx`` or ``.tflite`` file.
    """
    if FileFormat.of_model(path) is FileFormat.ONNX:
        from edgesqueeze.formats.onnx.cut import OnnxFile
        from edgesqueeze.formats.onnx.stored_weights import onnx_int8_weights

        return onnx_int8_weights(OnnxFile(path))
    from edgesqueeze.formats.tflite.cut import TfliteFile
    from edgesqueeze.formats.tflite.stored_weights import tflite_int8_weights

    return tflite_int8_weights(TfliteFile(path))


def stored_integers(path: Path) -> Layers:
    """Every grid and parameter that an int8 file of ours stores.

    Raises:
        ExportError: the file is none of ours.
    """
    with reading_ours(path):
        return _stored_integers(path)


def stored_weights(path: Path) -> Layers:
    """Every int8 weight, its scale and the float bias of a dynamic or weight-only file of ours.

    Raises:
        ExportError: the file is none of ours.
    """
    with reading_ours(path):
        return _stored_weights(path)


def _stored_integers(path: Path) -> Layers:
    if FileFormat.of_model(path) is FileFormat.ONNX:
        from edgesqueeze.formats.onnx.cut import OnnxFile
        from edgesqueeze.formats.onnx.stored_integers import onnx_layers

        return onnx_layers(OnnxFile(path))
    from edgesqueeze.formats.tflite.cut import TfliteFile
    from edgesqueeze.formats.tflite.stored_integers import tflite_layers

    return tflite_layers(TfliteFile(path))


def _stored_weights(path: Path) -> Layers:
    if FileFormat.of_model(path) is FileFormat.ONNX:
        from edgesqueeze.formats.onnx.cut import OnnxFile
        from edgesqueeze.formats.onnx.stored_integers import onnx_weights

        return onnx_weights(OnnxFile(path))
    from edgesqueeze.formats.tflite.cut import TfliteFile
    from edgesqueeze.formats.tflite.stored_integers import tflite_weights

    return tflite_weights(TfliteFile(path))


def model_file(graph: Graph, spec: QuantSpec | None, file_format: FileFormat, batch: Batch = 1) -> bytes:
    """A network as a file that a runtime runs, for so many inputs at once.

    Args:
        graph: the network.
        spec: the integers of an int8 file; None for float32.
        file_format: ONNX or TFLite.
        batch: how many inputs the file takes at once.

    Raises:
        ExportError: the format cannot hold it.
    """
    if file_format is FileFormat.ONNX:
        from edgesqueeze.formats.onnx.writing.emit import emit_onnx

        return emit_onnx(graph, spec, batch)
    from edgesqueeze.formats.tflite.writing.emit import emit_tflite

    return emit_tflite(graph, spec, batch=batch)
