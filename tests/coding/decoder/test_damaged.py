"""Damaged and hostile files through both decoders: typed errors only, the same verdict, bounded memory.

``python -m bench.robustness`` does the same with more than 10,000 files.
"""

import shutil

import numpy as np
import pytest
from damage import CORRUPT, HARNESS, OK, SANITIZE, CDecoder, compile_c, damaged, hostile, python_outcome
from memory import memory_limit
from sqz_networks import files_of, odd_integers, small, spec_for

from edgesqueeze.errors import CodecError
from edgesqueeze.formats.sqz.file import emit_sqz, read_sqz

NUM_FILES = 700
LARGEST_PEAK = 512 << 20


@pytest.fixture(scope="module")
def c_decoder(tmp_path_factory):
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc here")
    decoder = CDecoder(compile_c(tmp_path_factory.mktemp("c") / "harness", *SANITIZE, HARNESS))
    yield decoder
    assert decoder.close() == 0


@pytest.fixture(scope="module")
def original():
    """A small file with all there is: integers that do not follow, templates of float and int8 files."""
    network = small()
    spec = odd_integers(spec_for(network))
    files = files_of(network, spec)
    return emit_sqz(network, spec, {name: files[name] for name in ("model.onnx", "model_int8.tflite")})


def agree(data, c_decoder):
    with memory_limit(LARGEST_PEAK):
        expected = python_outcome(data)
    found, peak, _ = c_decoder.outcome(data)
    assert found == expected
    assert peak < LARGEST_PEAK
    return found.status


def test_the_original_decodes(original, c_decoder):
    assert agree(original, c_decoder) == OK


@pytest.mark.slow
def test_damaged_files_have_the_same_verdict(original, c_decoder):
    rng = np.random.default_rng(0)
    verdicts = [agree(damaged(original, rng), c_decoder) for _ in range(NUM_FILES)]
    assert verdicts.count(CORRUPT) > NUM_FILES / 2
    assert verdicts.count(OK) > NUM_FILES / 50


def test_hostile_files_are_refused_in_little_memory(c_decoder):
    files = list(hostile())
    verdicts = [agree(data, c_decoder) for data in files]
    assert len(files) > 15
    assert verdicts.count(CORRUPT) > len(files) / 2


def test_reading_the_network_raises_our_errors_only(original):
    rng = np.random.default_rng(1)
    decoded = 0
    for _ in range(300):
        try:
            read_sqz(damaged(original, rng))
            decoded += 1
        except CodecError:
            pass
    assert 0 < decoded < 300
