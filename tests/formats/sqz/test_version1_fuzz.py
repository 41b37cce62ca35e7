"""Altered files may decode or be refused; nothing but our own errors may escape, and none may claim much."""

import struct
import zlib

import numpy as np
import pytest
from memory import memory_limit
from sqz_networks import every_kind, spec_for

from edgesqueeze.coding.container import write_container
from edgesqueeze.errors import CodecError, CorruptFileError
from edgesqueeze.formats.sqz.structure import decode_structure
from edgesqueeze.formats.sqz.version1 import describe_v1, emit_v1, read_v1
from edgesqueeze.network.integers.spec import QuantSpec, WeightQuant

NUM_MUTANTS = 400
LARGEST_PEAK = 512 << 20


@pytest.fixture(scope="module")
def original():
    network = every_kind()
    return emit_v1(network, spec_for(network), index_bits=4)


@pytest.fixture(scope="module")
def with_integers():
    """A file whose layers all have scales, integers and biases that do not follow: its WGTQ block is full."""
    network = every_kind()
    spec = spec_for(network)
    weights = {
        name: WeightQuant(
            np.flip(layer.weight).copy(), layer.scale * np.float32(0.7), layer.bias + np.int32(3)
        )
        for name, layer in spec.weights.items()
    }
    return emit_v1(network, QuantSpec(spec.activations, weights), index_bits=4)


def _payloads(data):
    blocks = describe_v1(data).blocks[1:]
    return {b.tag: data[b.offset + 8 : b.offset + b.num_bytes - 4] for b in blocks}


@pytest.fixture(scope="module")
def payloads(original):
    """Tag to payload, the graph as plain JSON so that changes reach its parser and not only zlib's."""
    parts = _payloads(original)
    parts["GRPH"] = b"\x00" + zlib.decompress(parts["GRPH"][1:])
    assert decode_structure(memoryview(parts["GRPH"])) == every_kind().nodes
    return parts


def _decodes(data):
    """Whether a file decodes; anything else than a CodecError fails the test."""
    try:
        with memory_limit(LARGEST_PEAK):
            describe_v1(data)  # reads the file in full, then takes it apart
    except CodecError:
        return False
    return True


def _mutate(data, rng):
    """One or a few changes of the kinds that files suffer, and that attackers make."""
    out = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(0, len(out) + 1))
        size = int(rng.integers(1, 9))
        match rng.integers(0, 7):
            case 0:
                out[place : place + 1] = rng.bytes(1)
            case 1 if place < len(out):
                out[place] ^= 1 << int(rng.integers(0, 8))
            case 2:
                del out[place : place + size]
            case 3:
                out[place:place] = rng.bytes(size)
            case 4:
                source = int(rng.integers(0, len(out) + 1))
                out[place : place + size] = out[source : source + size]
            case 5:
                out[place : place + size] = bytes([int(rng.choice([0, 0x7F, 0x80, 0xFF]))]) * size
            case 6:
                del out[place:]
    return bytes(out)


def _with_right_checksums(data):
    """The file with the CRC of every block made right, so that deeper checks are reached."""
    out, offset = bytearray(data), 8
    while offset + 12 <= len(out):
        (length,) = struct.unpack_from("<I", out, offset + 4)
        end = offset + 8 + length
        if end + 4 > len(out):
            break
        struct.pack_into("<I", out, end, zlib.crc32(out[offset:end]))
        offset = end + 4
    return bytes(out)


def test_altered_files_are_refused(original):
    rng = np.random.default_rng(0)
    for _ in range(NUM_MUTANTS):
        mutant = _mutate(original, rng)
        assert mutant == original or not _decodes(mutant)


@pytest.mark.slow
def test_altered_files_with_right_checksums_decode_or_are_refused(original):
    rng = np.random.default_rng(1)
    decoded = sum(_decodes(_with_right_checksums(_mutate(original, rng))) for _ in range(NUM_MUTANTS))
    assert 0 < decoded < NUM_MUTANTS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tag", "num_mutants"), [("GRPH", NUM_MUTANTS), ("ACTQ", 200), ("TENS", NUM_MUTANTS)]
)
def test_altered_payloads_decode_or_are_refused(payloads, tag, num_mutants):
    rng = np.random.default_rng(2)
    decoded = 0
    for _ in range(num_mutants):
        parts = payloads | {tag: _mutate(payloads[tag], rng)}
        decoded += _decodes(write_container(list(parts.items())))
    assert 0 < decoded < num_mutants


@pytest.mark.slow
def test_altered_files_with_integers_decode_or_are_refused(with_integers):
    rng = np.random.default_rng(3)
    decoded = 0
    for _ in range(NUM_MUTANTS):
        mutant = _mutate(with_integers, rng)
        assert mutant == with_integers or not _decodes(mutant)
        decoded += _decodes(_with_right_checksums(mutant))
    assert 0 < decoded < NUM_MUTANTS


@pytest.mark.slow
def test_altered_integers_are_refused_or_are_integers_of_some_network(with_integers):
    rng = np.random.default_rng(4)
    parts = _payloads(with_integers)
    num_decoded = 0
    for _ in range(NUM_MUTANTS):
        data = write_container([*(parts | {"WGTQ": _mutate(parts["WGTQ"], rng)}).items()])
        if not _decodes(data):
            continue
        num_decoded += 1
        graph, spec = read_v1(data)
        _, again = read_v1(emit_v1(graph, spec))
        for name, layer in spec.weights.items():
            assert layer.weight.min() >= -127
            for field in ("weight", "scale", "bias"):
                np.testing.assert_array_equal(getattr(layer, field), getattr(again.weights[name], field))
    assert 0 < num_decoded < NUM_MUTANTS


def test_blocks_of_other_networks_do_not_mix(original, payloads):
    network = every_kind()
    tensors = {name: -tensor for name, tensor in network.tensors.items()}
    other = emit_v1(type(network)(network.nodes, tensors), None)
    end_of_graph = describe_v1(original).blocks[2].offset  # up to there both files are the same
    for cut in range(end_of_graph + 1, len(original)):
        assert not _decodes(original[:cut] + other[cut:])
    doubled = original + original[8:]
    with pytest.raises(CorruptFileError, match="repeated"):
        read_v1(doubled)


def test_a_few_bytes_cannot_claim_more_weights_than_the_limit(payloads):
    for features, kernel in ((1 << 24, 5), (1 << 15, 300)):
        rows = f'[[0,"x",1,{features},1,1],[1,"c",1,{features},{kernel},{kernel},1,1,999,999,0,0,1,1,1,0]]'
        blocks = [("GRPH", b"\x00" + rows.encode()), ("TENS", b"\x02\x21\x00\x02\x21\x00")]
        with pytest.raises(CorruptFileError, match=r"weights|output"):
            read_v1(write_container(blocks))
