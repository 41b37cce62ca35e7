"""Damaged and hostile files through both decoders: typed errors only, the same verdict, bounded memory.

``python -m bench.robustness`` does the same with more than 10,000 files.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
from damage import (
    CORRUPT,
    HARNESS,
    OK,
    PLACES,
    SANITIZE,
    CDecoder,
    compile_c,
    damaged,
    hostile,
    package_outcome,
    python_outcome,
    rewritten,
)
from memory import memory_limit
from sqz_networks import files_of, odd_integers, small, spec_for

from edgesqueeze.errors import CodecError
from edgesqueeze.formats.sqz.file import emit_sqz, read_sqz

NUM_FILES = 400
NUM_REWRITTEN = 15
DAMAGED = Path(__file__).parents[2] / "golden"
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
    return found


def test_the_original_decodes(original, c_decoder):
    assert agree(original, c_decoder).status == OK


@pytest.mark.slow
def test_damaged_files_have_the_same_verdict(original, c_decoder):
    rng = np.random.default_rng(0)
    verdicts = [agree(damaged(original, rng), c_decoder).status for _ in range(NUM_FILES)]
    assert verdicts.count(CORRUPT) > NUM_FILES / 2
    assert verdicts.count(OK) > NUM_FILES / 50


@pytest.mark.parametrize("place", PLACES)
def test_a_change_anywhere_behind_right_checksums_has_one_verdict(place, original, c_decoder, tmp_path):
    rng = np.random.default_rng(PLACES.index(place))
    for _ in range(NUM_REWRITTEN):
        data = rewritten(original, rng, place)
        assert package_outcome(data, tmp_path) == agree(data, c_decoder)


@pytest.mark.parametrize("name", ["activation", "tensor_kind"])
def test_what_no_template_wants_is_checked_as_well(name, c_decoder, tmp_path):
    """Two files whose damaged tensor, the bias of a layer norm, is in none of the files they decode to."""
    data = (DAMAGED / f"damaged_{name}.sqz").read_bytes()
    assert agree(data, c_decoder).status == CORRUPT
    assert package_outcome(data, tmp_path).status == CORRUPT
    assert list(tmp_path.glob("out/*")) == []


def test_hostile_files_are_refused_in_little_memory(c_decoder):
    files = list(hostile())
    verdicts = [agree(data, c_decoder).status for data in files]
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
