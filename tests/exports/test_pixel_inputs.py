"""Files that take pixels: the gate, the runtimes by themselves, and what files say of their inputs."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter
from pixel_networks import IMAGENET, MNIST, every_pixel, pixel_network
from pydantic import ValidationError

from edgesqueeze.errors import ExportError, ParityError
from edgesqueeze.exports import OnnxExport, SqueezedExport, TfliteExport
from edgesqueeze.exports.base import Artifact
from edgesqueeze.formats.any_file import open_cuttable
from edgesqueeze.formats.sqz.file import decode_sqz, read_sqz
from edgesqueeze.measure.checks.delegation import undelegated
from edgesqueeze.measure.checks.float_operators import float_operators
from edgesqueeze.measure.inspect import input_lines, inspect_file
from edgesqueeze.measure.proof.verification import verify_files
from edgesqueeze.measure.runtimes.runtime import load_model
from edgesqueeze.network.integers.reference import run_integer
from edgesqueeze.run.recipe import parse_recipe

EXPORTS = (
    OnnxExport(precision=("fp32", "int8"), input="uint8"),
    OnnxExport(precision=("int8",), input="uint8", int8_form="qoperator"),
    TfliteExport(precision=("fp32", "int8"), input="uint8"),
    TfliteExport(precision=("int8",), input="uint8", int8_io="float32"),
)


def written(folder, graph, spec) -> list[Artifact]:
    return [artifact for export in EXPORTS for artifact in export.write(graph, spec, folder)]


@pytest.fixture(scope="module", params=["gray", "rgb", "rgb, one scale"])
def network(request, tmp_path_factory):
    graph, spec = pixel_network(
        MNIST if request.param == "gray" else IMAGENET, per_channel=request.param != "rgb, one scale"
    )
    folder = tmp_path_factory.mktemp("files")
    return graph, spec, [artifact.path for artifact in written(folder, graph, spec)]


def test_the_gate_holds_them_to_float_preprocessing(network):
    graph, spec, files = network
    found = verify_files(
        graph, spec, files, graph.normalization.floats(every_pixel(len(graph.normalization.mean)))
    )
    found.require()
    assert "4 int8 files equal the integer reference, 2 float files" in found.summary()[0]


def test_a_runtime_alone_is_given_nothing_but_pixels(network):
    graph, spec, files = network
    pixels = every_pixel(len(graph.normalization.mean), 2)
    expected = run_integer(graph, spec, graph.normalization.floats(pixels))
    by_name = {path.name: path for path in files}
    session = onnxruntime.InferenceSession(by_name["model_int8.onnx"])
    grid = spec.activations["fc"]
    found = np.concatenate([session.run(None, {"input": image[None]})[0] for image in pixels])
    np.testing.assert_array_equal(np.rint(found / np.float32(grid.scale)) + grid.zero_point, expected)
    runner = Interpreter(str(by_name["model_int8.tflite"])).get_signature_runner()
    found = [runner(input=image.transpose(1, 2, 0)[None])["output"] for image in pixels]
    np.testing.assert_array_equal(np.concatenate(found), expected)


def test_integer_kernels_take_everything(network):
    for path in (path for path in network[2] if "int8" in path.name):
        assert (float_operators(path) if path.suffix == ".onnx" else undelegated(path)) == ()


def test_another_mean_is_caught_at_the_first_layer(tmp_path):
    graph, spec = pixel_network(IMAGENET)
    wrong = replace(graph, normalization=replace(IMAGENET, mean=(0.4, 0.456, 0.406)))
    files = [artifact.path for artifact in written(tmp_path, wrong, spec) if artifact.precision == "int8"]
    for path in (path for path in files if path.suffix == ".onnx"):
        model = onnx.load(path)
        onnx.helper.set_model_props(model, {"normalization": IMAGENET.text()})
        onnx.save(model, path)
        found = verify_files(graph, spec, [path], IMAGENET.floats(every_pixel(3)))
        with pytest.raises(ParityError, match="input/normalized"):
            found.require()


def test_a_file_of_the_same_network_that_takes_floats_says_the_same(tmp_path):
    graph, spec = pixel_network(IMAGENET)
    x = IMAGENET.floats(every_pixel(3))
    (floats,) = OnnxExport(precision=("int8",)).write(graph, spec, tmp_path)
    expected = load_model(floats.path).predict_integers(x)
    for artifact in (a for a in written(tmp_path, graph, spec) if a.precision == "int8"):
        np.testing.assert_array_equal(load_model(artifact.path).predict_integers(x), expected)


def test_floats_between_pixels_are_rounded(tmp_path):
    graph, spec = pixel_network(IMAGENET)
    (artifact,) = OnnxExport(precision=("int8",), input="uint8").write(graph, spec, tmp_path)
    pixels = every_pixel(3, 1)
    between = IMAGENET.floats(pixels) + np.float32(0.4 / 255 / 0.229)
    found = load_model(artifact.path).predict_integers(between)
    np.testing.assert_array_equal(found, run_integer(graph, spec, IMAGENET.floats(pixels)))


def test_every_file_says_what_it_expects(tmp_path):
    graph, spec = pixel_network(MNIST)
    written(tmp_path, graph, spec)
    (tmp_path / "floats").mkdir()
    TfliteExport(precision=("int8",)).write(graph, spec, tmp_path / "floats")
    floats = "(pixel / 255 - 0.1307) / 0.3081"
    shape = "[1, 16, 16, 1]"
    assert {
        path: input_lines(tmp_path / path)[0].removeprefix("input 'input': ")
        for path in ("model.onnx", "model_int8.onnx", "model_int8.tflite", "floats/model_int8.tflite")
    } == {
        "model.onnx": f"float32 NCHW [N, 1, 16, 16], -0.4242 to 2.821: {floats}",
        "model_int8.onnx": "uint8 NCHW [N, 1, 16, 16], pixels 0 to 255 as they are, mean 0.1307 and std 0.3081 "
        "are inside",
        "model_int8.tflite": f"uint8 NHWC {shape}, pixels 0 to 255 as they are, mean 0.1307 and std 0.3081 are "
        "inside",
        "floats/model_int8.tflite": f"int8 NHWC {shape}, -128 to 127: round(x / 0.0127282) - 95, x = {floats}",
    }
    assert input_lines(tmp_path / "model.onnx")[0] in inspect_file(tmp_path / "model.onnx").text()
    unknown = replace(graph, normalization=None)
    (artifact,) = OnnxExport().write(unknown, None, tmp_path)
    assert input_lines(artifact.path) == (
        "input 'input': float32 [N, 1, 16, 16], not said how pixels become it",
    )


def test_a_cut_file_knows_it_too(tmp_path):
    graph, spec = pixel_network(IMAGENET)
    for path in (
        artifact.path for artifact in written(tmp_path, graph, spec) if artifact.precision == "int8"
    ):
        cut = path.with_name(f"cut{path.suffix}")
        cut.write_bytes(open_cuttable(path).cut("conv"))
        assert load_model(cut).predict_integers(IMAGENET.floats(every_pixel(3, 1))).shape == (1, 4, 8, 8)


def test_a_squeezed_file_gives_them_back_and_says_so(tmp_path):
    graph, spec = pixel_network(IMAGENET)
    others = [artifact for artifact in written(tmp_path, graph, spec) if "_int8." in artifact.path.name]
    squeezed = SqueezedExport(templates=("onnx_int8", "tflite_int8"))
    (artifact,) = squeezed.write_beside(graph, spec, tmp_path, others)
    decoded = {path.name: path for path in decode_sqz(artifact.path, tmp_path / "decoded")}
    for other in others:
        assert decoded[other.path.name].read_bytes() == other.path.read_bytes()
    assert read_sqz(artifact.path.read_bytes())[0].normalization == IMAGENET
    (line,) = input_lines(artifact.path)
    assert line.startswith("input 'input': float32 NCHW [1, 3, 16, 16], -2.118 to 2.64: ")
    text = inspect_file(artifact.path).text()
    assert line in text
    assert "model_int8.tflite: input 'input': uint8 NHWC" in text


def recipe_of(*exports):
    stages = [{"stage": "train", "epochs": 1}, {"stage": "ptq", "method": "min_max"}]
    task = {"model": "lenet5", "data": "mnist_sample"}
    return parse_recipe(
        {"version": 1, "name": "r", "task": task, "stages": stages, "exports": list(exports)}, "r"
    )


def test_settings_that_cannot_hold_are_refused():
    for export in (OnnxExport, TfliteExport):
        with pytest.raises(ValidationError, match="input: uint8 needs int8 among the precisions"):
            export(input="uint8")
    onnx_int8 = {"export": "onnx", "precision": ["int8"], "input": "uint8"}
    with pytest.raises(Exception, match="add onnx_int8 to the templates of export 'squeezed'"):
        recipe_of(onnx_int8, {"export": "squeezed", "templates": ["tflite_int8"]})
    assert recipe_of(onnx_int8, {"export": "squeezed"}).exports[0].pixel_file == "model_int8.onnx"


def test_a_network_without_one_range_of_pixels_is_refused_before_training():
    graph, _ = pixel_network(MNIST)
    for export in (
        OnnxExport(precision=("int8",), input="uint8"),
        TfliteExport(precision=("int8",), input="uint8"),
    ):
        export.check(graph)
        with pytest.raises(ExportError, match="the task states no normalization"):
            export.check(replace(graph, normalization=None))
