"""The file formats and precisions there are, as values: nothing else looks at a suffix."""

from enum import StrEnum
from pathlib import Path
from typing import Literal

from edgesqueeze.errors import ExportError


class FileFormat(StrEnum):
    """What a model file is written in; the value is its suffix without the dot."""

    ONNX = "onnx"
    TFLITE = "tflite"
    SQZ = "sqz"

    @property
    def suffix(self) -> str:
        """With the dot."""
        return f".{self}"

    @classmethod
    def known(cls, path: Path) -> "FileFormat | None":
        """The format that a file's suffix stands for; None for any other suffix."""
        suffix = path.suffix.lower()
        return next((one for one in cls if one.suffix == suffix), None)

    @classmethod
    def of_model(cls, path: Path) -> "FileFormat":
        """The format of a file that a runtime runs.

        Raises:
            ExportError: its suffix stands for none.
        """
        found = cls.known(path)
        if found in RUNNABLE:
            return found
        hint = "; run `edgesqueeze decode` on it first" if found is cls.SQZ else ""
        suffix = path.suffix.lower() or "nameless"
        allowed = " and ".join(one.suffix for one in RUNNABLE)
        raise ExportError(f"{path}: found a {suffix} file, {allowed} are allowed{hint}")


RUNNABLE = (FileFormat.ONNX, FileFormat.TFLITE)
"""What a runtime loads as it is."""


Precision = Literal["fp32", "fp16", "int8", "dynamic", "int8_weights", "int4", "codebook"]
"""``int8`` is full integer and needs a ``ptq`` or ``qat`` stage. The others keep float32 activations and need
none: fp16, int8_weights, int4 and codebook make weights smaller, dynamic quantizes each layer's input at run
time. ``codebook`` needs a ``share`` or ``squeeze`` stage."""

Batch = int | Literal["open"]
"""How many inputs a model file takes at once: a number, or any number."""
