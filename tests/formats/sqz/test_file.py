import os
import sys

import pytest
from sqz_networks import every_kind, lenet5, spec_for

from edgesqueeze.errors import CodecError, CorruptFileError, OutputError
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.formats.sqz.file import decode_sqz, emit_model_file, emit_sqz
from edgesqueeze.formats.tflite.writing.emit import emit_tflite

FLOAT = ["model.onnx", "model.tflite"]
ALL = [*FLOAT, "model_int8.onnx", "model_int8.tflite"]


@pytest.fixture
def packed(tmp_path):
    network = every_kind()
    path = tmp_path / "model.sqz"
    path.write_bytes(emit_sqz(network, spec_for(network)))
    return path


@pytest.mark.parametrize("network", [every_kind(), lenet5()], ids=["every_kind", "lenet5"])
def test_decoded_files_equal_those_emitted_directly(network, tmp_path):
    spec = spec_for(network)
    path = tmp_path / "model.sqz"
    path.write_bytes(emit_sqz(network, spec))
    written = decode_sqz(path, tmp_path / "made" / "here")
    assert [file.name for file in written] == ALL
    emitted = [emit_onnx(network, None), emit_tflite(network, None)]
    emitted += [emit_onnx(network, spec), emit_tflite(network, spec)]
    for file, content in zip(written, emitted, strict=True):
        assert file.read_bytes() == content
    assert sorted(p.name for p in (tmp_path / "made" / "here").iterdir()) == sorted(ALL)


@pytest.mark.parametrize("chosen", [ALL, ["model.tflite"], ["model_int8.onnx", "model.onnx"]], ids=len)
def test_templates_and_emitters_give_the_same_files(chosen, tmp_path):
    network = every_kind()
    spec = spec_for(network)
    files = {name: emit_model_file(name, network, spec) for name in ALL}
    path = tmp_path / "model.sqz"
    path.write_bytes(emit_sqz(network, spec, {name: files[name] for name in chosen}))
    written = decode_sqz(path, tmp_path / "out")
    assert [file.name for file in written] == ALL
    assert {file.name: file.read_bytes() for file in written} == files
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(ALL)
    alone = decode_sqz(path, tmp_path / "alone", everything=False)
    assert {file.name: file.read_bytes() for file in alone} == {name: files[name] for name in chosen}


def test_what_has_a_template_needs_no_emitter(tmp_path, monkeypatch):
    network = every_kind()
    path = tmp_path / "model.sqz"
    files = {name: emit_model_file(name, network, None) for name in FLOAT}
    path.write_bytes(emit_sqz(network, None, {**files, "model_other.bin": b"other"}))
    for name in ("onnx", "ai_edge_litert", "flatbuffers"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in [name for name in sys.modules if name.startswith("edgesqueeze.formats.")]:
        monkeypatch.delitem(sys.modules, name)
    written = decode_sqz(path, tmp_path / "out")
    assert {p.name: p.read_bytes() for p in written} == {**files, "model_other.bin": b"other"}


def test_without_a_spec_only_float_files_are_written(tmp_path):
    path = tmp_path / "model.sqz"
    path.write_bytes(emit_sqz(every_kind(), None))
    assert [file.name for file in decode_sqz(path, tmp_path / "out")] == FLOAT


def test_equal_files_may_be_there_and_others_are_never_overwritten(packed, tmp_path):
    out = tmp_path / "out"
    first = decode_sqz(packed, out)
    assert decode_sqz(packed, out) == first
    (out / "model.tflite").write_bytes(b"mine")
    (out / "model.onnx").unlink()
    with pytest.raises(OutputError, match=r"model\.tflite exists with other content"):
        decode_sqz(packed, out)
    assert (out / "model.tflite").read_bytes() == b"mine"
    assert not (out / "model.onnx").exists()


def test_output_that_cannot_be_written_is_one_clear_error(packed, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    for directory in (blocked, blocked / "below"):
        with pytest.raises(OutputError, match="cannot write"):
            decode_sqz(packed, directory)
    (tmp_path / "out" / "model.onnx").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"model\.onnx"):
        decode_sqz(packed, tmp_path / "out")


def test_a_full_disk_leaves_nothing_behind(packed, tmp_path):
    if not os.path.exists("/dev/full"):  # noqa: PTH110 - a device, not a path of ours
        pytest.fail("this test needs /dev/full")
    out = tmp_path / "out"
    out.mkdir()
    partial = out / ".model.onnx.part"
    partial.symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space left"):
        decode_sqz(packed, out)
    assert list(out.iterdir()) == []


def test_input_that_cannot_be_read_is_one_clear_error(packed, tmp_path):
    with pytest.raises(CodecError, match="cannot read"):
        decode_sqz(tmp_path / "nothing.sqz", tmp_path / "out")
    packed.write_bytes(packed.read_bytes()[:-1])
    with pytest.raises(CorruptFileError):
        decode_sqz(packed, tmp_path / "out")
    assert not (tmp_path / "out").exists()
