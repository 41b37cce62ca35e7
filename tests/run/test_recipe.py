from pathlib import Path

import pytest
import yaml

from edgesqueeze.bundled import bundled_recipes, first_comment
from edgesqueeze.errors import RecipeError
from edgesqueeze.run.recipe import apply_override, find_recipe, load_recipe, parse_recipe
from edgesqueeze.settings import read_yaml

GOOD = """
version: 1
name: small
task: {model: lenet5, data: mnist_sample}
stages:
  - {stage: train, epochs: 1}
  - {stage: prune, sparsity: {"conv*": 0.5, fc1: 0.9}, epochs: 2}
  - {stage: share, num_bits: 4}
  - {stage: ptq}
exports:
  - {export: squeezed}
  - {export: onnx, precision: [fp32, int8]}
"""


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(GOOD)
    return path


def test_a_recipe_is_read_with_defaults_filled_in(good):
    recipe = load_recipe(str(good))
    assert [s.stage for s in recipe.stages] == ["train", "prune", "share", "ptq"]
    assert recipe.stages[1].sparsity == {"conv*": 0.5, "fc1": 0.9}
    assert recipe.seed == 0
    assert recipe.exports[1].precisions == ("fp32", "int8")


def test_training_on_grids_is_enough_for_int8(good):
    good.write_text(GOOD.replace("stage: ptq}", "stage: qat, epochs: 1}"))
    assert load_recipe(str(good)).stages[-1].method == "lsq"


def test_what_is_written_into_a_run_reads_back_as_the_same_recipe(good):
    recipe = load_recipe(str(good))
    text = yaml.safe_dump(recipe.model_dump(mode="json"))
    assert parse_recipe(yaml.safe_load(text), "again") == recipe


def test_every_bundled_recipe_is_valid_and_says_what_it_is():
    names = bundled_recipes()
    assert "deep_compression" in names
    for name, path in names.items():
        assert load_recipe(name).name == name
        assert load_recipe(f"{name}.yaml").name == name
        assert first_comment(path)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "epochs: 1}",
            "epoch: 1}",
            r"stages\[0\]\.epoch: unknown key 'epoch' \(did you mean 'epochs'\?\); allowed: .*epochs",
        ),
        ("epochs: 1}", "epochs: many}", r"stages\[0\]\.epochs: found 'many', should be a valid integer"),
        ("epochs: 1}", "epochs: -1}", r"stages\[0\]\.epochs: found -1, should be greater than or equal to 0"),
        ("fc1: 0.9", "fc1: 1.0", r"stages\[1\]\.sparsity\.fc1: found 1\.0, should be less than 1"),
        ("fc1: 0.9", "fc1: .nan", r"stages\[1\]\.sparsity\.fc1: found nan"),
        ("num_bits: 4", "num_bits: 9", r"stages\[2\]\.num_bits: found 9, should be less than or equal to 8"),
        ("num_bits: 4", "num_bits: 2.5", r"stages\[2\]\.num_bits: found 2\.5, should be a valid integer"),
        ("num_bits: 4", "epochs: 4", r"stages\[2\]\.num_bits: this key is required and missing"),
        (
            "stage: train",
            "stage: trian",
            r"stages\[0\]: stage is 'trian'; allowed: 'train', 'prune', 'share', 'squeeze', 'qat', 'ptq'",
        ),
        (
            "{stage: train, epochs: 1}",
            "{epochs: 1}",
            r"stages\[0\]: stage is 'nothing'; allowed: .*'?train'?",
        ),
        (
            "export: onnx",
            "export: onxx",
            r"exports\[1\]: export is 'onxx'; allowed: 'onnx', 'tflite', 'squeezed'",
        ),
        (
            "int8]",
            "int3]",
            r"exports\[1\]\.precision\[1\]: found 'int3', should be 'fp32', 'fp16', 'int8', 'dynamic', 'int8_weights'",
        ),
        (
            "stage: ptq}",
            "stage: ptq, method: min_max, percentile: 99}",
            r"percentile is for method percentile or auto, found method min_max",
        ),
        ("stage: ptq}", "stage: ptq, adaround_steps: 5}", r"adaround_steps needs adaround: true"),
        ("version: 1", "version: 2", r"version: found 2, should be 1"),
        ("name: small", "nam: small", r"unknown key 'nam' \(did you mean 'name'\?\)"),
        ("data: mnist_sample", "data: minst", r"task\.data.*'minst'.*mnist_sample, fashion_mnist"),
        ("model: lenet5", "model: lenet6", r"task\.model.*'lenet6'.*lenet300_100"),
        ("model: lenet5", "modle: lenet5", r"task\.modle: unknown key 'modle' \(did you mean 'model'\?\)"),
        ("  - {stage: ptq}\n", "", r"export 'onnx' asks for int8, which needs a 'ptq' or 'qat' stage"),
        ("  - {stage: ptq}\n", "  - {stage: ptq}\n  - {stage: train}\n", r"'train' stands behind 'ptq'"),
        ("stage: ptq}", "stage: qat, temperature: 2}", r"temperature needs distill above 0"),
        (
            "stage: ptq}",
            "stage: qat, distill: 1, label_smoothing: 0.3}",
            r"label_smoothing is of the task's own loss",
        ),
        ("stage: ptq}", "stage: qat, epochs: 0}", r"stages\[3\]\.epochs: found 0, should be greater"),
        (
            "stage: ptq}",
            "stage: qat}\n  - {stage: ptq}",
            r"'ptq' stands behind 'qat'; 'qat' fixes every integer",
        ),
        ("stage: ptq}", "stage: ptq}\n  - {stage: qat}", r"'qat' stands behind 'ptq'"),
        ("stage: ptq}", "stage: qat}\n  - {stage: prune, sparsity: 0.1}", r"'prune' stands behind 'qat'"),
        ("stage: ptq}", "stage: qat}\n  - {stage: share, num_bits: 2}", r"'share' stands behind 'qat'"),
        (
            "  - {stage: ptq}\n",
            "  - {stage: prune, sparsity: 0.1}\n  - {stage: ptq}\n",
            r"'prune' stands behind 'share'",
        ),
        ("  - {export: squeezed}\n", "  - {export: onnx}\n", r"each export may be named once"),
        ("stages:", "stages: 3\nstagse:", r"stages"),
    ],
)
def test_a_mistake_is_named_with_its_place(good, old, new, sentence):
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    good.write_text(text)
    with pytest.raises(RecipeError, match=sentence) as caught:
        load_recipe(str(good))
    assert str(good) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [1", "is not valid YAML"),
        ("- 1", "holds list, not a mapping"),
        ("", "holds NoneType, not a mapping"),
        ("name: a\nname: b", "key 'name' is given twice .line 2."),
    ],
)
def test_bad_yaml_is_refused(tmp_path, text, sentence):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=sentence):
        read_yaml(path)


