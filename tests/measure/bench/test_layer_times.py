"""Times of layers: ONNX Runtime's kernels under the names of the layers they come from."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgesqueeze.errors import ExportError, RecipeError
from edgesqueeze.measure.bench import layer_times as module
from edgesqueeze.measure.bench.bench import change_suite, profile_layers
from edgesqueeze.measure.bench.layer_times import layer_times
from edgesqueeze.measure.bench.layer_worker import Profile
from edgesqueeze.measure.bench.suite import Suite
from edgesqueeze.measure.bench.worker import Job
from edgesqueeze.measure.runtimes.onnx_runtime import KernelTime
from edgesqueeze.measure.runtimes.runtime import RuntimeName

LAYERS = {"conv1", "conv2", "fc1", "fc2"}


@pytest.fixture(scope="module")
def profiles(tmp_path_factory):
    """LeNet-5 in fp32 and int8, whatever else this machine does meanwhile."""
    suite = Suite(
        version=1, name="t", models=("lenet5",), baseline=None, runtimes=("onnxruntime",), samples=4
    )
    suite = change_suite(suite, {"precisions": ["fp32", "int8"], "warmup": 1})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_doubts", lambda told: ())
        return profile_layers(suite, tmp_path_factory.mktemp("profiles"))


def test_every_layer_has_its_time_and_what_the_runtime_puts_in_is_told_apart(profiles):
    assert [profile.path for profile in profiles] == ["lenet5/model.onnx", "lenet5/model_int8.onnx"]
    for profile in profiles:
        named = [layer.layer for layer in profile.layers if layer.layer is not None]
        assert set(named) >= LAYERS
        assert len(named) == len(set(named))
        assert [name for name in named if name in LAYERS] == sorted(LAYERS)
        assert all(0 <= layer.p25_s <= layer.median_s <= layer.p75_s for layer in profile.layers)
        assert sum(layer.share for layer in profile.layers) == pytest.approx(1)
        assert profile.run_s > 0
        assert (profile.runs, profile.threads, profile.batch) == (4, 1, 1)
        text = profile.text()
        assert "conv2" in text
        assert max(map(len, text.splitlines())) <= 100
        assert json.loads(json.dumps(profile.to_json()))["layers"][0]["operators"]
    kinds = {layer.layer: layer.operators for layer in profiles[1].layers}
    assert "QLinearConv" in kinds["conv1"]


def test_a_disturbed_profile_has_no_numbers(profiles, monkeypatch):
    kernel = KernelTime("conv1/raw", "Conv", (1e-5, 1e-5))
    told = Profile("onnxruntime 1", (kernel,), (1e-4, 1e-4), 0.2)
    assert module._doubts(told) == ("other work took its processor for 20 % of the time",)
    assert module._doubts(replace(told, waited=None)) == ()
    assert "lie 90 % of the median apart" in module._doubts(replace(told, waited=0.0, runs_s=(1.0, 19.0)))[0]
    unknown = replace(profiles[0], run_s=None, layers=(module.LayerTime("conv1", ("Conv",)),), doubts=("so",))
    assert "a whole run takes ? while" in unknown.text()
    assert "?: so." in unknown.text()


def job(path, shape):
    return Job(str(path), "m", RuntimeName.ONNXRUNTIME, 1, (shape,), (), 2, 1)


def test_files_of_others_are_told_by_their_operators(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_doubts", lambda told: ())
    value, weight = helper.make_tensor_value_info, numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], "/head/MatMul"),
        helper.make_node("MatMul", ["h", "w"], ["g"], "/head/MatMul_1"),
        helper.make_node("Erf", ["g"], ["y"], "/head/act/Erf"),
    ]
    ends = ([value("x", 1, [1, 4])], [value("y", 1, [1, 4])], [weight])
    model = helper.make_model(
        helper.make_graph(nodes, "g", *ends), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    onnx.save(model, tmp_path / "a.onnx")
    found = layer_times(job(tmp_path / "a.onnx", (1, 4)), "a.onnx")
    assert [layer.layer for layer in found.layers] == [node.name for node in nodes]


def test_what_cannot_be_profiled_says_so(tmp_path):
    with pytest.raises(ExportError, match=r"nothing\.onnx is not a file"):
        layer_times(job(tmp_path / "nothing.onnx", (1, 4)), "nothing.onnx")
    suite = Suite(version=1, name="t", models=("lenet5",), baseline=None)
    with pytest.raises(RecipeError, match="litert tells no times of layers; onnxruntime does"):
        profile_layers(suite, tmp_path)
    with pytest.raises(RecipeError, match=r"a\.sqz does not run; `edgesqueeze decode` makes files that do"):
        profile_layers(change_suite(suite, {"models": ["a.sqz"], "runtimes": ["onnxruntime"]}), tmp_path)
