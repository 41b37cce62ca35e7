"""What quantization-aware training promises, read back from the files it ends in."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from training import Recorder, weights_of

from edgesqueeze.compression.stages import Prune, Ptq, Qat, Share, Squeeze, Train
from edgesqueeze.compression.weights.weights import bake
from edgesqueeze.data.splits import ArraySplit
from edgesqueeze.errors import RecipeError, TaskError
from edgesqueeze.exports import OnnxExport, SqueezedExport, TfliteExport
from edgesqueeze.formats.sqz.file import decode_sqz
from edgesqueeze.layers import weighted_layers
from edgesqueeze.measure.proof.equal_integers import read_integers
from edgesqueeze.measure.proof.verification import verify_files
from edgesqueeze.measure.runtimes.litert import load_tflite
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.task.training import Session, evaluate

NUM_BITS = 3
INT8 = (OnnxExport(precision=("int8",), batch=1), TfliteExport(precision=("int8",)))


@pytest.fixture(scope="module")
def trained(lenet_task):
    torch.manual_seed(0)
    stage = Train(epochs=3, learning_rate=0.05, batch_size=32)
    return stage.apply(lenet_task.build_model(), lenet_task, Session("train", 0, Recorder()))


@pytest.fixture(scope="module", params=[pytest.param("lenet", marks=pytest.mark.slow), "tiny"])
def chain(request, lenet_task, tiny_task, tmp_path_factory):
    """Prune, share, train on grids, write: the shared model, the quantized one, and its files."""
    task = lenet_task if request.param == "lenet" else tiny_task
    session = Session("test", 1, Recorder())
    torch.manual_seed(0)
    model = Train(epochs=2, learning_rate=0.05, batch_size=32).apply(task.build_model(), task, session)
    model = Prune(sparsity=0.6).apply(model, task, session)
    shared = Share(num_bits=NUM_BITS).apply(model, task, session)
    plain = bake(shared)
    model = Qat(epochs=2, learning_rate=0.01, batch_size=32).apply(shared, task, session)
    folder = tmp_path_factory.mktemp(request.param)
    files = [export.write(model.graph, model.spec, folder)[0].path for export in INT8]
    return task, plain, model, files


def test_pruned_and_shared_weights_are_so_in_both_files(chain):
    _, plain, model, files = chain
    stored = [read_integers(path).layers for path in files]
    for name, before in weights_of(plain).items():
        zeros = (before == 0).numpy()
        floats = model.graph.tensors[f"{name}.weight"]
        assert zeros.mean() > 0.5
        assert not np.array_equal(floats, before.numpy())  # it was trained
        assert len(np.unique(floats[~zeros])) <= 2**NUM_BITS
        for layers in stored:
            integers = layers[name]["weight"].reshape(zeros.shape)
            assert not floats[zeros].any()
            assert not integers[zeros].any()
            for channel in integers:
                assert len(np.unique(channel[channel != 0])) <= 2**NUM_BITS


def test_the_files_hold_the_same_integers_and_answer_with_them(chain):
    task, _, model, files = chain
    x, _ = next(task.test.batches(24))
    verify_files(model.graph, model.spec, files, x.numpy()).require()
    answers = [
        load(path).predict(x.numpy()) for load, path in zip((load_onnx, load_tflite), files, strict=True)
    ]
    assert np.array_equal(answers[0], answers[1])


def test_the_compressed_file_decodes_to_the_same_files(chain, tmp_path):
    _, _, model, files = chain
    squeezed = SqueezedExport().write(model.graph, model.spec, tmp_path)[0]
    decoded = {path.name: path for path in decode_sqz(squeezed.path, tmp_path / "decoded")}
    for path in files:
        assert decoded[path.name].read_bytes() == path.read_bytes()


def test_what_squeeze_has_put_on_a_grid_stays_on_it(tiny_task, session):
    model = Squeeze(price=0.5, epochs=1).apply(tiny_task.build_model(), tiny_task, session)
    steps = {
        name: float(layer.parametrizations.weight[-1].step) for name, layer in weighted_layers(model).items()
    }
    before = {name: weight.numpy() for name, weight in weights_of(bake(model)).items()}
    found = Qat(epochs=1, learning_rate=0.3, batch_size=32).apply(model, tiny_task, session).graph.tensors
    for name, step in steps.items():
        after = found[f"{name}.weight"]
        assert np.array_equal(after, np.rint(after / np.float32(step)) * np.float32(step))
        assert not after[before[name] == 0].any()
    assert any(not np.array_equal(found[f"{name}.weight"], before[name]) for name in steps)


@pytest.mark.slow
def test_layers_can_be_kept_in_float(trained, lenet_task, session, tmp_path):
    stage = Qat(epochs=1, keep_float=["conv1", "fc*"])
    model = stage.apply(trained, lenet_task, session)
    assert set(model.spec.weights) == {"conv2"}
    assert session.notes == ["layers kept in float: conv1, fc1, fc2"]
    files = [e.write(model.graph, model.spec, tmp_path)[0].path for e in INT8]
    x, _ = next(lenet_task.test.batches(16))
    verify_files(model.graph, model.spec, files, x.numpy()).require()
    with pytest.raises(RecipeError, match="qat.keep_float: 'cnov1' names no layer"):
        Qat(keep_float=["cnov1"]).check(trained)
    with pytest.raises(RecipeError, match="qat.keep_float keeps every layer in float"):
        Qat(keep_float=["*"]).apply(trained, lenet_task, session)


def test_a_layer_may_have_one_weight_scale(trained, lenet_task, session, tmp_path):
    model = Qat(epochs=1, per_channel=False).apply(trained, lenet_task, session)
    files = [e.write(model.graph, model.spec, tmp_path)[0].path for e in INT8]
    assert not model.spec.per_channel
    verify_files(model.graph, model.spec, files, next(lenet_task.test.batches(16))[0].numpy()).require()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lsq", "moving_average"])
def test_training_repairs_what_bad_ranges_broke(method, trained, lenet_task, session):
    spiked = torch.cat([x for x, _ in lenet_task.calibration.batches(32)])
    spiked[0] *= 200
    task = replace(lenet_task, calibration=ArraySplit(spiked, torch.zeros(len(spiked), dtype=torch.long)))
    broken = evaluate(Ptq(method="min_max").apply(trained, task, session), task.test, task)["accuracy"]
    stage = Qat(method=method, epochs=3, learning_rate=0.01, batch_size=16)
    repaired = evaluate(stage.apply(trained, task, session), task.test, task)["accuracy"]
    assert broken < 0.5
    assert repaired > 0.8


@pytest.mark.slow
def test_grids_frozen_from_the_start_are_those_of_ptq(trained, lenet_task, session):
    expected = Ptq(method="min_max").apply(trained, lenet_task, session)
    found = Qat(epochs=1, freeze_after=0).apply(trained, lenet_task, session)
    assert found.spec.activations == expected.spec.activations
    moved = Qat(epochs=1, freeze_after=1).apply(trained, lenet_task, session)
    assert moved.spec.activations != expected.spec.activations
    for model in (found, moved):
        assert any(
            not np.array_equal(model.spec.weights[n].weight, quant.weight)
            for n, quant in expected.spec.weights.items()
        )


def test_the_initial_ranges_are_those_of_the_calibrator_asked_for(trained, lenet_task, session):
    expected = Ptq(method="percentile").apply(trained, lenet_task, session)
    found = Qat(epochs=1, freeze_after=0, initial_ranges="percentile").apply(trained, lenet_task, session)
    assert found.spec.activations == expected.spec.activations


@pytest.mark.slow
def test_a_student_comes_closer_to_its_teacher(trained, lenet_task, session):
    def distance(stage):
        model = stage.apply(trained, lenet_task, session)
        with torch.no_grad():
            pairs = [(trained(x), model(x)) for x, _ in lenet_task.train.batches(200)]
        return sum(float((a - b).pow(2).sum()) for a, b in pairs)

    settings = {"epochs": 1, "learning_rate": 0.01, "batch_size": 16}
    assert distance(Qat(distill=1.0, **settings)) < 0.5 * distance(Qat(**settings))


def test_the_model_that_was_given_is_not_changed(trained, lenet_task, session):
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    Qat(epochs=1, learning_rate=0.01).apply(trained, lenet_task, session)
    assert all(torch.equal(before[name], tensor) for name, tensor in trained.state_dict().items())


def test_what_has_integers_already_is_refused(trained, lenet_task, session):
    quantized = Ptq(method="min_max").apply(trained, lenet_task, session)
    with pytest.raises(RecipeError, match="the model is quantized already"):
        Qat().apply(quantized, lenet_task, session)
    with pytest.raises(RecipeError, match="the model is quantized already"):
        Ptq(method="min_max").apply(Qat(epochs=1).apply(trained, lenet_task, session), lenet_task, session)


def test_distillation_without_classes_is_refused(lenet_task, session):
    model = nn.Sequential(nn.Conv2d(1, 1, 28), nn.Flatten())
    with pytest.raises(RecipeError, match=r"qat.distill needs class scores, the model returns \[1, 1\]"):
        Qat(distill=0.5).apply(model, lenet_task, session)


def test_a_loss_that_is_not_a_number_is_refused(trained, lenet_task, session):
    task = replace(lenet_task, loss=lambda outputs, targets: outputs.sum() * float("nan"))
    with pytest.raises(TaskError, match="became nan"):
        Qat(epochs=1).apply(trained, task, session)
    late = Qat(epochs=1, freeze_after=0)
    with pytest.raises(TaskError, match="the loss of stage 'test' became nan in epoch 1"):
        late.apply(trained, task, session)
