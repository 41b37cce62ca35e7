"""Files of format version 2 decode to the same network and the same files for ever."""

import hashlib
import io
from pathlib import Path

from digests import int8_digest, network_digest
from golden_v2 import golden_file, golden_graph, golden_spec

from edgesqueeze.coding.decoder.templates import FORMS
from edgesqueeze.coding.decoder.unsqueeze import fill_templates, open_squeezed
from edgesqueeze.coding.weight_tensor import KINDS
from edgesqueeze.formats.sqz.file import read_sqz

DATA = (Path(__file__).parent / "v2_small.sqz").read_bytes()
FILE_SHA256 = "0d8710b20d4511af11e165785a8e484f5d7d3650ed7097fbad3a55e5fe64f5b0"
NETWORK_SHA256 = "b3aab054b868c1bb0783b86fda407ddd109ad01e13fa364a67f15dda5f5d066c"
INT8_SHA256 = "d1aec7cc78260bb8a64ba36e436b3b8628358c8c802f94a0b773f4d3369b0114"
FILES_SHA256 = {
    "model.onnx": "92280d72e81faf53f8e67b4ebdd0e02b1b432eafbae941c5732c0f1200017669",
    "model.tflite": "843aef7b9a14b74d8df1f432997e9361d6cab93bdbe27bbcf4fafafcc4345466",
    "model_fp16.onnx": "356210347d5bf1d3bd2d47d1a817b754c007d6264b8c04c2de4692b6b49517ba",
    "model_dynamic.onnx": "47f282a7a7892dab0b29602bd09901509a3f302e490e01a4fd0996c2a5b4991d",
    "integers.bin": "acef9273a1805517753a56e70ef7be61e085fcdf7adaf6c6cf9ac90bd18cc130",
}


def filled(data):
    """The digest of every file that the templates give."""
    squeezed = open_squeezed(data)
    outputs = {template.name: io.BytesIO() for template in squeezed.meta.files}
    fill_templates(squeezed, outputs)
    return {name: hashlib.sha256(output.getvalue()).hexdigest() for name, output in outputs.items()}


def test_the_golden_file_is_the_committed_one():
    assert hashlib.sha256(DATA).hexdigest() == FILE_SHA256


def test_it_decodes_to_the_network_it_was_made_from():
    graph, spec = read_sqz(DATA)
    assert network_digest(graph) == NETWORK_SHA256
    assert int8_digest(spec) == INT8_SHA256


def test_it_decodes_to_the_files_it_was_made_from():
    assert filled(DATA) == FILES_SHA256


def test_it_uses_all_there_is_in_version_2():
    squeezed = open_squeezed(DATA)
    layers = squeezed.meta.layers
    assert {flag for layer in layers for flag in (1, 2, 4, 8, 16) if layer.flags & flag} == {1, 2, 4, 8, 16}
    assert {len(layer.shape) for layer in layers} == {1, 2, 4}
    tensors = [
        parts[:2] if layer.flags & 4 else parts for layer, parts in zip(layers, squeezed.parts, strict=True)
    ]
    assert {part.payload[0] for parts in tensors for part in parts} == set(range(len(KINDS)))
    forms = [FORMS[fill.form] for template in squeezed.meta.files for _, fill in template.fills()]
    assert {form.order for form in forms} == set(range(5))
    assert {form.array for form in forms} == {form.array for form in FORMS}
    assert {template.swapped for template in squeezed.meta.files} == {True, False}


def test_the_script_makes_the_same_network():
    graph = golden_graph()
    assert network_digest(graph) == NETWORK_SHA256
    assert int8_digest(golden_spec(graph)) == INT8_SHA256
    decoded, spec = read_sqz(golden_file())
    assert network_digest(decoded) == NETWORK_SHA256
    assert int8_digest(spec) == INT8_SHA256


def test_todays_encoder_takes_no_more_bytes():
    assert len(golden_file()) <= len(DATA)
