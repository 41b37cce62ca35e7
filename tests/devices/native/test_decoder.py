"""The static decoder for aarch64 gives the bytes that Python gives, and needs nothing of the device."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from edgesqueeze.coding.decoder.unsqueeze import unsqueeze
from edgesqueeze.devices.native.decoder import COMPILERS, build_decoder, read_decoding
from edgesqueeze.errors import DeviceError

SQUEEZED = Path(__file__).parents[2] / "golden" / "v2_small.sqz"
EMULATOR = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
BOARDS = ("cortex-a53", "cortex-a72", "cortex-a76")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if not any(map(shutil.which, COMPILERS)):
        pytest.skip("there is no C compiler for aarch64 here: gcc-aarch64-linux-gnu")
    warnings = ("-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")
    return build_decoder(tmp_path_factory.mktemp("native") / "decode", warnings)


@pytest.fixture(scope="module")
def by_python(tmp_path_factory):
    folder = tmp_path_factory.mktemp("python")
    return {path.name: path.read_bytes() for path in unsqueeze(SQUEEZED, folder)}


def emulated(program, cpu, *arguments):
    if EMULATOR is None:
        pytest.skip("there is no qemu-aarch64 here: qemu-user or qemu-user-static")
    command = [EMULATOR, "-cpu", cpu, program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("cpu", BOARDS)
def test_it_gives_the_bytes_that_python_gives(cpu, program, by_python, tmp_path):
    done = emulated(program, cpu, SQUEEZED, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == by_python
    took = read_decoding(done.stdout)
    assert took.file_bytes == SQUEEZED.stat().st_size
    assert took.heap_bytes > max(len(content) for content in by_python.values()) / 4


def test_a_damaged_file_leaves_nothing_behind(program, tmp_path):
    (tmp_path / "model.sqz").write_bytes(SQUEEZED.read_bytes()[:-1])
    (tmp_path / "out").mkdir()
    done = emulated(program, "cortex-a72", tmp_path / "model.sqz", tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert "the file is damaged" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_it_asks_for_no_library_and_for_pages_of_up_to_64_kb(program):
    """Android runs on pages of 16 KB: segments that are aligned to fewer are not loaded there."""
    content = program.read_bytes()
    machine, offset, size, count = struct.unpack_from("<18xH12xQ14xHH", content)
    assert (content[:5], machine) == (b"\x7fELF\x02", 183)
    headers = [struct.unpack_from("<IIQQQQQQ", content, offset + i * size) for i in range(count)]
    loaded, interpreter, dynamic = 1, 3, 2
    assert not {interpreter, dynamic} & {header[0] for header in headers}
    aligned = [header[7] for header in headers if header[0] == loaded]
    assert len(aligned) >= 2
    assert all(align % 16384 == 0 for align in aligned)


def test_a_machine_without_the_compiler_is_told_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        DeviceError, match="none of aarch64-linux-gnu-gcc, .* apt-get install gcc-aarch64-linux-gnu"
    ):
        build_decoder(tmp_path / "decode")


@pytest.mark.parametrize("printed", ["", "model.onnx  1 bytes\n", '{"seconds": 1}\n'])
def test_figures_that_are_not_there_are_an_error(printed):
    with pytest.raises(DeviceError, match="in place of its figures"):
        read_decoding(printed)
