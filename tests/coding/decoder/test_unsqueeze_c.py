"""The C decoder: compiled with warnings as errors and under sanitizers, it gives what Python gives."""

import shutil
import subprocess

import numpy as np
import pytest
from damage import FLAGS, SANITIZE, SOURCES, compile_c
from sqz_networks import every_kind, files_of, lenet5, odd_integers, spec_for

from edgesqueeze.formats.sqz.file import Coding, emit_sqz
from edgesqueeze.formats.sqz.version1 import emit_v1
from edgesqueeze.network.graph.nodes import ConvTranspose, Graph
from edgesqueeze.network.integers.subpixel import spread, subpixel, subpixel_integers

NETWORK = every_kind()
SPEC = spec_for(NETWORK)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc here")
    return compile_c(tmp_path_factory.mktemp("c") / "unsqueeze", *SANITIZE, SOURCES / "unsqueeze.c")


def run(program, *arguments):
    return subprocess.run(
        [str(a) for a in (*program, *arguments)], capture_output=True, text=True, check=False
    )


def half_file(network):
    """Weights and biases in half precision, odd values among them."""
    tensors = [network.tensors[name].astype(np.float16) for name in sorted(network.tensors)]
    return b"half".join(tensor.tobytes() for tensor in tensors)


def odd_floats(network):
    """Every way of rounding to half precision: ties, tiny, huge, infinite, no number."""
    patterns = np.concatenate(
        [
            np.arange(0x38000000, 0x39000000, 0x1001),
            np.arange(0x33000000, 0x34000000, 0x10001),
            np.arange(0x477FE000, 0x47801000, 0x333),
            [0x7F800000, 0x7FC00001, 0x7F802000, 0, 0x80000000, 0x00000001, 0x7F7FFFFF],
        ]
    ).astype(np.uint32)
    patterns = np.concatenate([patterns, patterns | 0x80000000])
    tensors = dict(network.tensors)
    for name, tensor in tensors.items():
        values = np.resize(patterns, tensor.size).view(np.float32).reshape(tensor.shape)
        tensors[name], patterns = values, np.roll(patterns, -tensor.size)
    return Graph(network.nodes, tensors)


def spread_file(network, spec):
    """What a transposed convolution becomes, in every form."""
    node = next(n for n in network.owners if isinstance(n, ConvTranspose))
    parts, quant = subpixel(node, network.source(node).shape), spec.weights[node.name]
    integers = subpixel_integers(node, parts, quant)
    weights = [spread(network.weight(node).astype(kind), node, parts) for kind in ("<f4", "<f2")]
    weights += [integers.weight, (integers.weight.astype(np.int16) + 128).astype(np.uint8)]
    files = {f"{w.dtype}.bin": w.tobytes() for w in weights}
    files |= {f"{w.dtype}_last.bin": np.moveaxis(w, 1, 3).tobytes() for w in weights}
    bias = np.tile(network.bias(node), np.prod(node.stride))
    channels = [bias, bias.astype(np.float16), integers.scale, integers.bias]
    channels.append(integers.bias_scale(spec.activations[node.inputs[0]].scale))
    return {**files, **{f"channels{i}.bin": values.tobytes() for i, values in enumerate(channels)}}


CASES = {
    "spread": (NETWORK, odd_integers(SPEC), spread_file(NETWORK, odd_integers(SPEC))),
    "every_kind": (NETWORK, SPEC, None),
    "lenet5": (lenet5(), spec_for(lenet5()), None),
    "integers": (NETWORK, odd_integers(SPEC), None),
    "float": (NETWORK, None, None),
    "half": (NETWORK, None, {"half.bin": half_file(NETWORK)}),
    "odd_half": (odd_floats(NETWORK), None, {"half.bin": half_file(odd_floats(NETWORK))}),
    "empty": (NETWORK, None, {"empty": b"", "run": bytes(100_000)}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_files_are_the_exported_ones(program, case, tmp_path):
    network, spec, files = case
    files = files or files_of(network, spec)
    path = tmp_path / "model.sqz"
    path.write_bytes(emit_sqz(network, spec, files))
    (tmp_path / "out").mkdir()
    done = run([program], path, tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == files
    assert len(done.stdout.splitlines()) == len(files)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (emit_v1(NETWORK, None), "another format version than 2; decode it with edgesqueeze"),
        (
            emit_sqz(NETWORK, SPEC, files_of(NETWORK, SPEC), Coding("huffman")),
            "Huffman-coded or has no templates",
        ),
        (emit_sqz(NETWORK, SPEC), "Huffman-coded or has no templates"),
        (emit_sqz(NETWORK, SPEC, files_of(NETWORK, SPEC))[:-1], "the file is damaged"),
        (b"", "the file is damaged"),
        (None, "cannot read"),
    ],
)
def test_what_it_cannot_decode_is_refused(program, content, message, tmp_path):
    path = tmp_path / "model.sqz"
    if content is not None:
        path.write_bytes(content)
    (tmp_path / "out").mkdir()
    done = run([program], path, tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_a_directory_that_is_not_there_is_an_error(program, tmp_path):
    path = tmp_path / "model.sqz"
    path.write_bytes(emit_sqz(NETWORK, SPEC, files_of(NETWORK, SPEC)))
    done = run([program], path, tmp_path / "nowhere")
    assert (done.returncode, done.stderr.count("cannot be written")) == (2, 1)
    assert "usage" in run([program], path).stderr


def test_it_is_plain_c_for_other_compilers_and_machines(tmp_path):
    """For aarch64, run under qemu where both are there: the same bytes as here."""
    compiler = shutil.which("aarch64-linux-gnu-gcc")
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if compiler is None or emulator is None:
        pytest.skip("needs gcc-aarch64-linux-gnu and qemu-user or qemu-user-static")
    source = SOURCES / "unsqueeze.c"
    program = compile_c(tmp_path / "unsqueeze", "-static", source, compiler=compiler)
    network, spec, _ = CASES["integers"]
    files = files_of(network, spec)
    (tmp_path / "model.sqz").write_bytes(emit_sqz(network, spec, files))
    (tmp_path / "out").mkdir()
    done = run([emulator, program], tmp_path / "model.sqz", tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == files


def test_the_flags_are_strict():
    assert {"-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"} <= set(FLAGS)
    assert "-fno-sanitize-recover=all" in SANITIZE
