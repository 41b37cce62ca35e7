"""Where the bytes of a TFLite file go; the categories sum to the file's size.

A FlatBuffer is tables that point at vectors, strings and other tables. This walks them by the schema's field
numbers and writes down the owner of every byte; what nobody owns is alignment.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

_WEIGHTED = {
    schema.BuiltinOperator.CONV_2D,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D,
    schema.BuiltinOperator.FULLY_CONNECTED,
    schema.BuiltinOperator.TRANSPOSE_CONV,
}
_CATEGORIES = (
    "alignment",
    "weights",
    "biases",
    "other constants",
    "weight and bias scales",
    "activation scales",
    "zero points",
    "names",
    "tensor records",
    "operators and graph",
)


def tflite_bytes(data: bytes) -> Counter[str]:
    """Category to bytes. Vectors that several tensors share are counted once, for the first."""
    walk = _Walk(data)
    walk.model()
    counts = np.bincount(walk.owners, minlength=len(_CATEGORIES))
    return Counter({name: int(n) for name, n in zip(_CATEGORIES, counts, strict=True)})


@dataclass
class _Table:
    """A table at a position; ``fields`` holds the offset of each field from it, 0 for absent ones."""

    position: int
    fields: NDArray[np.uint16]


@dataclass
class _Walk:
    data: bytes
    owners: NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        self.owners = np.zeros(len(self.data), np.uint8)

    def model(self) -> None:
        """The whole file: header, operator codes, subgraphs, buffers, signatures, metadata."""
        self._own(0, 8, "operators and graph")  # root offset and file identifier
        model = schema.Model.GetRootAs(self.data, 0)
        root = self._table(int.from_bytes(self.data[:4], "little"), "operators and graph")
        for position in self._tables(root, 1, "operators and graph"):
            self._table(position, "operators and graph")
        roles = _roles(model)
        for graph in self._tables(root, 2, "operators and graph"):
            self._subgraph(self._table(graph, "operators and graph"), roles)
        self._vector(root, 3, 1, "names")
        for index, position in enumerate(self._tables(root, 4, "tensor records")):
            buffer = self._table(position, "tensor records")
            self._vector(buffer, 0, 1, roles.get(index, "other constants"))
        for position in self._tables(root, 6, "operators and graph"):
            entry = self._table(position, "operators and graph")
            self._vector(entry, 0, 1, "names")
        for position in self._tables(root, 7, "operators and graph"):
            self._signature(self._table(position, "operators and graph"))

    def _subgraph(self, graph: _Table, roles: dict[int, str]) -> None:
        for position in self._tables(graph, 0, "tensor records"):
            tensor = self._table(position, "tensor records")
            self._vector(tensor, 0, 4, "tensor records")
            self._vector(tensor, 3, 1, "names")
            self._vector(tensor, 7, 4, "tensor records")
            grid = self._follow(tensor, 4)
            if grid is not None:
                stored = roles.get(self._uint32(tensor, 2)) in ("weights", "biases")
                self._grid(self._table(grid, "tensor records"), is_parameter=stored)
        for number in (1, 2):
            self._vector(graph, number, 4, "operators and graph")
        for position in self._tables(graph, 3, "operators and graph"):
            operator = self._table(position, "operators and graph")
            for number in (1, 2):
                self._vector(operator, number, 4, "operators and graph")
            options = self._follow(operator, 4)
            if options is not None:
                self._options(self._table(options, "operators and graph"), operator)
        self._vector(graph, 4, 1, "names")

    def _options(self, options: _Table, operator: _Table) -> None:
        """Options hold numbers only, but for the new shape of a reshape."""
        kind = self.data[operator.position + int(operator.fields[3])]
        if kind == schema.BuiltinOptions.ReshapeOptions:
            self._vector(options, 0, 4, "operators and graph")

    def _grid(self, grid: _Table, *, is_parameter: bool) -> None:
        scales = "weight and bias scales" if is_parameter else "activation scales"
        for number in (0, 1):  # minimum and maximum, which few writers keep
            self._vector(grid, number, 4, "tensor records")
        self._vector(grid, 2, 4, scales)
        self._vector(grid, 3, 8, "zero points")

    def _signature(self, signature: _Table) -> None:
        for number in (0, 1):
            for position in self._tables(signature, number, "operators and graph"):
                self._vector(self._table(position, "operators and graph"), 0, 1, "names")
        self._vector(signature, 2, 1, "names")

    # -- the parts of a FlatBuffer -----------------------------------------------------------------

    def _own(self, start: int, size: int, category: str) -> None:
        """Mark bytes that nobody owns yet."""
        part = self.owners[start : start + size]
        part[part == 0] = _CATEGORIES.index(category)

    def _table(self, position: int, category: str) -> _Table:
        """A table and its list of fields, which tables of the same layout share."""
        layout = position - int.from_bytes(self.data[position : position + 4], "little", signed=True)
        layout_size, size = (int(n) for n in np.frombuffer(self.data, "<u2", 2, layout))
        self._own(layout, layout_size, category)
        self._own(position, size, category)
        known = np.frombuffer(self.data, "<u2", layout_size // 2 - 2, layout + 4)
        return _Table(position, np.concatenate([known, np.zeros(16, np.uint16)]))

    def _follow(self, table: _Table, number: int) -> int | None:
        """Where a field that is an offset leads, None if the field is absent."""
        offset = int(table.fields[number])
        if offset == 0:
            return None
        place = table.position + offset
        return place + int.from_bytes(self.data[place : place + 4], "little")

    def _uint32(self, table: _Table, number: int) -> int:
        place = table.position + int(table.fields[number])
        return int.from_bytes(self.data[place : place + 4], "little") if table.fields[number] else 0

    def _vector(self, table: _Table, number: int, item_size: int, category: str) -> int | None:
        """A vector or string, its length and terminator included; where it starts."""
        start = self._follow(table, number)
        if start is None:
            return None
        count = int.from_bytes(self.data[start : start + 4], "little")
        self._own(start, 4 + count * item_size + (category == "names"), category)
        return start

    def _tables(self, table: _Table, number: int, category: str) -> list[int]:
        """The positions of the tables in a vector of tables."""
        start = self._vector(table, number, 4, category)
        if start is None:
            return []
        count = int.from_bytes(self.data[start : start + 4], "little")
        offsets = np.frombuffer(self.data, "<u4", count, start + 4)
        return [start + 4 + 4 * i + int(offset) for i, offset in enumerate(offsets)]


def _roles(model: "schema.Model") -> dict[int, str]:
    """What each buffer holds, by the operator that reads it."""
    roles: dict[int, str] = {}
    for g in range(model.SubgraphsLength()):
        graph = model.Subgraphs(g)
        for o in range(graph.OperatorsLength()):
            operator = graph.Operators(o)
            if model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode() in _WEIGHTED:
                for place, role in ((1, "weights"), (2, "biases")):
                    if place < operator.InputsLength() and operator.Inputs(place) >= 0:
                        roles[graph.Tensors(operator.Inputs(place)).Buffer()] = role
    roles.pop(0, None)  # the empty buffer of tensors that are computed
    return roles
