"""How each ONNX operator is computed by torch: one function per operator, or per family of them."""

from edgesqueeze.importing.onnx.operations.layers import LAYERS
from edgesqueeze.importing.onnx.operations.maps import MAPS
from edgesqueeze.importing.onnx.operations.shapes import SHAPES
from edgesqueeze.importing.onnx.operations.translation import Translation
from edgesqueeze.importing.onnx.operations.values import VALUES

TRANSLATIONS: dict[str, Translation] = {**LAYERS, **MAPS, **SHAPES, **VALUES}
