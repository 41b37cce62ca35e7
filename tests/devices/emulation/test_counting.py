"""Instructions are counted between marks, and cycles are modelled of what was counted."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgesqueeze.cli.main import app
from edgesqueeze.devices.emulation.boards import BOARDS
from edgesqueeze.devices.emulation.counter import Block, Count, Counter, make_counter
from edgesqueeze.devices.emulation.counting import Bench
from edgesqueeze.devices.emulation.counts import Decoded, EmulatedCounts, FileCount
from edgesqueeze.devices.emulation.cycles import find_model
from edgesqueeze.devices.emulation.emulated import Emulated
from edgesqueeze.devices.emulation.root import Root
from edgesqueeze.devices.native.decoder import COMPILERS
from edgesqueeze.devices.processes import run as run_program
from edgesqueeze.errors import DeviceError, RecipeError

LOOP = """
    .global _start
_start:
    {begin} {end} {begin}
    mov x9, #1000
1:  subs x9, x9, #1
    b.ne 1b
    {end}
    mov x8, #93
    mov x0, #0
    svc #0
"""
MARK = "mov x0, #2; mov x1, #{which}; movk x1, #0xE5, lsl #16; mov x8, #141; svc #0;"
"""getpriority(PRIO_USER, 0xE50001) or 2: five instructions."""


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    """A program that goes round a thousand times between two marks."""
    if not shutil.which(COMPILERS[0]):
        pytest.skip("there is no C compiler for aarch64 here: gcc-aarch64-linux-gnu")
    folder = tmp_path_factory.mktemp("loop")
    text = LOOP.format(begin=MARK.format(which=1), end=MARK.format(which=2))
    (folder / "loop.s").write_text(text)
    run_program([COMPILERS[0], "-nostdlib", "-static", "-o", "loop", "loop.s"], "compiling", folder=folder)
    return folder / "loop"


@pytest.fixture
def bench(tmp_path):
    """A board of an empty root, which is enough for a program that needs no library."""
    if shutil.which("qemu-aarch64") is None or shutil.which("gcc") is None:
        pytest.skip("needs qemu-user, whose emulator takes plugins, and gcc")
    root = Root(tmp_path / "root")
    root.system.mkdir(parents=True)
    counter = make_counter(tmp_path / "cache", tmp_path)
    if counter.libraries is not None:
        pytest.skip("the qemu-aarch64 here takes no plugins")
    with Emulated(root, BOARDS["pi4"]) as emulated:
        yield Bench(emulated, counter, find_model(BOARDS["pi4"].schedule), tmp_path)


def test_every_instruction_between_marks_is_counted(loop, bench, tmp_path):
    assert bench.emulated.run([str(loop)], tmp_path, bench.counter).returncode == 0
    empty, found = bench.counter.counts()
    # a system call ends a block, and counts from the block behind it on
    assert found.instructions - empty.instructions == 1 + 2 * 1000
    assert found.classes["branch"] - empty.classes["branch"] == 1000
    costliest = found.blocks[0]
    assert costliest.instructions >= 2 * 999
    assert costliest.code.endswith("54ffffe1")  # b.ne, one instruction back


def test_a_loop_takes_as_many_cycles_as_its_processor_needs_for_it(loop, bench, tmp_path):
    if bench.model is None:
        pytest.skip("there is no llvm-mca of version 16 or newer here")
    bench.emulated.run([str(loop)], tmp_path, bench.counter)
    found = bench.model.cycles(bench.counter.counts()[1], tmp_path)
    # each pass waits for the one before it: one cycle at least, and two instructions need no more
    assert found.cycles is not None
    assert 990 <= found.cycles <= 2100
    assert found.covered == 1.0


def test_a_program_without_marks_has_counted_nothing(tmp_path):
    (tmp_path / "counts").write_text("")
    with pytest.raises(DeviceError, match="counted nothing"):
        Counter(Path("qemu"), None, tmp_path).counts()


@pytest.mark.parametrize(("schedule", "knows"), [("neoverse-n1", True), ("cortex-a72", False)])
def test_instructions_that_a_processor_has_not_are_not_guessed(schedule, knows, tmp_path):
    """sdot is in the A76 and not in the A72."""
    model = find_model(schedule)
    if model is None:
        pytest.skip("there is no llvm-mca of version 16 or newer here")
    plain, product = Block(100, "f100052954ffffe1"), Block(100, "4e829420")
    found = model.cycles(Count(300, {}, (plain, product)), tmp_path)
    assert (found.cycles is not None) == knows
    assert found.reason == (None if knows else "cortex-a72 of LLVM does not know 33 % of them")


def test_what_was_not_kept_is_not_guessed_either(tmp_path):
    model = find_model("cortex-a72")
    if model is None:
        pytest.skip("there is no llvm-mca of version 16 or newer here")
    found = model.cycles(Count(1000, {}, (Block(100, "f1000529"),)), tmp_path)
    assert (found.cycles, found.reason) == (None, "only 10 % are in the blocks that were kept")


def test_without_llvm_there_are_no_cycles(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_model("cortex-a72") is None
    with pytest.raises(DeviceError, match="there is no gcc or cc here"):
        make_counter(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("apt", "sentence"),
    [
        (None, "qemu-aarch64 is not here and there is no apt-get to fetch it; install qemu-user"),
        ("echo 'E: Failed to fetch' >&2; exit 100", "fetching qemu-user failed: E: Failed to fetch"),
    ],
)
def test_without_the_emulator_it_is_fetched_or_asked_for(apt, sentence, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    for name, body in (("gcc", "exit 0"), ("apt-get", apt)):
        if body is not None:
            (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
            (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(DeviceError) as found:
        make_counter(tmp_path / "cache", tmp_path)
    assert str(found.value) == sentence
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["qemu-user.lock"]


def counted(file, instructions, cycles=None, reason=None):
    return FileCount(file, "ort 1", instructions, {"vector": instructions // 2}, cycles, 0.97, reason)


def test_the_table_says_whether_int8_pays_and_that_nothing_was_timed():
    files = (counted("model.onnx", 1000, 500), counted("model_int8.onnx", 900, 490))
    files += (counted("model.tflite", 1000, 500), counted("model_int8.tflite", 600, 250))
    squeezed = Decoded(counted("model.sqz", 5000, reason="too few"), 1234, 56)
    found = EmulatedCounts(BOARDS["pi5"], {"qemu": "7.2"}, "19.1", files, (squeezed,))
    text = " ".join(found.text().split())
    assert (
        "model_int8.onnx: int8 takes 0.90 × the instructions of fp32 and 0.98 × the modelled cycles: it does not pay"
        in text
    )
    assert "0.50 × the modelled cycles: it pays on this processor" in text
    assert "decoding model.sqz takes 1,234 bytes of memory beside the 56 of the file" in text
    assert "model.sqz: too few" in text
    assert "No time was measured" in text
    assert "neoverse-n1 of llvm-mca 19.1" in text
    assert " ms" not in text
    assert found.to_json()["emulated"] is True
    bare = EmulatedCounts(BOARDS["pi5"], {"qemu": "7.2"}, None, files[:1], ())
    assert "There is no llvm-mca here" in " ".join(bare.text().split())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--device", "emulated:pi6"], "there is no device emulated:pi6"),
        (["--device", "emulated:pi4", "--threads", "2", "--quick"], "leave --threads, --quick out"),
        (["--device", "emulated:pi4", "--format", "csv"], "prints as terminal or json, found csv"),
        (["--device", "emulated:pi4", "lenet5"], "give its directory"),
    ],
)
def test_what_cannot_be_counted_is_refused(arguments, sentence, tmp_path):
    found = CliRunner().invoke(app, ["bench", str(tmp_path), *arguments])
    assert isinstance(found.exception, RecipeError)
    assert sentence in str(found.exception)
