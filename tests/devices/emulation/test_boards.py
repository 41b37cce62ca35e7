"""Boards are what their processors say they are."""

import pytest

from edgesqueeze.devices.emulation.boards import BOARDS, board_of
from edgesqueeze.errors import RecipeError


def test_each_processor_has_its_own_features():
    pi4, pi5 = board_of("emulated:pi4"), board_of("emulated:pi5")
    assert (pi4.cpu, pi5.cpu) == ("cortex-a72", "cortex-a76")
    assert "asimddp" in pi5.features.split()
    assert "asimddp" not in pi4.features.split()
    first = pi4.cpuinfo().split("\n\n")[0].splitlines()
    assert dict(line.replace("\t", "").split(": ") for line in first) == {
        "processor": "0",
        "BogoMIPS": "108.00",
        "Features": "fp asimd evtstrm crc32 cpuid",
        "CPU implementer": "0x41",
        "CPU architecture": "8",
        "CPU variant": "0x0",
        "CPU part": "0xd08",
        "CPU revision": "3",
    }


@pytest.mark.parametrize("board", BOARDS.values(), ids=list(BOARDS))
def test_a_program_finds_four_cores(board, tmp_path):
    board.write_system(tmp_path)
    assert (tmp_path / "proc" / "cpuinfo").read_text().count("processor\t: ") == 4
    assert (tmp_path / "sys" / "devices" / "system" / "cpu" / "present").read_text() == "0-3\n"


@pytest.mark.parametrize("device", ["emulated:pi2", "pi4", "emulated:"])
def test_another_device_is_refused(device):
    with pytest.raises(RecipeError, match="there are emulated:pi3, emulated:pi4, emulated:pi5"):
        board_of(device)
