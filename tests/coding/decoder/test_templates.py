"""Templates: found by themselves, proven, and hostile ones refused."""

import struct

import numpy as np
import pytest
from sqz_networks import every_kind, lenet5, spec_for

from edgesqueeze.coding.byte_reader import ByteReader, encode_varint
from edgesqueeze.coding.decoder.layers import Layer
from edgesqueeze.coding.decoder.spread import Spread
from edgesqueeze.coding.decoder.swapped import swap_words
from edgesqueeze.coding.decoder.templates import (
    FORMS,
    Fill,
    Literal,
    Run,
    Template,
    encode_templates,
    filled,
    make_fill,
    make_spread_fill,
    parse_templates,
)
from edgesqueeze.errors import CorruptFileError
from edgesqueeze.formats.sqz.file import MODEL_FILES, emit_model_file
from edgesqueeze.formats.sqz.templates import make_templates
from edgesqueeze.network.graph.nodes import Conv, Dense

LAYERS = (Layer((4, 2, 3, 3)), Layer((6, 8)))


def numbers(*values):
    return b"".join(encode_varint(value) for value in values)


def parse(data, layers=LAYERS):
    reader = ByteReader(data)
    templates = parse_templates(reader, layers)
    reader.finish("templates")
    return templates


def one_file(*values, name=b"f", literals=b""):
    return numbers(1, len(name)) + name + numbers(0, *values) + literals


class Arrays:
    """A layer of whole numbers, all different."""

    def __init__(self, shape):
        self.weight = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        self.bias = np.arange(shape[0], dtype=np.float32) + 1000
        self.scale, self.bias_scale = self.bias + 1, self.bias + 2
        self.int8_weight = (self.weight.astype(np.int64) % 127).astype(np.int8)
        self.uint8_weight = (self.int8_weight.astype(np.int16) + 128).astype(np.uint8)
        self.int32_bias = self.bias.astype(np.int32)


@pytest.mark.parametrize("network", [every_kind(), lenet5()], ids=["every_kind", "lenet5"])
def test_weights_are_found_and_the_rest_is_small(network):
    spec = spec_for(network)
    files = {name: emit_model_file(name, network, spec) for name in MODEL_FILES}
    templates = make_templates(network, spec, files)
    layers = [Layer(network.weight(node).shape) for node in network.parametric]
    assert parse(encode_templates(templates), layers) == templates
    assert [t.name for t in templates if t.name.endswith(".tflite") and not t.swapped] == []
    assert not templates[list(files).index("model.onnx")].swapped  # there it would only scatter tensors
    for template in templates:
        assert template.num_bytes == len(files[template.name])
        arrays = {(FORMS[fill.form].array, fill.layer) for _, fill in template.fills()}
        expected = ("int8_weight",) if "int8" in template.name else ("weight",)
        for layer, node in enumerate(network.parametric):
            if network.weight(node).size > 16 and isinstance(node, Conv | Dense):
                assert [(array, layer) for array in expected if (array, layer) not in arrays] == []


