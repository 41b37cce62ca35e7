"""Every small graph in both runtimes: float against torch, int8 against the integer reference."""

import numpy as np
import onnx
import pytest
import torch
from emit_networks import SMALL_GRAPHS, SOURCE, calibrated, conv, graph_of, small_input, with_grids
from parity_networks import write_files

from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.errors import ExportError
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.formats.onnx.writing.qoperator import emit_onnx_qoperator
from edgesqueeze.formats.tflite.writing.emit import emit_tflite
from edgesqueeze.measure.checks.delegation import undelegated
from edgesqueeze.measure.proof.verification import verify_files
from edgesqueeze.measure.runtimes.litert import load_tflite
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.network.floats.run import graph_weights, run_graph
from edgesqueeze.network.graph.nodes import (
    Add,
    Clamp,
    Concat,
    Dense,
    Flatten,
    GlobalAvgPool,
    Graph,
    Input,
    Resize,
)
from edgesqueeze.network.integers.align import align_grids
from edgesqueeze.network.integers.inexact import inexact_nodes
from edgesqueeze.network.integers.reference import run_integer
from edgesqueeze.network.integers.spec import ActivationQuant, QuantSpec


def load(directory, graph, spec):
    for name, emit in (("m.onnx", emit_onnx), ("m.tflite", emit_tflite)):
        (directory / name).write_bytes(emit(graph, spec))
    return load_onnx(directory / "m.onnx"), load_tflite(directory / "m.tflite")


def assert_same_integers(directory, graph, spec, x):
    expected = run_integer(graph, spec, x)
    onnx_file, tflite_file = load(directory, graph, spec)
    assert np.ptp(expected.astype(int)) > 20 or len(np.unique(expected)) > 1, "the graph answers a constant"
    np.testing.assert_array_equal(tflite_file.predict_integers(x), expected)
    if not any(isinstance(node, Resize) for node in graph.nodes):
        np.testing.assert_array_equal(onnx_file.predict_integers(x), expected)
    expected = run_integer(graph, spec, x, "onnxruntime")
    np.testing.assert_array_equal(onnx_file.predict_integers(x), expected)


