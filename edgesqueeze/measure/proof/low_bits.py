"""What ``int4`` and ``codebook`` files store, compared number by number with their network.

As in :mod:`edgesqueeze.measure.proof.equal_integers`, the reader shares no code with the emitters.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import numpy_helper

from edgesqueeze.formats.any_file import read_model_file, reading_ours
from edgesqueeze.formats.onnx.cut import OnnxFile
from edgesqueeze.formats.stored_values import Array, Layers
from edgesqueeze.measure.proof.equal_integers import IntegersProof, StoredIntegers, compare_integers
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.integers.int4 import int4_weights
from edgesqueeze.network.integers.spec import QuantSpec


def prove_low_bits(files: Sequence[Path], graph: Graph, spec: QuantSpec | None) -> list[IntegersProof]:
    """Compare the weights of files with those of their network: 4-bit integers and scales, or float values.

    Raises:
        ExportError: a file cannot be read.
    """
    proofs = []
    for path in files:
        layers: Layers = {n.name: {"weight": graph.weight(n), "bias": graph.bias(n)} for n in graph.weighted}
        source = "float weights"
        if read_model_file(path).precision == "int4":
            source = "int4 weights"
            for name, layer in int4_weights(graph, spec).items():
                layers[name] |= {"weight": layer.weight, "weight scale": layer.scale.reshape(-1)}
        proofs.append(compare_integers(StoredIntegers(source, layers), read_low_bits(path)))
    return proofs


def read_low_bits(path: Path) -> StoredIntegers:
    """What an ``int4`` or ``codebook`` file of ours stores, in PyTorch's layout.

    Raises:
        ExportError: the file is none of ours.
    """
    with reading_ours(path):
        return _read_low_bits(path)


def _read_low_bits(path: Path) -> StoredIntegers:
    reader = _Reader(OnnxFile(path))
    layers: Layers = {}
    for node in reader.file.model.graph.node:
        if node.op_type not in ("Conv", "ConvTranspose", "Gemm"):
            continue
        found = reader.weight(node.input[1])
        if node.op_type == "ConvTranspose":  # [in, out, height, width]
            found["weight"] = found["weight"].swapaxes(0, 1)
        layers[node.name.removesuffix("/raw")] = found | {"bias": reader.constants[node.input[2]]}
    return StoredIntegers(path.name, layers)


class _Reader:
    """Follows a weight back to the constants that it is made of."""

    def __init__(self, file: OnnxFile) -> None:
        self.file = file
        self.constants: dict[str, Array] = {
            t.name: numpy_helper.to_array(t) for t in file.model.graph.initializer
        }

    def weight(self, name: str) -> dict[str, Array]:
        if name in self.constants:  # kept in float
            return {"weight": self.constants[name]}
        maker = self.file.makers[name]
        if maker.op_type == "Gather":
            indices = self._source(maker.input[1]).astype(np.intp)
            return {"weight": self.constants[maker.input[0]][indices]}
        if maker.op_type == "DequantizeLinear":  # [in, out]
            integers, scale = (self._source(name).T for name in maker.input)
            return {"weight": integers.astype(np.int8), "weight scale": scale.reshape(-1)}
        if maker.op_type == "Transpose":
            found = self.weight(maker.input[0])
            return found | {"weight": found["weight"].swapaxes(0, 1)}
        product, shape = self.file.makers[maker.input[0]], self.constants[maker.input[1]]
        integers, scale = (self._source(name) for name in product.input)
        return {"weight": integers.astype(np.int8).reshape(shape), "weight scale": scale.reshape(-1)}

    def _source(self, name: str) -> Array:
        """The constant that a value is another form of."""
        while name not in self.constants:
            name = str(self.file.makers[name].input[0])
        return self.constants[name]
