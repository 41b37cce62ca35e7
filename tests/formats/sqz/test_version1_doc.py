"""The worked example of docs/format_v1.md is the file that the code writes today."""

import re
from pathlib import Path

import numpy as np

from edgesqueeze.coding.container import VERSION
from edgesqueeze.coding.huffman.symbol_stream import CHUNK_SYMBOLS
from edgesqueeze.coding.huffman.tensors import ENCODINGS
from edgesqueeze.formats.sqz.structure import KINDS
from edgesqueeze.formats.sqz.version1 import emit_v1, read_v1
from edgesqueeze.network.graph.nodes import Dense, Graph, Input
from edgesqueeze.network.integers.spec import ActivationQuant, spec_from_activations

DOCUMENT = (Path(__file__).parents[3] / "docs" / "format_v1.md").read_text(encoding="utf-8")


def _worked_example():
    weight = np.zeros(128, np.float32)
    weight[[1, 6, 14, 40, 41, 60, 64, 90]] = 0.25
    weight[[2, 16, 63]] = -0.5
    weight[44] = 0.75
    nodes = (
        Input(name="x", inputs=(), shape=(1, 32)),
        Dense(name="fc", inputs=("x",), shape=(1, 4), activation="none"),
    )
    bias = np.array([0.5, 0, 0, 0], np.float32)
    graph = Graph(nodes, {"fc.weight": weight.reshape(4, 32), "fc.bias": bias})
    grids = {"x": ActivationQuant(2.0**-8, -128), "fc": ActivationQuant(2.0**-6, 0)}
    return graph, spec_from_activations(graph, grids)


def _dumped():
    """The bytes of the hex dump; every line must start where the one before ended."""
    dump = re.search(r"```hexdump\n(.*?)```", DOCUMENT, re.DOTALL).group(1)
    data = b""
    for line in dump.splitlines():
        offset, digits = re.fullmatch(r"([0-9a-f]{4})  ((?:[0-9a-f]{2} )+) .*", line).groups()
        assert int(offset, 16) == len(data)
        data += bytes.fromhex(digits)
    return data


def test_the_dump_is_what_is_written():
    graph, spec = _worked_example()
    assert emit_v1(graph, spec, index_bits=3) == _dumped()


def test_the_dump_decodes_to_what_the_text_says():
    graph, spec = _worked_example()
    decoded, decoded_spec = read_v1(_dumped())
    assert decoded.nodes == graph.nodes
    for name, tensor in graph.tensors.items():
        np.testing.assert_array_equal(decoded.tensors[name], tensor)
    assert decoded_spec.activations == spec.activations


def test_the_annotated_codes_are_the_bytes_beside_them():
    lines = re.findall(
        r"^[0-9a-f]{4}  ((?:[0-9a-f]{2} )+) +([01]+(?: [01]+)+)(?::.*)?$", DOCUMENT, re.MULTILINE
    )
    assert len(lines) == 4
    for digits, codes in lines:
        data = bytes.fromhex(digits)
        bits = codes.replace(" ", "").ljust(8 * len(data), "0")
        assert int(bits, 2).to_bytes(len(data), "big") == data


def test_the_text_names_the_numbers_of_the_code():
    assert f"version u16 = {VERSION}" in DOCUMENT
    assert f"chunks of {CHUNK_SYMBOLS}" in DOCUMENT
    for number, encoding in enumerate(ENCODINGS):
        assert f"| {number} {encoding} |" in DOCUMENT
    for number, kind in enumerate(KINDS):
        row = next(line for line in DOCUMENT.splitlines() if kind in line and line.startswith("| "))
        assert str(number) in row.split("|")[1]
