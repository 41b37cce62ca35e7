import json
import zlib

import numpy as np
import pytest
from sqz_networks import every_kind, lenet5

from edgesqueeze.errors import CodecError
from edgesqueeze.formats.sqz.structure import (
    FIELDS,
    KINDS,
    MAX_JSON_BYTES,
    decode_structure,
    encode_structure,
)
from edgesqueeze.network.graph.nodes import NODE_KINDS, Graph

INPUT = [0, "x", 1, 2, 8, 8]
CONV = [1, "c", 1, 4, 3, 3, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1]


def _decode(rows):
    text = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
    return decode_structure(memoryview(b"\x00" + text))


def test_every_kind_of_node_has_a_number_and_fields():
    assert set(KINDS) == set(FIELDS) == set(NODE_KINDS)


def test_the_epsilon_of_a_layer_norm_is_stored_by_its_bits():
    nodes = _decode([INPUT, [20, "n", 1, 0x358637BD]])
    assert nodes[1].epsilon == float(np.float32(1e-6))


@pytest.mark.parametrize("graph", [every_kind(), lenet5()], ids=["every_kind", "lenet5"])
def test_nodes_come_back(graph):
    assert decode_structure(memoryview(encode_structure(graph))) == graph.nodes


def test_the_smaller_form_is_taken():
    small = Graph(_decode([[0, "x", 1, 16], [2, "fc", 1, 4, 0]]), {})
    assert encode_structure(small)[0] == 0
    assert decode_structure(memoryview(encode_structure(small))) == small.nodes
    assert encode_structure(every_kind())[0] == 1


def test_rows_mean_what_the_specification_says():
    nodes = _decode([INPUT, CONV, [8, "s", [1, 1], 2]])
    assert nodes[1].kernel == (3, 3)
    assert nodes[1].shape == (1, 4, 6, 6)
    assert nodes[1].activation == "relu"
    assert nodes[2].inputs == ("c", "c")
    assert nodes[2].activation == "relu6"


@pytest.mark.parametrize(
    "rows",
    [
        {},
        [],
        [1],
        [[]],
        [[0]],
        [[0, "x"]],
        [INPUT],
        [INPUT, INPUT],
        [CONV],
        [INPUT, [16, "y", 1]],
        [INPUT, [10, "y", [1]]],
        [INPUT, [11, "y", 1, 99]],
        [INPUT, [11, "y", 1, 5, 0]],
        [INPUT, [11, "y", 1, 6]],
        [INPUT, [11, "y", 1, 6, 0x7FC00000]],
        [INPUT, [11, "y", 1, 6, 1 << 32]],
        [INPUT, [12, "y", 1, 1, 3]],
        [INPUT, [12, "y", 1, 1, 1]],
        [INPUT, [13, "y", 1, 3]],
        [INPUT, [14, "y", 1, 0, 0, 0, -1]],
        [INPUT, [15, "y", 1, 4, 0, 0]],
        [INPUT, [15, "y", 1, 4, 4, 3]],
        [INPUT, [16, "y", 1, 4, 2, 2, 2, 2, 0, 0, 0, 0, 2, 0, 0]],
        [INPUT, [16, "y", 1, 4, 2, 2, 2, 2, 0, 0, 0, 99, 0, 0, 0]],
        [INPUT, [16, "y", 1, 4, 2, 2, 2, 2, 0, 0, 0, 0, 0, -1, 0]],
        [INPUT, [17, "y", 1, 4, 0, 4, 0]],
        [INPUT, [18, "y", 1, 2, 2]],
        [INPUT, [18, "y", 1, 0, 2]],
        [INPUT, [19, "y", 1, 1]],
        [INPUT, [20, "y", 1, 0]],
        [INPUT, [20, "y", 1, -1]],
        [INPUT, [20, "y", 1, 1 << 32]],
        [INPUT, [20, "y", 1, 0x7FC00000]],
        [INPUT, [20, "y", 1, 0xBF800000]],
        [INPUT, [20, "y", 1, 0.5]],
        [INPUT, [25, "y", 1]],
        [INPUT, [21, "y", 1, 0]],
        [INPUT, [24, "y", 1, 9, 9, 9, 9, 0]],
        [INPUT, [24, "y", 1, 1, 1, 1, 1, 2]],
        [INPUT, [-1, "y", 1]],
        [INPUT, [True, *CONV[1:]]],
        [INPUT, [[], *CONV[1:]]],
        [INPUT, [1, ["c"], *CONV[2:]]],
        [INPUT, [1, "", *CONV[2:]]],
        [INPUT, [1, "x", *CONV[2:]]],
        [INPUT, [1, "\ud800", *CONV[2:]]],
        [INPUT, [1, "a\u0000b", *CONV[2:]]],
        [INPUT, [1, "n" * 1001, *CONV[2:]]],
        [INPUT, [1, "c", 0, *CONV[3:]]],
        [INPUT, [1, "c", 2, *CONV[3:]]],
        [INPUT, [1, "c", [], *CONV[3:]]],
        [INPUT, [1, "c", [1, 1], *CONV[3:]]],
        [INPUT, [1, "c", [[1]], *CONV[3:]]],
        [INPUT, [1, "c", [1], *CONV[3:]]],
        [INPUT, [7, "j", [1]]],
        [INPUT, [1, "c", {"1": 1}, *CONV[3:]]],
        [INPUT, [1, "c"]],
        [INPUT, CONV[:-1]],
        [INPUT, [*CONV, 0]],
        [INPUT, [*CONV[:-1], 3]],
        [INPUT, [*CONV[:-1], -1]],
        [INPUT, [*CONV[:-1], 1.0]],
        [INPUT, [*CONV[:-1], True]],
        [INPUT, [*CONV[:4], 0, *CONV[5:]]],
        [INPUT, [*CONV[:4], 1 << 40, *CONV[5:]]],
        [INPUT, [*CONV[:4], 9, *CONV[5:]]],
        [[0, "x", 1, 2, 8.0, 8], CONV],
        [[0, "x", 1, 2, 0, 8], CONV],
        [[0, "x", 2, 2, 8, 8], CONV],
        [[0, "x", 1, 2, 1 << 24, 1 << 24], CONV],
        [INPUT, [6, "f", 1, 7]],
        [INPUT, [7, "j", []]],
    ],
)
def test_hostile_rows_are_refused(rows):
    with pytest.raises(CodecError):
        _decode(rows)


@pytest.mark.parametrize(
    "text", [b"", b"\xff", b"[", b"[" * 100_000, b"1" * 5000, b"NaN", b'"x"', b"null", b"[1e999]"]
)
def test_hostile_json_is_refused(text):
    with pytest.raises(CodecError):
        _decode(text)


def test_hostile_compression_is_refused():
    good = zlib.compress(json.dumps([INPUT, CONV]).encode())
    decode_structure(memoryview(b"\x01" + good))
    bomb = zlib.compress(bytes(4 * MAX_JSON_BYTES), 9)
    for payload in (b"", b"\x02" + good, b"\x01", b"\x01" + good[:-1], b"\x01" + good + b"x", b"\x01" + bomb):
        with pytest.raises(CodecError):
            decode_structure(memoryview(payload))