@pytest.mark.parametrize("name", SMALL_GRAPHS)
def test_float_files_equal_torch(name, tmp_path):
    graph, x = SMALL_GRAPHS[name], small_input()
    expected = run_graph(graph, torch.from_numpy(x), graph_weights(graph)).numpy()
    onnx.checker.check_model(onnx.load_from_string(emit_onnx(graph, None)), full_check=True)
    for predictor in load(tmp_path, graph, None):
        y = predictor.predict(x)
        assert y.shape == expected.shape
        np.testing.assert_allclose(y, expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("name", SMALL_GRAPHS)
def test_int8_files_equal_the_reference(name, tmp_path):
    graph, x = SMALL_GRAPHS[name], small_input()
    spec = calibrated(graph, x)
    onnx.checker.check_model(onnx.load_from_string(emit_onnx(graph, spec)), full_check=True)
    assert_same_integers(tmp_path, graph, spec, x)


@pytest.mark.parametrize(
    "sizes", [((5, 7), (40, 56)), ((1, 9), (6, 9)), ((33, 20), (11, 13)), ((4, 4), (4, 9))]
)
def test_both_rules_of_a_bilinear_resize(sizes, tmp_path):
    """Down, up, by fractions and along one side only, on grids whose scales are no powers of two."""
    (rows, columns), size = sizes
    source = Input(name="input", inputs=(), shape=(1, 6, rows, columns))
    node = Resize(name="r", inputs=("input",), shape=(1, 6, *size), size=size, mode="bilinear")
    x = np.random.default_rng(1).normal(size=(20, *source.shape[1:])).astype(np.float32)
    spec = with_grids(Graph((source, node), {}), dict.fromkeys(("input", "r"), (-2.1, 2.9)))
    onnx_file, tflite_file = load(tmp_path, Graph((source, node), {}), spec)
    for file, rule in ((onnx_file, "onnxruntime"), (tflite_file, "xnnpack")):
        expected = run_integer(Graph((source, node), {}), spec, x, rule)
        np.testing.assert_array_equal(file.predict_integers(x), expected)


@pytest.mark.parametrize(
    ("sizes", "mode"),
    [
        (((9, 7), (18, 14)), "bilinear"),
        (((5, 3), (40, 24)), "bilinear"),
        (((4, 3), (64, 48)), "bilinear"),
        (((8, 5), (4, 20)), "bilinear"),
        (((5, 9), (9, 17)), "bilinear_corners"),
    ],
)
@pytest.mark.parametrize("ends", [(-2.1, 2.9), (0.0, 1.3), (-0.7, 0.0)])
def test_files_agree_on_a_bilinear_resize_with_exact_weights(sizes, mode, ends, tmp_path):
    (rows, columns), size = sizes
    source = Input(name="input", inputs=(), shape=(1, 6, rows, columns))
    graph = Graph(
        (source, Resize(name="r", inputs=("input",), shape=(1, 6, *size), size=size, mode=mode)), {}
    )
    spec = with_grids(graph, dict.fromkeys(("input", "r"), ends))
    x = np.random.default_rng(1).uniform(*ends, size=(40, *source.shape[1:])).astype(np.float32)
    rules = {rule: run_integer(graph, spec, x, rule) for rule in ("onnxruntime", "xnnpack")}
    np.testing.assert_array_equal(*rules.values())
    assert inexact_nodes(graph, spec, "onnxruntime", "aarch64") == {}
    (tmp_path / "model_int8_qoperator.onnx").write_bytes(emit_onnx_qoperator(graph, spec))
    for file in (*load(tmp_path, graph, spec), load_onnx(tmp_path / "model_int8_qoperator.onnx")):
        np.testing.assert_array_equal(file.predict_integers(x), rules["xnnpack"])
    verify_files(graph, spec, sorted(tmp_path.iterdir()), x).require()


@pytest.mark.parametrize(
    "name", ["add", "add_relu", "add_relu6", "mul", "squeeze_excite", "silu", "gelu", "softmax"]
)
def test_grids_from_elsewhere_are_brought_to_where_both_runtimes_round_alike(name, tmp_path):
    graph, x = SMALL_GRAPHS[name], small_input(30)
    ranges = calibrate_min_max(graph, [torch.from_numpy(x)])
    if name in ("add", "mul"):
        ranges |= {"c1": (0.0, 1.7), "c2": (-1.7 * 85 / 170, 1.7 * 85 / 170), graph.output.name: (-3.4, 3.4)}
    spec = with_grids(graph, ranges)
    assert_same_integers(tmp_path, graph, spec, x)


@pytest.mark.parametrize("scale", [1e-2, 1 / 600, 1e-4, 1e-6])
def test_a_sum_with_a_term_on_a_far_finer_grid(scale, tmp_path):
    small, x = SMALL_GRAPHS["add"], small_input(60)
    scaled = {f"c2.{part}": small.tensors[f"c2.{part}"] * np.float32(scale) for part in ("weight", "bias")}
    graph = Graph(small.nodes, small.tensors | scaled)
    spec = calibrated(graph, x)
    finer, total = spec.activations["c2"].scale, spec.activations["sum"].scale
    assert (finer < total / 510) == (scale < 1e-3), (
        "a far finer grid is not made coarser for those who read it"
    )
    assert_same_integers(tmp_path, graph, spec, x)


@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_an_activation_whose_grid_reaches_below_zero(activation, tmp_path):
    graph = graph_of(conv("c", "input", SOURCE.shape, activation=activation), scale=1.0)
    spec = with_grids(graph, {"input": (-3, 3), "c": (-5, 17)})
    assert run_integer(graph, spec, small_input()).min() == spec.activations["c"].zero_point
    assert_same_integers(tmp_path, graph, spec, small_input())


def test_zeros_around_a_max_pool_behind_relu_do_whatever_its_grid(tmp_path):
    graph, x = SMALL_GRAPHS["max_pool_padded_relu"], small_input()
    spec = with_grids(graph, {"input": (-3, 3), "c1": (-2, 5), "p": (-2, 5)})
    assert_same_integers(tmp_path, graph, spec, x)
    assert undelegated(tmp_path / "m.tflite") == ()


def test_pruned_channels_and_layers(tmp_path):
    first, second = (conv(n, s, SOURCE.shape, pads=(1,) * 4) for n, s in (("a", "input"), ("b", "a")))
    graph = graph_of(first, second)
    graph.tensors["a.weight"][3:9] = 0
    graph.tensors["a.bias"][5] = 0
    assert_same_integers(tmp_path, graph, calibrated(graph, small_input()), small_input())
    graph.tensors["a.weight"][:] = 0
    assert_same_integers(tmp_path, graph, calibrated(graph, small_input()), small_input())
    graph.tensors["a.bias"][:] = 0
    spec = calibrated(graph, small_input())
    constant = run_integer(graph, spec, small_input())
    for predictor in load(tmp_path, graph, spec):
        np.testing.assert_array_equal(predictor.predict_integers(small_input()), constant)


@pytest.mark.parametrize("size", [1e-6, 1e-9, 1e-12, 1e-30])
def test_biases_that_would_overflow_int32(size, tmp_path):
    graph = graph_of(conv("c", "input", SOURCE.shape))
    graph.tensors["c.weight"][:4] *= size
    assert (np.abs(graph.tensors["c.bias"][:4]) / (size * 1e-4) > 2**31).any() or size > 1e-8
    assert_same_integers(tmp_path, graph, calibrated(graph, small_input()), small_input())


def near_halves(count, rng):
    """Grids on which some mean of a few steps lies so near to a half that float32 matters, and inputs."""
    steps, whole = int(rng.integers(3, 60)), int(rng.integers(1, 40))
    source = np.float32(rng.uniform(0.01, 0.1))
    off = 1 + rng.choice([-1, 1]) * 10 ** rng.uniform(-7, -4.5)
    mean = np.float32(float(source) / (count * (whole + 0.5) / steps * off))
    points = [int(n) for n in rng.integers(-128, 60, 2)]
    grids = [ActivationQuant(float(s), z) for s, z in zip((source, mean), points, strict=True)]
    integers = rng.integers(-1, 2 + 2 * steps // count, (2, 200, *[round(count**0.5)] * 2))
    return grids, (np.clip(integers, -128 - points[0], 127 - points[0]) * source).astype(np.float32)


@pytest.mark.parametrize("size", [2, 3, 7, 24])
def test_a_mean_follows_each_runtimes_rule_and_is_equal_on_aligned_grids(size, tmp_path):
    source = Input(name="input", inputs=(), shape=(1, 200, size, size))
    graph = Graph((source, GlobalAvgPool(name="p", inputs=("input",), shape=(1, 200, 1, 1))), {})
    rng, apart = np.random.default_rng(size), 0
    for _ in range(25):
        grids, x = near_halves(size * size, rng)
        named = dict(zip(("input", "p"), grids, strict=True))
        onnx_file, tflite_file = load(tmp_path, graph, QuantSpec(named, {}))
        xnnpack, other = (run_integer(graph, QuantSpec(named, {}), x, r) for r in ("xnnpack", "onnxruntime"))
        np.testing.assert_array_equal(tflite_file.predict_integers(x), xnnpack)
        np.testing.assert_array_equal(onnx_file.predict_integers(x), other)
        apart += np.count_nonzero(xnnpack != other)
        aligned = QuantSpec(align_grids(graph, named), {})
        if aligned.activations != named:
            assert abs(aligned.activations["p"].scale / grids[1].scale - 1) < 0.026
            assert_same_integers(tmp_path, graph, aligned, x)
    assert apart > 0


# -- the order of flattened values in TFLite ------------------------------------------------------------


def flat_graph(*nodes):
    flat = Flatten(name="flat", inputs=("input",), shape=(1, 8 * 13 * 12))
    return graph_of(flat, *nodes)


def test_a_flattened_map_as_output_is_refused_by_tflite_only(tmp_path):
    graph, x = flat_graph(), small_input()
    with pytest.raises(ExportError, match="'flat' holds a flattened map"):
        emit_tflite(graph, None)
    (tmp_path / "m.onnx").write_bytes(emit_onnx(graph, None))
    np.testing.assert_array_equal(load_onnx(tmp_path / "m.onnx").predict(x), x.reshape(len(x), -1))


@pytest.mark.parametrize("kind", [Concat, Add])
def test_a_flattened_map_joined_with_another_is_refused(kind):
    more = {"activation": "none"} if kind is Add else {}
    width = 8 * 13 * 12 * (1 if kind is Add else 2)
    join = kind(name="join", inputs=("flat", "flat"), shape=(1, width), **more)
    with pytest.raises(ExportError, match="'join' holds a flattened map"):
        emit_tflite(flat_graph(join), None)


def test_an_order_safe_flatten_is_accepted(tmp_path):
    one = conv("c", "input", SOURCE.shape, out=1)
    graph = graph_of(one, Flatten(name="flat", inputs=("c",), shape=(1, 110)))
    x = small_input()
    expected = run_graph(graph, torch.from_numpy(x), graph_weights(graph)).numpy()
    for predictor in load(tmp_path, graph, None):
        np.testing.assert_allclose(predictor.predict(x), expected, atol=1e-5)


# -- what XNNPACK does not take --------------------------------------------------------------------------


def test_a_grid_far_too_fine_for_its_sums_is_refused():
    graph = graph_of(conv("c", "input", SOURCE.shape), scale=100.0)
    with pytest.raises(ExportError, match=r"'c' needs int8 scale ratios .* up to 256"):
        emit_tflite(graph, with_grids(graph, {"input": (-3, 3), "c": (-1e-3, 1e-3)}))


def test_a_sum_of_a_far_coarser_grid_is_equal(tmp_path):
    graph = SMALL_GRAPHS["add"]
    spec = with_grids(graph, {"input": (-3, 3), "c1": (0, 1e4), "c2": (-3, 3), "sum": (-3, 3)})
    files = write_files(tmp_path, graph, spec)[2:]
    assert verify_files(graph, spec, files, small_input()).failures() == []


# -- sizes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("emit", [emit_onnx, emit_tflite])
def test_more_than_two_gigabytes_are_refused_before_any_copy(emit):
    node = Dense(name="fc", inputs=("flat",), shape=(1, 2**19), activation="none")
    flat = Flatten(name="flat", inputs=("input",), shape=(1, 8 * 13 * 12))
    huge = np.broadcast_to(np.float32(0), (2**19, 8 * 13 * 12))
    graph = Graph((SOURCE, flat, node), {"fc.weight": huge, "fc.bias": np.zeros(2**19, np.float32)})
    with pytest.raises(ExportError, match="less than 2 GB"):
        emit(graph, None)


def test_names_that_look_like_the_files_own(tmp_path):
    first = conv("output", "input", SOURCE.shape)
    second = conv("output/out", "output", first.shape, out=4)
    last = Clamp(name="zero", inputs=("output/out",), shape=second.shape, activation="relu6")
    graph, x = graph_of(first, second, last), small_input()
    expected = run_graph(graph, torch.from_numpy(x), graph_weights(graph)).numpy()
    for predictor in load(tmp_path, graph, None):
        np.testing.assert_allclose(predictor.predict(x), expected, atol=1e-4)
    assert_same_integers(tmp_path, graph, calibrated(graph, x), x)