@pytest.mark.slow
def test_an_array_that_is_not_there_stays_literal():
    network = lenet5()
    data = emit_model_file("model.onnx", network, None)
    changed = bytearray(data)
    place = data.index(network.tensors["fc1.weight"].tobytes())
    changed[place + 1_600_000 // 2] ^= 1
    (template,) = make_templates(network, None, {"odd.onnx": bytes(changed)})
    wanted = {(FORMS[fill.form].array, fill.layer) for _, fill in template.fills()}
    assert ("weight", 2) not in wanted
    assert ("weight", 1) in wanted


def test_half_precision_and_any_file_of_any_kind():
    network = lenet5()
    half = network.tensors["fc1.weight"].astype(np.float16)
    data = b"head" + half.tobytes() + bytes(1000) + b"abcd" * 100 + network.tensors["fc2.bias"].tobytes()
    (template,) = make_templates(network, None, {"a.bin": data, "empty": b""})[:1]
    kinds = [type(piece) for piece in template.pieces]
    assert kinds == [Literal, Fill, Literal, Run, Literal, Run, Fill]
    assert FORMS[template.pieces[1].form].dtype == "<f2"
    assert sum(p.num_bytes for p in template.pieces if isinstance(p, Literal)) < 20


@pytest.mark.parametrize("form", range(len(FORMS)))
def test_forms_are_what_numpy_makes_of_them(form):
    for layer in range(2):
        arrays, wanted = Arrays(LAYERS[layer].shape), FORMS[form]
        fill = make_fill(form, layer, 2, LAYERS)
        array = getattr(arrays, wanted.array).astype(wanted.dtype)
        out = len(array)
        if wanted.order == 1:
            array = np.moveaxis(array.reshape(out, array.shape[1], -1), 1, 2)
        if wanted.order == 2:
            array = np.moveaxis(array.reshape(out, -1), 0, 1)
        if wanted.order == 3:
            array = np.moveaxis(array.reshape(out, 2, -1), 1, 2)
        if wanted.order == 4:
            array = np.moveaxis(array, 0, 1)
        assert filled(fill, getattr(arrays, wanted.array)).tobytes() == array.tobytes()
        assert fill.num_bytes == array.nbytes


@pytest.mark.parametrize("form", [form for form in range(len(FORMS)) if FORMS[form].order < 2])
def test_spread_forms_are_what_a_transposed_convolution_becomes(form):
    arrays, wanted = Arrays(LAYERS[0].shape), FORMS[form]
    fill = make_spread_fill(form, 0, Spread((2, 3), (1, 2)), LAYERS)
    array = getattr(arrays, wanted.array).astype(wanted.dtype)
    if array.ndim == 1:
        expected = np.concatenate([array] * 6)
    else:
        expected = np.full((6 * 4, 2, 2, 2), 128 if wanted.dtype == "|u1" else 0, wanted.dtype)
        for row, column in np.ndindex(3, 3):  # two rows by two columns of taps, the last one first
            (r, down), (c, across) = divmod(row + 1, 2), divmod(column + 2, 3)
            place = 4 * (3 * down + across)
            expected[place : place + 4, :, 1 - r, 1 - c] = array[:, :, row, column]
        expected = np.moveaxis(expected, 1, 3) if wanted.order else expected
    assert filled(fill, getattr(arrays, wanted.array)).tobytes() == expected.tobytes()
    assert fill.num_bytes == expected.nbytes


def test_integers_of_a_transposed_convolution_are_found():
    network = every_kind()
    spec = spec_for(network)
    grown = next(i for i, node in enumerate(network.owners) if node.name == "grown")
    for name in ("model_int8.onnx", "model_int8.tflite"):
        (template,) = make_templates(network, spec, {name: emit_model_file(name, network, spec)})
        found = {FORMS[fill.form].array: fill.spread for _, fill in template.fills() if fill.layer == grown}
        assert found["int8_weight"] == Spread((2, 2), (1, 0))


def test_pieces_come_back():
    pieces = (
        Literal(b"abc"),
        Run(2, 5),
        make_fill(3, 1, 4, LAYERS),
        Literal(b"z"),
        make_fill(20, 0, 0, LAYERS),
        make_spread_fill(11, 0, Spread((2, 3), (1, 0)), LAYERS),
    )
    template = Template("f", pieces)
    assert parse(encode_templates([template])) == (template,)
    content = dict(template.skeleton())
    assert content == {0: b"abc", 3: b"bcbcb", 8 + 4 * 48: b"z"}


def test_swapping_words_twice_changes_nothing():
    rng = np.random.default_rng(0)
    for offset in range(8):
        words = rng.integers(0, 2**32, 500).astype("<u4") | np.uint32(0xFF000000)
        content = words.tobytes()[: 2000 - offset]
        swapped = swap_words(content, offset)
        assert len(swapped) == len(content)
        assert offset % 4 or swapped != content
        assert swap_words(swapped, offset) == content
    # A reference from 1000 back to 5000 is one to 5000 afterwards; -1 and -200 stay as they are.
    assert swap_words(struct.pack("<3i", -4000, -1, -200), 1000) == struct.pack("<Iii", 0xFF001388, -1, -200)
    pieces = (
        Literal(struct.pack("<5i", 1, -4000, -1, -300, 9)),
        make_fill(20, 0, 0, LAYERS),
        Literal(b"end"),
    )
    template = Template("f", pieces, swapped=True)
    assert parse(encode_templates([template])) == (template,)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (numbers(65), "templates of 65 files"),
        (numbers(1, 0), "whose name has 0 bytes"),
        (numbers(1, 101) + b"a" * 101 + numbers(0, 0, 0), "whose name has 101 bytes"),
        (one_file(0, 0, name=b"../x"), "called"),
        (one_file(0, 0, name=b".hidden"), "called"),
        (one_file(0, 0, name=b"a/b"), "called"),
        (one_file(0, 0, name=b"a\\b"), "called"),
        (numbers(2, 1) + b"f" + numbers(0, 0, 0, 1) + b"F" + numbers(0, 0, 0), "same name"),
        (one_file(5, 0, literals=b"four"), "are left"),
        (one_file(1, 0, literals=b"ab"), "followed by"),
        (one_file(2, 1, 3, 9, 0, 0, literals=b"ab"), "a run of 9 bytes repeats 3 of 2"),
        (one_file(20, 1, 17, 9, 0, 0, literals=bytes(20)), "repeats 17 of 20"),
        (one_file(2, 1, 0, 9, 0, 0, literals=b"ab"), "repeats 0"),
        (one_file(2, 1, 1, 0, 0, 0, literals=b"ab"), "a run of 0 bytes"),
        (one_file(0, 3 + len(FORMS), 0, 0, 0), "form 26 of layer 0"),
        (one_file(0, 27, 0, 25, 2, 2, 0, 0, 0, 0), "form 25 of layer 0"),
        (one_file(0, 27, 2, 0, 2, 2, 0, 0, 0, 0), r"layer 1 of shape \(6, 8\), form 0"),
        (one_file(0, 27, 0, 2, 2, 2, 0, 0, 0, 0), "form 2, by Spread"),
        (one_file(0, 27, 0, 0, 0, 2, 0, 0, 0, 0), r"stride=\(0, 2\)"),
        (one_file(0, 27, 0, 0, 2, 17, 0, 0, 0, 0), r"stride=\(2, 17\)"),
        (one_file(0, 27, 0, 0, 2, 2, 0, 2, 0, 0), r"fronts=\(0, 2\)"),
        (one_file(0, 27, 0, 0, 2, 2, 0, 0, 0, 2, 0, 0, 0), "wants an array of layer 0 twice"),
        (one_file(0, 2, 4, 0, 0), "form 0 of layer 2 of 2"),
        (one_file(0, 2, 1, 0, 0), "form 0 of layer -1"),
        (one_file(0, 5, 0, 4, 0, 0), "into 4 blocks"),
        (one_file(0, 5, 0, 0, 0, 0), "into 0 blocks"),
        (one_file(0, 3, 4, 0, 0), "form 1 of layer 2"),
        (one_file(0, 2, 0, 0, 6, 0, 0, 0), "wants an array of layer 0 twice"),
        (one_file(1, 1, 1, 2**32 - 1, 0, 0, literals=b"a"), "more than 4294967295 bytes"),
        (numbers(1, 1) + b"f" + numbers(2, 0, 0), "stored in form 2"),
        (one_file(0), "wanted at offset"),
        (b"", "wanted at offset"),
    ],
)
def test_hostile_templates_are_refused(data, message):
    with pytest.raises(CorruptFileError, match=message):
        parse(data)


def test_a_template_that_does_not_reproduce_its_file_is_a_bug_that_raises(monkeypatch):
    network = lenet5()
    data = emit_model_file("model.onnx", network, None)

    def wrong(self):
        return [Literal(data[:-1])]

    monkeypatch.setattr("edgesqueeze.formats.sqz.templates._Search.pieces", wrong)
    with pytest.raises(AssertionError, match=r"the template of model\.onnx does not give the file"):
        make_templates(network, None, {"model.onnx": data})
