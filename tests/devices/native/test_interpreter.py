"""The interpreter in C answers as LiteRT does, here and as a program for aarch64; hostile files end in a sentence."""

import random
import shutil
import subprocess

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from torch import nn

from edgesqueeze.compression.quantizing.post_training import Plan, quantize_graph
from edgesqueeze.devices.native.decoder import COMPILERS
from edgesqueeze.devices.native.interpreter import build_interpreter, read_times, read_windows, sources
from edgesqueeze.errors import DeviceError
from edgesqueeze.formats.tflite.writing.emit import emit_tflite
from edgesqueeze.models import built_in_model
from edgesqueeze.network.reading.torch.build import build_graph

EMULATOR = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")
CAREFUL = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
SMALL = ("lenet300_100", "lenet5", "autoencoder_dense", "autoencoder_conv", "autoencoder_squeeze")
LARGE = ("squeezenet1_1", "mobilenet_v2", "squeezenet_detector", "squeezenet_segmenter")
"""At 64 × 64 pixels: sanitizers are slow."""


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """The program for this machine, which stops at whatever C leaves undefined."""
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc here")
    return build_interpreter(tmp_path_factory.mktemp("here") / "infer", "gcc", (*STRICT, *CAREFUL))


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """The static program for aarch64."""
    if EMULATOR is None or not any(map(shutil.which, COMPILERS)):
        pytest.skip("needs gcc-aarch64-linux-gnu and qemu-user")
    return build_interpreter(tmp_path_factory.mktemp("there") / "infer", flags=("-static", "-s", *STRICT))


def run(*command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)


def by_litert(path, count=2):
    """Inputs over the whole range of the input's type, and what LiteRT answers."""
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    noise = np.random.default_rng(0).standard_normal((count, *source["shape"][1:])).astype(np.float32)
    if source["dtype"] != np.float32:
        info = np.iinfo(source["dtype"])
        noise = np.clip(noise * 60 + (info.max + info.min) / 2, info.min, info.max).astype(source["dtype"])
    answers = b""
    for one in noise:
        interpreter.set_tensor(source["index"], one[None])
        interpreter.invoke()
        answers += b"".join(
            interpreter.get_tensor(target["index"]).tobytes() for target in interpreter.get_output_details()
        )
    return noise, answers


def answers_of(program, path, inputs, folder):
    inputs.tofile(folder / "inputs")
    done = run(*program, path, folder / "inputs", folder / "answers")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return (folder / "answers").read_bytes()


def network(name, folder):
    """A built-in network with random weights, as an int8 file."""
    torch.manual_seed(0)
    entry = built_in_model(name)
    x = torch.randn(4, entry.input_shape[0], *(entry.input_shape[1:] if name in SMALL else (64, 64)))
    module = entry.build()
    for norm in (part for part in module.modules() if isinstance(part, nn.BatchNorm2d)):
        norm.momentum = None
    with torch.no_grad():
        module.train()(x)  # or deep maps vanish in the norms it is made with
    graph = build_graph(module.eval(), x[:1])
    (folder / "model.tflite").write_bytes(emit_tflite(graph, quantize_graph(graph, [x], Plan()).spec))
    return folder / "model.tflite"


@pytest.mark.parametrize("name", [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)])
def test_built_in_networks_answer_as_in_litert(name, here, there, tmp_path):
    path = network(name, tmp_path)
    inputs, wanted = by_litert(path, 2 if name in SMALL else 1)
    assert len(set(wanted)) > 5
    assert answers_of([here], path, inputs, tmp_path) == wanted
    cpu = "cortex-a53" if name in SMALL else "cortex-a76"
    assert answers_of([EMULATOR, "-cpu", cpu, there], path, inputs, tmp_path) == wanted


def test_a_network_with_a_sum_and_a_depthwise_layer(run_files, here, tmp_path):
    inputs, wanted = by_litert(run_files / "model_int8.tflite", 8)
    assert answers_of([here], run_files / "model_int8.tflite", inputs, tmp_path) == wanted


@pytest.fixture
def run_files(request):
    return request.getfixturevalue("run") / "artifacts"


def model_of(path):
    return schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)


def written(model, path):
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def refused(program, path, folder):
    """The sentence that a file is refused with; nothing is written."""
    (folder / "inputs").write_bytes(bytes(784))
    done = run(program, path, folder / "inputs", folder / "answers")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert not (folder / "answers").exists()
    return done.stderr.strip()


def test_an_operator_that_is_not_known_is_named(run_files, here, tmp_path):
    model = model_of(run_files / "model_int8.tflite")
    for code in model.operatorCodes:
        if code.builtinCode == schema.BuiltinOperator.MAX_POOL_2D:
            code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.L2_POOL_2D
    found = refused(here, written(model, tmp_path / "m.tflite"), tmp_path)
    assert found == "error: operator 1, L2_POOL_2D: this program does not know the operator"


