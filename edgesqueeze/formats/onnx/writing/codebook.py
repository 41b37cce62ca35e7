"""A graph as an ONNX file of float32 arithmetic whose weights are indices into tables.

A Gather takes every weight from its layer's table. ONNX Runtime carries it out once, when it loads the file;
from then on the network is the float32 one.
"""

from dataclasses import dataclass

from onnx import TensorProto, helper

from edgesqueeze.formats.limits import check_size
from edgesqueeze.formats.names import Batch
from edgesqueeze.formats.onnx.writing.emit import OPSET, OPSET_OF_INT4, Emitter
from edgesqueeze.formats.onnx.writing.weights import FloatStore, LayerWriter, arranged
from edgesqueeze.network.graph.nodes import Graph, WeightedNode, bias_name, weight_name
from edgesqueeze.network.integers.codebook import Codebook, codebooks

_UINT4 = helper.tensor_dtype_to_np_dtype(TensorProto.UINT4)


def emit_onnx_codebook(graph: Graph, batch: Batch = 1) -> bytes:
    """The bytes of an ONNX model like the float32 one, with weights as indices into tables.

    Raises:
        ExportError: a layer has more than 256 distinct weights, or the weights exceed 2 GB.
    """
    check_size(graph, None)
    books = codebooks(graph)
    opset = OPSET_OF_INT4 if any(book.num_bits == 4 for book in books.values()) else OPSET
    return Emitter(graph, None, CodebookStore(graph, books), opset=opset, batch=batch).run()


@dataclass(frozen=True)
class CodebookStore:
    """Indices of 4 or 8 bits and a float32 table; layers without a codebook in float32."""

    graph: Graph
    books: dict[str, Codebook]

    def store(self, writer: LayerWriter, node: WeightedNode) -> list[str]:
        """The values that the indices pick, and the bias."""
        book = self.books.get(node.name)
        if book is None:
            return FloatStore(self.graph).store(writer, node)
        name = weight_name(node)
        indices = arranged(node, book.indices)
        stored = writer.constant(name, indices.astype(_UINT4) if book.num_bits == 4 else indices)
        # Gather reads no smaller integers than these.
        wide = writer.op("Cast", [stored], f"{name}/indices", {"to": TensorProto.INT32})
        table = writer.constant(f"{name}_table", book.table)
        weight = writer.op("Gather", [table, wide], f"{name}/out", {"axis": 0})
        return [weight, writer.constant(bias_name(node), self.graph.bias(node))]