def test_binary_and_missing_files_are_refused(tmp_path):
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(RecipeError, match="cannot be read"):
        read_yaml(tmp_path / "bad.yaml")
    with pytest.raises(RecipeError, match="no recipe 'nowhere.yaml'.*deep_compression"):
        find_recipe("nowhere.yaml")


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("stages.prune.epochs=5", lambda r: r.stages[1].epochs == 5),
        ("stages.1.epochs=5", lambda r: r.stages[1].epochs == 5),
        ("stages.prune.sparsity.fc1=0.95", lambda r: r.stages[1].sparsity["fc1"] == 0.95),
        ("stages.prune.sparsity.conv*=0.2", lambda r: r.stages[1].sparsity["conv*"] == 0.2),
        ("stages.prune.sparsity=0.7", lambda r: r.stages[1].sparsity == 0.7),
        ("task.data=fashion_mnist", lambda r: r.task.data == "fashion_mnist"),
        ("task.data={idx: here}", lambda r: r.task.data.idx == Path("here")),
        ("exports.onnx.precision=[fp32]", lambda r: r.exports[1].precisions == ("fp32",)),
        ("seed=3", lambda r: r.seed == 3),
    ],
)
def test_a_setting_can_be_overridden(good, override, read):
    assert read(load_recipe(str(good), [override]))


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("seed", "not of the form key.path=value"),
        ("=3", "not of the form key.path=value"),
        ("stages.quantize.epochs=1", "no 'quantize'; there is 0: train, 1: prune"),
        ("stages.9.epochs=1", "no '9'"),
        ("nothing.epochs=1", "no key 'nothing' here; there is version, name"),
        ("seed.deep.deeper=1", "no key 'seed' here|lies below a single value"),
        ("name.deep=1", "'?name'? is a single value"),
        ("seed=[", "not valid YAML"),
        ("stages.prune.epoch=1", "unknown key 'epoch'"),
    ],
)
def test_a_wrong_override_is_refused(good, override, sentence):
    with pytest.raises(RecipeError, match=sentence):
        load_recipe(str(good), [override])


def test_a_stage_named_twice_is_overridden_by_position_only():
    data = {"stages": [{"stage": "train"}, {"stage": "train"}]}
    with pytest.raises(RecipeError, match="'train' is there 2 times, use its position"):
        apply_override(data, "stages.train.epochs=1")
    apply_override(data, "stages.1.epochs=4")
    assert data["stages"][1] == {"stage": "train", "epochs": 4}
    apply_override(data, "stages.0={stage: ptq}")
    assert data["stages"][0] == {"stage": "ptq"}


def test_a_layer_name_with_dots_can_be_overridden():
    data = {"stages": [{"stage": "prune", "sparsity": {"features.0": 0.1}}]}
    apply_override(data, "stages.prune.sparsity.features.0=0.3")
    assert data["stages"][0]["sparsity"] == {"features.0": 0.3}
