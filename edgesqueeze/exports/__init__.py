"""The exports, as a closed type. A new export is one file and one line here."""

from typing import Annotated

from pydantic import Field

from edgesqueeze.exports.base import Artifact, Export
from edgesqueeze.exports.onnx import OnnxExport
from edgesqueeze.exports.squeezed import SqueezedExport
from edgesqueeze.exports.tflite import TfliteExport

AnyExport = Annotated[OnnxExport | TfliteExport | SqueezedExport, Field(discriminator="export")]

__all__ = ["AnyExport", "Artifact", "Export", "OnnxExport", "SqueezedExport", "TfliteExport"]
