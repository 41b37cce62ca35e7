"""Files of format version 1 decode to the same network for ever, whatever becomes of the encoder."""

import hashlib
from pathlib import Path

import numpy as np
from digests import int8_digest, network_digest
from golden_v1 import golden_file, golden_graph

from edgesqueeze.coding.huffman.symbol_stream import CHUNK_SYMBOLS
from edgesqueeze.coding.huffman.tensors import ENCODINGS
from edgesqueeze.formats.sqz.version1 import describe_v1, emit_v1, read_v1

DATA = (Path(__file__).parent / "v1_small.sqz").read_bytes()
FILE_SHA256 = "1c34968fdce039a3f45590e647e3807cee825267714aa8282dc6f387f20c4ca7"
NETWORK_SHA256 = "0c6bf39d9e2150cd7f589e22e9929a91ce49b2e3d1cf5befc1d9bcee82614c7a"
INT8_SHA256 = "1f293daf60172be5f028ac21058c555644994c0f98f85b74a2f6bb8a4b1a5c83"


def test_the_golden_file_is_the_committed_one():
    assert hashlib.sha256(DATA).hexdigest() == FILE_SHA256


def test_it_decodes_to_the_network_it_was_made_from():
    graph, spec = read_v1(DATA)
    assert network_digest(graph) == NETWORK_SHA256
    assert int8_digest(spec) == INT8_SHA256


def test_it_uses_all_there_is_in_version_1():
    tensors = describe_v1(DATA).tensors
    assert {tensor.encoding for tensor in tensors} == set(ENCODINGS)
    assert len({tensor.index_bits for tensor in tensors}) > 2
    assert max(tensor.num_nonzero for tensor in tensors) > CHUNK_SYMBOLS


def test_the_script_makes_the_same_network():
    graph = golden_graph()
    assert network_digest(graph) == NETWORK_SHA256
    decoded, spec = read_v1(golden_file())
    assert network_digest(decoded) == NETWORK_SHA256
    assert int8_digest(spec) == INT8_SHA256


def test_writing_it_again_takes_no_more_bytes():
    graph, spec = read_v1(DATA)
    again, _ = read_v1(emit_v1(graph, spec))
    assert len(emit_v1(graph, spec)) <= len(DATA)
    for name, tensor in graph.tensors.items():
        np.testing.assert_array_equal(again.tensors[name], tensor)