def test_a_float_file_and_no_file_are_refused(run_files, here, tmp_path):
    found = refused(here, run_files / "model.tflite", tmp_path)
    assert found.startswith("error: operator 0, CONV_2D: its input 1 is of type 0 of the schema")
    assert refused(here, run_files / "model.onnx", tmp_path) == "error: it is no TFLite file"
    assert "cannot be read" in refused(here, tmp_path / "nowhere", tmp_path)


def test_changed_shapes_and_numbers_are_refused(run_files, here, tmp_path):
    model = model_of(run_files / "model_int8.tflite")
    first = model.subgraphs[0].operators[0]
    made = model.subgraphs[0].tensors[first.outputs[0]]
    made.shape = made.shape + np.array([0, 1, 0, 0], np.int32)
    assert "its output has 14 rows or columns, its window asks for 13" in refused(
        here, written(model, tmp_path / "a.tflite"), tmp_path
    )
    model = model_of(run_files / "model_int8.tflite")
    bias = model.subgraphs[0].tensors[first.inputs[2]].buffer
    model.buffers[bias].data = np.full(8, 2**31 - 1, np.int32).view(np.uint8)
    assert "its sums can leave 32 bits" in refused(here, written(model, tmp_path / "b.tflite"), tmp_path)


@pytest.mark.parametrize("seed", range(3))
def test_damaged_files_end_in_one_sentence_or_in_answers(seed, run_files, here, tmp_path):
    """Sanitizers end the program with another exit code."""
    whole, chance = (run_files / "model_int8.tflite").read_bytes(), random.Random(seed)
    (tmp_path / "inputs").write_bytes(bytes(784))
    for number in range(40):
        changed = bytearray(whole)
        for _ in range(chance.choice([1, 1, 2, 8])):
            place = chance.randrange(len(whole) // 4) * 4
            value = chance.choice(
                [0, 1, 255, 2**31 - 1, 2**31, 2**32 - 1, len(whole), chance.getrandbits(32)]
            )
            changed[place : place + 4] = value.to_bytes(4, "little")
        if number % 4 == 0:
            changed = changed[: chance.randrange(len(whole))]
        (tmp_path / "m.tflite").write_bytes(changed)
        done = run(here, tmp_path / "m.tflite", tmp_path / "inputs", tmp_path / "answers")
        assert done.returncode in (0, 2), done.stderr
        assert done.stderr.count("\n") == (done.returncode == 2), done.stderr


def test_times_are_told(run_files, here, tmp_path):
    (tmp_path / "input").write_bytes(bytes(784))
    command = [here, run_files / "model_int8.tflite", tmp_path / "input"]
    found = read_times(run(*command, "--time", 3, 0).stdout)
    assert len(found.times_s) == 3
    assert min(*found.times_s, found.first_s, found.load_s) > 0
    assert found.heap_bytes > (run_files / "model_int8.tflite").stat().st_size
    windows = read_windows(run(*command, "--sustain", 0.5).stdout)
    assert (len(windows.times_s), len(windows.ends_s)) == (1, 1)
    assert windows.inferences > 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--time", "0", "0"], "0 is no number from 1 to 1e+06"),
        (["--sustain", "x"], "x is no number from 0 to 86400"),
        (["--sustain"], "cannot be written"),
        ([], "infer MODEL.tflite INPUTS OUTPUTS | --time ROUNDS WARM_UP | --sustain SECONDS"),
    ],
)
def test_other_words_are_refused(words, sentence, run_files, here, tmp_path):
    (tmp_path / "input").write_bytes(bytes(784))
    if words == ["--sustain"]:
        words = [tmp_path / "nowhere" / "answers"]
    done = run(here, run_files / "model_int8.tflite", tmp_path / "input", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr


def test_inputs_of_another_size_are_refused(run_files, here, tmp_path):
    (tmp_path / "input").write_bytes(bytes(783))
    done = run(here, run_files / "model_int8.tflite", tmp_path / "input", tmp_path / "answers")
    assert (done.returncode, done.stderr.partition("has ")[2]) == (2, "783 bytes, inputs of 784 are wanted\n")


@pytest.mark.parametrize("printed", ["", "x", "{}", '{"inferences": 1, "ends_s": [], "times_s": []}'])
def test_times_that_are_not_there_are_an_error(printed):
    with pytest.raises(DeviceError, match="in place of its times"):
        read_windows(printed)
    with pytest.raises(DeviceError, match="in place of its times"):
        read_times(printed)


def test_its_files_are_short():
    assert max(content.count(b"\n") for content in sources().values()) <= 300
